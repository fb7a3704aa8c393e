"""Frontiers read from the hull of finished runs, where no law can be: lines in ln C and ln L between them.

Legend: R resamples, C cost, L loss (nats).
"""

from collections.abc import Sequence

import numpy as np

from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.reading import Form, Frontier, Reading, TabulatedFrontier, spans_of

_LEAST_CORNERS = 3
"""Runs on a hull below which its interval is unknown."""


def hull_reading(
    cells: Sequence[FinishedRuns],
    names: tuple[str, ...],
    why: str,
    num_resamples: int,
    generator: np.random.Generator,
) -> Reading:
    """Finished runs joined by lines; the noise of seeds is all that their resamples hold.

    Where one has two runs or fewer on its hull nothing tells the scatter: a frontier bends, and the line between two
    distant runs lies above it by more than noise.
    """
    frontiers: list[Frontier] = []
    hulls = [
        one.take(one.log_loss < np.concatenate([[np.inf], np.minimum.accumulate(one.log_loss)[:-1]])) for one in cells
    ]
    chords = [hull.contender for hull in hulls if len(hull) < _LEAST_CORNERS]
    if chords:
        said = f"nothing tells how far below the line between its runs the frontier of {' and '.join(chords)} lies"
        why = f"{why}; {said}".strip("; ")
    for one, hull in zip(cells, hulls, strict=True):
        if one.seed_freedom and not chords:
            scale = one.seed_freedom / generator.chisquare(one.seed_freedom, size=(num_resamples, 1))
            spread = np.sqrt(one.seed_variance * scale / hull.num_runs[None, :])
        else:
            spread = np.full((num_resamples, 1), np.nan)
        drawn = hull.log_loss + spread * generator.standard_normal((num_resamples, len(hull)))
        losses = np.minimum.accumulate(np.concatenate([hull.log_loss[None, :], drawn]), axis=1)
        frontiers.append(TabulatedFrontier(hull.log_cost, losses))
    spans = spans_of(cells)
    freedom = 0.0 if chords else float(min((one.seed_freedom for one in cells), default=0))
    return Reading(Form.HULL, why, names, tuple(frontiers), spans, freedom)
