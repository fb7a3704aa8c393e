"""Transformer-XL's hyperparameters, size and cost. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from archbench.api import Attention, ForwardFlops, KeepsCommonSettings, LadderConfig, ModelDims, ParamCount, Source
from archbench.nn.costs import position_projection, relative_attention_flops

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class TransformerXLConfig(KeepsCommonSettings, LadderConfig):
    """Segment recurrence with relative attention: each segment attends to a memory of the segments before it."""

    kind: Literal["transformer_xl"] = "transformer_xl"
    mem_len: PositiveInt | None = None
    """Positions of the memory in each layer, in training and in evaluation; None: as many as a segment has."""

    libraries: ClassVar[tuple[str, ...]] = ("x-transformers",)
    summary: ClassVar[str] = "segment recurrence with relative attention (Dai et al. 2019)"
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Dai et al. 2019, Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context,"
        " arXiv 1901.02860",
        implementation="x-transformers (embedding, feed-forward, norms, memory) with this plug-in's relative attention",
        faithful="relative attention with content and position biases u and v, a projection of sinusoidal distances and"
        " the relative shift; memory of every layer's input, without gradient; post-norm; ReLU; embeddings times"
        " √d_model and tied to the output matrix, and an initial standard deviation of 0.02, as in the authors' code",
        differs="a plain softmax over the vocabulary in place of the adaptive one; no dropout; u and v for each layer"
        " instead of shared by all; norms without bias; the same memory length in training and evaluation; context is"
        " longer than that of the other architectures, by the memory. Tied and scaled embeddings let wide models with"
        " a small vocabulary start above ln V (6.4 instead of 5.6 at width 416 and 264 tokens)",
    )
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    carries_state: ClassVar[bool] = True

    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """Transformer-XL with fresh weights; it carries its memory of the past as state."""
        from archbench_transformer_xl.model import TransformerXL

        self.require_buildable(dims, attention)
        return TransformerXL(dims, self.built_with(dims), self._memory(dims))

    def num_params(self, dims: ModelDims) -> ParamCount:
        """Exact counts; the relative sinusoids are not learned, so there is no table of positions."""
        width, inner = dims.d_model, dims.d_ff
        attention = 5 * width**2 + 2 * width  # queries, keys, values, positions, output; u and v
        feed_forward = 2 * width * inner + inner + width
        norms = 2 * width
        return ParamCount(
            embedding=dims.vocab_size * width + self.output_params(dims),
            non_embedding=dims.n_layers * (attention + feed_forward + norms),
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """Cost with a full memory, as from the second segment of a stream on (where `mem_len` is at most `seq_len`)."""
        width, layers = dims.d_model, dims.n_layers
        memory = self._memory(dims)
        attention_flops = relative_attention_flops(d_model=width, seq_len=dims.seq_len, mem_len=memory)
        return ForwardFlops(
            components={
                **{name: layers * flops for name, flops in attention_flops.items()},
                "feed_forward": 4.0 * layers * width * dims.d_ff,
                "logits": 2.0 * width * dims.vocab_size,
            },
            uncounted={
                "position_projection": position_projection(
                    d_model=width, n_layers=layers, seq_len=dims.seq_len, mem_len=memory
                )
            },
        )

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: the width must be even."""
        odd = [f"d_model {dims.d_model} is odd; the relative sinusoids need an even width"] if dims.d_model % 2 else []
        return super().problems(dims) + odd

    def _memory(self, dims: ModelDims) -> int:
        return self.mem_len or dims.seq_len
