"""Llama's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from archbench.api import (
    Attention,
    ForwardFlops,
    KeepsCommonSettings,
    LadderConfig,
    ModelDims,
    ParamCount,
    SavedModel,
    Source,
    odd_heads,
    require_settings,
    with_even_heads,
    with_gated_feed_forward,
)

if TYPE_CHECKING:
    from archbench_llama.model import Llama


class LlamaConfig(KeepsCommonSettings, LadderConfig):
    """A decoder with rotary positions, RMSNorm before each block, SwiGLU and keys shared by groups of heads."""

    kind: Literal["llama"] = "llama"
    n_kv_heads: PositiveInt = 2
    """Heads of keys and values, each shared by a group of query heads. Where it does not divide the number of query
    heads, the largest divisor below it is taken, so that it fits every rung of a ladder."""
    rope_theta: PositiveFloat = 10_000.0
    """Base of the wavelengths of the rotary positions."""
    norm_eps: PositiveFloat = 1e-5
    """Added to the mean square in RMSNorm."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "Llama: rotary positions, RMSNorm, SwiGLU, grouped-query attention"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = False
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="Touvron et al. 2023, Llama 2 (arXiv 2307.09288); Ainslie et al. 2023, GQA (arXiv 2305.13245)",
        implementation="transformers, LlamaForCausalLM, with torch's scaled_dot_product_attention",
        faithful=(
            "block structure, rotary positions, RMSNorm before each block, SwiGLU of two thirds of four times the"
            " width, grouped-query attention, no biases, untied output matrix, initial standard deviation 0.02"
        ),
        differs=(
            "sizes come from archbench's ladder, the vocabulary from the spec; small models have few heads, so that the"
            " number of key-value heads is the largest divisor up to n_kv_heads"
        ),
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Llama":
        """See `ArchitectureConfig.build`."""
        from archbench_llama.model import Llama

        self.require_buildable(dims, attention)
        return Llama(
            dims,
            self.built_with(dims),
            n_kv_heads=self._kv_heads(dims),
            rope_theta=self.rope_theta,
            norm_eps=self.norm_eps,
        )

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; rotary positions are not learned."""
        attention = 2 * dims.d_model**2 + 2 * dims.d_model * self._kv_width(dims)
        feed_forward = 3 * dims.d_model * dims.d_ff
        return ParamCount(
            embedding=dims.vocab_size * dims.d_model + self.output_params(dims),
            non_embedding=dims.n_layers * (attention + feed_forward + 2 * dims.d_model) + dims.d_model,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; shared keys are projected once and used by every head."""
        return ForwardFlops(
            {
                "attention_projections": dims.n_layers * 4.0 * dims.d_model * (dims.d_model + self._kv_width(dims)),
                "attention_scores": dims.n_layers * 4.0 * dims.d_model * dims.seq_len,
                "feed_forward": dims.n_layers * 6.0 * dims.d_model * dims.d_ff,
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            }
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """With a gated feed-forward layer and heads of an even width."""
        return with_gated_feed_forward(with_even_heads(dims))

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: heads must have an even width, since rotary positions turn pairs of features."""
        return super().problems(dims) or odd_heads(dims)

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; LlamaForCausalLM and LlamaModel with plain rotary positions."""
        self.require_saved_output(config)
        dims = ModelDims(
            vocab_size=config.get("vocab_size", 32000),
            seq_len=config.get("max_position_embeddings", 2048),
            d_model=config.get("hidden_size", 4096),
            n_layers=config.get("num_hidden_layers", 32),
            n_heads=config.get("num_attention_heads", 32),
            d_ff=config.get("intermediate_size", 11008),
        )
        # Newer files gather all that concerns positions under one key.
        rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10_000.0)}
        scaling = config.get("rope_scaling") or {}
        stated = {
            **config,
            "rope_theta": rope.get("rope_theta"),
            "rope_type": rope.get("rope_type") or scaling.get("rope_type") or scaling.get("type") or "default",
            "num_key_value_heads": config.get("num_key_value_heads") or dims.n_heads,
            "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
            "head_dim": config.get("head_dim") or dims.d_model // dims.n_heads,
        }
        require_settings(
            stated,
            {
                "model_type": ("", "llama"),
                "hidden_act": ("silu", "swish"),
                "rope_type": ("default",),
                "rope_theta": (self.rope_theta,),
                "rms_norm_eps": (self.norm_eps,),
                "num_key_value_heads": (self._kv_heads(dims),),
                "head_dim": (dims.d_model // dims.n_heads,),
                "attention_bias": (False,),
                "mlp_bias": (False,),
            },
        )
        return SavedModel(
            dims=dims,
            module_prefix="model.",
            base_prefix="model.",
            vocabulary_tables=frozenset({"model.embed_tokens.weight", "lm_head.weight"}),
            # Wavelengths, which older versions of the library saved.
            unused=(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq",),
        )

    def _kv_heads(self, dims: ModelDims) -> int:
        """Heads of keys and values at `dims`."""
        return max(count for count in range(1, self.n_kv_heads + 1) if dims.n_heads % count == 0)

    def _kv_width(self, dims: ModelDims) -> int:
        """Features of all keys together, and of all values."""
        return dims.d_model // dims.n_heads * self._kv_heads(dims)
