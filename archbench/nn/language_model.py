"""The module that every architecture builds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, ...]
"""Memory carried from one segment of a stream to the next: tensors with the batch row as first axis, detached."""


class Encoded(NamedTuple):
    """What the trunk of a language model returns."""

    hidden: Tensor
    """Final hidden states, [rows, seq_len, d_model]."""
    state: State | None
    """Memory for the next segment; None for an architecture that carries none."""
    auxiliary: Tensor | None = None
    """A mean loss that training adds to the objective's and no figure reports, such as the balance of experts; a
    scalar, weighted as it is to be added. None without one, and in evaluation."""


class Projection(NamedTuple):
    """What makes logits of what comes before them: `linear(x, weight, bias)`."""

    weight: Tensor
    """[vocab_size, width]; the table of the token embeddings itself where the two are tied."""
    bias: Tensor | None
    """[vocab_size], or None."""


class LanguageModel(nn.Module, ABC):
    """A trunk and an output projection, apart so that an objective projects only the positions that it predicts.

    A model says what makes its logits by `output_weights`, and by `before_output` where something stands between that
    and the trunk. Losses then never hold the logits of all positions. One that makes logits in another way overrides
    `logits` alone.
    """

    @abstractmethod
    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """Final hidden states of `tokens`, [rows, seq_len] int64.

        `token_types` ([rows, seq_len] int64, 0 or 1) tells sentences apart; architectures without such an embedding
        ignore it. `state` is what the previous segment of the same rows returned; None starts afresh.
        """

    def encode_prefixed(self, tokens: Tensor, prefix_len: Tensor, *, token_types: Tensor | None = None) -> Encoded:
        """Final hidden states where the first `prefix_len` ([rows] int64) positions of a row see each other.

        Positions behind the prefix see all before them and themselves; a prefix of 0 or 1 is plain causal attention,
        which is also what `encode` does in a model built for this mode. Raises NotImplementedError, which architectures
        that offer `Attention.PREFIX` override.
        """
        raise NotImplementedError(f"{type(self).__name__} has no prefix attention")

    def output_weights(self) -> Projection:
        """The output matrix and the bias of the logits, as they are now, for `before_output(hidden)`.

        Raises NotImplementedError in a model that has `logits` of its own.
        """
        raise NotImplementedError(
            f"{type(self).__name__} hands out no output projection; define `output_weights` or `logits`"
        )

    def before_output(self, hidden: Tensor) -> Tensor:
        """What the output matrix multiplies, [..., width], position by position; usually `hidden` itself."""
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Unnormalised log-probabilities, [..., vocab_size], of hidden states [..., d_model]."""
        return linear(self.before_output(hidden), *self.output_weights())

    @property
    def derives_logits(self) -> bool:
        """Whether `logits` are those of `output_weights`: no class and no function set on the model says others."""
        return type(self).logits is LanguageModel.logits and "logits" not in vars(self)

    def idle_parameters(self) -> int:
        """Parameters without embeddings that a token does not use: those of the experts that it is not sent to.

        0 in a dense model. On tensors without data as on real ones.
        """
        return 0

    def recomputing(self) -> Sequence[nn.Module]:
        """Submodules whose backward pass runs parts of them again by itself (reversible layers); usually none.

        Where ZeRO 3 spreads weights over several processes, those of such a module are fetched as a whole.
        """
        return ()

    def forward(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Tensor:
        """Logits of every position, [rows, seq_len, vocab_size]."""
        return self.logits(self.encode(tokens, token_types=token_types, state=state).hidden)


@contextmanager
def auxiliary_losses(model: LanguageModel) -> Iterator[list[Tensor]]:
    """Within, what `encode` and `encode_prefixed` of `model` return as auxiliary losses is collected in the list."""
    collected: list[Tensor] = []

    def noting(encode: Callable[..., Encoded]) -> Callable[..., Encoded]:
        @wraps(encode)
        def noted(*arguments: Any, **more: Any) -> Encoded:
            encoded = encode(*arguments, **more)
            if encoded.auxiliary is not None:
                collected.append(encoded.auxiliary)
            return encoded

        return noted

    names = ("encode", "encode_prefixed")
    # A model may have functions of its own set on it.
    own = {name: vars(model)[name] for name in names if name in vars(model)}
    vars(model).update({name: noting(getattr(model, name)) for name in names})
    try:
        yield collected
    finally:
        for name in names:
            del vars(model)[name]
        vars(model).update(own)
