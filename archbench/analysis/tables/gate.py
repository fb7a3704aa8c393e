"""The gate before every analysis of a table: which rows of one architecture enter, which do not and why.

In this order: cells that are empty or impossible, exact repeats, parts of curves that a restart superseded, runs that
diverged, sweeps. Each row that is left out is named with its reason. Nothing is corrected. Contenders are held against
each other afterwards (`contenders.py`).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.curves import restarts
from archbench.analysis.tables.divergence import far_above_others, rose_again
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.settings import differing_columns, is_seed, names_runs, says_size, swept_settings
from archbench.errors import SpecError
from archbench.results.admission import LeftOut, Suspicion, place_text

_SAME = 3
"""Two sizes or lengths are one when their logarithms agree to this many decimals: to a tenth of a per cent."""
_LARGEST = 1e40
"""No count in any table is as large; beyond, products of two leave the range of floating point numbers."""
_LARGEST_COUNT = 1e18
"""Of parameters, tokens or steps; a thousand times the tokens of all text there is, and what 64 bits hold."""
_COUNTS = frozenset({"N", "N_total", "D", "S", "D_F", "D_T"})
_SMALLEST = 1e-40
"""No compute in any unit is as small, for the same reason."""
_SMALLEST_LOSS = 1e-6
"""Nats or bits, of a token or of a byte: no trained model on any text has a lower loss."""
_UNIT_APART = 1e6
"""A size or length this far below the table's median is in another unit."""
_COMPUTE_APART = 1e3
"""Compute that differs by more than this from what the other rows lead one to expect is in another unit."""
_LETTERS = ("N", "N_total", "D", "C", "S", "L", "B", "D_F", "D_T")
_OPTIONAL = ("seconds",)

_LEAST_SEEDS = 3
_ODD = 8.0
"""Robust standard deviations between seeds from which on one of them is odd."""
_STATES = frozenset({"state", "status", "run_state", "run_status"})
_UNFINISHED = frozenset(
    {
        "running",
        "crashed",
        "failed",
        "killed",
        "preempted",
        "stopped",
        "aborted",
        "interrupted",
        "cancelled",
        "canceled",
    }
)
_PLANNED = {
    "S": frozenset({"max_steps", "total_steps", "planned_steps", "num_iterations", "max_iters"}),
    "D": frozenset({"planned_tokens", "max_tokens", "target_tokens"}),
}
"""Columns that say how long a run was to be, by what they count."""
_WHOLE = 0.98
"""Share of what was planned from which on a run counts as finished: logs end a few steps early."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one architecture, as a table holds them. Arrays are of one length, one element a row."""

    numbers: np.ndarray
    """Place in the file, from 1."""
    values: Mapping[str, Array]
    """By letter, in plain units."""
    names: Mapping[str, str]
    """Letter -> how a sentence calls its column: `column 'loss' (--loss)`."""
    labels: np.ndarray
    """What tells runs apart: `--run`, or architecture, size and seed of curves, or the row itself."""
    seeds: np.ndarray | None
    """Text of the column of seeds."""
    others: pd.DataFrame
    """All columns that no letter, architecture, run or seed is read from, as text; index columns left out."""
    same: np.ndarray
    """Number of the row's content: equal rows have equal numbers."""
    curves: bool
    """Whether rows of one label are points of one curve."""
    named: bool
    """Whether `--run` names runs."""
    head: str
    """`runs.csv: gpt`, for errors."""
    per_token: bool = True
    """Whether losses are nats per token."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """What may enter a fit."""

    rows: np.ndarray
    """Positions of the rows kept, curves in order of their steps."""
    clusters: np.ndarray
    """Label of each kept row's run."""
    seeds: Array
    """Number of each kept row's seed."""
    left_out: tuple[LeftOut, ...]
    suspicions: tuple[Suspicion, ...]
    settings_tried: Array
    """Of how many settings each kept row's is the best, as `--best-of` chose; 1 where nothing was chosen."""


@dataclass(slots=True)
class _Sieve:
    """Rows still in, and what was said on the way."""

    rows: Rows
    kept: np.ndarray
    labels: np.ndarray
    left_out: list[LeftOut] = field(default_factory=list)
    suspicions: list[Suspicion] = field(default_factory=list)

    def drop(self, mask: np.ndarray, kind: str, reason: str, *, runs: Sequence[str] = ()) -> None:
        """Leaves out the rows in `mask` that are still in, and says so."""
        fresh = mask & self.kept
        if fresh.any():
            self.left_out.append(LeftOut(kind, self._numbers(fresh), tuple(runs), reason))
            self.kept &= ~fresh

    def suspect(self, mask: np.ndarray, kind: str, words: str, *, runs: Sequence[str] = ()) -> None:
        """Flags the rows in `mask` that are still in."""
        if (mask & self.kept).any():
            self.suspicions.append(Suspicion(kind, self._numbers(mask & self.kept), tuple(runs), words))

    def _numbers(self, mask: np.ndarray) -> tuple[int, ...]:
        return tuple(int(number) for number in self.rows.numbers[mask])

    def members(self) -> dict[str, np.ndarray]:
        """Label -> positions of its rows that are still in, in order of steps where there are any."""
        positions = np.flatnonzero(self.kept)
        order = self.rows.values.get("S", self.rows.values.get("D")) if self.rows.curves else None
        if order is not None:
            positions = positions[np.argsort(order[positions], kind="stable")]
        found: dict[str, list[int]] = {}
        for position in positions:
            found.setdefault(str(self.labels[position]), []).append(int(position))
        return {label: np.array(own) for label, own in found.items()}

    def mask(self, positions: np.ndarray) -> np.ndarray:
        """True at `positions`."""
        found = np.zeros(len(self.kept), dtype=bool)
        found[positions] = True
        return found

    def run_names(self, labels: Sequence[str]) -> Sequence[str]:
        """Labels worth printing: of curves, not of single rows, which their number names."""
        return labels if self.rows.curves else ()


def admit(rows: Rows, treatment: Treatment) -> Admitted:
    """The rows of one architecture that may enter a fit.

    Raises SpecError for a sweep of which nobody said what to do with it.
    """
    sieve = _Sieve(rows, np.ones(len(rows.numbers), dtype=bool), rows.labels.astype(object))
    _impossible(sieve)
    _repeated(sieve)
    if _has_steps(rows):
        _restarted(sieve)
    _diverged(sieve)
    tried = _settings_tried(sieve, treatment.best_of)
    _swept(sieve, treatment.best_of)
    seeds = _seed_numbers(sieve)
    _look(sieve)
    members = sieve.members()
    positions = np.concatenate(list(members.values())) if members else np.zeros(0, dtype=int)
    if not rows.curves:
        positions = np.sort(positions)
    return Admitted(
        rows=positions,
        clusters=sieve.labels[positions],
        seeds=seeds[positions],
        left_out=tuple(sieve.left_out),
        suspicions=tuple(sieve.suspicions),
        settings_tried=tried[positions],
    )


def _impossible(sieve: _Sieve) -> None:
    """Cells that no logarithm exists of, or that are in another unit than the rest of their column."""
    for letter in _LETTERS:
        if letter not in sieve.rows.values:
            continue
        value, name = sieve.rows.values[letter], sieve.rows.names[letter]
        infinite = np.isinf(value) | (np.abs(value) > _LARGEST)
        sieve.drop(np.isnan(value), "no_number", f"no number in {name}")
        sieve.drop(infinite, "no_number", f"{name} is infinite, or above {_LARGEST:g}")
        if letter in _COUNTS:
            sieve.drop(value > _LARGEST_COUNT, "other_unit", f"{name} is above {_LARGEST_COUNT:g}, which is no count")
        if letter in ("D", "S"):
            sieve.drop(value == 0, "not_positive", f"{name} is 0: before training")
        sieve.drop(~(value > 0), "not_positive", f"{name} is not positive")
        least = _SMALLEST_LOSS if letter == "L" else _SMALLEST
        sieve.drop(value < least, "not_positive", f"{name} is below {least:g}: as good as 0")
        if letter in ("N", "D"):
            _other_unit(sieve, value, name)
    for letter in _OPTIONAL:
        if letter in sieve.rows.values:
            bad = ~np.isfinite(sieve.rows.values[letter]) | (sieve.rows.values[letter] < 0)
            sieve.suspect(bad, "no_seconds", f"{sieve.rows.names[letter]} has no time: unknown on that axis")


def _other_unit(sieve: _Sieve, value: Array, name: str) -> None:
    sieve.drop(value < 1, "other_unit", f"{name} is below 1, which is no count")
    if sieve.kept.any():
        median = float(np.median(value[sieve.kept]))
        low = value < median / _UNIT_APART
        sieve.drop(low, "other_unit", f"{name} is less than a millionth of the median {median:.3g}: another unit")


def _repeated(sieve: _Sieve) -> None:
    """Rows whose every cell equals another row's; where steps can restart, the last one in the file stands."""
    last = _has_steps(sieve.rows)
    positions = np.flatnonzero(sieve.kept)
    again = pd.Series(sieve.rows.same[positions]).duplicated(keep="last" if last else "first").to_numpy()
    words = f"the same in every column as {'a later' if last else 'an earlier'} row: counted once"
    sieve.drop(sieve.mask(positions[again]), "repeated", words)


def _has_steps(rows: Rows) -> bool:
    return rows.curves and "S" in rows.values


def _restarted(sieve: _Sieve) -> None:
    steps, name = sieve.rows.values["S"], sieve.rows.names["S"]
    split: list[str] = []
    split_rows = np.zeros(len(sieve.kept), dtype=bool)
    superseded, unordered = split_rows.copy(), split_rows.copy()
    labels = pd.Series(sieve.labels).where(sieve.kept)
    for label, own in labels.groupby(labels, sort=False).indices.items():
        found = restarts(steps[own], named=sieve.rows.named)
        superseded[own[found.superseded]] = True
        unordered[own] = found.unordered
        if found.part.any():
            split.append(str(label))
            split_rows[own] = True
            sieve.labels[own] = [f"{label} #{part + 1}" for part in found.part]
    where = sieve.labels[superseded].tolist()
    sieve.drop(
        superseded,
        "superseded",
        f"{name} starts again from an earlier step: the last part in the file counts",
        runs=list(dict.fromkeys(where)),
    )
    words = f"{name} starts again from its first step: taken as another run; name runs by --run, or seeds by --seed"
    sieve.suspect(split_rows, "taken_as_seeds", words, runs=split)
    sieve.suspect(
        unordered,
        "steps_go_back",
        f"{name} goes back, no step twice: put in order of steps",
        runs=list(dict.fromkeys(sieve.labels[unordered & sieve.kept].tolist())),
    )


def _diverged(sieve: _Sieve) -> None:
    loss = sieve.rows.values["L"]
    members = sieve.members()
    for label, own in members.items():
        if rose_again(loss[own]):
            words = f"diverged: its loss rose from {loss[own].min():.4g} to {loss[own[-1]]:.4g}"
            sieve.drop(sieve.mask(own), "diverged", words, runs=sieve.run_names([label]))
    members = sieve.members()
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    labels = list(members)
    given = _given(sieve.rows)
    for index, expected in far_above_others(given[:, ends], loss[ends], per_token=sieve.rows.per_token):
        words = f"diverged: its last loss is {loss[ends[index]]:.4g}, the other runs lead one to expect {expected:.3g}"
        own = members[labels[index]]
        sieve.drop(sieve.mask(own), "diverged", words, runs=sieve.run_names([labels[index]]))


def _given(rows: Rows) -> Array:
    """Logarithms of what runs were given, [V, n]: N and D, and C where it stands for one of them."""
    names = [name for name in ("N", "D", "D_F") if name in rows.values]
    if "D" not in names and "S" in rows.values:
        names.append("S")
    if "C" in rows.values and ("N" not in names or names == ["N"]):
        names.append("C")
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(rows.values[name]) for name in names]
    return np.stack(logs) if logs else np.zeros((0, len(rows.numbers)))


def _places(sieve: _Sieve, *, by_seed: bool) -> np.ndarray:
    """Number of each row's size, length and, if asked, seed; rows of one number should be repeats."""
    given = np.round(np.nan_to_num(_given(sieve.rows), posinf=0.0, neginf=0.0), _SAME)
    keys = pd.DataFrame({str(index): row for index, row in enumerate(given)}, index=range(len(sieve.kept)))
    if _has_steps(sieve.rows) and "D" not in sieve.rows.values:
        keys["step"] = sieve.rows.values["S"]
    if by_seed and sieve.rows.seeds is not None:
        keys["seed"] = sieve.rows.seeds
    if not {"N", "D"} <= set(sieve.rows.values):
        # Runs of one compute, size or length are repeats only where the columns of the others agree as well.
        for name in sieve.rows.others.columns:
            if says_size(str(name)):
                keys[f"other {name}"] = sieve.rows.others[name].to_numpy()
    if not len(keys.columns):
        return np.arange(len(sieve.kept))
    return keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy()


def _swept(sieve: _Sieve, best_of: Sequence[str]) -> None:
    if best_of:
        _keep_best(sieve, best_of)
    kept = np.flatnonzero(sieve.kept)
    places = _places(sieve, by_seed=True)[kept]
    others = sieve.rows.others.iloc[kept]
    found = [name for name in swept_settings(others, places) if name not in best_of]
    if not found:
        return
    name = found[0]
    cells = others[name].to_numpy()
    for place in pd.unique(places):
        own = np.flatnonzero(places == place)
        if len(set(cells[own])) > 1:
            break
    values = ", ".join(str(cell)[:20] for cell in dict.fromkeys(cells[own]))
    where = place_text(sieve.rows.numbers[kept[own]].tolist())
    word = shlex.quote(name)
    also = f" (so do {', '.join(repr(other) for other in found[1:4])})" if len(found) > 1 else ""
    alike = "size and length" + (" and seed" if sieve.rows.seeds is not None else "")
    raise SpecError(
        f"{sieve.rows.head}: {where} are of one {alike} and differ in column {name!r} ({values}){also}: a sweep is "
        f"no set of seeds; keep the best of each by --best-of {shlex.quote(','.join(found[:4]))}, one value "
        f"by --where {word}=VALUE, or say --seed {word} if these are repeats, --arch {word} if it tells architectures "
        "apart"
    )


def _settings_tried(sieve: _Sieve, best_of: Sequence[str]) -> Array:
    """Number of settings that the table has at each row's size and length, those that diverged or failed among them."""
    if not best_of:
        return np.ones(len(sieve.kept))
    cells = sieve.rows.others[list(best_of)]
    places = pd.Series(_places(sieve, by_seed=False), index=cells.index)
    different = pd.concat([places.rename("place"), cells], axis=1).drop_duplicates().groupby("place").size()
    return np.asarray(different.loc[places], dtype=float)


def _keep_best(sieve: _Sieve, best_of: Sequence[str]) -> None:
    """Of each size and length the setting with the lowest mean last loss, among those with the most runs."""
    members = sieve.members()
    loss, places = sieve.rows.values["L"], _places(sieve, by_seed=False)
    cells = sieve.rows.others[list(best_of)].to_numpy()
    table = pd.DataFrame(
        [(label, places[own[-1]], "/".join(cells[own[-1]]), loss[own[-1]]) for label, own in members.items()],
        columns=["label", "place", "setting", "loss"],
    )
    names = ", ".join(best_of)
    reduced: list[int] = []
    out: list[int] = []
    for _, runs in table.groupby("place", sort=False):
        by_setting = runs.groupby("setting", sort=False)["loss"].agg(["mean", "size"])
        if len(by_setting) < 2:
            continue
        tried = by_setting[by_setting["size"] == by_setting["size"].max()]
        best = tried["mean"].idxmin()
        for label, setting in zip(runs["label"], runs["setting"], strict=True):
            (reduced if setting == best else out).extend(members[label].tolist())
    if edge := _at_the_edge(table, best_of, cells, members):
        sieve.suspect(sieve.mask(np.array(reduced, dtype=int)), "sweep_edge", edge)
    sieve.drop(
        sieve.mask(np.array(out, dtype=int)), "not_best", f"not the best by {names} of its size and length (--best-of)"
    )
    sieve.suspect(
        sieve.mask(np.array(reduced, dtype=int)),
        "sweep_reduced",
        f"the best by {names} of a sweep: the lowest of several noisy losses is a little too low",
    )


def _at_the_edge(
    table: pd.DataFrame, best_of: Sequence[str], cells: np.ndarray, members: Mapping[str, np.ndarray]
) -> str:
    """That the best of one swept number is the largest or smallest tried, mostly: the optimum may lie beyond."""
    if len(best_of) != 1:
        return ""
    value = {label: pd.to_numeric(cells[own[-1]][0], errors="coerce") for label, own in members.items()}
    swept = table.assign(value=table["label"].map(value)).dropna(subset=["value"])
    ends, places = {"largest": 0, "smallest": 0}, 0
    for _, runs in swept.groupby("place", sort=False):
        tried = runs.groupby("value")["loss"].mean()
        if len(tried) > 1:
            places += 1
            ends["largest"] += int(tried.idxmin() == tried.index.max())
            ends["smallest"] += int(tried.idxmin() == tried.index.min())
    end = max(ends, key=lambda name: ends[name])
    if places == 0 or 2 * ends[end] <= places:
        return ""
    return f"the best {best_of[0]} is the {end} tried at {ends[end]} of {places} sizes: a better one may lie beyond"


def _seed_numbers(sieve: _Sieve) -> Array:
    """Number of each row's seed: that of its column, else its place among runs of one size and length."""
    rows = sieve.rows
    numbers = np.zeros(len(sieve.kept))
    if rows.seeds is not None:
        plain = pd.to_numeric(pd.Series(rows.seeds), errors="coerce").to_numpy(dtype=float)
        whole = (np.abs(plain) < 2**53) & (plain == np.round(plain))
        numbers = plain if whole.all() else pd.factorize(pd.Series(rows.seeds))[0].astype(float)
    members = sieve.members()
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    if not len(ends):
        return numbers
    places = _places(sieve, by_seed=True)[ends]
    nth = pd.Series(places).groupby(places).cumcount().to_numpy()
    if rows.seeds is None:
        for own, number in zip(members.values(), nth, strict=True):
            numbers[own] = number
    several = pd.Series(places).groupby(places).transform("size").to_numpy() > 1
    if several.any() and not any(one.kind == "taken_as_seeds" for one in sieve.suspicions):
        column = next((str(name) for name in rows.others.columns if is_seed(str(name))), None)
        alike = "size and length" if rows.seeds is None else "size, length and seed"
        told = f"--seed {column}" if column else "--seed"
        differing = differing_columns(rows.others.iloc[ends], places)
        but = f" but {', '.join(map(repr, differing[:4]))}" if differing else ""
        words = f"several runs of one {alike}, in no setting different{but}: taken as seeds"
        words += f"; name their column by {told}" if rows.seeds is None else ""
        sieve.suspect(sieve.mask(ends[several]), "taken_as_seeds", words)
    return numbers


def _look(sieve: _Sieve) -> None:
    """What is kept and yet looks wrong."""
    members, loss = sieve.members(), sieve.rows.values["L"]
    rising = [label for label, own in members.items() if len(own) > 1 and loss[own[-1]] > loss[own[0]]]
    rows = [members[label] for label in rising]
    sieve.suspect(
        sieve.mask(np.concatenate(rows) if rows else np.zeros(0, dtype=int)),
        "rising",
        "its last loss is above its first",
        runs=rising,
    )
    _equal_losses(sieve, members)
    _odd_seeds(sieve, members)
    _cut_short(sieve, members)
    _compute_unit(sieve)
    if not sieve.rows.curves and "N" in sieve.rows.values:
        _several_points(sieve)
    if sieve.rows.curves:
        _ends_without_loss(sieve, members)


def _equal_losses(sieve: _Sieve, members: Mapping[str, np.ndarray]) -> None:
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    if not len(ends):
        return
    places = _places(sieve, by_seed=False)[ends]
    losses = sieve.rows.values["L"][ends]
    keys = pd.DataFrame({"place": places, "loss": losses})
    long = np.array([len(f"{value:.12g}".replace(".", "").lstrip("0")) >= 6 for value in losses])
    equal = keys.duplicated(keep=False).to_numpy() & long
    words = "loss equal to the last digit at one size and length: counted as several runs, perhaps one given twice"
    sieve.suspect(sieve.mask(ends[equal]), "equal_losses", words)


def _odd_seeds(sieve: _Sieve, members: Mapping[str, np.ndarray]) -> None:
    """Runs far from the other runs of their size and length, by the scatter of all such groups of three or more."""
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    groups = pd.Series(np.log(sieve.rows.values["L"][ends])).groupby(_places(sieve, by_seed=False)[ends])
    off = groups.transform(lambda losses: losses - losses.median()).where(groups.transform("size") >= _LEAST_SEEDS)
    known = off.dropna()
    if len(known) < 3 * _LEAST_SEEDS:
        return
    scale = 1.4826 * float(known.abs()[known != 0].median())
    odd = np.flatnonzero((off.abs() > _ODD * scale).to_numpy()) if scale > 0 else np.zeros(0, dtype=int)
    if len(odd):
        most = float(off.abs().iloc[odd].max())
        words = f"off by {most:.2g} in ln L from the other seeds of its size and length, which scatter by {scale:.2g}"
        labels = list(members)
        sieve.suspect(sieve.mask(ends[odd]), "odd_seed", words, runs=[labels[place] for place in odd])


def _cut_short(sieve: _Sieve, members: Mapping[str, np.ndarray]) -> None:
    """Runs whose last row is in mid-schedule, by a column of states or of what was planned."""
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    found: dict[int, str] = {}
    for column in sieve.rows.others.columns:
        texts, name = sieve.rows.others[column].to_numpy()[ends], str(column).lower()
        if name in _STATES:
            found |= {at: f"{column} {text}" for at, text in enumerate(texts) if str(text).lower() in _UNFINISHED}
        for letter in ("S", "D"):
            if name in _PLANNED[letter] and letter in sieve.rows.values:
                planned = pd.to_numeric(pd.Series(texts), errors="coerce").to_numpy(dtype=float)
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = sieve.rows.values[letter][ends] / planned
                found |= {int(at): f"{share[at]:.0%} of {column}" for at in np.flatnonzero(share < _WHOLE)}
    if found:
        places, labels = sorted(found), list(members)
        words = f"cut short ({found[places[0]]}): a schedule that has not ended shows a higher loss than its tokens buy"
        sieve.suspect(sieve.mask(ends[places]), "cut_short", words, runs=[labels[place] for place in places])


def _compute_unit(sieve: _Sieve) -> None:
    values = sieve.rows.values
    if not {"N", "D", "C"} <= set(values) or not sieve.kept.any():
        return
    kept = sieve.kept
    ratio = np.log(values["C"][kept]) - np.log(values["N"][kept]) - np.log(values["D"][kept])
    apart = np.zeros(len(kept), dtype=bool)
    apart[kept] = np.abs(ratio - np.median(ratio)) > np.log(_COMPUTE_APART)
    sieve.suspect(
        apart,
        "compute_unit",
        f"{sieve.rows.names['C']} is more than a factor {_COMPUTE_APART:g} from what N·D and the other rows say: "
        "another unit?",
    )


def _several_points(sieve: _Sieve) -> None:
    """Rows that a column groups into runs of one size and several lengths, though no `--run` says so."""
    kept = sieve.kept
    for name in sieve.rows.others.columns:
        if names_runs(str(name)):
            own = sieve.rows.others[name].to_numpy()
            again = pd.Series(own).where(kept).duplicated(keep=False).to_numpy() & kept
            words = f"column {name!r} names several rows alike: are they points of one run? Say --run {name}"
            sieve.suspect(again, "several_points_a_run", words)
            return


def _ends_without_loss(sieve: _Sieve, members: Mapping[str, np.ndarray]) -> None:
    """Curves whose last rows hold no loss, at steps beyond the last one that does."""
    loss, order = sieve.rows.values["L"], sieve.rows.values.get("S", sieve.rows.values.get("D"))
    if order is None:
        return
    without = np.flatnonzero(np.isfinite(order) & ~np.isfinite(loss))
    steps_without = pd.Series(order[without]).groupby(sieve.rows.labels[without])
    least = steps_without.min().to_dict()
    names = [label for label, own in members.items() if least.get(label, -np.inf) > order[own[-1]]]
    rows = [members[label][-1] for label in names]
    sieve.suspect(
        sieve.mask(np.array(rows, dtype=int)),
        "ends_without_loss",
        "later steps of the run have no loss: it may have diverged there",
        runs=names,
    )
