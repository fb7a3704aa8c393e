"""Whether a model's tensors have the shapes that were agreed, looked at in passing while it is evaluated."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from archbench.contracts.architecture import ModelDims
from archbench.errors import PluginError
from archbench.nn.language_model import Encoded, LanguageModel, Projection


@contextmanager
def checked_shapes(model: LanguageModel, dims: ModelDims, kind: str) -> Iterator[None]:
    """Within, what `encode` and `output_weights` or `logits` of `model` return is looked at, and nothing else computed.

    Raises PluginError, naming the architecture `kind`, for a shape other than `LanguageModel` promises: a column of
    logits too many would lower no loss and yet be an answer to another question.
    """
    encode, logits, output = model.encode, model.logits, model.output_weights

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

    def checked_output() -> Projection:
        found = output()
        if not isinstance(found, Projection):
            raise PluginError(
                f"architecture {kind!r}: output_weights returned {type(found).__name__}, "
                f"expected Projection(weight, bias); {_REMEDY}"
            )
        _require(found.weight, (dims.vocab_size, *found.weight.shape[1:]), "weights of the output", kind)
        if found.bias is not None:
            _require(found.bias, (dims.vocab_size,), "biases of the logits", kind)
        return found

    # Logits that are made of the output are checked by it; another function in their place would hide that they are.
    checks = {"output_weights": checked_output} if model.derives_logits else {"logits": checked_logits}
    replaced: dict[str, Any] = {"encode": checked_encode, **checks}
    # A plug-in may have set functions of its own on the module.
    own: dict[str, Any] = {name: vars(model)[name] for name in replaced if name in vars(model)}
    vars(model).update(replaced)
    try:
        yield
    finally:
        for name in replaced:
            del vars(model)[name]
        vars(model).update(own)


_REMEDY = "the plug-in must be mended"


def _require(tensor: Tensor, expected: tuple[int, ...], what: str, kind: str) -> None:
    if tuple(tensor.shape) != expected:
        raise PluginError(
            f"architecture {kind!r}: {what} have the shape {tuple(tensor.shape)}, expected {expected}; {_REMEDY}"
        )
