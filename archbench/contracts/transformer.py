"""What architectures made of plain Transformer blocks share: sizes, counts, costs. Importing this loads no torch.

A block is that of Vaswani et al. 2017 (section 3): queries, keys, values and output, each d_model × d_model, a
feed-forward layer of two matrices, biases everywhere, and two layer norms, wherever they stand.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from archbench.contracts.architecture import Attention, ForwardFlops, ModelDims, ParamCount
from archbench.contracts.ladder import LadderConfig


def block_params(dims: ModelDims) -> int:
    """Parameters of one block, its two layer norms included."""
    attention = 4 * dims.d_model**2 + 4 * dims.d_model
    feed_forward = 2 * dims.d_model * dims.d_ff + dims.d_ff + dims.d_model
    return attention + feed_forward + 2 * layer_norm_params(dims.d_model)


def layer_norm_params(width: int) -> int:
    """Gain and bias."""
    return 2 * width


def block_flops(dims: ModelDims) -> dict[str, float]:
    """Forward FLOPs per token of all `n_layers` blocks by component, attention over the full context."""
    return {
        "attention_projections": dims.n_layers * 8.0 * dims.d_model**2,
        "attention_scores": dims.n_layers * 4.0 * dims.d_model * dims.seq_len,
        "feed_forward": dims.n_layers * 4.0 * dims.d_model * dims.d_ff,
    }


def odd_heads(dims: ModelDims) -> list[str]:
    """What is wrong with heads of an odd width where rotary positions turn pairs of features; empty if they are even.

    For `ArchitectureConfig.problems`, where n_heads divides d_model.
    """
    width = dims.d_model // dims.n_heads
    if width % 2 == 0:
        return []
    return [f"heads are {width} wide; rotary positions need an even width: choose another n_heads or d_model"]


class TransformerConfig(LadderConfig):
    """An architecture on the shared ladder with one rate of dropout."""

    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Of embeddings, attention weights and block outputs. 0, as scans see each token once; most papers have 0.1."""


class EncoderConfig(TransformerConfig):
    """BERT's network: plain blocks, learned positions, token types, and a prediction head before the output matrix."""

    num_token_types: ClassVar[int]
    """Rows of the table of token types."""
    attention_modes: ClassVar[frozenset[Attention]] = frozenset(Attention)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`; the same for all attention modes."""
        layer_norm = layer_norm_params(dims.d_model)
        prediction_transform = dims.d_model**2 + dims.d_model + layer_norm
        embeddings = dims.vocab_size + dims.seq_len + self.num_token_types
        return ParamCount(
            embedding=embeddings * dims.d_model + self.output_params(dims),
            non_embedding=layer_norm + dims.n_layers * block_params(dims) + prediction_transform,
        )

    def output_params(self, dims: ModelDims) -> int:
        """Parameters of the output beside the token embeddings; as published a bias, since the matrix is theirs."""
        return dims.vocab_size

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; the same for all modes, as a dense kernel runs them."""
        return ForwardFlops(
            {
                **block_flops(dims),
                "prediction_transform": 2.0 * dims.d_model**2,
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            per_prediction=frozenset({"prediction_transform", "logits"}),
        )


_SHAPE_KEYS = {
    "vocab_size": "vocab_size",
    "seq_len": "max_position_embeddings",
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "d_ff": "intermediate_size",
}


def saved_encoder_dims(config: Mapping[str, Any], defaults: ModelDims) -> ModelDims:
    """The shape of an encoder that transformers saved with `config`; `defaults` are the library's, for missing keys."""
    return ModelDims(**{name: config.get(key, getattr(defaults, name)) for name, key in _SHAPE_KEYS.items()})
