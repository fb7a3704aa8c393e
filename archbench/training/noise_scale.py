"""Gradient noise, measured beside the training: how much the gradients of parts of one batch differ.

McCandlish et al. 2018 (arXiv 1812.06162), appendix A.1: the squared norm of a gradient over B tokens has the mean
|G|² + tr(Sigma)/B, so that norms at two batch sizes give unbiased estimates of both. Here the small batches are parts
of the step's own batch, a few rows each, and the large one is their mean: the batch itself.

The measurement works on a copy of the model. The gradients, hooks and buffers of the one that is trained are never
touched, and every draw of training is seeded where it is made, so that no bit of the run changes.
"""

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from archbench.contracts.objective import IGNORE_TARGET
from archbench.data.batches import Batch
from archbench.errors import SpecError
from archbench.nn.language_model import State
from archbench.results.runs import NoiseMeasurement
from archbench.training.engine import TrainedModule
from archbench.training.evaluation import row_slices, to_device
from archbench.training.randomness import Purpose, seed_generators

MAX_PARTS = 4
"""Parts that a batch is cut into at most. The estimate of |G|² is the mean product of two parts' gradients: four parts
use three quarters of all pairs of rows. More of them would cost no FLOPs, but ever smaller passes."""


def num_parts(rows: int) -> int:
    """Into how many parts of equal size a batch of `rows` is cut: the largest divisor of it up to `MAX_PARTS`.

    It depends on the batch alone, so that a run measures the same however it is carried out. Raises SpecError for a
    batch of one row, which cannot be cut.
    """
    if rows < 2:
        raise SpecError(
            "evaluation.noise_scale_every: gradient noise needs two rows in a batch, this one has "
            f"{rows}; raise training.batch_tokens to twice the context, or set it to 0"
        )
    parts = max(count for count in range(1, MAX_PARTS + 1) if rows % count == 0)
    # A prime number of rows above the limit is measured row by row.
    return parts if parts > 1 else rows


class NoiseMeter:
    """A copy of the model that gradients are taken on."""

    def __init__(self, module: TrainedModule, rows: int, device: torch.device) -> None:
        """`module`: as it was built, before an engine wrapped it; `rows`: of the batch."""
        self.parts = num_parts(rows)
        self._copy = copy.deepcopy(module).to(device)
        self._copy.train()
        self._device = device

    def measure(
        self, trained: nn.Module, batch: Batch, state: State | None, *, seed: int, step: int, tokens_per_row: int
    ) -> NoiseMeasurement | None:
        """Unbiased |G|² and tr Sigma of the coming step; None where a gradient is not a finite number.

        trained: holds the current weights; batch: the arrays of the step; state: memory of all of its rows.
        """
        self._follow(trained)
        rows = batch["tokens"].shape[0]
        predictions = max(1, int((batch["targets"] != IGNORE_TARGET).sum()))
        small = 0.0
        total: list[Tensor] = []
        for part, arrays in row_slices(to_device(batch, self._device), rows // self.parts):
            gradient = self._gradient(arrays, _rows_of(state, part, rows // self.parts), predictions, seed, step)
            small += _squared_norm(gradient) / self.parts
            if total:
                torch._foreach_add_(total, gradient)
            else:
                total = gradient
        large = _squared_norm(total) / self.parts**2
        if not (math.isfinite(small) and math.isfinite(large)):
            return None
        large_tokens = rows * tokens_per_row
        squared, trace = unbiased(small, large, large_tokens // self.parts, large_tokens)
        return NoiseMeasurement(
            step=step,
            tokens=step * large_tokens,
            gradient_squared=squared,
            trace_covariance=trace,
            small_batch_tokens=large_tokens // self.parts,
            large_batch_tokens=large_tokens,
        )

    @torch.no_grad()
    def _follow(self, trained: nn.Module) -> None:
        """Takes over weights and buffers; a module that was cast is followed in its own precision."""
        for own, other in (
            *zip(self._copy.parameters(), trained.parameters(), strict=True),
            *zip(self._copy.buffers(), trained.buffers(), strict=True),
        ):
            if own.dtype != other.dtype:
                own.data = other.detach().clone()
            else:
                own.copy_(other)

    def _gradient(
        self, arrays: Mapping[str, Tensor], state: State | None, predictions: int, seed: int, step: int
    ) -> list[Tensor]:
        """Gradient of one part, scaled so that the mean over parts is the gradient of the batch's loss; in fp32."""
        seed_generators(seed, Purpose.TRAINING, step)
        parts = self._copy(arrays, state)
        loss = parts.nats * (self.parts / predictions)
        if parts.auxiliary is not None:
            loss = loss + parts.auxiliary
        loss.backward()
        # Not torch.autograd.grad: reversible layers add to .grad from within their own backward pass.
        found = [parameter.grad.float() for parameter in self._copy.parameters() if parameter.grad is not None]
        self._copy.zero_grad(set_to_none=True)
        return found


def unbiased(small: float, large: float, small_tokens: float, large_tokens: float) -> tuple[float, float]:
    """|G|² and tr Sigma (per token) from mean squared norms at two batch sizes (McCandlish et al. 2018, eq A.2, A.3).

    Each by itself is unbiased, and can be negative; their ratio is not, so both are averaged before it is taken.
    """
    squared = (large_tokens * large - small_tokens * small) / (large_tokens - small_tokens)
    trace = (small - large) / (1.0 / small_tokens - 1.0 / large_tokens)
    return squared, trace


def _squared_norm(gradient: list[Tensor]) -> float:
    norms = torch.stack(torch._foreach_norm(gradient)).double()
    return float((norms * norms).sum())


def _rows_of(state: State | None, part: int, rows: int) -> State | None:
    if not state:
        return None
    return tuple(tensor[part * rows : (part + 1) * rows] for tensor in state)
