"""The loss of objectives that give a prefix and predict what follows it. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from archbench.api import IGNORE_TARGET, LossParts

if TYPE_CHECKING:
    from torch import Tensor

    from archbench.nn.language_model import LanguageModel


def loss_behind_prefix(
    model: "LanguageModel", batch: Mapping[str, "Tensor"], *, first: int, predicted_share: float = 1.0
) -> LossParts:
    """Cross entropy in nats, summed over the targets at positions from `first` on; those before get no logits.

    `predicted_share`: as of `archbench.nn.loss.token_nats`.
    """
    from archbench.nn.loss import token_nats

    encoded = model.encode_prefixed(batch["tokens"], batch["prefix_len"])
    hidden, targets = encoded.hidden[:, first:], batch["targets"][:, first:]
    nats = token_nats(model, hidden, targets, ignored=IGNORE_TARGET, predicted_share=predicted_share)
    return LossParts(nats, (targets != IGNORE_TARGET).sum(), None, encoded.state)
