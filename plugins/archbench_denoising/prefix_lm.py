"""Prefix language modelling (Liu et al. 2018; Raffel et al. 2020, sections 3.2.1 and 3.3.1). No torch at import."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from archbench.api import IGNORE_TARGET, Attention, ExampleContext, LossParts, ObjectiveConfig, Windows
from archbench_denoising.prefixed import loss_behind_prefix

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State


class PrefixLmConfig(ObjectiveConfig):
    """Objective `prefix_lm`: each window is split at a random place; the part behind it is predicted token by token.

    Positions of the first part see each other, those of the second part all before them. The split is uniform over the
    window, so that half of the tokens are predicted on average.
    """

    kind: Literal["prefix_lm"] = "prefix_lm"
    summary: ClassVar[str] = "predicts what follows a prefix that is seen whole"
    attention: ClassVar[Attention] = Attention.PREFIX
    track: ClassVar[str] = "prefix"
    comparisons: ClassVar[str] = (
        "Nats per predicted token compare models of this objective with the same tokenizer and text; the predicted "
        "tokens stand behind a prefix and have more context than those of a causal model: beside its loss put only "
        "exponents."
    )
    lookahead: ClassVar[int] = 1

    def predicted_fraction(self, seq_len: int) -> float:
        """Predicted positions over all positions, on average: a prefix of p leaves seq_len + 1 - p."""
        return (seq_len + 1) / (2 * seq_len)

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens` and `targets` [rows, seq_len], the targets one token further; `prefix_len` [rows], 1 to seq_len."""
        seq_len = context.seq_len
        lengths = [windows.generator(row).integers(1, seq_len, endpoint=True) for row in range(len(windows.rows))]
        prefix_len = np.array(lengths, dtype=np.int64)
        # The prefix's last position is the first that predicts: the token behind it is outside.
        predicts = np.arange(seq_len) >= prefix_len[:, None] - 1
        return {
            "tokens": np.ascontiguousarray(windows.tokens[:, :-1]),
            "targets": np.where(predicts, windows.tokens[:, 1:], IGNORE_TARGET),
            "prefix_len": prefix_len,
        }

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Cross entropy in nats, summed over the tokens behind the prefixes; positions inside get no logits."""
        share = self.predicted_fraction(batch["tokens"].shape[1])
        return loss_behind_prefix(model, batch, first=0, predicted_share=share)
