"""The loss of objectives that give a prefix and predict what follows it. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archbench.api import IGNORE_TARGET, LossParts

if TYPE_CHECKING:
    from torch import Tensor

    from archbench.nn.language_model import LanguageModel


def loss_behind_prefix(model: "LanguageModel", batch: Mapping[str, "Tensor"], *, first: int) -> LossParts:
    """Cross entropy in nats, summed over the targets at positions from `first` on; those before get no logits."""
    from archbench.nn.loss import summed_cross_entropy

    encoded = model.encode_prefixed(batch["tokens"], batch["prefix_len"])
    logits = model.logits(encoded.hidden[:, first:]).flatten(0, 1)
    targets = batch["targets"][:, first:].flatten()
    nats = summed_cross_entropy(logits, targets, ignored=IGNORE_TARGET)
    return LossParts(nats, (targets != IGNORE_TARGET).sum(), None, encoded.state)
