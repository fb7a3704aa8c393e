"""The ladders of a question's controls: every size, budget and seed as the baseline has them, at its rates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archbench.data.corpus import Corpus
from archbench.host import Host
from archbench.results.runs import CONTROL, RESULT, SIZE_SCAN
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PendingRuns, PlannedRun
from archbench.scans.run_planner import RunPlanner
from archbench.scans.size_scan import ladder, result_runs
from archbench.scans.study_runs import evaluated_texts
from archbench.spec.models import Spec


def control_runs(
    spec: Spec, corpora: Mapping[str, Corpus], host: Host, store: RunStore | None, runs: Sequence[PlannedRun]
) -> Iterator[PlannedRun | PendingRuns]:
    """The runs of every control of `spec`; those of a size whose rate the baseline's trials have not decided wait.

    corpora: by the name of the text. runs: those of the contenders. Raises as `RunPlanner.plan`.
    """
    rates = {
        run.size_index: run.plan.identity.training.peak_learning_rate
        for run in runs
        if (run.contender, run.study, run.role) == (spec.baseline, SIZE_SCAN, RESULT)
    }
    for control in spec.controls:
        evaluated = evaluated_texts(spec, corpora)
        planner = RunPlanner(spec, control, corpora[spec.data.name], host, store, evaluated=evaluated)
        count, flops = 0, 0.0
        for rung in ladder(planner):
            if rung.size_index in rates:
                for run in result_runs(planner, rung, rates[rung.size_index]):
                    yield replace(run, role=CONTROL)
                continue
            seeds = spec.scan.seeds.count(rung.size_index)
            count += seeds * len(rung.budgets)
            flops += seeds * sum(tokens for tokens, _ in rung.budgets) * rung.facts.exact_flops_per_token
        if count:
            yield PendingRuns(f"{control.name}: runs at rates that the baseline's trials decide", count, flops)
