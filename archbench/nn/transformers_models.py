"""Models of transformers that attend by `archbench.nn.attention`: the same function, faster on a CPU."""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from archbench.nn.attention import attend

if TYPE_CHECKING:
    from archbench.contracts.architecture import ModelDims
    from archbench.contracts.common import BuiltWith

ATTENTION = "archbench"
"""Name of archbench's attention in transformers: a config's `attn_implementation`."""


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Called as transformers calls its attention functions; what `attend` cannot do is left to transformers' own.

    Where there are fewer heads of keys and values than of queries, each serves several queries one after another.
    """
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    if attention_mask is not None or dropout > 0.0 or query.shape[2] != key.shape[2]:
        mixed: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs
        )
        return mixed
    if key.shape[1] != query.shape[1]:
        sharing = query.shape[1] // key.shape[1]
        key, value = (tensor.repeat_interleave(sharing, dim=1) for tensor in (key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return attend(query, key, value, causal=causal, scale=scale), None


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attention)
# No mask where all tokens are seen, or all tokens before: as for torch's own kernels.
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, sdpa_mask)


def encoder_settings(dims: "ModelDims", built: "BuiltWith", *, dropout: float, num_token_types: int) -> dict[str, Any]:
    """Keyword arguments that the library's configs of BERT and its kin have in common, for a model of `dims`."""
    return {
        "vocab_size": dims.vocab_size,
        "max_position_embeddings": dims.seq_len,
        "hidden_size": dims.d_model,
        "num_hidden_layers": dims.n_layers,
        "num_attention_heads": dims.n_heads,
        "intermediate_size": dims.d_ff,
        "type_vocab_size": num_token_types,
        "tie_word_embeddings": built.tie_output,
        "initializer_range": built.initial_std,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        # The library's special ids would be letters here; its padding token would never be learnt.
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": ATTENTION,
    }


def settle_output_bias(head: nn.Module, built: "BuiltWith") -> None:
    """Has a prediction head's `bias` and its decoder's be one and the same, or none; the library has one untied twice.

    Its state keeps the library's names.
    """
    decoder = head.get_submodule("decoder")
    if not built.output_bias:
        decoder.register_parameter("bias", None)
    head.bias = decoder.bias
