"""Prediction of hidden tokens from both sides (Devlin et al. 2019), without pairs of sentences (Liu et al. 2019)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archbench.builtins.objectives.masking import (
    mask_keys,
    masked,
    masked_nats,
    num_predicted_of,
    scattered_targets,
)
from archbench.contracts.architecture import Attention
from archbench.contracts.objective import ExampleContext, LossParts, ObjectiveConfig, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State


class MaskedLmConfig(ObjectiveConfig):
    """Objective `masked_lm`: a fixed share of each window is predicted; 80 % of it masked, 10 % random, 10 % kept."""

    kind: Literal["masked_lm"] = "masked_lm"
    summary: ClassVar[str] = "predicts hidden tokens from both sides"
    attention: ClassVar[Attention] = Attention.BIDIRECTIONAL
    track: ClassVar[str] = "masked"
    comparisons: ClassVar[str] = (
        "Nats per masked token compare masked models of the same tokenizer, text and share of masked tokens; the loss "
        "is over masked tokens given both sides and does not compare with a causal one; put only exponents beside it."
    )
    special_tokens: ClassVar[tuple[str, ...]] = ("[MASK]",)

    mask_probability: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of tokens that are predicted; each window predicts the nearest whole number."""
    masking: Literal["static", "dynamic"] = "dynamic"
    """`static`: a token of the text is hidden in every epoch or in none; `dynamic`: drawn anew at each step."""

    def predicted_fraction(self, seq_len: int) -> float:
        """Predicted positions over all positions."""
        return num_predicted_of(seq_len, self.mask_probability) / seq_len

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens` and `targets` [rows, seq_len]; `positions` and `position_targets` [rows, predicted positions]."""
        result = masked(
            windows.tokens,
            mask_keys(windows, context.seq_len, masking=self.masking),
            num_predicted=num_predicted_of(context.seq_len, self.mask_probability),
            mask_id=context.special_ids["[MASK]"],
            text_vocab_size=context.text_vocab_size,
        )
        return {
            "tokens": result.tokens,
            "targets": scattered_targets(result.positions, result.targets, context.seq_len),
            "positions": result.positions,
            "position_targets": result.targets,
        }

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Cross entropy in nats, summed over the predicted positions; hidden states are gathered before the logits."""
        encoded = model.encode(batch["tokens"], state=state)
        nats, predictions = masked_nats(model, encoded.hidden, batch)
        return LossParts(nats, predictions, None, encoded.state)
