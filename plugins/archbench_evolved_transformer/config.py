"""The Evolved Transformer's size and cost. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.api import Attention, ForwardFlops, KeepsCommonSettings, LadderConfig, ModelDims, ParamCount, Source

if TYPE_CHECKING:
    from archbench_evolved_transformer.model import EvolvedTransformer

WIDE_KERNEL, NARROW_KERNEL = 11, 7
"""Positions that the separable convolutions see: the left branch's, and both others'."""


class EvolvedTransformerConfig(KeepsCommonSettings, LadderConfig):
    """The decoder cell that evolution found: two attentions around a pair of convolution branches, and swish."""

    kind: Literal["evolved_transformer"] = "evolved_transformer"

    summary: ClassVar[str] = "Evolved Transformer decoder: wide separable convolutions between two attentions, swish"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="So et al. 2019, The Evolved Transformer (arXiv 1901.11117)",
        implementation="archbench's own, on torch: no kept library has it. The authors' code is in tensor2tensor, which"
        " is no longer maintained",
        faithful="the decoder cell of their figure 4 and code: attention with twice the heads; 11 x 1 and 7 x 1"
        " separable convolutions side by side, added and normed, and a 7 x 1 one behind; attention; a swish layer that"
        " is normed inside. All convolutions are causal. Norm before each block, no biases in attention, sinusoidal"
        " positions, token embeddings times √d_model and tied to the output matrix",
        differs="a language model has no encoder: the two branches that attend to it are left out, as in the authors'"
        " code without an encoder. Twice the heads holds up to 16, as in the paper, and where the width allows;"
        " embeddings start at 0.02; no dropout; depth by archbench's ladder, where a cell counts as one layer though it"
        " holds 1.7 times as many parameters as GPT-2's of the same width",
    )

    def build(self, dims: ModelDims, attention: Attention) -> "EvolvedTransformer":
        """See `ArchitectureConfig.build`."""
        from archbench_evolved_transformer.model import EvolvedTransformer

        self.require_buildable(dims, attention)
        return EvolvedTransformer(
            dims,
            self.built_with(dims),
            many_heads=many_heads(dims),
            wide_kernel=WIDE_KERNEL,
            narrow_kernel=NARROW_KERNEL,
        )

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; sinusoids are not learned."""
        width, inner = dims.d_model, dims.d_ff
        attentions = 2 * 4 * width**2
        left = WIDE_KERNEL * width + width * 2 * width + 2 * width
        right = NARROW_KERNEL * width + width * (width // 2) + width // 2
        behind = NARROW_KERNEL * 2 * width + 2 * width * width + width
        feed_forward = 2 * width * inner + inner + width
        norms = 2 * (4 * width + 2 * width + inner)  # of the four blocks, of the joined branches, of the inner layer
        return ParamCount(
            embedding=dims.vocab_size * width + self.output_params(dims),
            non_embedding=dims.n_layers * (attentions + left + right + behind + feed_forward + norms) + 2 * width,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; a separable convolution is a depthwise and a pointwise."""
        width, layers = dims.d_model, dims.n_layers
        taps = (WIDE_KERNEL + NARROW_KERNEL) * width + NARROW_KERNEL * 2 * width
        pointwise = width * 2 * width + width * (width // 2) + 2 * width * width
        return ForwardFlops(
            {
                "attention_projections": layers * 16.0 * width**2,
                "attention_scores": layers * 8.0 * width * dims.seq_len,
                "depthwise_convolutions": layers * 2.0 * taps,
                "pointwise_convolutions": layers * 2.0 * pointwise,
                "feed_forward": layers * 4.0 * width * dims.d_ff,
                "logits": 2.0 * width * dims.vocab_size,
            }
        )

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: the width must be even."""
        odd = [f"d_model {dims.d_model} is odd; one convolution is half as wide: choose an even width"]
        return super().problems(dims) + (odd if dims.d_model % 2 else [])


def many_heads(dims: ModelDims) -> int:
    """Heads of a cell's first attention: twice those of the second, up to 16, as far as they divide the width."""
    wanted = max(min(2 * dims.n_heads, 16), dims.n_heads)
    return max(count for count in range(1, wanted + 1) if dims.d_model % count == 0)
