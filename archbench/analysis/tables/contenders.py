"""Contenders of one table held against each other: columns that one of them has in another unit, losses of another's.

Legend: N parameters, D tokens, C compute, L loss; each of finished runs that the gate let in.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.tables.quantities import QUANTITIES, Contenders, flag_of
from archbench.errors import SpecError
from archbench.results.admission import Suspicion
from archbench.units import FLOPS_PER_PF_DAY, NATS_PER_BIT

_APART = 1e4
"""No architecture reaches a loss by so many times fewer parameters, tokens or FLOPs than another."""
_COMPUTE_APART = 1e3
"""No count of FLOPs differs by more from 6ND: embeddings, attention, experts and recurrence are all less."""
_LIKE_PF_DAYS = 30.0
_LEAST_PLACES = 3
_BITS_WITHIN = 0.08
"""Of the ratio 1/ln 2: half or twice the compute is a few per cent of loss."""
_BITS_SPREAD = 1.05
"""Largest ratio over the least: a unit's is the same at every size."""
_LEAST_DIGITS = 4
"""Losses with fewer significant digits are equal by chance."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Finished runs of one contender. Arrays are of one length, one element a run."""

    name: str
    rows: np.ndarray
    """Place in the file, from 1."""
    values: Mapping[str, Array]
    """By letter, in plain units."""


@dataclass(frozen=True, slots=True)
class Meant:
    """How the columns were read, for messages and remedies."""

    source: str
    columns: Mapping[str, str]
    """Field -> name of the column, of those that hold numbers."""
    contenders: Contenders | None
    """None where the table is of one contender."""
    compute_unit: str | None
    """As `--compute-unit` says."""
    stated: frozenset[str]
    """Fields whose unit was stated by `--scale` or `--log10`."""


def refuse_other_units(finished: Sequence[Finished], meant: Meant) -> None:
    """Raises SpecError where N, D or C of a contender can only be in another unit than is said, or than the others'."""
    runs = [one for one in finished if len(one.rows)]
    for field in ("params", "tokens"):
        _refuse_apart(runs, field, meant)
    if "compute" in meant.columns:
        _refuse_far_from_6nd(runs, meant)
        _refuse_apart(runs, "compute", meant)


def _refuse_apart(runs: Sequence[Finished], field: str, meant: Meant) -> None:
    """Refuses a contender that has far less of something, or far more, than the others at the losses that it shares."""
    letter = QUANTITIES[field]
    if meant.contenders is None or len(runs) < 2 or any(letter not in one.values for one in runs):
        return
    ratios = _times_less(runs, letter)
    # The one that has less is named first: its column holds millions where the others' holds ones.
    name = max(ratios, key=lambda one: ratios[one])
    if ratios[name] < _APART:
        name = min(ratios, key=lambda one: ratios[one])
    ratio = ratios[name]
    if 1 / _APART < ratio < _APART:
        return
    own = _span(np.concatenate([one.values[letter] for one in runs if one.name == name]))
    others = _span(np.concatenate([one.values[letter] for one in runs if one.name != name]))
    head = f"{meant.source}: {flag_of(field)} {meant.columns[field]}"
    raise SpecError(
        f"{head}: {name} has {own}, {_others(runs, name)} {others} at like losses: a factor "
        f"{max(ratio, 1 / ratio):.2g} is no difference of architectures; bring the column to one unit, or read "
        f"{name} alone: {meant.contenders.alone(name)} with {_own_unit(field, ratio, meant)} (imports of one --text "
        "NAME compare)"
    )


def _times_less(runs: Sequence[Finished], letter: str) -> dict[str, float]:
    """Contender -> how many times less it has than the others at the losses that both reach; 1 where there are none."""
    whose = np.concatenate([np.full(len(one.rows), one.name, dtype=object) for one in runs])
    loss = np.concatenate([one.values["L"] for one in runs])
    value = np.concatenate([one.values[letter] for one in runs])
    found = {}
    for one in runs:
        own = whose == one.name
        low, high = max(loss[own].min(), loss[~own].min()), min(loss[own].max(), loss[~own].max())
        shared = (loss >= low) & (loss <= high)
        found[one.name] = _typical(value, ~own, shared) / _typical(value, own, shared) if low <= high else 1.0
    return found


def _typical(value: Array, whose: np.ndarray, shared: np.ndarray) -> float:
    """Median over the runs at shared losses, or over all of one whose losses lie on both sides of them."""
    chosen = whose & shared
    return float(np.median(value[chosen if chosen.any() else whose]))


def _own_unit(field: str, ratio: float, meant: Meant) -> str:
    """The flag that gives one contender's column its own unit; a factor is offered where none was stated."""
    if field == "compute" and meant.compute_unit == "flops" and _is_pf_days(ratio):
        return "--compute-unit pf-days"
    factor = "FACTOR" if field in meant.stated or ratio < 1 else f"1e{3 * round(math.log10(ratio) / 3)}"
    return f"--scale {field}={factor}"


def _refuse_far_from_6nd(runs: Sequence[Finished], meant: Meant) -> None:
    """Refuses compute in stated FLOPs that is nowhere near 6ND, of all contenders or of one."""
    if meant.compute_unit not in ("flops", "pf-days") or "compute" in meant.stated:
        return
    known = [one for one in runs if {"N", "D", "C"} <= set(one.values)]
    ratios = {one.name: float(np.median(6.0 * one.values["N"] * one.values["D"] / one.values["C"])) for one in known}
    far = [name for name, ratio in ratios.items() if not 1 / _COMPUTE_APART < ratio < _COMPUTE_APART]
    if not far:
        return
    ratio = ratios[far[0]]
    one_of_several = meant.contenders is not None and len(far) < len(ratios)
    head = f"{meant.source}: {far[0]}: " if one_of_several else f"{meant.source}: "
    unit = f"--scale compute={ratio:.3g}"
    if meant.compute_unit == "flops" and _is_pf_days(ratio):
        unit = "--compute-unit pf-days"
    elif meant.compute_unit == "pf-days" and _is_pf_days(1 / ratio):
        unit = "--compute-unit flops"
    alone = f", of {far[0]} alone with {meant.contenders.alone(far[0])}" if one_of_several and meant.contenders else ""
    raise SpecError(
        f"{head}--compute {meant.columns['compute']}: 6ND is {ratio:.3g} times what it says, read as "
        f"{meant.compute_unit}: another unit? say {unit}{alone}; as it is: --scale compute=1"
    )


def _is_pf_days(ratio: float) -> bool:
    return 1 / _LIKE_PF_DAYS < ratio / FLOPS_PER_PF_DAY < _LIKE_PF_DAYS


def _span(value: Array) -> str:
    return f"{value.min():.3g} to {value.max():.3g}"


def _others(runs: Sequence[Finished], name: str) -> str:
    return next(one.name for one in runs if one.name != name) if len(runs) == 2 else "the others"


def suspicions_between(finished: Sequence[Finished]) -> dict[str, tuple[Suspicion, ...]]:
    """Contender -> what looks wrong beside the others': their very losses, or losses in bits beside nats."""
    runs = [one for one in finished if len(one.rows)]
    found: dict[str, list[Suspicion]] = {one.name: [] for one in finished}
    for one, other in _with_losses_of_another(runs):
        words = f"losses equal to the last digit to those of {other.name}, at every size: one set of runs by two names?"
        found[one.name].append(_suspicion("losses_of_another", one, words))
    for one, low, high in _in_bits(runs):
        words = (
            f"its losses are {low:.3g} to {high:.3g} times those of {_others(runs, one.name)} at equal N and D, and "
            f"1/ln 2 is {1 / NATS_PER_BIT:.3g}: bits beside nats? Then read each alone, by --where, with its own "
            "--loss-unit"
        )
        found[one.name].append(_suspicion("bits_beside_nats", one, words))
    return {name: tuple(own) for name, own in found.items()}


def _suspicion(kind: str, one: Finished, words: str) -> Suspicion:
    return Suspicion(kind, tuple(sorted(int(row) for row in one.rows)), (), words)


def _with_losses_of_another(runs: Sequence[Finished]) -> list[tuple[Finished, Finished]]:
    """Contenders all of whose losses an earlier one has as well, and that one."""
    first: dict[tuple[float, ...], Finished] = {}
    found = []
    for one in runs:
        losses = tuple(sorted(one.values["L"].tolist()))
        digits = [len(f"{loss:.12g}".replace(".", "").lstrip("0")) for loss in losses]
        if len(set(losses)) < _LEAST_PLACES or np.median(digits) < _LEAST_DIGITS:
            continue
        if losses in first:
            found.append((one, first[losses]))
        first.setdefault(losses, one)
    return found


def _in_bits(runs: Sequence[Finished]) -> list[tuple[Finished, float, float]]:
    """Contenders whose losses are 1/ln 2 times the others' at every N and D that both have; least and largest ratio."""
    if len(runs) < 2 or any(not {"N", "D"} <= set(one.values) for one in runs):
        return []
    # Three decimals of a logarithm: one size where it agrees to a tenth of a per cent.
    table = pd.concat(
        pd.DataFrame(
            {
                "name": one.name,
                "N": np.round(np.log(one.values["N"]), 3),
                "D": np.round(np.log(one.values["D"]), 3),
                "L": one.values["L"],
            }
        )
        for one in runs
    )
    means = table.groupby(["N", "D", "name"])["L"].mean().unstack("name")
    found = []
    for one in runs:
        ratio = (means[one.name] / means.drop(columns=one.name).median(axis=1)).dropna()
        apart = (ratio * NATS_PER_BIT - 1).abs()
        alike = len(ratio) >= _LEAST_PLACES and ratio.max() < _BITS_SPREAD * ratio.min()
        if alike and (apart < _BITS_WITHIN).all():
            found.append((one, float(ratio.min()), float(ratio.max())))
    return found
