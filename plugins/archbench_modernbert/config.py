"""ModernBERT's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PositiveInt

from archbench.api import (
    Attention,
    ForwardFlops,
    KeepsCommonSettings,
    ModelDims,
    ParamCount,
    SavedModel,
    Source,
    TransformerConfig,
    block_flops,
    odd_heads,
    require_settings,
    saved_encoder_dims,
    with_even_heads,
)

if TYPE_CHECKING:
    from archbench_modernbert.model import ModernBert

GLOBAL_ROPE_BASE, LOCAL_ROPE_BASE = 160_000.0, 10_000.0
"""Of the rotary positions in layers that see the whole context, and in those that see a window."""


class ModernBertConfig(KeepsCommonSettings, TransformerConfig):
    """An encoder with rotary positions, pre-norm, gated feed-forward layers, no biases, and mostly local attention."""

    kind: Literal["modernbert"] = "modernbert"
    local_attention: PositiveInt = 128
    """Width of the window of local layers: a position sees half of it to each side, and itself."""
    global_every: PositiveInt = 3
    """The first layer and every `global_every`-th from there see the whole context, the others their window."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "ModernBERT: encoder with rotary positions, GeGLU, no biases, two layers in three local"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.BIDIRECTIONAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Warner et al. 2024, Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder (arXiv 2412.13663)",
        implementation="transformers, ModernBertForMaskedLM, with torch's scaled_dot_product_attention",
        faithful=(
            "pre-norm with a norm behind the embeddings, rotary positions of two bases, a window of 128 in two layers"
            " of three, GeGLU 1.5 times as wide as the model, no biases but the output's, prediction head, tied output"
            " matrix, and initialisation (truncated normal, 0.02, smaller into the residual stream)"
        ),
        differs=(
            "no dropout by default, no unpadding and no token as padding; depth by archbench's ladder, where the"
            " paper's models are deeper and narrower (22 layers of 768); the schedule, the share of masked tokens (0.3"
            " in the paper) and the data are the spec's"
        ),
    )

    def build(self, dims: ModelDims, attention: Attention) -> "ModernBert":
        """See `ArchitectureConfig.build`."""
        from archbench_modernbert.model import ModernBert

        self.require_buildable(dims, attention)
        return ModernBert(
            dims,
            self.built_with(dims),
            dropout=self.dropout,
            local_attention=self.local_attention,
            layer_types=self.layer_types(dims),
            rope_bases={"full_attention": GLOBAL_ROPE_BASE, "sliding_attention": LOCAL_ROPE_BASE},
        )

    def layer_types(self, dims: ModelDims) -> list[str]:
        """What each layer sees, first to last, by the library's names."""
        return [
            "sliding_attention" if layer % self.global_every else "full_attention" for layer in range(dims.n_layers)
        ]

    def adapted(self, dims: ModelDims) -> ModelDims:
        """The rung with a gated layer of the paper's width, 3/2 of the model's, and heads of an even width."""
        return with_even_heads(dims.model_copy(update={"d_ff": 3 * dims.d_ff // 8}))

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; norms have a gain and no bias, the first layer has one norm only."""
        width = dims.d_model
        block = 4 * width**2 + 3 * width * dims.d_ff
        norms = (2 * dims.n_layers + 2) * width
        return ParamCount(
            embedding=dims.vocab_size * width + self.output_params(dims),
            non_embedding=dims.n_layers * block + norms + width**2,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`.

        Local layers count the whole context too, as dense kernels execute their masked scores.
        """
        return ForwardFlops(
            {
                **block_flops(dims),
                # Three matrices in place of two.
                "feed_forward": dims.n_layers * 6.0 * dims.d_model * dims.d_ff,
                "prediction_transform": 2.0 * dims.d_model**2,
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            per_prediction=frozenset({"prediction_transform", "logits"}),
        )

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: heads must have an even width, since rotary positions turn pairs of features."""
        return super().problems(dims) or odd_heads(dims)

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; ModernBertForMaskedLM and ModernBertModel."""
        published = ModelDims(vocab_size=50368, seq_len=8192, d_model=768, n_layers=22, n_heads=12, d_ff=1152)
        dims = saved_encoder_dims(config, published)
        self.require_saved_output(config)
        require_settings(
            {**config, **self._attention_settings(config, dims)},
            {
                "model_type": ("", "modernbert"),
                "hidden_activation": ("gelu",),
                "classifier_activation": ("gelu",),
                "norm_eps": (1e-5,),
                "layer_types": (self.layer_types(dims),),
                "local_attention": (self.local_attention,),
                "rope": ((GLOBAL_ROPE_BASE, LOCAL_ROPE_BASE),),
                "norm_bias": (False,),
                "attention_bias": (False,),
                "mlp_bias": (False,),
                "classifier_bias": (False,),
                "decoder_bias": (True,),
            },
        )
        return SavedModel(
            dims=dims,
            module_prefix="model.",
            base_prefix="model.",
            vocabulary_tables=frozenset({"model.embeddings.tok_embeddings.weight", "decoder.weight", "decoder.bias"}),
        )

    def _attention_settings(self, config: Mapping[str, Any], dims: ModelDims) -> dict[str, Any]:
        """What a saved config says of layers and rotary bases, in one form; newer files gather the bases by layer."""
        every = config.get("global_attn_every_n_layers", 3)
        rope = config.get("rope_parameters") or {}
        full, sliding = rope.get("full_attention") or {}, rope.get("sliding_attention") or {}
        plain = all(one.get("rope_type", "default") == "default" for one in (full, sliding))
        bases = (
            full.get("rope_theta", config.get("global_rope_theta", GLOBAL_ROPE_BASE)),
            sliding.get("rope_theta", config.get("local_rope_theta", LOCAL_ROPE_BASE)),
        )
        return {
            "layer_types": config.get("layer_types")
            or self.model_copy(update={"global_every": every}).layer_types(dims),
            "local_attention": config.get("local_attention", 128),
            "rope": bases if plain and not config.get("rope_scaling") else "scaled",
        }
