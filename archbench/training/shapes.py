"""Whether a model's tensors have the shapes that were agreed, looked at in passing while it is evaluated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from archbench.contracts.architecture import ModelDims
from archbench.errors import PluginError
from archbench.nn.language_model import Encoded, LanguageModel


@contextmanager
def checked_shapes(model: LanguageModel, dims: ModelDims, kind: str) -> Iterator[None]:
    """Within, what `encode` and `logits` of `model` return is looked at, and nothing is computed beside it.

    Raises PluginError, naming the architecture `kind`, for a shape other than `LanguageModel` promises: a column of
    logits too many would lower no loss and yet be an answer to another question.
    """
    encode, logits = model.encode, model.logits

    def checked_encode(tokens: Tensor, **more: Any) -> Encoded:
        encoded = encode(tokens, **more)
        if not isinstance(getattr(encoded, "hidden", None), Tensor):
            raise PluginError(
                f"architecture {kind!r}: encode returned {type(encoded).__name__}, expected Encoded(hidden, state); "
                f"{_REMEDY}"
            )
        _require(encoded.hidden, (*tokens.shape, dims.d_model), "hidden states", kind)
        for index, part in enumerate(encoded.state or ()):
            _require(part, (len(tokens), *part.shape[1:]), f"state[{index}]", kind)
        return encoded

    def checked_logits(hidden: Tensor) -> Tensor:
        found = logits(hidden)
        _require(found, (*hidden.shape[:-1], dims.vocab_size), "logits", kind)
        return found

    # A plug-in may have set functions of its own on the module.
    own: dict[str, Any] = {name: vars(model)[name] for name in ("encode", "logits") if name in vars(model)}
    vars(model).update(encode=checked_encode, logits=checked_logits)
    try:
        yield
    finally:
        for name in ("encode", "logits"):
            del vars(model)[name]
        vars(model).update(own)


_REMEDY = "the plug-in must be mended"


def _require(tensor: Tensor, expected: tuple[int, ...], what: str, kind: str) -> None:
    if tuple(tensor.shape) != expected:
        raise PluginError(
            f"architecture {kind!r}: {what} have the shape {tuple(tensor.shape)}, expected {expected}; {_REMEDY}"
        )
