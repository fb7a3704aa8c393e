"""Tiers: neighbouring sizes of which the larger ones do not beat the smallest one by more than the noise.

A tier means that compute went into parameters that did not lower the loss. Each larger size is tested against the
smallest one of the tier: one-sided t test with the pooled run-to-run noise, at level 0.05, corrected by Holm
(1979) over the sizes tested. The smaller size is read at the larger one's final cost: a trained model stays trained.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from archbench.analysis.frontier.curves import CurveSet, MeanCurve
from archbench.analysis.frontier.noise import Noise
from archbench.results.fits import Tier
from archbench.results.runs import size_number

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class FinalLoss:
    """The loss of one size at the end of its training."""

    size_index: int
    loss_nats: float
    """Mean over seeds."""
    num_runs: int


def final_losses(curves: CurveSet) -> tuple[FinalLoss, ...]:
    """The final loss of each size, smallest first; of several token budgets at a size the largest counts."""
    by_size: dict[int, MeanCurve] = {}
    for curve in curves.curves:
        held = by_size.get(curve.size_index)
        if held is None or curve.planned_tokens >= held.planned_tokens:
            by_size[curve.size_index] = curve
    return tuple(
        FinalLoss(curve.size_index, curve.final_loss_nats, curve.num_runs)
        for curve in sorted(by_size.values(), key=lambda curve: curve.non_embedding_params)
    )


def find_tiers(finals: Sequence[FinalLoss], noise: Noise | None) -> tuple[Tier, ...]:
    """All tiers, from the smallest size up; a size that beats the one before it is a tier by itself.

    Without known noise no test is possible: a size then joins the tier if its loss is not even lower, and no p-value
    is given.
    """
    tiers: list[Tier] = []
    start = 0
    while start < len(finals):
        smallest, larger = finals[start], finals[start + 1 :]
        p_values = _against(smallest, larger, noise)
        members = [smallest.size_index]
        for size in larger:
            beaten = size.loss_nats < smallest.loss_nats if noise is None else p_values[size.size_index] < LEVEL
            if beaten:
                break
            members.append(size.size_index)
        # The size that ends the tier is kept among the p-values: it shows by how much it was told apart.
        shown = {number: p for number, p in p_values.items() if number in members}
        tiers.append(Tier(tuple(members), shown))
        start += len(members)
    return tuple(tiers)


def _against(smallest: FinalLoss, larger: Sequence[FinalLoss], noise: Noise | None) -> dict[int, float]:
    """Holm-corrected one-sided p-value of each larger size having no lower loss than the smallest."""
    if noise is None:
        return {}
    runs = np.array([size.num_runs for size in larger], dtype=float)
    error = noise.std_nats * np.sqrt(1.0 / smallest.num_runs + 1.0 / runs)
    gain = smallest.loss_nats - np.array([size.loss_nats for size in larger])
    p_values = student_t.sf(gain / error, noise.degrees_of_freedom) if noise.std_nats > 0 else gain <= 0
    return holm({size.size_index: float(p) for size, p in zip(larger, p_values, strict=True)})


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """Step-down corrected p-values by the same keys (Holm 1979)."""
    ranked = sorted(p_values, key=lambda key: p_values[key])
    corrected: dict[int, float] = {}
    highest = 0.0
    for rank, key in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * p_values[key]))
        corrected[key] = highest
    return {key: corrected[key] for key in p_values}


def smallest_visible_gain(finals: Sequence[FinalLoss], noise: Noise, power: float = 0.8) -> float:
    """The gain in nats between two neighbouring sizes that the test finds with probability `power`.

    The largest over neighbours, with the first step of Holm's correction; normal approximation of the power.
    """
    comparisons = max(len(finals) - 1, 1)
    needed = float(student_t.isf(LEVEL / comparisons, noise.degrees_of_freedom)) + float(norm.ppf(power))
    errors = [np.sqrt(1.0 / one.num_runs + 1.0 / other.num_runs) for one, other in pairwise(finals)]
    return needed * noise.std_nats * float(max(errors, default=0.0))


def design_warning(finals: Sequence[FinalLoss], noise: Noise | None) -> str | None:
    """What this design cannot see, in one sentence; None where it sees every gain between neighbours."""
    if len(finals) < 2:
        return None
    if noise is None:
        return (
            "one seed at each size: run-to-run noise is unknown, so that tiers and dominated sizes are judged by bare "
            "figures; three seeds at the two smallest sizes would show it"
        )
    visible = smallest_visible_gain(finals, noise)
    gains = [one.loss_nats - other.loss_nats for one, other in pairwise(finals)]
    weak = [
        f"{size_number(one.size_index)}-{size_number(other.size_index)}"
        for one, other, gain in zip(finals, finals[1:], gains, strict=False)
        if 0 < gain < visible
    ]
    if not weak:
        return None
    return (
        f"gains below {visible:.3g} nats between neighbouring sizes are found with less than 80 % power here (noise "
        f"{noise.std_nats:.2g} nats, from {noise.source}): a tier at sizes {', '.join(weak)} may be a lack of seeds"
    )
