"""Settings that were swept: refused, or reduced to the best of each size and length, and where that best lies."""

import shlex
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.settings import swept_settings
from archbench.analysis.tables.sieve import Sieve, places_of
from archbench.errors import SpecError
from archbench.results.admission import place_text


def settle_sweeps(sieve: Sieve, best_of: Sequence[str]) -> None:
    """Keeps the best of the settings `best_of`. Raises SpecError where another setting was swept."""
    if best_of:
        _keep_best(sieve, best_of)
    kept = np.flatnonzero(sieve.kept)
    places = places_of(sieve, by_seed=True)[kept]
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


def settings_tried(sieve: Sieve, best_of: Sequence[str]) -> Array:
    """Number of settings that the table has at each row's size and length, those that diverged or failed among them."""
    if not best_of:
        return np.ones(len(sieve.kept))
    cells = sieve.rows.others[list(best_of)]
    places = pd.Series(places_of(sieve, by_seed=False), index=cells.index)
    different = pd.concat([places.rename("place"), cells], axis=1).drop_duplicates().groupby("place").size()
    return np.asarray(different.loc[places], dtype=float)


def _keep_best(sieve: Sieve, best_of: Sequence[str]) -> None:
    """Of each size and length the setting with the lowest mean last loss, among those with the most runs."""
    members = sieve.members()
    loss, places = sieve.rows.values["L"], places_of(sieve, by_seed=False)
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
