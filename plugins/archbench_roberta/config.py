"""RoBERTa's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from archbench.api import (
    Attention,
    EncoderConfig,
    KeepsCommonSettings,
    ModelDims,
    SavedModel,
    Source,
    require_settings,
    saved_encoder_dims,
)

if TYPE_CHECKING:
    from archbench_roberta.model import Roberta

_VOCABULARY_TABLES = frozenset(
    {
        "lm_head.bias",
        "lm_head.decoder.bias",
        "lm_head.decoder.weight",
        "roberta.embeddings.word_embeddings.weight",
    }
)


class RobertaConfig(KeepsCommonSettings, EncoderConfig):
    """BERT's network with one segment: learned positions, layer norm after each block, and a prediction head."""

    kind: Literal["roberta"] = "roberta"

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "RoBERTa: BERT's network without segments; bidirectional or under a causal mask"
    num_token_types: ClassVar[int] = 1
    """RoBERTa keeps BERT's segment embedding with one row, added to every position."""
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Liu et al. 2019, RoBERTa: A Robustly Optimized BERT Pretraining Approach (arXiv 1907.11692)",
        implementation=(
            "transformers, RobertaForMaskedLM and RobertaForCausalLM, with torch's scaled_dot_product_attention"
        ),
        faithful=(
            "block structure, GELU, a single segment, prediction head, tied output matrix with a bias, and"
            " initialisation (0.02)"
        ),
        differs=(
            "no dropout by default, positions counted from 0 and no padding token, so that no text moves a position;"
            " the causal mode is the same network under a causal mask; what else RoBERTa changed in BERT (masking,"
            " batch, data, vocabulary) is set by the spec; sizes come from archbench's ladder"
        ),
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Roberta":
        """See `ArchitectureConfig.build`."""
        from archbench_roberta.model import Roberta

        self.require_buildable(dims, attention)
        return Roberta(
            dims,
            attention,
            self.built_with(dims),
            dropout=self.dropout,
            num_token_types=self.num_token_types,
        )

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; RobertaForMaskedLM, RobertaForCausalLM and RobertaModel."""
        self.require_saved_output(config)
        require_settings(
            config,
            {
                "model_type": ("", "roberta"),
                "hidden_act": ("gelu",),
                "position_embedding_type": ("absolute",),
                "add_cross_attention": (False,),
            },
        )
        # The library's own defaults are BERT's; what RoBERTa is published with stands in its config.
        defaults = {"type_vocab_size": 2, "layer_norm_eps": 1e-12}
        require_settings(
            {**defaults, **config}, {"type_vocab_size": (self.num_token_types,), "layer_norm_eps": (1e-5,)}
        )
        padding = config.get("pad_token_id", 1)
        # Positions are counted from the one after the padding token's id.
        first = 0 if padding is None else padding + 1
        published = ModelDims(vocab_size=50265, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
        dims = saved_encoder_dims(config, published)
        return SavedModel(
            dims=dims.model_copy(update={"seq_len": dims.seq_len - first}),
            module_prefix="model.",
            base_prefix="roberta.",
            vocabulary_tables=_VOCABULARY_TABLES,
            position_tables={"roberta.embeddings.position_embeddings.weight": first},
            unused=(r"roberta\.pooler\..*", r"roberta\.embeddings\.position_ids"),
        )
