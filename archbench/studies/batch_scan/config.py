"""Batches of different size, what B_crit is read from; and gradient noise, wherever it was measured."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, PositiveFloat, Tag, model_validator

from archbench.contracts.report import ReportSection
from archbench.contracts.study import (
    MAX_CELLS,
    Rung,
    RunRequest,
    StudyAnalysis,
    StudyConfig,
    StudyLadder,
    StudyRuns,
    too_few,
)
from archbench.contracts.values import MAX_RATE, TAG_PREFIX, BatchTokens, Rate, Tokens, one_or_several, rising
from archbench.results.runs import RunRecord
from archbench.studies.batch_scan.section import BatchSection
from archbench.studies.settings import MIN_POINTS, NoiseScaleSettings, TextStudyConfig

_POWER = {"same": 0.0, "sqrt": 0.5, "linear": 1.0}
NOISE = "noise_scale"
"""Under this name stand the measurements of gradient noise, which are no study of their own in the spec."""


def _rate_rule_form(value: Any) -> str:
    return f"{TAG_PREFIX}{'several' if isinstance(value, list | tuple) else 'rule'}"


class BatchScanConfig(TextStudyConfig, NoiseScaleSettings):
    """B_crit: what larger batches save in steps and cost in tokens."""

    analysis_order: ClassVar[int] = 400
    sections: ClassVar[tuple[type[ReportSection], ...]] = (BatchSection,)
    summary: ClassVar[str] = "B_crit: what larger batches save in steps and cost in tokens"

    kind: Literal["batch_scan"] = "batch_scan"
    batch_tokens: Annotated[list[BatchTokens], Field(min_length=2, max_length=MAX_CELLS), AfterValidator(rising)]
    """Tokens per optimiser step, each a multiple of the context."""
    tokens: Annotated[
        Annotated[Tokens, Tag(f"{TAG_PREFIX}one")]
        | Annotated[list[Tokens], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
        Discriminator(one_or_several),
    ]
    """Tokens that each run sees, or one number for each batch: larger batches need more to reach the same loss."""
    learning_rate: Annotated[
        Annotated[Literal["sqrt", "linear", "same"], Tag(f"{TAG_PREFIX}rule")]
        | Annotated[list[Rate], Field(min_length=1, max_length=MAX_CELLS), Tag(f"{TAG_PREFIX}several")],
        Discriminator(_rate_rule_form),
    ] = "sqrt"
    """The spec's rate belongs to the spec's batch; at another one it is scaled by this power of the ratio (`sqrt`:
    Malladi et al. 2022 for Adam; `linear`: Goyal et al. 2017 for SGD), left as it is, or given, one a batch."""

    targets_nats: Annotated[list[PositiveFloat], Field(max_length=MAX_CELLS)] = Field(default_factory=list)
    """Losses at which batches are compared; chosen from what the runs reach if none is given."""

    @model_validator(mode="after")
    def _one_a_batch(self) -> Self:
        for name in ("tokens", "learning_rate"):
            given = getattr(self, name)
            if isinstance(given, list) and len(given) != len(self.batch_tokens):
                raise ValueError(
                    f"{name} has {len(given)} entries for {len(self.batch_tokens)} batches; give one for each"
                )
        return self

    def shortcomings(self, num_sizes: int) -> Iterator[str]:
        """Too few batches."""
        return too_few(len(self.batch_tokens), MIN_POINTS, "size of batch", "S_min and E_min")

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """One run a size, batch and seed."""
        for index, batch_tokens in enumerate(self.batch_tokens):
            ladder.require_rows(batch_tokens, "batch_tokens", index)
        for rung in ladder.rungs(self.sizes):
            for index, batch_tokens in enumerate(self.batch_tokens):
                several = isinstance(self.tokens, list)
                tokens = self.tokens[index] if isinstance(self.tokens, list) else self.tokens
                for seed in range(self.seeds):
                    yield replace(
                        self.asked(ladder, rung, seed, tokens, *(("tokens", index) if several else ("tokens",))),
                        text=self.text,
                        batch_tokens=batch_tokens,
                        peak_learning_rate=self._rate(ladder, rung, index),
                        noise_scale_every=self.noise_scale_every,
                    )

    def _rate(self, ladder: StudyLadder, rung: Rung, index: int) -> float:
        if isinstance(self.learning_rate, list):
            return self.learning_rate[index]
        ratio = self.batch_tokens[index] / ladder.batch_tokens(rung)
        rate = ladder.learning_rate(rung, self.text) * float(ratio ** _POWER[self.learning_rate])
        if rate > MAX_RATE:
            raise ladder.error(
                f"gives {rate:.3g} at a batch of {self.batch_tokens[index]:,} tokens, expected at most {MAX_RATE:g}; "
                "choose same, or list a rate for each batch",
                "learning_rate",
            )
        return rate

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """B_crit of each contender, and the others' over the baseline's; shared as `ScannedBatches`."""
        from archbench.studies.batch_scan.contenders import study_contenders

        return study_contenders(runs, self.targets_nats)


class NoiseScaleConfig(StudyConfig):
    """The gradient noise scale of every run that measured it, whatever study it belongs to."""

    analysis_order: ClassVar[int] = 800
    in_specs: ClassVar[bool] = False
    summary: ClassVar[str] = "gradient noise scale of every run that measured it"

    kind: Literal["noise_scale"] = "noise_scale"

    @classmethod
    def implied_by(cls, spec: Mapping[str, Any]) -> Mapping[str, Self]:
        """Every scan."""
        return {NOISE: cls()}

    def requests(self, ladder: StudyLadder) -> Iterator[RunRequest]:
        """None: `evaluation.noise_scale_every` and other studies have it measured."""
        return iter(())

    def analyse(self, runs: StudyRuns) -> StudyAnalysis:
        """The measurements of each contender that has some, beside the B_crit of its batch scan."""
        from archbench.studies.batch_scan.contenders import ScannedBatches
        from archbench.studies.batch_scan.noise_scale import study_noise
        from archbench.studies.text import law_sentences

        batches = {one.contender: one.samples for one in runs.shared(ScannedBatches)}
        measured: dict[str, list[RunRecord]] = {}
        for record in runs.records:
            if record.noise_scale and record.usable:
                measured.setdefault(record.contender, []).append(record)
        results = tuple(
            study_noise(contender, records, batches.get(contender), seed=runs.seed)
            for contender, records in measured.items()
        )
        said = [line for one in results for line in law_sentences(one, [("B_simple(L)", one.law)])]
        return StudyAnalysis(results, tuple(said))
