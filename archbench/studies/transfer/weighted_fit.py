"""A law fitted to the cells of a transfer study.

Legend: N parameters, D tokens from scratch, D_F fine-tuning tokens, L loss.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.fitting.huber import LEAST_SQUARES
from archbench.analysis.laws.base import Law
from archbench.studies.transfer.cells import Cell


def fit_cells(law: Law, cells: Sequence[Cell], *, tokens: Literal["D", "D_F"], root: float = 1.0) -> LawFit:
    """`law` of N and the cells' tokens, which it calls `tokens`, by least squares on ln L^(1/root).

    A cell weighs as much as it has runs, and is a cluster of its own.
    """
    return fit_law(
        law,
        {tokens: [cell.tokens for cell in cells], "N": [cell.non_embedding_params for cell in cells]},
        np.exp(np.array([cell.log_loss for cell in cells]) / root),
        delta=LEAST_SQUARES,
        weights=[len(cell.runs) for cell in cells],
        clusters=list(range(len(cells))),
        param_convention="non_embedding",
    )
