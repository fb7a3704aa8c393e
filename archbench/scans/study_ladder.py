"""The ladder of one contender, as studies plan on it, and the runs that they ask for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archbench.contracts.study import Rung, RunRequest, StudyLadder
from archbench.contracts.values import Loc
from archbench.errors import ArchbenchError
from archbench.results.runs import CostAxis
from archbench.scans.planned_run import PlannedRun
from archbench.scans.run_planner import RunPlanner, require_whole_rows
from archbench.spec.models import Spec


@dataclass(frozen=True, slots=True)
class ContenderLadder(StudyLadder):
    """The ladder for one study of one contender."""

    name: str
    """Of the study."""
    planners: Mapping[str, RunPlanner]
    """By the name of the text."""
    _planned: dict[RunRequest, PlannedRun] = field(default_factory=dict)

    @property
    def study(self) -> str:
        """Its name in the spec."""
        return self.name

    @property
    def seq_len(self) -> int:
        """`training.seq_len`."""
        return self._spec.training.seq_len

    @property
    def one_batch(self) -> bool:
        """Whether `training.batch_tokens` is a number."""
        return isinstance(self._spec.training.batch_tokens, int)

    def rungs(self, sizes: Sequence[float] | None = None) -> list[Rung]:
        """The rungs of `sizes`, which are known to be in the spec's ladder; all where none is named."""
        known = self._spec.scan.sizes
        return [Rung(known.index(size), size) for size in sizes or known]

    def flops_per_token(self, rung: Rung, axis: CostAxis, text: str | None = None) -> float:
        """As the rung's facts have it."""
        _, facts = self._planner(text).shape(rung.size_index, rung.size)
        return facts.kaplan_flops_per_token if axis is CostAxis.KAPLAN else facts.exact_flops_per_token

    def learning_rate(self, rung: Rung, text: str | None = None) -> float:
        """As `RunPlanner.learning_rate`."""
        planner = self._planner(text)
        _, facts = planner.shape(rung.size_index, rung.size)
        return planner.learning_rate(rung.size_index, facts.non_embedding_params)

    def batch_tokens(self, rung: Rung) -> int:
        """As `RunPlanner.batch_tokens`."""
        return self._planner(None).batch_tokens(rung.size_index, rung.size)

    def require_rows(self, batch_tokens: int, *place: str | int) -> None:
        """Raises SpecError where the batch is not made of whole rows, or ranks and micro-batches do not divide it."""
        require_whole_rows(self._spec, batch_tokens, self._loc(*place))
        execution = self._spec.execution
        share = execution.nproc * (execution.fixed_micro_batch_rows or 1)
        if batch_tokens // self.seq_len % share:
            raise self._spec.error(
                self._loc(*place),
                f"has {batch_tokens // self.seq_len} rows, which execution.nproc times execution.micro_batch_rows, "
                f"{share}, does not divide; choose a multiple of {share * self.seq_len} tokens",
            )

    def error(self, problem: str, *place: str | int) -> ArchbenchError:
        """An error about a place of the study's section that names the contender."""
        return self._planner(None).error(self._loc(*place), problem)

    def plan(self, requests: Iterator[RunRequest]) -> Iterator[PlannedRun]:
        """The runs that are asked for. Raises as `RunPlanner.plan`, and ValueError for what no study may ask.

        A subset must hold one batch and must not be larger than the text; one that is all of it is the text itself,
        so that the run is the one that a scan without subsets would train.
        """
        for request in requests:
            yield self._plan(request)

    def _plan(self, request: RunRequest) -> PlannedRun:
        planner = self._planner(request.text)
        subset, available = request.subset_tokens, planner.corpus.unique_tokens
        if subset is not None and subset > available:
            raise planner.error(
                request.budget_loc,
                f"got {subset:,} tokens, but {request.text or self._spec.data.name} has {available:,} tokens of "
                "training text; lower it or add text",
            )
        if request.seq_len is not None:
            self._check_context(planner, request)
        chosen = replace(request, study=self.name, subset_tokens=None if subset == available else subset)
        start = None
        if request.start is not None:
            start = self._planned.get(request.start)
            if start is None:
                raise ValueError("asks for a run that begins from one that was not asked for before it")
        also_validated = tuple(self._planner(text).corpus for text in request.also_validated)
        run = planner.plan(chosen, start=start, also_validated=also_validated)
        self._check_batch(planner, run, request.budget_loc)
        self._planned[request] = run
        return run

    @property
    def _spec(self) -> Spec:
        return next(iter(self.planners.values())).spec

    def _planner(self, text: str | None) -> RunPlanner:
        name = text or self._spec.data.name
        if name not in self.planners:
            raise ValueError(f"asks for the text {name!r}, which its named_texts do not name and the spec has not")
        return self.planners[name]

    def _loc(self, *parts: str | int) -> Loc:
        return ("studies", self.name, *parts)

    def _check_context(self, planner: RunPlanner, request: RunRequest) -> None:
        """Whether rows of a context of the study's own make up a batch."""
        batch_tokens = request.batch_tokens or planner.batch_tokens(request.size_index, request.size)
        execution = self._spec.execution
        share = execution.nproc * (execution.fixed_micro_batch_rows or 1) * (request.seq_len or 1)
        if batch_tokens % share:
            raise planner.error(
                self._loc(),
                f"rows of {request.seq_len} tokens do not make up a batch of {batch_tokens:,}; choose contexts of "
                f"which {batch_tokens:,} tokens are a multiple",
            )

    def _check_batch(self, planner: RunPlanner, run: PlannedRun, loc: Loc) -> None:
        objective, identity = planner.contender.objective, run.plan.identity
        seq_len = identity.dims.seq_len
        needed = identity.training.batch_tokens // seq_len * objective.stride(seq_len) + objective.lookahead
        unique = run.plan.facts.unique_tokens
        if unique < needed:
            raise planner.error(
                loc, f"{unique:,} tokens of text are less than one batch, which needs {needed:,}; raise it"
            )
