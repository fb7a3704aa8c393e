"""From a spec to its runs: every number resolved, every problem found before anything is trained."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archbench.contracts.values import Loc
from archbench.data.cache import Report
from archbench.data.corpus import Corpus
from archbench.errors import PluginError, in_one_line
from archbench.host import Host
from archbench.results.runs import RunRecord
from archbench.runs.store import RunStore, ScanIndex
from archbench.scans.controls import control_runs
from archbench.scans.environment import describe_environment
from archbench.scans.planned_run import PendingRuns, PlannedRun
from archbench.scans.run_planner import RunPlanner, require_whole_rows
from archbench.scans.size_scan import ladder, size_scan
from archbench.scans.study_checks import check_evaluated_texts, check_studies, study_warnings
from archbench.scans.study_runs import evaluated_texts, study_runs
from archbench.scans.texts import prepared_texts
from archbench.scans.tuning import check_tuning, tuned_size_scan
from archbench.spec.identity import ORDERS_WITH_MEMORY
from archbench.spec.models import Contender, Spec
from archbench.spec.rates import TunedRate, given_batch
from archbench.training.zero_stage import unserved_stage
from archbench.units import counted, human_count

MANY_EPOCHS = 4.0
"""Up to about four epochs, repeated text serves nearly as well as new text (Muennighoff et al. 2023, section 5)."""

MIN_SIZES_FOR_A_LAW = 4

DEAR_EVALUATION = 0.1
"""Share of a run's compute from which on an evaluation at its end is worth a word."""
_AFFORDABLE = 0.1
"""Tokens of it over those of the smallest run, of whose compute it then takes a thirtieth."""


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """All runs of a scan."""

    index: ScanIndex
    runs: tuple[PlannedRun, ...]
    corpora: Mapping[str, Corpus]
    """By the name of the text."""
    pending: tuple[PendingRuns, ...] = ()
    """What another plan, made when these runs have ended, will add."""
    dear: tuple[str, ...] = ()
    """What costs more than it need; no matter for a reader of the results."""
    published: tuple[RunRecord, ...] = ()
    """Runs of contenders that are published entries: data, in the index with the others, and never trained."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever has it carried out should know: what a reader of the results should, and what is dear."""
        return *self.index.warnings, *self.dear

    def distinct_runs(self) -> tuple[PlannedRun, ...]:
        """The runs, each once: those that contenders or studies share leave behind what each of them needs."""
        distinct: dict[str, PlannedRun] = {}
        for run in self.runs:
            known = distinct.get(run.run_id)
            distinct[run.run_id] = run if known is None else known.merged(run)
        return tuple(distinct.values())


def plan_scan(
    spec: Spec,
    host: Host,
    *,
    cache_dir: Path,
    store: RunStore | None = None,
    report: Callable[[str], None] = lambda line: None,
    texts: Callable[[Spec, Path, Report], Mapping[str, Corpus]] = prepared_texts,
) -> ScanPlan:
    """Plans all runs of `spec` that the ended runs in `store` let it decide; nothing is trained.

    Text is prepared, or taken from `cache_dir`; or it is what `texts` gives instead. What waits for runs that have not
    ended is in the plan's `pending`: plan again when they have. The same store gives the same plan. Raises SpecError,
    DataError or PluginError, in one line with the place in the spec, where it cannot be carried out.
    """
    _check_protocol(spec)
    corpora = texts(spec, cache_dir, report)
    runs: list[PlannedRun] = []
    pending: list[PendingRuns] = []
    for contender in spec.contenders:
        for text, corpus in corpora.items():
            planner = RunPlanner(spec, contender, corpus, host, store, evaluated=evaluated_texts(spec, corpora))
            planner.check_text()
            if text == spec.data.name:
                known, waiting = _apart(_scan_of(planner))
                runs += known
                pending += waiting
    known, waiting = _apart(control_runs(spec, corpora, host, store, tuple(runs)))
    runs += known
    pending += waiting
    known, waiting = _apart(study_runs(spec, corpora, host, store))
    runs += known
    pending += waiting
    index = ScanIndex(
        name=spec.name,
        description=spec.description,
        baseline=spec.baseline,
        runs=tuple(run.indexed() for run in runs),
        spec=spec.resolved(),
        environment=describe_environment(spec, host, corpora),
        warnings=tuple(_warnings(spec, runs)),
    )
    return ScanPlan(index, tuple(runs), corpora, tuple(pending), tuple(_dear_evaluations(runs, corpora)))


def _scan_of(planner: RunPlanner) -> Iterable[PlannedRun | PendingRuns]:
    """The size scan of one contender, its rates as given or tuned; nothing where the ladder serves studies alone."""
    if not planner.spec.scan.trained:
        ladder(planner)  # its shapes are checked all the same
        return ()
    rate = planner.contender.recipe.section.learning_rate
    return tuned_size_scan(planner, rate.tune) if isinstance(rate, TunedRate) else size_scan(planner)


def _apart(planned: Iterable[PlannedRun | PendingRuns]) -> tuple[list[PlannedRun], list[PendingRuns]]:
    """Runs that can be carried out now, and those that wait for others."""
    runs: list[PlannedRun] = []
    pending: list[PendingRuns] = []
    for one in planned:
        if isinstance(one, PendingRuns):
            pending.append(one)
        else:
            runs.append(one)
    return runs, pending


def _check_protocol(spec: Spec) -> None:
    """What can be judged without text: cheap, hence first."""
    training, sizes = spec.training, spec.scan.sizes
    for index in range(1, len(sizes)):
        if sizes[index] <= sizes[index - 1]:
            raise spec.error(
                ("scan", "sizes", index), f"got {sizes[index]:g} after {sizes[index - 1]:g}; sizes must rise"
            )
    lists: list[tuple[Loc, Any]] = [(("training", "batch_tokens"), training.batch_tokens)]
    recipes = [spec.recipe, *(contender.recipe for contender in spec.contenders)]
    lists += [(recipe.loc("learning_rate"), recipe.section.learning_rate) for recipe in recipes]
    for loc, given in lists:
        if isinstance(given, list) and len(given) != len(sizes):
            raise spec.error(loc, f"has {len(given)} entries for {len(sizes)} sizes; give one for each")
    for recipe in recipes:
        check_tuning(spec, recipe)
    for index, size in enumerate(sizes):
        _check_batch(spec, index, size)
    _check_matching(spec)
    _check_chain(spec)
    for contender in spec.contenders:
        _check_pairing(spec, contender)
        _check_stage(spec, contender)
    check_evaluated_texts(spec)
    check_studies(spec)


def _check_matching(spec: Spec) -> None:
    """Whether there is a baseline to match, and shapes that are free to."""
    if spec.scan.match == "parameters":
        return
    loc: Loc = ("scan", "match")
    if spec.baseline is None:
        raise spec.error(loc, f"got {spec.scan.match}, but no `baseline` says which contender's cost is to be matched")
    for contender in spec.contenders:
        if contender.start:
            raise spec.error(loc, f"{contender.name!r} starts from saved models of given shapes; leave match out")


def _check_chain(spec: Spec) -> None:
    """Whether the steps of `decompose` have losses that compare."""
    tracks = {contender.name: contender.objective.track for contender in spec.contenders}
    # Of published entries the track is held against theirs when these are read.
    first = next((name for name in spec.decompose if name in tracks), "")
    for index, name in enumerate(spec.decompose):
        if name in tracks and tracks[name] != tracks[first]:
            raise spec.error(
                ("decompose", index),
                f"{name!r} is of track {tracks[name]}, {first!r} of {tracks[first]}: their losses do not compare",
            )


def _check_batch(spec: Spec, size_index: int, size: float) -> None:
    """Whether the batch of a size is made of whole rows, and these of whole micro-batches."""
    training = spec.training
    loc: Loc = ("training", "batch_tokens")
    if isinstance(training.batch_tokens, list):
        loc = (*loc, size_index)
    batch_tokens = given_batch(training.batch_tokens, size_index, size, training.seq_len)
    require_whole_rows(spec, batch_tokens, loc)
    _check_execution(spec, batch_tokens // training.seq_len)


def _check_execution(spec: Spec, rows: int) -> None:
    """Whether ranks and micro-batches divide the `rows` of a batch, and the ZeRO stage has ranks to divide among."""
    execution = spec.execution
    nproc, micro, stage = execution.nproc, execution.fixed_micro_batch_rows, execution.zero_stage
    if rows % nproc:
        fitting = max(count for count in range(1, nproc) if rows % count == 0)
        raise spec.error(
            ("execution", "nproc"),
            f"got {nproc}, which does not divide the {rows} rows of a batch; choose {fitting}, or another batch_tokens",
        )
    if micro is not None and rows // nproc % micro:
        whose = (
            f"the {rows} rows of a batch"
            if nproc == 1
            else f"the {rows // nproc} rows that each of {nproc} ranks takes"
        )
        raise spec.error(("execution", "micro_batch_rows"), f"got {micro}, which does not divide {whose}")
    if stage == 3 and nproc == 1:
        raise spec.error(
            ("execution", "zero_stage"), "got 3, but one process has nobody to share its parameters with; choose 0 to 2"
        )


def _check_stage(spec: Spec, contender: Contender) -> None:
    """Whether the contender's optimizer serves the stage of ZeRO that is asked for."""
    recipe = contender.recipe
    problem = unserved_stage(recipe.optimizer.config, recipe.section.precision, spec.execution.zero_stage)
    if problem is not None:
        loc, why = problem
        raise spec.error(loc, f"{contender.name}: {why}")


def _check_pairing(spec: Spec, contender: Contender) -> None:
    """Whether the architecture can serve the objective, and the data both."""
    loc = ("contenders", contender.name)
    architecture, objective = contender.architecture, contender.objective
    if objective.attention not in architecture.attention_modes:
        offered = ", ".join(sorted(architecture.attention_modes))
        raise spec.error(
            loc,
            f"architecture {architecture.kind!r} attends {offered} only, objective {objective.kind!r} "
            f"needs {objective.attention}; choose another objective",
        )
    try:
        problem = architecture.unsupported(objective.attention)
    except PluginError:
        raise
    except Exception as error:  # the plug-in's own code
        raise PluginError(
            f"architecture {architecture.kind!r} failed when asked for {objective.attention} attention: "
            f"{in_one_line(error)}"
        ) from error
    if problem is not None:
        raise spec.error((*loc, "architecture"), f"{contender.name}: {problem}")
    if objective.needs_token_types and not architecture.has_token_types:
        raise spec.error(
            loc,
            f"objective {objective.kind!r} needs token types, which architecture {architecture.kind!r} lacks; "
            "choose another objective or architecture",
        )
    if architecture.carries_state and spec.data.order not in ORDERS_WITH_MEMORY:
        raise spec.error(
            ("data", "order"),
            f"got {spec.data.order!r}, but {contender.name!r} carries memory; choose passages or stream",
        )
    if not 0 < objective.stride(spec.training.seq_len) <= spec.training.seq_len:
        raise spec.error(
            ("training", "seq_len"),
            f"got {spec.training.seq_len}, which leaves no room for text beside the special tokens of "
            f"{objective.kind!r}; choose a larger one",
        )


def _dear_evaluations(runs: list[PlannedRun], corpora: Mapping[str, Corpus]) -> Iterator[str]:
    """That the evaluation at the end takes more than its share; a forward pass is a third of a training step."""
    held_out = {corpus.corpus_hash: corpus.statistics.validation_tokens for corpus in corpora.values()}
    shares = []
    for run in runs:
        identity = run.plan.identity
        final_tokens = identity.evaluation.final_tokens
        if final_tokens is not None:
            texts = (identity.data.corpus_hash, *identity.data.also_validated)
            read = sum(held_out[one] if final_tokens == "all" else min(final_tokens, held_out[one]) for one in texts)
            shares.append(read / (3.0 * run.tokens))
    if shares and max(shares) > DEAR_EVALUATION:
        yield (
            f"the evaluation at the end takes {100 * max(shares):.0f} % of the compute of a run's training; a smaller "
            f"evaluation.final_tokens, of as little as {human_count(_AFFORDABLE * min(run.tokens for run in runs))}, "
            "takes less and leaves a larger error from the choice of text"
        )


def _warnings(spec: Spec, runs: list[PlannedRun]) -> Iterator[str]:
    # A run that is stopped when it no longer improves may be allowed many epochs, and takes as many as help.
    epochs = max((run.epochs for run in runs if run.plan.identity.training.early_stopping is None), default=0.0)
    if epochs > MANY_EPOCHS:
        yield f"the training text is read {epochs:.1f} times; beyond about {MANY_EPOCHS:g}, repeated text helps less"
    if spec.scan.trained and len(spec.scan.sizes) < MIN_SIZES_FOR_A_LAW:
        yield f"{counted(len(spec.scan.sizes), 'size')}: a law needs at least {MIN_SIZES_FOR_A_LAW} to be trusted"
    for contender in spec.contenders:
        if remark := contender.architecture.planning_remark():
            yield f"{contender.name}: {remark}"
    yield from study_warnings(spec)
