"""Whether losses and gradients are numbers, noted on the device in every step and looked at now and then.

Clipping multiplies all gradients by a function of their norm: one that is not a number makes all weights of the next
step not a number. Looking at once would have the host wait for the device in every step.
"""

import torch
from torch import Tensor

from archbench.training.ranks import ALONE, Ranks

CHECK_STEPS = 64
"""Steps between two looks. What a look finds does not depend on when it is taken: it names the first such step."""

REMEDY = "lower training.learning_rate"


class FiniteChecks:
    """The loss and the gradient norm of each step since the last look."""

    def __init__(self, device: torch.device, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._nats = torch.zeros(CHECK_STEPS, dtype=torch.float32, device=device)
        self._norms = torch.zeros(CHECK_STEPS, dtype=torch.float32, device=device)

    def note_loss(self, step: int, nats: Tensor) -> None:
        """Notes the loss of one micro-batch of the step after `step` steps. Waits for nothing."""
        self._nats[step % CHECK_STEPS].add_(nats.detach())

    def note_gradient(self, step: int, norm: "Tensor | float") -> None:
        """Notes the norm of that step's whole gradient before it was clipped. Waits for nothing."""
        self._norms[step % CHECK_STEPS].add_(norm)

    def problem(self, step: int) -> str | None:
        """What was not a number first in the steps noted since the last look, after `step` steps; None if all was well.

        Waits for the device, and for every rank to ask: a loss of one rank's rows is told to all.
        """
        noted = self._ranks.summed(torch.stack((self._nats, self._norms))).cpu()
        self._nats.zero_()
        self._norms.zero_()
        non_finite = ~noted.isfinite()
        if not non_finite.any():
            return None
        # From the oldest slot to the newest; those that were not written since the last look are zero.
        for number in range(step - CHECK_STEPS, step):
            loss, gradient = non_finite[:, number % CHECK_STEPS].tolist()
            if loss:
                return f"the training loss is not finite in step {number + 1}; {REMEDY}"
            if gradient:
                return f"a gradient is not finite in step {number + 1}, whose loss is; {REMEDY}"
        raise AssertionError("every slot was looked at")


def has_non_finite_weights(module: torch.nn.Module) -> bool:
    """Whether a parameter is not finite. Waits for the device."""
    return not all(bool(parameter.isfinite().all()) for parameter in module.parameters())
