"""Pre-training on one text, fine-tuning on subsets of another, and training from scratch on subsets of that.

Roles and labels are those that `results.py` names. Runs that directions have in common are asked for once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, PositiveFloat, Tag, model_validator

from archbench.contracts.report import ReportSection
from archbench.contracts.study import (
    MAX_CELLS,
    RisingTokens,
    Rung,
    RunRequest,
    StudyAnalysis,
    StudyConfig,
    StudyLadder,
    StudyRuns,
    too_few,
)
from archbench.contracts.values import TAG_PREFIX, Loc, Name, Section, Tokens, one_or_several, rising
from archbench.studies.settings import MIN_POINTS, MIN_SIZES, RepeatedTextSettings
from archbench.studies.transfer.results import FINETUNE, PRETRAINING, RATE_FACTOR, SCRATCH, SOURCE, TARGET
from archbench.studies.transfer.section import TransferSection

SubsetKey = Literal["scratch_tokens", "finetune_tokens"]
Texts = Annotated[
    Annotated[Name, Tag(f"{TAG_PREFIX}one")]
    | Annotated[list[Name], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
    Discriminator(one_or_several),
]
RateFactors = Annotated[list[PositiveFloat], Field(min_length=1, max_length=16), AfterValidator(rising)]


class DirectionSection(Section):
    """From which texts to which; of several on both sides every pair is meant."""

    source: Texts
    """Where models are pre-trained: a text of `data` by its name, or a list of them."""
    target: Texts
    """Where they are fine-tuned, and others trained from scratch."""

    @model_validator(mode="after")
    def _two_texts(self) -> Self:
        for source, target in self.pairs():
            if source == target:
                raise ValueError(f"source and target are both {source!r}; name two texts")
        return self

    def pairs(self) -> list[tuple[str, str]]:
        """(source, target) of every direction."""
        return [(source, target) for source in _listed(self.source) for target in _listed(self.target)]


def _listed(names: str | list[str]) -> list[str]:
    return names if isinstance(names, list) else [names]


class TransferConfig(StudyConfig, RepeatedTextSettings):
    """What pre-training on one text is worth on another, in tokens of the other (Hernandez et al. 2021)."""

    sections: ClassVar[tuple[type[ReportSection], ...]] = (TransferSection,)
    summary: ClassVar[str] = "effective data transferred from one text to another"

    kind: Literal["transfer"] = "transfer"
    directions: Annotated[list[DirectionSection], Field(min_length=1, max_length=MAX_CELLS)]
    pretraining_tokens: Tokens
    """Seen by each size on each source."""
    finetune_tokens: RisingTokens
    """D_F: subsets of the target on which pre-trained models go on."""
    scratch_tokens: RisingTokens
    """D: subsets of the target on which models are trained from fresh weights. They should reach beyond
    `finetune_tokens` on both sides, so that effective data can be read off."""
    rate_factors: RateFactors = Field(default_factory=lambda: [1.0])
    """Times the spec's peak rate of the size: every cell, fine-tuned or from scratch, is tried at all of them, and the
    one of the lowest validation loss is its result."""
    finetune_rate_factors: RateFactors | None = None
    """Of fine-tuned cells, where these are to be others: weights that know a text already take lower rates. As many as
    `rate_factors`, so that both sides are tuned alike."""
    forgetting: bool = True
    """Whether the loss on the source is measured after fine-tuning."""

    @model_validator(mode="after")
    def _equal_trials(self) -> Self:
        if self.finetune_rate_factors and len(self.finetune_rate_factors) != len(self.rate_factors):
            raise ValueError(
                f"{len(self.finetune_rate_factors)} finetune_rate_factors and {len(self.rate_factors)} rate_factors; "
                "give as many of each, so that both sides are tuned alike"
            )
        return self

    def factors(self, role: str) -> list[float]:
        """The rates that a cell of `role` is tried at, as multiples of the spec's."""
        return (self.finetune_rate_factors if role == FINETUNE else None) or self.rate_factors

    def pairs(self) -> list[tuple[str, str]]:
        """(source, target) of every direction, each once."""
        return list(dict.fromkeys(pair for section in self.directions for pair in section.pairs()))

    def named_texts(self) -> Mapping[Loc, str]:
        """Sources and targets."""
        named: dict[Loc, str] = {}
        for number, direction in enumerate(self.directions):
            for key, texts in (("source", direction.source), ("target", direction.target)):
                place: Loc = ("directions", number, key)
                if isinstance(texts, list):
                    named |= {(*place, index): text for index, text in enumerate(texts)}
                else:
                    named[place] = texts
        return named

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few sizes or subsets, and subsets from scratch that do not reach beyond those of fine-tuning."""
        yield from too_few(num_sizes, MIN_SIZES, "size", "the exponent of N")
        yield from too_few(len(self.finetune_tokens), MIN_SIZES, "amount of fine-tuning text", "the exponent of D_F")
        yield from too_few(
            len(self.scratch_tokens), MIN_POINTS, "amount of text from scratch", "a curve to read D_E from"
        )
        if self.scratch_tokens[0] > self.finetune_tokens[0]:
            yield "scratch_tokens begin above finetune_tokens: where pre-training hurts there, D_E is only bounded"
        if self.scratch_tokens[-1] < 4.0 * self.finetune_tokens[-1]:
            yield (
                "scratch_tokens end below four times the largest finetune_tokens: where pre-training helps more, D_E "
                "is only bounded"
            )

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """For each size: models of every source, on every subset of every target, and fine-tuned in every direction."""
        pairs = self.pairs()
        for rung in ladder.rungs(self.sizes):
            for seed in range(self.seeds):
                pretrained = {source: self._pretraining(ladder, rung, seed, source) for source, _ in pairs}
                yield from pretrained.values()
                for target in dict.fromkeys(target for _, target in pairs):
                    scratch = self._on_target(ladder, rung, seed, target, SCRATCH)
                    yield from self._cells(
                        ladder, rung, "scratch_tokens", replace(scratch, labels={TARGET: target}, fresh=True)
                    )
                for source, target in pairs:
                    finetune = replace(
                        self._on_target(ladder, rung, seed, target, FINETUNE),
                        labels={SOURCE: source, TARGET: target},
                        start=pretrained[source],
                        also_validated=(source,) if self.forgetting else (),
                    )
                    yield from self._cells(ladder, rung, "finetune_tokens", finetune)

    def _pretraining(self, ladder: StudyLadder, rung: Rung, seed: int, source: str) -> RunRequest:
        """As long as the spec's own runs, and on the spec's schedule."""
        return replace(
            ladder.request(rung, seed, self.pretraining_tokens, "pretraining_tokens"),
            text=source,
            keep_weights=True,
            role=PRETRAINING,
            labels={SOURCE: source},
        )

    def _on_target(self, ladder: StudyLadder, rung: Rung, seed: int, target: str, role: str) -> RunRequest:
        """What the cells of `role` have in common; their tokens are still to be set."""
        return replace(
            self.asked(ladder, rung, seed, 0.0),
            text=target,
            early_stopping=self.early_stopping,
            spacing="linear",
            role=role,
        )

    def _cells(self, ladder: StudyLadder, rung: Rung, key: SubsetKey, request: RunRequest) -> Iterator[RunRequest]:
        """`request` on each subset of its text that the study lists under `key`, at each of its rates."""
        rate = ladder.learning_rate(rung, request.text)
        factors = self.factors(request.role)
        several = len(factors) > 1
        for index, unique_tokens in enumerate(getattr(self, key)):
            for factor in factors:
                yield replace(
                    request,
                    tokens=self.tokens_on(unique_tokens),
                    subset_tokens=round(unique_tokens),
                    peak_learning_rate=rate * factor,
                    labels={**request.labels, RATE_FACTOR: f"{factor:g}"} if several else request.labels,
                    budget_loc=(*request.budget_loc, key, index),
                )

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """One result for all directions of all contenders."""
        from archbench.studies.transfer.analysis import TransferSettings, analyse_transfer
        from archbench.studies.transfer.text import verdict_lines

        if not any(record.usable for record in runs.own):
            return StudyAnalysis(())
        texts = runs.environment.get("texts") or {}
        per_token = {text: float(one["bytes_per_token"]) for text, one in texts.items() if one.get("bytes_per_token")}
        result = analyse_transfer(runs.own, TransferSettings(runs.name, per_token, seed=runs.seed))
        return StudyAnalysis(result, tuple(verdict_lines(result)))
