"""Average attention (Zhang et al. 2018, arXiv 1805.00631): each position sees the mean of all up to itself."""

from typing import ClassVar, Literal

from archbench.api import (
    ArchitectureConfig,
    Attention,
    ForwardFlops,
    ModelDims,
    ParamCount,
    Source,
    hookimpl,
    nearest_dims,
)


class AverageAttention(ArchitectureConfig):
    """A decoder whose mixing mechanism is the cumulative mean, without any weights."""

    kind: Literal["average_attention"] = "average_attention"
    summary: ClassVar[str] = "average attention, a stranger's architecture"
    source: ClassVar[Source] = Source(
        paper="Zhang et al. 2018, arXiv 1805.00631",
        implementation="this package",
        faithful="cumulative-average mixing followed by a feed-forward layer",
        differs="no gating layer",
    )
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})

    def build(self, dims: ModelDims, attention: Attention):
        from stranger_aan.model import AverageAttentionModel

        return AverageAttentionModel(dims)

    def num_params(self, dims: ModelDims) -> ParamCount:
        d, f = dims.d_model, dims.d_ff
        layer = 2 * d + d * f + f + f * d + d
        return ParamCount(embedding=dims.vocab_size * d, non_embedding=dims.n_layers * layer + 2 * d)

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        return ForwardFlops(
            components={
                "feed_forward": 4.0 * dims.n_layers * dims.d_model * dims.d_ff,
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            uncounted={"average": "cumulative sum, d_model additions a token and layer"},
        )

    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        return nearest_dims(
            target_params, lambda dims: self.num_params(dims).non_embedding, vocab_size=vocab_size, seq_len=seq_len
        )


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    return [AverageAttention]
