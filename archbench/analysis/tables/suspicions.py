"""What passed the gate and yet looks wrong: flagged, never changed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from archbench.analysis.tables.settings import names_runs
from archbench.analysis.tables.sieve import Sieve, places_of

_COMPUTE_APART = 1e3
"""Compute that differs by more than this from what the other rows lead one to expect is in another unit."""
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


def suspect_what_is_kept(sieve: Sieve) -> None:
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


def _equal_losses(sieve: Sieve, members: Mapping[str, np.ndarray]) -> None:
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    if not len(ends):
        return
    places = places_of(sieve, by_seed=False)[ends]
    losses = sieve.rows.values["L"][ends]
    keys = pd.DataFrame({"place": places, "loss": losses})
    long = np.array([len(f"{value:.12g}".replace(".", "").lstrip("0")) >= 6 for value in losses])
    equal = keys.duplicated(keep=False).to_numpy() & long
    words = "loss equal to the last digit at one size and length: counted as several runs, perhaps one given twice"
    sieve.suspect(sieve.mask(ends[equal]), "equal_losses", words)


def _odd_seeds(sieve: Sieve, members: Mapping[str, np.ndarray]) -> None:
    """Runs far from the other runs of their size and length, by the scatter of all such groups of three or more."""
    ends = np.array([own[-1] for own in members.values()], dtype=int)
    groups = pd.Series(np.log(sieve.rows.values["L"][ends])).groupby(places_of(sieve, by_seed=False)[ends])
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


def _cut_short(sieve: Sieve, members: Mapping[str, np.ndarray]) -> None:
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


def _compute_unit(sieve: Sieve) -> None:
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


def _several_points(sieve: Sieve) -> None:
    """Rows that a column groups into runs of one size and several lengths, though no `--run` says so."""
    kept = sieve.kept
    for name in sieve.rows.others.columns:
        if names_runs(str(name)):
            own = sieve.rows.others[name].to_numpy()
            again = pd.Series(own).where(kept).duplicated(keep=False).to_numpy() & kept
            words = f"column {name!r} names several rows alike: are they points of one run? Say --run {name}"
            sieve.suspect(again, "several_points_a_run", words)
            return


def _ends_without_loss(sieve: Sieve, members: Mapping[str, np.ndarray]) -> None:
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
