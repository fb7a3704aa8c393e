"""Replaced-token detection (Clark et al. 2020, ELECTRA, arXiv 2003.10555). Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archbench.api import (
    IGNORE_TARGET,
    Attention,
    ExampleContext,
    LossParts,
    ModelDims,
    ObjectiveConfig,
    Windows,
    block_flops,
    block_params,
    layer_norm_params,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State

_DRAW_BITS = 53
"""Of a number in [0, 1) in double precision."""


class ReplacedTokenDetectionConfig(ObjectiveConfig):
    """Objective `replaced_token_detection`: a small generator fills masked places, the model tells which are new.

    The generator is trained on its masked tokens beside the model and takes no gradient from it; a token that it
    guesses right counts as original. The model's own output matrix turns the generator's proposals into logits, so that
    tied token embeddings are trained by both, as in the paper.
    """

    kind: Literal["replaced_token_detection"] = "replaced_token_detection"
    summary: ClassVar[str] = "tells replaced tokens from original ones (ELECTRA)"
    attention: ClassVar[Attention] = Attention.BIDIRECTIONAL
    track: ClassVar[str] = "replaced_token"
    comparisons: ClassVar[str] = (
        "Nats per token of a decision between two compare models of this objective with the same settings, tokenizer "
        "and text, and those with reserve: the generator is trained along and a better one makes the decisions harder; "
        "beside the loss of any other objective put only exponents."
    )
    special_tokens: ClassVar[tuple[str, ...]] = ("[MASK]",)
    scores_targets: ClassVar[bool] = False

    mask_probability: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of tokens that the generator fills in; each window has the nearest whole number."""
    generator_size: float = Field(0.25, gt=0.0, le=1.0)
    """Heads of the generator over those of the model; width and feed-forward layer follow, depth is the same."""
    discriminator_weight: float = Field(50.0, gt=0.0)
    """Lambda: of the model's loss over the generator's, each a mean over the positions that it is about."""

    def num_filled(self, seq_len: int) -> int:
        """Tokens of a window that the generator fills in, at least one."""
        return max(1, round(seq_len * self.mask_probability))

    def predicted_fraction(self, seq_len: int) -> float:
        """The model's logits serve the generator, at the places that it fills in."""
        return self.num_filled(seq_len) / seq_len

    def generator_dims(self, dims: ModelDims) -> ModelDims:
        """The generator's shape beside a model of `dims`: fewer heads of the same width."""
        n_heads = max(1, round(dims.n_heads * self.generator_size))
        shape = {"n_heads": n_heads, "d_model": dims.d_model * n_heads // dims.n_heads}
        return dims.model_copy(update={**shape, "d_ff": max(1, dims.d_ff * n_heads // dims.n_heads)})

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens` with masks and `targets`, the text itself, [rows, seq_len]; by place [rows, filled] the rest.

        `positions` rise along a row, `position_targets` are their tokens, and `draws` decide what the generator puts
        there: integers below 2**53, over which they are numbers in [0, 1).
        """
        num_filled = self.num_filled(context.seq_len)
        generators = [windows.generator(row) for row in range(len(windows.rows))]
        chosen = [one.choice(context.seq_len, num_filled, replace=False) for one in generators]
        positions = np.sort(np.stack(chosen), axis=1).astype(np.int64)
        tokens = windows.tokens.copy()
        np.put_along_axis(tokens, positions, context.special_ids["[MASK]"], axis=1)
        return {
            "tokens": tokens,
            "targets": windows.tokens,
            "positions": positions,
            "position_targets": np.take_along_axis(windows.tokens, positions, axis=1),
            "draws": np.stack([one.integers(2**_DRAW_BITS, size=num_filled) for one in generators]),
        }

    def build_head(self, dims: ModelDims) -> "nn.Module":
        """The generator, and the classifier of the model's hidden states: dense, GELU, one logit."""
        from archbench_denoising.generator import DetectionHead

        return DetectionHead(dims, self.generator_dims(dims))

    def num_head_params(self, dims: ModelDims) -> int:
        """Generator and classifier, tables included."""
        small, width = self.generator_dims(dims), dims.d_model
        blocks = small.n_layers * block_params(small) + layer_norm_params(small.d_model)
        output = (small.d_model + 1) * width
        classifier = (width + 1) * width + width + 1
        return self.num_head_embedding_params(dims) + blocks + output + classifier

    def num_head_embedding_params(self, dims: ModelDims) -> int:
        """The generator's tables of tokens and positions."""
        return (dims.vocab_size + dims.seq_len) * self.generator_dims(dims).d_model

    def head_forward_flops(self, dims: ModelDims) -> Mapping[str, float]:
        """The generator reads every position and answers at the masked ones; the classifier judges every position."""
        small, width = self.generator_dims(dims), dims.d_model
        fraction = self.predicted_fraction(dims.seq_len)
        return {
            **{f"generator_{name}": flops for name, flops in block_flops(small).items()},
            "generator_output": 2.0 * small.d_model * width * fraction,
            "classifier": 2.0 * width**2 + 2.0 * width,
        }

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Binary cross entropy in nats, summed over all tokens; auxiliary is the generator's mean loss over lambda.

        The paper's sum of the generator's loss and lambda times the model's is thus divided by lambda, which Adam does
        not notice.
        """
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        from archbench.nn.loss import token_nats
        from archbench_denoising.generator import DetectionHead, sampled

        if not isinstance(head, DetectionHead):
            raise ValueError("replaced_token_detection needs the module of build_head for its generator")
        answers = batch["position_targets"]
        draws = batch["draws"].flatten().double() * 2.0**-_DRAW_BITS
        filled = torch.empty_like(draws, dtype=torch.int64)

        def fill(places: slice, logits: "Tensor") -> None:
            # No gradient crosses a sampled token.
            filled[places] = sampled(logits, draws[places])

        proposals = head.generator(batch["tokens"], batch["positions"])
        generator_nats = token_nats(model, proposals, answers, ignored=IGNORE_TARGET, on_logits=fill)
        shown = batch["tokens"].scatter(1, batch["positions"], filled.view_as(answers))
        encoded = model.encode(shown, state=state)
        replaced = shown != batch["targets"]
        scores = head(encoded.hidden).float()
        nats = binary_cross_entropy_with_logits(scores, replaced.float(), reduction="sum")
        predictions = (batch["targets"] != IGNORE_TARGET).sum()
        auxiliary = generator_nats / (answers.numel() * self.discriminator_weight)
        return LossParts(nats, predictions, auxiliary, encoded.state)
