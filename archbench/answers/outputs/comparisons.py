"""What `--json` prints of comparisons: compare, report."""

from dataclasses import dataclass, field

from archbench.results.controls import Collapse, ControlOutcome
from archbench.results.fits import Comparison, ComparisonAt, QuestionAnswer
from archbench.results.reference_lines import end_place, is_on_plateau, plateau_share
from archbench.results.runs import RunRecord


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where the last loss of a run stands between the losses of n-gram models of the text that it saw."""

    contender: str
    size_index: int
    """Rung of the ladder, 0 for the smallest."""
    seed: int
    run_id: str
    loss_nats: float
    reference_lines: dict[str, float]
    """unigram, bigram, trigram; of masked runs unigram, neighbours; empty where they are not known."""
    place: str
    """In words, as `24 % of the way from pairs to triples`; unknown without lines."""
    on_plateau: bool | None
    """Whether it lies on or above the line of pairs; null where that is not known."""
    plateau_share: float | None
    """Share of its tokens within a tenth of a step about that line."""

    @staticmethod
    def of(run: RunRecord) -> "RunPlace":
        """The place of a run that is usable."""
        loss, lines = run.final_loss_nats, run.reference_lines
        assert loss is not None, "a usable run has a loss"
        on, share = is_on_plateau(loss, lines), plateau_share(run)
        return RunPlace(
            run.contender, run.size_index, run.seed, run.run_id, loss, dict(lines), end_place(run), on, share
        )


@dataclass(frozen=True, slots=True)
class CompareOutput:
    """`archbench compare`."""

    scans: list[str]
    sentence: str
    """The verdict in one sentence, as every output says it."""
    comparisons: list[Comparison]
    """One for each cost axis."""
    places: list[ComparisonAt] = field(default_factory=list)
    """What was asked for by --at-cost and --at-loss, on each axis."""
    mind: list[str] = field(default_factory=list)
    """What they must be read with: runs that different arithmetic computed, or the best of unequal sweeps."""
    controls: list[ControlOutcome] = field(default_factory=list)
    """What the controls of the scan's question came to; where one failed, no answer may be relied on."""

    runs: list[RunPlace] = field(default_factory=list)
    """Every run that is used."""


@dataclass(frozen=True, slots=True)
class ReportOutput:
    """`archbench report`."""

    report: str
    """Path of the Markdown."""
    page: str
    """Path of the same as one file of HTML."""
    sentence: str
    """The verdict in one sentence, as every output says it."""
    verdict: list[str]
    """Its detail, a line each: controls, contenders against the baseline, tiers, studies."""
    mind: list[str]
    """What the verdict must be read with."""
    answers: dict[str, QuestionAnswer] = field(default_factory=dict)
    """To the question of the spec, by contender, on the verdict's axis or that of the question."""
    controls: list[ControlOutcome] = field(default_factory=list)
    """What the question's controls came to; where one failed, no answer may be relied on."""
    collapse: list[Collapse] = field(default_factory=list)
    """How far the normalised learning curves of each contender's sizes agree."""
