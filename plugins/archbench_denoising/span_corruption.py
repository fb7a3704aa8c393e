"""Span corruption (Raffel et al. 2020, sections 3.1.4 and 3.3.4) for models of a single stack. No torch at import."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archbench.api import IGNORE_TARGET, Attention, ExampleContext, LossParts, ObjectiveConfig, SpecError, Windows
from archbench_denoising.prefixed import loss_behind_prefix

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archbench.nn.language_model import LanguageModel, State

NUM_SENTINELS = 100
"""As in the vocabulary of T5."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How the positions of a row are shared out; the same in every row, so that arrays keep one shape."""

    text: int
    """Tokens of the text that a row holds."""
    noise: int
    """Those of them in spans."""
    spans: int

    @property
    def kept(self) -> int:
        """Tokens of the text outside the spans."""
        return self.text - self.noise

    @property
    def prefix(self) -> int:
        """Positions of the corrupted input."""
        return self.kept + self.spans

    @property
    def predicted(self) -> int:
        """Tokens of the targets: spans, a sentinel before each, and the last sentinel."""
        return self.noise + self.spans + 1


class SpanCorruptionConfig(ObjectiveConfig):
    """Objective `span_corruption`: spans of the text are replaced by sentinels and written out behind it.

    A row is the corrupted input, which is seen whole, and the targets: each sentinel with the tokens that it stands
    for, then one more sentinel. Where T5 has an encoder and a decoder, one stack reads the first as a prefix and
    predicts the second token by token.
    """

    kind: Literal["span_corruption"] = "span_corruption"
    summary: ClassVar[str] = "writes out spans of the text that sentinels replace"
    attention: ClassVar[Attention] = Attention.PREFIX
    track: ClassVar[str] = "span_corruption"
    comparisons: ClassVar[str] = (
        "Nats per target token, sentinels included, compare models of this objective with the same settings, tokenizer "
        "and text; beside the loss of any other objective put only exponents."
    )
    special_tokens: ClassVar[tuple[str, ...]] = tuple(f"[SENTINEL_{number}]" for number in range(NUM_SENTINELS))

    noise_density: float = Field(0.15, gt=0.0, lt=1.0)
    """Share of the text's tokens in spans."""
    mean_span_length: float = Field(3.0, ge=1.0)
    """Tokens of a span on average."""

    def sizes(self, seq_len: int) -> Sizes:
        """How rows of `seq_len` positions are shared out: with the targets they are filled to the last position.

        Raises SpecError, in one line, where text or sentinels do not suffice.
        """
        # Of L tokens, L·density / mean are spans; each costs two positions more, for its sentinels.
        share = self.noise_density / self.mean_span_length
        spans = max(1, round(seq_len * share / (1.0 + 2.0 * share)))
        text = seq_len - 2 * spans
        sizes = Sizes(text=text, noise=max(spans, round(text * self.noise_density)), spans=spans)
        if text < 2 or sizes.kept < max(1, spans - 1):
            raise SpecError(
                f"objective span_corruption: {seq_len} tokens of context leave {max(0, sizes.kept)} between {spans} "
                "spans; lower noise_density, or raise mean_span_length or training.seq_len"
            )
        if spans >= NUM_SENTINELS:
            raise SpecError(
                f"objective span_corruption: {seq_len} tokens of context need {spans + 1} sentinels, there are "
                f"{NUM_SENTINELS}; raise mean_span_length, or lower training.seq_len"
            )
        return sizes

    def stride(self, seq_len: int) -> int:
        """Tokens of text in a row. Raises SpecError as `sizes`."""
        return self.sizes(seq_len).text

    def predicted_fraction(self, seq_len: int) -> float:
        """Positions that predict a target over all positions."""
        return self.sizes(seq_len).predicted / seq_len

    def examples(self, windows: Windows, context: ExampleContext) -> dict[str, NDArray[np.int64]]:
        """`tokens` and `targets` [rows, seq_len], the targets one token further; `prefix_len` [rows], all the same."""
        sizes = self.sizes(context.seq_len)
        sentinels = [context.special_ids[name] for name in self.special_tokens[: sizes.spans + 1]]
        rows = []
        for row, text in enumerate(windows.tokens):
            gaps, lengths = drawn_spans(sizes, windows.generator(row))
            rows.append(np.concatenate(corrupted(text, gaps, lengths, sentinels)))
        sequences = np.stack(rows)
        # The last position of the input is the first that predicts.
        predicts = np.arange(context.seq_len) >= sizes.prefix - 1
        return {
            "tokens": np.ascontiguousarray(sequences[:, :-1]),
            "targets": np.where(predicts, sequences[:, 1:], IGNORE_TARGET),
            "prefix_len": np.full(len(rows), sizes.prefix, dtype=np.int64),
        }

    def loss(
        self, model: "LanguageModel", head: "nn.Module | None", batch: Mapping[str, "Tensor"], state: "State | None"
    ) -> LossParts:
        """Cross entropy in nats, summed over the tokens of the targets, sentinels included."""
        first = self.sizes(batch["tokens"].shape[1]).prefix - 1
        return loss_behind_prefix(model, batch, first=first)


def drawn_spans(sizes: Sizes, generator: np.random.Generator) -> tuple[Ids, Ids]:
    """Kept tokens before each span and behind the last one, [spans + 1], and lengths of the spans, [spans].

    All ways to place that many spans of that many tokens, no two of them touching, are equally likely. T5's code lets
    every text begin with a kept token and end with a span; here both ends are as likely as any other place.
    """
    # One more at both ends: there a gap may be empty.
    gaps = _parts(sizes.kept + 2, sizes.spans + 1, generator)
    gaps[0] -= 1
    gaps[-1] -= 1
    return gaps, _parts(sizes.noise, sizes.spans, generator)


def corrupted(text: Ids, gaps: Ids, lengths: Ids, sentinels: Sequence[int]) -> tuple[Ids, Ids]:
    """The corrupted input and the targets of `text`, whose spans have `lengths` and lie between `gaps`.

    `sentinels` are one more than the spans. Raises ValueError where the parts do not add up to the text.
    """
    if gaps.sum() + lengths.sum() != len(text) or not len(gaps) == len(lengths) + 1 == len(sentinels):
        raise ValueError("gaps and spans do not make up the text")
    bounds = np.cumsum(np.stack([gaps[:-1], lengths], axis=1).ravel())
    pieces = np.split(text, bounds)
    inputs, targets = [], []
    for sentinel, kept, span in zip(sentinels, pieces[::2], pieces[1::2], strict=False):
        inputs += [kept, [sentinel]]
        targets += [[sentinel], span]
    return np.concatenate([*inputs, pieces[-1]]), np.concatenate([*targets, [sentinels[-1]]])


def _parts(total: int, count: int, generator: np.random.Generator) -> Ids:
    """`count` positive numbers that add up to `total`, all ways equally likely."""
    cuts = np.sort(generator.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]])).astype(np.int64)
