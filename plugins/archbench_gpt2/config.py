"""GPT-2's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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
    block_params,
    layer_norm_params,
    require_settings,
)

if TYPE_CHECKING:
    from archbench_gpt2.model import Gpt2


class Gpt2Config(KeepsCommonSettings, TransformerConfig):
    """A decoder with learned positions, layer norm before each block, and the token embedding as output matrix."""

    kind: Literal["gpt2"] = "gpt2"

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "GPT-2: decoder with learned positions, pre-norm, tied embeddings"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL, Attention.PREFIX})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
        implementation="transformers, GPT2LMHeadModel, with torch's scaled_dot_product_attention",
        faithful=(
            "block structure, tanh-approximated GELU, tied embeddings, and initialisation (0.02, projections into the"
            " residual stream scaled by 1/sqrt(2·n_layers))"
        ),
        differs="no dropout by default; sizes come from archbench's ladder, the vocabulary from the spec",
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Gpt2":
        """See `ArchitectureConfig.build`."""
        from archbench_gpt2.model import Gpt2

        self.require_buildable(dims, attention)
        return Gpt2(dims, attention, self.built_with(dims), dropout=self.dropout)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`."""
        return ParamCount(
            embedding=(dims.vocab_size + dims.seq_len) * dims.d_model + self.output_params(dims),
            non_embedding=dims.n_layers * block_params(dims) + layer_norm_params(dims.d_model),
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; 24·L·d² + 4·L·d·T + 2·d·V where d_ff = 4·d."""
        return ForwardFlops({**block_flops(dims), "logits": 2.0 * dims.d_model * dims.vocab_size})

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; GPT2LMHeadModel and GPT2Model."""
        self.require_saved_output(config)
        require_settings(
            config,
            {
                "model_type": ("", "gpt2"),
                # Two names of one function.
                "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
                "layer_norm_epsilon": (1e-5,),
                "scale_attn_weights": (True,),
                "scale_attn_by_inverse_layer_idx": (False,),
                "add_cross_attention": (False,),
            },
        )
        return SavedModel(
            dims=ModelDims(
                vocab_size=config.get("vocab_size", 50257),
                seq_len=config.get("n_positions", 1024),
                d_model=config.get("n_embd", 768),
                n_layers=config.get("n_layer", 12),
                n_heads=config.get("n_head", 12),
                d_ff=config.get("n_inner") or 4 * config.get("n_embd", 768),
            ),
            module_prefix="model.",
            base_prefix="transformer.",
            vocabulary_tables=frozenset({"transformer.wte.weight", "lm_head.weight"}),
            position_tables={"transformer.wpe.weight": 0},
            # Causal masks, which older versions of the library saved.
            unused=(r"transformer\.h\.\d+\.attn\.(masked_)?bias",),
        )
