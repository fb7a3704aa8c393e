"""Gated DeltaNet's hyperparameters, size and cost. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from archbench.api import (
    Attention,
    ForwardFlops,
    KeepsCommonSettings,
    LadderConfig,
    ModelDims,
    ParamCount,
    Source,
    with_gated_feed_forward,
)
from archbench.nn.costs import chunk_shares
from archbench_gated_deltanet.widths import Widths

if TYPE_CHECKING:
    from archbench_gated_deltanet.model import GatedDeltaNet


class GatedDeltaNetConfig(KeepsCommonSettings, LadderConfig):
    """Layers whose state fades and in which each token first corrects what its key recalls; then SwiGLU."""

    kind: Literal["gated_deltanet"] = "gated_deltanet"
    expand_k: PositiveFloat = 0.75
    """Features of all keys together, over the width of the model; rounded to whole features of a head."""
    expand_v: PositiveFloat = 1.5
    """The same of the values."""
    conv_size: PositiveInt = 4
    """Positions that the short convolutions of queries, keys and values see."""
    chunk_size: PositiveInt = 64
    """Positions that are computed as products of matrices; the state goes from chunk to chunk. Changes no result."""

    summary: ClassVar[str] = "Gated DeltaNet: a fading state corrected by the delta rule in place of attention, SwiGLU"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = False
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="Yang et al. 2024, Gated Delta Networks: Improving Mamba2 with Delta Rule (arXiv 2412.06464)",
        implementation="archbench's own, on torch, in the chunked form of the paper; held against the mixer of"
        " transformers' Qwen3-Next, which is part of a larger hybrid model and slower on a CPU",
        faithful="the gated delta rule; short causal convolutions and SiLU before queries, keys and values; queries and"
        " keys of unit length; the decay's parametrisation and initialisation, as in Mamba-2; a norm of each head and"
        " an output gate; SwiGLU between, RMSNorm before each block; no positions; untied output matrix",
        differs="sizes and heads come from archbench's ladder: heads are 48 features of keys wide at most, the paper's"
        " 256; initial standard deviation 0.02; none of the paper's hybrids with attention",
    )

    def build(self, dims: ModelDims, attention: Attention) -> "GatedDeltaNet":
        """See `ArchitectureConfig.build`."""
        from archbench_gated_deltanet.model import GatedDeltaNet

        self.require_buildable(dims, attention)
        return GatedDeltaNet(
            dims, self.built_with(dims), self.widths(dims), conv_size=self.conv_size, chunk_size=self.chunk_size
        )

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`."""
        width, heads = dims.d_model, self.widths(dims)
        projections = width * (2 * heads.keys + 2 * heads.values + 2 * dims.n_heads) + heads.values * width
        convolutions = self.conv_size * (2 * heads.keys + heads.values)
        decay_and_norm = 2 * dims.n_heads + heads.value
        layer = projections + convolutions + decay_and_norm + 3 * width * dims.d_ff + 2 * width
        return ParamCount(
            embedding=dims.vocab_size * width + self.output_params(dims),
            non_embedding=dims.n_layers * layer + width,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`.

        A triangular solve counts as the product with the inverse, and masked halves of chunks count.
        """
        width, layers, heads = dims.d_model, dims.n_layers, self.widths(dims)
        inside, across = chunk_shares(seq_len=dims.seq_len, chunk_size=self.chunk_size)
        in_chunks = 2.0 * self.chunk_size * (3 * heads.keys + 2 * heads.values)
        return ForwardFlops(
            {
                "projections": layers * 2.0 * width * (2 * heads.keys + 3 * heads.values + 2 * dims.n_heads),
                "convolutions": layers * 2.0 * self.conv_size * (2 * heads.keys + heads.values),
                "delta_rule_in_chunks": layers * in_chunks * inside,
                "delta_rule_across_chunks": layers * 6.0 * heads.keys * heads.value * across,
                "feed_forward": layers * 6.0 * width * dims.d_ff,
                "logits": 2.0 * width * dims.vocab_size,
            },
            uncounted={
                "fading": "decays between the positions of a chunk:"
                f" {self.chunk_size} exponentials per token, head and layer",
            },
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """With a gated feed-forward layer."""
        return with_gated_feed_forward(dims)

    def widths(self, dims: ModelDims) -> Widths:
        """The widths of heads at `dims`; at least one feature."""
        head = dims.d_model / dims.n_heads
        key, value = (max(1, round(expand * head)) for expand in (self.expand_k, self.expand_v))
        return Widths(key, value, dims.n_heads * key, dims.n_heads * value)
