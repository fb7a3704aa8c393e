"""A run as it was planned, with its place in the scan; and runs that cannot be planned yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archbench.results.runs import RESULT, SIZE_SCAN
from archbench.runs.store import IndexedRun
from archbench.spec.identity import Branch, RunPlan


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run and its place in the scan."""

    contender: str
    size_index: int
    plan: RunPlan
    run_id: str
    study: str = SIZE_SCAN
    role: str = RESULT
    labels: Mapping[str, str] = field(default_factory=dict)
    one_of_budgets: bool = False
    """Whether its size is trained on several token budgets, so that its name must hold its own."""

    @property
    def after(self) -> tuple[str, ...]:
        """Ids of the runs whose weights or steps it takes up: they must have ended before it is submitted."""
        start, branch = self.plan.identity.start, self.plan.execution.branch_from
        begins = (start.run_id if start else None, branch.run_id if branch else None)
        return tuple(run_id for run_id in begins if run_id is not None)

    @property
    def seed(self) -> int:
        """Of the initial weights, and of what the objective draws."""
        return self.plan.identity.seed

    @property
    def tokens(self) -> int:
        """D: tokens seen."""
        return self.plan.identity.training.total_tokens

    @property
    def epochs(self) -> float:
        """Times that the training text is read."""
        return self.tokens / self.plan.facts.unique_tokens

    @property
    def exact_flops(self) -> float:
        """FLOPs executed in training."""
        return self.plan.facts.exact_flops_per_token * self.tokens

    @property
    def own_flops(self) -> float:
        """Of these, what remains where the first steps are taken from another run."""
        branch = self.plan.execution.branch_from
        shared = branch.step / self.plan.identity.training.total_steps if branch else 0.0
        return self.exact_flops * (1.0 - shared)

    @property
    def kaplan_flops(self) -> float:
        """6·N·D."""
        return self.plan.facts.kaplan_flops_per_token * self.tokens

    def indexed(self) -> IndexedRun:
        """The run as the scan's index names it."""
        return IndexedRun(
            contender=self.contender,
            size_index=self.size_index,
            seed=self.seed,
            run_id=self.run_id,
            study=self.study,
            role=self.role,
            labels=dict(self.labels),
        )

    def branching_off(self, trunk: "PlannedRun", step: int) -> "PlannedRun":
        """This run, with its first `step` steps taken from `trunk` where they are the same."""
        execution = self.plan.execution.model_copy(update={"branch_from": Branch(run_id=trunk.run_id, step=step)})
        return replace(self, plan=self.plan.model_copy(update={"execution": execution}))

    def keeping(self, steps: tuple[int, ...]) -> "PlannedRun":
        """This run, with the checkpoints of `steps` kept for others to branch off."""
        execution = self.plan.execution.model_copy(update={"keep_steps": steps})
        return replace(self, plan=self.plan.model_copy(update={"execution": execution}))

    def merged(self, other: "PlannedRun") -> "PlannedRun":
        """This run under what it and `other`, the same run asked for by another study, must leave behind."""
        mine, theirs = self.plan.execution, other.plan.execution
        execution = mine.model_copy(
            update={
                "keep_weights": mine.keep_weights or theirs.keep_weights,
                "keep_steps": tuple(sorted({*mine.keep_steps, *theirs.keep_steps})),
                "branch_from": mine.branch_from or theirs.branch_from,
                "other_corpora": {**mine.other_corpora, **theirs.other_corpora},
            }
        )
        return replace(self, plan=self.plan.model_copy(update={"execution": execution}))


@dataclass(frozen=True, slots=True)
class PendingRuns:
    """Runs that can be planned only when others have ended."""

    what: str
    """What they are and what they wait for, in words."""
    count: int
    """Runs to train; none where trials that have ended will be results."""
    exact_flops: float
    """Of all of them together."""
