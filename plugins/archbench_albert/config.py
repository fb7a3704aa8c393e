"""ALBERT's hyperparameters, sizes and costs. Importing this loads no torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import PositiveInt

from archbench.api import (
    Attention,
    CommonSettings,
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
    saved_encoder_dims,
    with_depth_of_its_width,
)

if TYPE_CHECKING:
    from archbench_albert.model import Albert

_VOCABULARY_TABLES = frozenset(
    {
        "albert.embeddings.word_embeddings.weight",
        "predictions.bias",
        "predictions.decoder.bias",
        "predictions.decoder.weight",
    }
)


class AlbertConfig(KeepsCommonSettings, TransformerConfig):
    """BERT's network with one block that all layers share, and embeddings narrower than the model.

    N counts the shared block once, as the paper's tables do, while every layer executes it: 6·N·D is about `n_layers`
    times too small a cost, and only executed FLOPs put it beside other architectures.
    """

    kind: Literal["albert"] = "albert"
    embedding_size: PositiveInt = 128
    """Width of token, position and segment embeddings, which one matrix maps to the model's; half of that at most."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "ALBERT: BERT's encoder with one block shared by all layers and factorised embeddings"
    num_token_types: ClassVar[int] = 2
    """Segments told apart."""
    has_token_types: ClassVar[bool] = True
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.BIDIRECTIONAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Lan et al. 2019, ALBERT: A Lite BERT for Self-supervised Learning of Language Representations"
        " (arXiv 1909.11942)",
        implementation="transformers, AlbertForMaskedLM, with torch's scaled_dot_product_attention",
        faithful=(
            "one block shared by all layers, embeddings factorised into two matrices, tanh-approximated GELU, a"
            " prediction head in the width of the embeddings, tied output matrix with a bias, and initialisation (0.02)"
        ),
        differs=(
            "trained by the objective of the spec: single masked tokens, not n-grams, and no sentence-order prediction;"
            " no pooler, no token acts as padding; embeddings are at most half as wide as the model, which narrow rungs"
            " of the ladder are below 256; a rung has the depth that the ladder gives to its width (2 to 40), where"
            " the paper has 12 layers or 24 at every width"
        ),
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Albert":
        """See `ArchitectureConfig.build`."""
        from archbench_albert.model import Albert

        self.require_buildable(dims, attention)
        return Albert(
            dims,
            self.built_with(dims),
            embedding_size=self.embedding_width(dims),
            dropout=self.dropout,
            num_token_types=self.num_token_types,
        )

    def with_common(self, common: CommonSettings) -> tuple[Self, tuple[str, ...]]:
        """See `ArchitectureConfig.with_common`; `tie_output` is never kept as others keep it.

        The output matrix is tied or not, as asked, but it is as narrow as the factorised embeddings, and has a fraction
        of the others' parameters.
        """
        config, others = super().with_common(common)
        if common.tie_output is None or "tie_output" in others:
            return config, others
        return config, ("tie_output", *others)

    def output_width(self, dims: ModelDims) -> int:
        """Columns of the output matrix: the embeddings'."""
        return self.embedding_width(dims)

    def embedding_width(self, dims: ModelDims) -> int:
        """E: columns of the embeddings' tables at `dims`."""
        return min(self.embedding_size, max(1, dims.d_model // 2))

    def adapted(self, dims: ModelDims) -> ModelDims:
        """The rung with the depth of its width, which the size does not tell."""
        return with_depth_of_its_width(dims)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; the block once, however many layers share it."""
        width, inner = dims.d_model, self.embedding_width(dims)
        projections = (inner + 1) * width + (width + 1) * inner
        tables = dims.vocab_size + dims.seq_len + self.num_token_types
        return ParamCount(
            embedding=tables * inner + self.output_params(dims),
            non_embedding=block_params(dims) + projections + 2 * layer_norm_params(inner),
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; every layer executes the shared block."""
        inner = self.embedding_width(dims)
        return ForwardFlops(
            {
                "embedding_projection": 2.0 * inner * dims.d_model,
                **block_flops(dims),
                "prediction_transform": 2.0 * dims.d_model * inner,
                "logits": 2.0 * inner * dims.vocab_size,
            },
            per_prediction=frozenset({"prediction_transform", "logits"}),
        )

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; AlbertForMaskedLM, AlbertForPreTraining and AlbertModel."""
        published = ModelDims(vocab_size=30000, seq_len=512, d_model=4096, n_layers=12, n_heads=64, d_ff=16384)
        dims = saved_encoder_dims(config, published)
        self.require_saved_output(config)
        require_settings({"embedding_size": 128, **config}, {"embedding_size": (self.embedding_width(dims),)})
        require_settings(
            config,
            {
                "model_type": ("", "albert"),
                # Two names of one function.
                "hidden_act": ("gelu_new", "gelu_pytorch_tanh"),
                "layer_norm_eps": (1e-12,),
                "type_vocab_size": (self.num_token_types,),
                "num_hidden_groups": (1,),
                "inner_group_num": (1,),
                "position_embedding_type": ("absolute",),
            },
        )
        return SavedModel(
            dims=dims,
            module_prefix="model.",
            base_prefix="albert.",
            vocabulary_tables=_VOCABULARY_TABLES,
            position_tables={"albert.embeddings.position_embeddings.weight": 0},
            unused=(r"albert\.pooler\..*", r"sop_classifier\..*", r"albert\.embeddings\.position_ids"),
        )
