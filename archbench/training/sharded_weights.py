"""Weights that ZeRO 3 spreads over the ranks: made whole for what is not training, stored and taken up by parts."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class ShardedWeights:
    """What an engine does otherwise under ZeRO 3. Everything here is done by all ranks at the same point.

    Evaluation calls parts of the model in ways that DeepSpeed's hooks do not follow (an encoder without its head, a
    prefix beside the whole), so it is given a copy with whole weights, which lives in CPU memory while training goes
    on. In training itself no rank holds more than its part and the layers at work.
    """

    def __init__(self, whole: nn.Module, device: torch.device) -> None:
        """`whole`: a copy of the module, made before DeepSpeed spread it."""
        self._whole = whole.cpu()
        self._device = device
        self._fresh = False

    def changed(self) -> None:
        """The weights are others now, and the copy, if it was on the device, gives its memory back."""
        if self._fresh and self._device.type != "cpu":
            self._whole.to("cpu")
        self._fresh = False

    def whole(
        self, spread: nn.Module, gather: Callable[[list[nn.Parameter]], AbstractContextManager[Any]]
    ) -> nn.Module:
        """The copy with the weights that `spread` has now, in its mode and precision, on the device."""
        if not self._fresh:
            self._whole.to(self._device)
            with torch.no_grad():
                for own, part in zip(self._whole.parameters(), spread.parameters(), strict=True):
                    # Those that every rank holds anyway stay as they are: gathering them would spread them at its end,
                    # and DeepSpeed's record of which layer needs what would not be true any more.
                    with nullcontext() if part.shape == own.shape else gather([part]):
                        own.data = part.detach().clone()
                for mine, other in zip(self._whole.buffers(), spread.buffers(), strict=True):
                    mine.data = other.detach().clone()
            self._fresh = True
        self._whole.train(spread.training)
        return self._whole


def master_weights(optimizer: Any) -> Sequence[Tensor]:
    """This rank's parts of the weights in fp32, which DeepSpeed's ZeRO 3 `optimizer` updates: all that it goes on from.

    The parts in working precision are rounded from them after every step.
    """
    parts: Sequence[Tensor] = optimizer.fp32_partitioned_groups_flat
    return parts


def update_from_master_weights(optimizer: Any) -> None:
    """Has the weights in working precision follow `master_weights`, as at the end of a step."""
    # Parameters too small to be spread are whole on every rank, and gathered anew.
    optimizer._partition_all_parameters()
    for index in range(len(master_weights(optimizer))):
        optimizer._reassign_or_swap_out_partitioned_parameters(index)
    small = optimizer.persistent_parameters
    if small:
        small[0].all_gather(small)
