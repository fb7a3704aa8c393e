"""What every study is planned on: its place in the spec, one contender, and a planner for each text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archbench.errors import ArchbenchError
from archbench.scans.planned_run import PlannedRun
from archbench.scans.run_planner import RunPlanner, RunRequest, require_whole_rows
from archbench.spec.models import Spec
from archbench.spec.yaml_loader import Loc


@dataclass(frozen=True, slots=True)
class Rung:
    """One size of the spec's ladder."""

    size_index: int
    """Its number in `scan.sizes`, whatever sizes the study takes."""
    size: float
    """Target number of non-embedding parameters."""


@dataclass(frozen=True, slots=True)
class StudyGround:
    """One study of one contender."""

    name: str
    planners: Mapping[str, RunPlanner]
    """By the name of the text."""

    @property
    def spec(self) -> Spec:
        """The spec that the study stands in."""
        return next(iter(self.planners.values())).spec

    def loc(self, *parts: str | int) -> Loc:
        """A place in the study's section."""
        return ("studies", self.name, *parts)

    def planner(self, text: str | None) -> RunPlanner:
        """The planner on `text`, or on the text of the scan."""
        return self.planners[text or self.spec.data.name]

    def error(self, loc: Loc, problem: str) -> ArchbenchError:
        """An error about the place `loc` of the spec that names the contender."""
        return self.planner(None).error(loc, problem)

    def require_rows(self, batch_tokens: int, loc: Loc) -> None:
        """Raises SpecError at `loc` where a batch of the study's own is not made of whole rows, or cannot be cut."""
        require_whole_rows(self.spec, batch_tokens, loc)
        seq_len, execution = self.spec.training.seq_len, self.spec.execution
        share = execution.nproc * (execution.fixed_micro_batch_rows or 1)
        if batch_tokens // seq_len % share:
            raise self.spec.error(
                loc,
                f"has {batch_tokens // seq_len} rows, which execution.nproc times execution.micro_batch_rows, {share}, "
                f"does not divide; choose a multiple of {share * seq_len} tokens",
            )

    def rungs(self, sizes: Sequence[float] | None) -> list[Rung]:
        """The rungs of `sizes`, which are known to be in the spec's ladder; all where none is named."""
        known = self.spec.scan.sizes
        return [Rung(known.index(size), size) for size in sizes or known]

    def request(self, rung: Rung, seed: int, tokens: float, *place: str | int) -> RunRequest:
        """A run of `rung` on `tokens`, which the study's section asks for at `place`; all else as the spec has it."""
        return RunRequest(
            size_index=rung.size_index,
            size=rung.size,
            tokens=tokens,
            seed=seed,
            loc=self.loc("sizes"),
            budget_loc=self.loc(*place),
        )

    def plan(self, text: str | None, request: RunRequest) -> PlannedRun:
        """The run that `request` asks for on `text`, as one of this study. Raises as `RunPlanner.plan`.

        A subset must hold one batch and must not be larger than the text; one that is all of it is the text itself,
        so that the run is the one that a scan without subsets would train.
        """
        planner = self.planner(text)
        subset, available = request.subset_tokens, planner.corpus.unique_tokens
        if subset is not None and subset > available:
            raise planner.error(
                request.budget_loc,
                f"got {subset:,} tokens, but {text or self.spec.data.name} has {available:,} tokens of training text; "
                "lower it or add text",
            )
        run = planner.plan(replace(request, study=self.name, subset_tokens=None if subset == available else subset))
        self._check_batch(planner, run, request.budget_loc)
        return run

    def _check_batch(self, planner: RunPlanner, run: PlannedRun, loc: Loc) -> None:
        objective, seq_len = planner.contender.objective, self.spec.training.seq_len
        batch_tokens = run.plan.identity.training.batch_tokens
        needed = batch_tokens // seq_len * objective.stride(seq_len) + objective.lookahead
        unique = run.plan.facts.unique_tokens
        if unique < needed:
            raise planner.error(
                loc, f"{unique:,} tokens of text are less than one batch, which needs {needed:,}; raise it"
            )
