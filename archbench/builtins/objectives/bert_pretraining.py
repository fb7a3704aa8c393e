"""BERT's original pre-training: masked tokens and next-sentence prediction (Devlin et al. 2019, section 3.1)."""

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
from archbench.contracts.architecture import Attention, ModelDims
from archbench.contracts.objective import ExampleContext, LossParts, ObjectiveConfig, Windows
from archbench.data.hashing import below, hash_words
from archbench.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State

_NUM_SPECIAL = 3
"""[CLS], and a [SEP] behind each of the two pieces."""
_PAIR, _SPLIT, _ELSEWHERE = 21, 22, 23
"""Keep the draws of different purposes apart."""
_INIT_STD = 0.02
"""Of the next-sentence head, as of BERT's other weights."""


class BertPretrainingConfig(ObjectiveConfig):
    """Objective `bert_pretraining`: [CLS] A [SEP] B [SEP], where B continues A in half of the rows.

    A and B together hold seq_len - 3 tokens and meet at a random place in the middle half. In the other rows B comes
    from a random place of the same text. As in the published code the pieces are runs of text, not sentences.
    """

    kind: Literal["bert_pretraining"] = "bert_pretraining"
    summary: ClassVar[str] = "BERT's original: masked tokens and next-sentence prediction"
    attention: ClassVar[Attention] = Attention.BIDIRECTIONAL
    track: ClassVar[str] = "masked_pairs"
    comparisons: ClassVar[str] = (
        "Nats per masked token compare models of this objective with the same tokenizer and text; half of the rows "
        "join two unrelated pieces, so beside the loss of masked_lm or of a causal model put only exponents."
    )
    special_tokens: ClassVar[tuple[str, ...]] = ("[MASK]", "[CLS]", "[SEP]")
    needs_token_types: ClassVar[bool] = True

    mask_probability: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of the text's tokens that are predicted; each row predicts the nearest whole number."""
    masking: Literal["static", "dynamic"] = "static"
    """`static`, as published: a place of the text is hidden in every epoch alike; `dynamic`: drawn anew."""

    def stride(self, seq_len: int) -> int:
        """Tokens of text in a row: all but the three special ones. Raises SpecError if fewer than four remain."""
        if seq_len < _NUM_SPECIAL + 4:
            raise SpecError(
                f"training.seq_len: got {seq_len}, expected at least {_NUM_SPECIAL + 4} for bert_pretraining"
            )
        return seq_len - _NUM_SPECIAL

    def predicted_fraction(self, seq_len: int) -> float:
        """Predicted positions over all positions."""
        return num_predicted_of(self.stride(seq_len), self.mask_probability) / seq_len

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens`, `targets`, `token_types` [rows, seq_len]; `positions`, `position_targets`; `is_next` [rows]."""
        length = self.stride(context.seq_len)
        keys = mask_keys(windows, length, masking=self.masking)
        row_keys = keys[:, 0]
        split = length // 4 + below(hash_words(row_keys, _SPLIT), length - 2 * (length // 4) + 1)
        is_next = (hash_words(row_keys, _PAIR) & np.uint64(1)).astype(np.int64)
        text = _with_foreign_ends(windows, context, row_keys, split, is_next == 0)
        result = masked(
            text,
            keys,
            num_predicted=num_predicted_of(length, self.mask_probability),
            mask_id=context.special_ids["[MASK]"],
            text_vocab_size=context.text_vocab_size,
        )
        # Text before the split moves one place to the right, behind [CLS]; text after it two, behind [SEP] as well.
        rows = np.arange(len(split))
        offsets = np.arange(length)
        places = offsets + 1 + (offsets >= split[:, None])
        tokens = np.empty((len(split), context.seq_len), dtype=np.int64)
        np.put_along_axis(tokens, places, result.tokens, axis=1)
        tokens[:, 0] = context.special_ids["[CLS]"]
        tokens[rows, split + 1] = context.special_ids["[SEP]"]
        tokens[:, -1] = context.special_ids["[SEP]"]
        positions = np.take_along_axis(places, result.positions, axis=1)
        return {
            "tokens": tokens,
            "targets": scattered_targets(positions, result.targets, context.seq_len),
            "token_types": (np.arange(context.seq_len) > split[:, None] + 1).astype(np.int64),
            "positions": positions,
            "position_targets": result.targets,
            "is_next": is_next,
        }

    def build_head(self, dims: ModelDims) -> "nn.Module":
        """BERT's pooler and classifier: dense, tanh, two logits, from the hidden state of [CLS]."""
        from torch import nn

        head = nn.Sequential(nn.Linear(dims.d_model, dims.d_model), nn.Tanh(), nn.Linear(dims.d_model, 2))
        for module in head:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)
        return head

    def num_head_params(self, dims: ModelDims) -> int:
        """Both matrices and both biases."""
        return dims.d_model * (dims.d_model + 1) + 2 * (dims.d_model + 1)

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Masked cross entropy in nats, summed; auxiliary is the mean cross entropy of next-sentence prediction."""
        from torch.nn.functional import cross_entropy

        if head is None:
            raise ValueError("bert_pretraining needs the module of build_head for its auxiliary loss")
        encoded = model.encode(batch["tokens"], token_types=batch["token_types"], state=state)
        nats, predictions = masked_nats(model, encoded.hidden, batch)
        auxiliary = cross_entropy(head(encoded.hidden[:, 0]).float(), batch["is_next"])
        return LossParts(nats, predictions, auxiliary, encoded.state)


def _with_foreign_ends(
    windows: Windows,
    context: ExampleContext,
    row_keys: NDArray[np.uint64],
    split: NDArray[np.int64],
    foreign: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The windows' tokens; in `foreign` rows those behind `split` come from elsewhere (a window away if that fits)."""
    text = windows.tokens.copy()
    length = text.shape[1]
    room = max(1, context.source.num_tokens - 2 * length)
    starts = windows.starts + length + below(hash_words(row_keys, _ELSEWHERE), room)
    for row in np.flatnonzero(foreign):
        text[row, split[row] :] = context.source.window(int(starts[row]), int(length - split[row]))
    return text
