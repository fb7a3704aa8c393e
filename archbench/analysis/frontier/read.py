"""What frontiers are read from: a joint law L(N,D), a law L(C) above a common floor, or the hull of finished runs.

Contenders that are compared are read in one form, the first that all of them allow, since two forms differ by more than
two contenders do. Each reading comes with resamples that hold run-to-run noise and lack of fit: the design stays, and
every cell is given new deviations, whose scale is drawn from its own sampling distribution (Student's t, for a law that
is linear in its parameters).

Legend: N parameters, D tokens, C cost.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from archbench.analysis.fitting.fit import Floor
from archbench.analysis.frontier.curves import Floats
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read_hull import hull_reading
from archbench.analysis.frontier.read_joint import joint_reading
from archbench.analysis.frontier.read_lines import line_reading, p_of_one_floor
from archbench.analysis.frontier.reading import Form, Reading

_LEVEL = 0.05
"""Of the test of a common floor. A loss that nothing reduces is one number for a text: it is given up reluctantly."""


def read_frontiers(
    group: Sequence[FinishedRuns],
    *,
    num_resamples: int,
    generator: np.random.Generator,
    form: Form | None = None,
    floor_nats: float | None = None,
) -> Reading:
    """The contenders of `group` in the first form that all of them allow, or in `form`.

    floor_nats: pins the common floor.
    The order is: a joint law where every one is a grid that identifies it; a law of cost above a common floor, which
    may be zero, where every one has three sizes or more whose loss falls, or above a floor of each where the runs
    contradict a common one; else the hull of finished runs. What the plateau forbids stands in the reading.
    """
    found = _read_frontiers(group, num_resamples=num_resamples, generator=generator, form=form, floor_nats=floor_nats)
    return found.below_plateau(group)


def _read_frontiers(
    group: Sequence[FinishedRuns],
    *,
    num_resamples: int,
    generator: np.random.Generator,
    form: Form | None = None,
    floor_nats: float | None = None,
) -> Reading:
    names = tuple(one.contender for one in group)
    if form in (None, Form.JOINT_LAW):
        joint, refusal = joint_reading(group, names, num_resamples, generator)
        if joint is not None:
            return joint
        if form is Form.JOINT_LAW:
            raise ValueError(f"no joint law: {refusal}")
    else:
        refusal = ""
    kept = [one.on_frontier() for one in group]
    cells = [one for one, _ in kept]
    contradicted = ""
    if form is None and floor_nats is None and len(group) > 1:
        contradicted = _against_one_floor(group, cells)
        form = Form.OWN_FLOORS if contradicted else None
    if form is Form.OWN_FLOORS:
        alone = [
            _read_frontiers((one,), num_resamples=num_resamples, generator=generator, form=Form.COMMON_FLOOR)
            for one in group
        ]
        return side_by_side(alone, "; ".join(part for part in (refusal, contradicted) if part))
    notes = "; ".join(
        [refusal, *(f"{name} {words}" for name, (_, words) in zip(names, kept, strict=True) if words)]
    ).strip("; ")
    if form is not Form.HULL and all(len(one) >= 3 and one.log_cost[-1] > one.log_cost[0] for one in cells):
        floor: Floor = "none" if form is Form.NO_FLOOR else "free" if floor_nats is None else floor_nats
        lines = line_reading(cells, names, notes, floor, num_resamples, generator)
        if lines is not None:
            return lines
        notes = f"{notes}; the loss of one does not fall with cost".strip("; ")
    elif form is not Form.HULL:
        few = [one.contender for one in cells if len(one) < 3]
        notes = f"{notes}; fewer than three sizes of {' and '.join(few)}".strip("; ")
    return hull_reading(cells, names, notes, num_resamples, generator)


def _against_one_floor(group: Sequence[FinishedRuns], cells: Sequence[FinishedRuns]) -> str:
    """Why these contenders have no floor in common; empty where they may have."""
    swept = [one.contender for one in group if one.num_sizes == 1 and len(one) > 1]
    if swept:
        return f"the runs of {' and '.join(swept)} are of one size, whose loss ends at a floor of its own"
    p_value = p_of_one_floor(cells)
    return f"the runs contradict a common floor (p {p_value:.2g})" if p_value is not None and p_value < _LEVEL else ""


def side_by_side(readings: Sequence[Reading], why: str = "") -> Reading:
    """Contenders that were each read alone, in one reading; hulls among them leave it without exponents."""
    exponents = [one.exponents for one in readings if one.exponents is not None]
    floors = [float(one.floors[0]) for one in readings if one.floors is not None]
    return Reading(
        form=Form.OWN_FLOORS,
        why="; ".join(part for part in (why, *(one.why for one in readings)) if part),
        names=tuple(name for one in readings for name in one.names),
        frontiers=tuple(frontier for one in readings for frontier in one.frontiers),
        spans=tuple(span for one in readings for span in one.spans),
        freedom=min(one.freedom for one in readings),
        exponents=np.concatenate(exponents, axis=1) if len(exponents) == len(readings) else None,
        own_floors=tuple(floors) if len(floors) == len(readings) else None,
        deviation=_deviation(readings),
        without_each=lambda: _without_each(readings),
    )


def _deviation(readings: Sequence[Reading]) -> Floats | None:
    """[R]: root mean square of the deviations of a further cell; None where one of them has none."""
    known = [one.deviation for one in readings if one.deviation is not None]
    return np.sqrt(np.mean(np.square(known), axis=0)) if len(known) == len(readings) else None


def _without_each(readings: Sequence[Reading]) -> Iterator[tuple[str, Reading]]:
    """Each reading without one of its cells at a time, beside the others as they are."""
    for place, one in enumerate(readings):
        for words, other in one.without_each():
            yield words, side_by_side([*readings[:place], other, *readings[place + 1 :]])
