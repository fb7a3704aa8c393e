"""Which keywords x-transformers has, and what those of a model of a size are. Imports torch and x_transformers."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from x_transformers.x_transformers import Attention as AttentionLayer
from x_transformers.x_transformers import AttentionLayers, FeedForward, TransformerWrapper

from archbench.api import ModelDims

_GIVEN = {
    "dim": "scan.sizes and the ladder give the width",
    "depth": "scan.sizes and the ladder give the depth",
    "heads": "the ladder gives their number",
    "causal": "write decoder or encoder",
    "verbose": "it changes nothing but what is printed",
    "cross_attend": "there is nothing to attend to",
    "only_cross": "there is nothing to attend to",
    "num_tokens": "the tokenizer gives it",
    "max_seq_len": "training.seq_len gives it",
    "attn_layers": "write decoder or encoder",
    "tie_embedding": "write tie_output beside decoder",
    "return_only_embed": "a language model has logits",
    "attn_flash": "attention runs by torch's own kernels in any case",
}
_WITHOUT_LOGITS = frozenset(
    {
        "num_output_heads", "average_pool_embed", "use_cls_token", "attn_pool", "mixture_of_softmax", "logits_dim",
        "add_continuous_pred_head", "embed_num_tokens", "token_emb", "to_logits", "recycling", "looped",
        "squeeze_out_last_dim", "sigsoftmax_logits", "l2norm_embed_logits", "tie_embedding_scale",
    }
)  # fmt: skip
"""Of the wrapper: what makes another output of it than a logit for each id at each position."""


def check_keywords(section: str, keywords: Mapping[str, Any], wrapper: Mapping[str, Any]) -> None:
    """Raises ValueError, in one line, for a keyword that the library does not have, or that is not the user's.

    section: `decoder` or `encoder`, under which `keywords` stand.
    """
    prefixed = {"attn_": AttentionLayer, "ff_": FeedForward}
    known = _names(AttentionLayers) | {
        f"{prefix}{name}" for prefix, layer in prefixed.items() for name in _names(layer) - {"dim", "heads", "causal"}
    }
    _check(section, keywords, known, {})
    others = dict.fromkeys(_WITHOUT_LOGITS, "it gives no logits of every id at every position")
    _check("wrapper", wrapper, _names(TransformerWrapper), others)


def layer_keywords(keywords: Mapping[str, Any], dims: ModelDims) -> dict[str, Any]:
    """Those of the layers of a model of `dims`."""
    return {
        "dim": dims.d_model,
        "depth": dims.n_layers,
        "heads": dims.n_heads,
        "verbose": False,
        "attn_dim_head": dims.d_model // dims.n_heads,
        # Truncated to d_ff by the library, whatever the rounding.
        "ff_mult": (dims.d_ff + 0.5) / dims.d_model,
        **keywords,
    }


def _names(kind: type) -> set[str]:
    parameters = inspect.signature(kind).parameters.values()
    return {one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}


def _check(section: str, written: Mapping[str, Any], known: Iterable[str], refused: Mapping[str, str]) -> None:
    names = sorted(known)
    for name in written:
        if why := (_GIVEN.get(name) or refused.get(name)):
            raise ValueError(f"{section}.{name}: is not set here: {why}")
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{section}.{name}: x-transformers has no such keyword{meant}")
