"""BERT's hyperparameters, sizes and costs. Importing this loads no torch."""

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
    from archbench_bert.model import Bert

_VOCABULARY_TABLES = frozenset(
    {
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.bias",
        "cls.predictions.decoder.bias",
        "cls.predictions.decoder.weight",
    }
)


class BertConfig(KeepsCommonSettings, EncoderConfig):
    """An encoder with learned positions and segments, layer norm after each block, and BERT's prediction head."""

    kind: Literal["bert"] = "bert"

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = (
        "BERT: encoder with segments, post-norm and a prediction head; bidirectional or under a causal mask"
    )
    num_token_types: ClassVar[int] = 2
    """Segments told apart: the first and the second sentence."""
    has_token_types: ClassVar[bool] = True
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers (arXiv 1810.04805)",
        implementation="transformers, BertForMaskedLM and BertLMHeadModel, with torch's scaled_dot_product_attention",
        faithful=(
            "block structure, GELU, segment embeddings, prediction transform, tied output matrix with a bias, and"
            " initialisation (0.02)"
        ),
        differs=(
            "no dropout by default, no pooler, no token acts as padding; the causal mode is the same network under a"
            " causal mask, which the paper does not have; sizes come from archbench's ladder"
        ),
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Bert":
        """See `ArchitectureConfig.build`."""
        from archbench_bert.model import Bert

        self.require_buildable(dims, attention)
        return Bert(
            dims,
            attention,
            self.built_with(dims),
            dropout=self.dropout,
            num_token_types=self.num_token_types,
        )

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; BertForMaskedLM, BertLMHeadModel, BertForPreTraining and BertModel."""
        self.require_saved_output(config)
        require_settings(
            config,
            {
                "model_type": ("", "bert"),
                "hidden_act": ("gelu",),
                "layer_norm_eps": (1e-12,),
                "type_vocab_size": (self.num_token_types,),
                "position_embedding_type": ("absolute",),
                "add_cross_attention": (False,),
            },
        )
        published = ModelDims(vocab_size=30522, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
        return SavedModel(
            dims=saved_encoder_dims(config, published),
            module_prefix="model.",
            base_prefix="bert.",
            vocabulary_tables=_VOCABULARY_TABLES,
            position_tables={"bert.embeddings.position_embeddings.weight": 0},
            unused=(r"bert\.pooler\..*", r"cls\.seq_relationship\..*", r"bert\.embeddings\.position_ids"),
        )
