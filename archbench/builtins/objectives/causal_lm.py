"""Prediction of the next token from those before it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.architecture import Attention
from archbench.contracts.objective import IGNORE_TARGET, ExampleContext, LossParts, ObjectiveConfig, Windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State


class CausalLmConfig(ObjectiveConfig):
    """Objective `causal_lm`: every token is predicted from its prefix; documents are separated by end-of-text only."""

    kind: Literal["causal_lm"] = "causal_lm"
    summary: ClassVar[str] = "predicts every next token from its prefix"
    attention: ClassVar[Attention] = Attention.CAUSAL
    track: ClassVar[str] = "causal"
    comparisons: ClassVar[str] = (
        "Nats per token compare causal models of the same tokenizer and text; bits per byte compare causal models "
        "over different tokenizers on the same text; neither compares with the loss of a masked model."
    )
    lookahead: ClassVar[int] = 1
    predicts_every_token: ClassVar[bool] = True

    added_later = frozenset({"shuffle_targets"})

    shuffle_targets: bool = False
    """Trains on targets that its tokens say nothing of, so that only their frequencies can be learnt: a control."""

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens` and `targets`: [rows, seq_len] each, the targets one token further."""
        return {
            "tokens": np.ascontiguousarray(windows.tokens[:, :-1]),
            "targets": np.ascontiguousarray(windows.tokens[:, 1:]),
        }

    def training_examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """As `examples`; with `shuffle_targets` those of a row are the tokens of another place, in random order.

        The place and the order are drawn by (seed, step, row). Tokens of the row itself, in whatever order, would still
        tell which tokens a text repeats.
        """
        examples = self.examples(windows, context)
        if self.shuffle_targets:
            examples["targets"] = np.stack(
                [self._from_elsewhere(windows.generator(row), context) for row in range(len(windows.rows))]
            )
        return examples

    @staticmethod
    def _from_elsewhere(generator: np.random.Generator, context: ExampleContext) -> NDArray[np.int64]:
        """[seq_len]: the tokens of a random window of the text, in random order."""
        start = int(generator.integers(context.source.num_tokens))
        return generator.permutation(context.source.window(start, context.seq_len))

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Cross entropy in nats, summed over the targets, with the softmax in fp32 whatever the model's precision."""
        from archbench.nn.loss import token_nats

        encoded = model.encode(batch["tokens"], token_types=batch.get("token_types"), state=state)
        targets = batch["targets"]
        nats = token_nats(model, encoded.hidden, targets, ignored=IGNORE_TARGET)
        return LossParts(nats, (targets != IGNORE_TARGET).sum(), None, encoded.state)
