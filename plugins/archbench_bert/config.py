"""BERT's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from archbench.api import (
    ArchitectureConfig,
    Attention,
    ForwardFlops,
    ModelDims,
    ParamCount,
    SavedModel,
    Source,
    nearest_dims,
    require_settings,
)

if TYPE_CHECKING:
    from archbench_bert.model import Bert


NUM_TOKEN_TYPES = 2
"""Segments told apart: the first and the second sentence."""

_VOCABULARY_TABLES = frozenset(
    {
        "bert.embeddings.word_embeddings.weight",
        "cls.predictions.bias",
        "cls.predictions.decoder.bias",
        "cls.predictions.decoder.weight",
    }
)


class BertConfig(ArchitectureConfig):
    """An encoder with learned positions and segments, layer norm after each block, and BERT's prediction head."""

    kind: Literal["bert"] = "bert"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Of embeddings, attention weights and block outputs. 0, as scans see each token once; the paper has 0.1."""

    summary: ClassVar[str] = (
        "BERT: encoder with segments, post-norm and a prediction head; bidirectional or under a causal mask"
    )
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL, Attention.BIDIRECTIONAL})
    has_token_types: ClassVar[bool] = True
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

        return Bert(dims, attention, dropout=self.dropout)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; the same for both attention modes."""
        d_model, d_ff = dims.d_model, dims.d_ff
        attention = 4 * d_model**2 + 4 * d_model
        feed_forward = 2 * d_model * d_ff + d_ff + d_model
        layer_norm = 2 * d_model
        blocks = dims.n_layers * (attention + feed_forward + 2 * layer_norm)
        prediction_transform = d_model**2 + d_model + layer_norm
        embeddings = dims.vocab_size + dims.seq_len + NUM_TOKEN_TYPES
        return ParamCount(
            embedding=embeddings * d_model + dims.vocab_size,
            non_embedding=layer_norm + blocks + prediction_transform,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; the same for both modes, as a dense kernel runs them."""
        return ForwardFlops(
            {
                "attention_projections": dims.n_layers * 8.0 * dims.d_model**2,
                "attention_scores": dims.n_layers * 4.0 * dims.d_model * dims.seq_len,
                "feed_forward": dims.n_layers * 4.0 * dims.d_model * dims.d_ff,
                "prediction_transform": 2.0 * dims.d_model**2,
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            per_prediction=frozenset({"prediction_transform", "logits"}),
        )

    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """See `ArchitectureConfig.sized_for`."""
        return nearest_dims(
            target_params,
            lambda dims: self.num_params(dims).non_embedding,
            vocab_size=vocab_size,
            seq_len=seq_len,
        )

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; BertForMaskedLM, BertLMHeadModel, BertForPreTraining and BertModel."""
        require_settings(
            config,
            {
                "model_type": ("", "bert"),
                "hidden_act": ("gelu",),
                "layer_norm_eps": (1e-12,),
                "type_vocab_size": (NUM_TOKEN_TYPES,),
                "position_embedding_type": ("absolute",),
                "add_cross_attention": (False,),
                "tie_word_embeddings": (True,),
            },
        )
        d_model = config.get("hidden_size", 768)
        return SavedModel(
            dims=ModelDims(
                vocab_size=config.get("vocab_size", 30522),
                seq_len=config.get("max_position_embeddings", 512),
                d_model=d_model,
                n_layers=config.get("num_hidden_layers", 12),
                n_heads=config.get("num_attention_heads", 12),
                d_ff=config.get("intermediate_size", 3072),
            ),
            module_prefix="model.",
            base_prefix="bert.",
            vocabulary_tables=_VOCABULARY_TABLES,
            position_tables={"bert.embeddings.position_embeddings.weight": 0},
            unused=(r"bert\.pooler\..*", r"cls\.seq_relationship\..*", r"bert\.embeddings\.position_ids"),
        )
