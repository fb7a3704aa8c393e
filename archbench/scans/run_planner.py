"""From one run that a study asks for to its plan: every number resolved, every problem named with its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from archbench.contracts.architecture import ModelDims
from archbench.contracts.matching import shape_of
from archbench.contracts.objective import trained_flops, trained_params
from archbench.contracts.schedule import ScheduleSettings
from archbench.contracts.study import RunRequest
from archbench.contracts.values import MAX_RATE, Loc
from archbench.data.batches import EvaluationBatches, TrainingBatches
from archbench.data.corpus import Corpus
from archbench.data.document_batches import DocumentBatches
from archbench.errors import ArchbenchError, DataError, PluginError, SpecError, in_one_line
from archbench.host import Host
from archbench.numerics import NUMERICS
from archbench.results.runs import SIZE_SCAN, RunRecord
from archbench.runs.files import DamagedFile
from archbench.runs.model_folder import ModelFolder
from archbench.runs.records import ENDED
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.scans.starting_models import starting_model
from archbench.spec.identity import (
    DataIdentity,
    EvaluationSettings,
    ExecutionSettings,
    RunFacts,
    RunIdentity,
    RunPlan,
    StartingPoint,
    TrainingSettings,
)
from archbench.spec.models import Contender, Spec, dump
from archbench.spec.rates import TunedRate, given_batch, given_rate
from archbench.spec.versions import required

MAX_STEPS = 10_000_000


def require_whole_rows(spec: Spec, batch_tokens: int, loc: Loc) -> None:
    """Raises SpecError at `loc` where a batch is not made of whole rows of the context."""
    seq_len = spec.training.seq_len
    if batch_tokens % seq_len:
        below = batch_tokens // seq_len * seq_len
        raise spec.error(
            loc,
            f"got {batch_tokens}, which is not a multiple of seq_len {seq_len}; "
            f"choose {f'{below} or ' if below else ''}{below + seq_len}",
        )


@dataclass(frozen=True, slots=True)
class RunPlanner:
    """Plans runs of one contender on one corpus."""

    spec: Spec
    contender: Contender
    corpus: Corpus
    host: Host
    store: RunStore | None = None
    """Where runs that have ended are found, for what depends on their outcome; None: as if none had."""
    numerics: int | None = None
    """Of archbench, where runs are planned as another version planned them; None: of this one."""
    evaluated: tuple[Corpus, ...] = ()
    """Of `evaluation.texts`: on their held-out text every run is evaluated at its end as well."""

    def plan(
        self, request: RunRequest, *, start: PlannedRun | None = None, also_validated: tuple[Corpus, ...] = ()
    ) -> PlannedRun:
        """The run that `request` asks for on the planner's text.

        start, also_validated: what the request names under these words. Raises SpecError, DataError or PluginError
        where it cannot be had.
        """
        dims, facts = self.shape(request.size_index, request.size, request.loc, request.seq_len)
        training = self._training(request, facts.non_embedding_params)
        unique_tokens = request.subset_tokens or self.corpus.unique_tokens
        starting_point, start_dir = self._start(request, start)
        also_validated = self._also_validated(also_validated)
        identity = RunIdentity(
            architecture=dump(self.contender.architecture),
            dims=dims,
            objective=dump(self.contender.objective),
            data=DataIdentity(
                corpus_hash=self.corpus.corpus_hash,
                order=self.spec.data.order,
                subset_tokens=request.subset_tokens,
                also_validated=tuple(corpus.corpus_hash for corpus in also_validated),
            ),
            training=training,
            evaluation=self._evaluation(request, training.batch_tokens),
            seed=request.seed,
            start=starting_point,
            numerics=NUMERICS if self.numerics is None else self.numerics,
            components=self.contender.components,
            libraries=self._libraries(),
        )
        self._check_start(request, start, dims)
        plan = RunPlan(
            identity=identity,
            facts=facts.model_copy(update={"unique_tokens": unique_tokens}),
            execution=self._execution(request, also_validated).model_copy(update={"start_dir": start_dir}),
        )
        return PlannedRun(
            contender=self.contender.name,
            size_index=request.size_index,
            plan=plan,
            run_id=identity.run_id,
            study=request.study,
            role=request.role,
            labels=request.labels,
        )

    def record(self, run: PlannedRun) -> RunRecord | None:
        """What `run` left behind, whether done, failed or diverged; None while it has not ended.

        A damaged record counts as none: the run is trained again.
        """
        if self.store is None:
            return None
        try:
            record = self.store.record(run.indexed())
        except DamagedFile:
            return None
        return record if record is not None and record.state in ENDED else None

    def shape(
        self, size_index: int, size: float, loc: Loc = ("scan", "sizes"), seq_len: int | None = None
    ) -> tuple[ModelDims, RunFacts]:
        """The rung nearest to `size` parameters, and what follows from it; errors as `plan`, at `loc` of the spec.

        seq_len: its context, where it is not the spec's.
        """
        with self._plugin_code(f"size {size:g}"):
            place: Loc = (*loc, size_index) if loc == ("scan", "sizes") else loc
            started = self._starting_model(size)
            dims = started[1] if started else self._dims(size, place, seq_len or self.spec.training.seq_len)
            return dims, self._facts(dims)

    def check_text(self) -> None:
        """Makes the first batches, so that too little text is found now and not by a worker. Raises DataError."""
        with self._plugin_code("its objective"):
            self._first_batches()

    def _dims(self, size: float, loc: Loc, seq_len: int) -> ModelDims:
        architecture = self.contender.architecture
        try:
            dims = shape_of(
                self.contender,
                size,
                like=self.spec.matched_to(self.contender),
                text_vocab_size=self.corpus.text_vocab_size,
                seq_len=seq_len,
            )
        except ValueError as error:
            raise self.error(loc, str(error)) from error
        problems = architecture.problems(dims)
        if problems:
            raise self.error(("contenders", self.contender.name, "architecture"), problems[0])
        return dims

    def _facts(self, dims: ModelDims) -> RunFacts:
        architecture, objective = self.contender.architecture, self.contender.objective
        params = trained_params(architecture, objective, dims)
        flops = trained_flops(architecture, objective, dims)
        fraction = objective.predicted_fraction(dims.seq_len)
        return RunFacts(
            track=objective.track,
            non_embedding_params=params.non_embedding,
            embedding_params=params.embedding,
            kaplan_flops_per_token=6.0 * params.active,
            exact_flops_per_token=flops.train(fraction),
            exact_flops_by_component={
                name: count * (fraction if name in flops.per_prediction else 1.0)
                for name, count in flops.components.items()
            },
            unique_tokens=self.corpus.unique_tokens,
            optimizer_bytes_per_param=self.contender.recipe.optimizer.config.state_bytes_per_param,
        )

    def _also_validated(self, asked: tuple[Corpus, ...]) -> tuple[Corpus, ...]:
        """What its study asks for, then the texts of the spec but the run's own, in an order that hangs on no name."""
        first = {one.corpus_hash: one for one in asked}
        texts = {one.corpus_hash: one for one in self.evaluated if one.corpus_hash != self.corpus.corpus_hash}
        return tuple({**first, **dict(sorted(texts.items()))}.values())

    def _evaluation(self, request: RunRequest, batch_tokens: int) -> EvaluationSettings:
        asked: dict[str, Any] = {"spacing": request.spacing, "noise_scale_every": request.noise_scale_every}
        # Texts stand in the run's data, by their hashes.
        changes: dict[str, Any] = {"texts": ()} | {name: value for name, value in asked.items() if value is not None}
        if request.early_stopping is not None:
            changes["final_tokens"] = None
        settings = self.spec.evaluation.model_copy(update=changes)
        if settings.noise_scale_every and batch_tokens < 2 * (request.seq_len or self.spec.training.seq_len):
            raise self.spec.error(
                request.loc if request.noise_scale_every else ("evaluation", "noise_scale_every"),
                f"gradient noise needs two rows in a batch, one of {batch_tokens:,} tokens has one; raise "
                "batch_tokens, or leave noise_scale_every at 0",
            )
        return settings

    def _training(self, request: RunRequest, num_params: int) -> TrainingSettings:
        batch_tokens = request.batch_tokens or self.batch_tokens(request.size_index, request.size)
        tokens, budget = request.tokens, request.budget_loc
        if not tokens / batch_tokens <= MAX_STEPS:
            steps = tokens / batch_tokens
            raise self.error(budget, f"{tokens:g} tokens are {steps:,.0f} steps; at most {MAX_STEPS:,} are possible")
        total_steps = max(1, round(tokens / batch_tokens))
        unique_tokens = request.subset_tokens or self.corpus.unique_tokens
        epochs = total_steps * batch_tokens / unique_tokens
        if epochs > self.spec.data.max_epochs and request.early_stopping is None:
            raise self.error(
                budget,
                f"{tokens:.3g} tokens are {epochs:.1f} epochs of the {unique_tokens:,} training tokens "
                f"there are; lower them, add text, or raise data.max_epochs ({self.spec.data.max_epochs:g})",
            )
        return TrainingSettings(
            batch_tokens=batch_tokens,
            total_steps=total_steps,
            peak_learning_rate=request.peak_learning_rate or self.learning_rate(request.size_index, num_params),
            schedule=self._schedule(request, batch_tokens, total_steps),
            optimizer=self._optimizer(batch_tokens),
            precision=self.contender.recipe.section.precision,
            early_stopping=request.early_stopping,
        )

    def _schedule(self, request: RunRequest, batch_tokens: int, total_steps: int) -> ScheduleSettings:
        """The schedule of a run, its warm-up in steps. Raises SpecError where that is none, or does not fit."""
        recipe = self.contender.recipe
        own = request.study == SIZE_SCAN and request.schedule is None
        place = recipe.schedule_loc() if own else request.budget_loc
        try:
            schedule = (request.schedule or recipe.section.schedule).at(request.size, batch_tokens)
        except ValueError as error:
            raise self.error(place, str(error)) from error
        if schedule.warmup_steps >= total_steps:
            raise self.error(
                place,
                f"{schedule.warmup_steps:,} steps of warm-up do not fit into a run of {total_steps}; "
                "shorten the warm-up or train longer",
            )
        return schedule

    def _optimizer(self, batch_tokens: int) -> dict[str, Any]:
        """The optimizer's settings at that batch, its laws as numbers. Raises SpecError where one gives none."""
        recipe = self.contender.recipe
        try:
            return dump(recipe.optimizer.at(batch_tokens))
        except ValueError as error:
            place = recipe.loc("optimizer", min(recipe.optimizer.laws, default="kind"))
            raise self.error(place, str(error)) from error

    def _libraries(self) -> dict[str, str]:
        try:
            return required(self.contender.libraries)
        except PluginError as error:
            raise PluginError(f"{self.contender.name}: {error}") from error

    def learning_rate(self, size_index: int, num_params: int) -> float:
        """The peak rate that the spec gives to a size. Raises SpecError where it is none."""
        recipe = self.contender.recipe
        rate, place = recipe.section.learning_rate, recipe.loc("learning_rate")
        if isinstance(rate, TunedRate):
            raise self.error(
                place,
                "is tuned for the scan's own runs; other studies need a number, a rule, a list or a power law here",
            )
        peak = given_rate(rate, size_index, num_params)
        if not 0.0 < peak <= MAX_RATE:
            raise self.error(
                place,
                f"gives {peak:.3g} at {num_params:,} parameters, expected a rate above 0 and up to {MAX_RATE:g}; "
                "give a number, a list or another law",
            )
        return peak

    def batch_tokens(self, size_index: int, size: float) -> int:
        """Tokens per step that the spec gives to a size."""
        training = self.spec.training
        return given_batch(training.batch_tokens, size_index, size, training.seq_len)

    def _execution(self, request: RunRequest, also_validated: tuple[Corpus, ...]) -> ExecutionSettings:
        execution = self.spec.execution
        return ExecutionSettings(
            corpus_dir=str(self.corpus.directory.resolve()),
            other_corpora={one.corpus_hash: str(one.directory.resolve()) for one in also_validated},
            device=execution.device,
            threads=execution.threads,
            micro_batch_rows=execution.fixed_micro_batch_rows,
            zero_stage=execution.zero_stage,
            nproc=execution.nproc,
            watchdog_seconds=execution.watchdog_seconds,
            checkpoint_seconds=execution.checkpoint_seconds,
            keep_weights=request.keep_weights or execution.keep_weights,
        )

    def _start(self, request: RunRequest, start: PlannedRun | None) -> tuple[StartingPoint | None, str | None]:
        """What the run begins from, and the folder that holds it if it is no run of the store."""
        if start is not None:
            return StartingPoint(run_id=start.run_id), None
        started = None if request.fresh else self._starting_model(request.size)
        if started is None:
            return None, None
        return StartingPoint(weights_sha256=started[0].weights_sha256), str(started[0].path)

    def _starting_model(self, size: float) -> tuple[ModelFolder, ModelDims] | None:
        if not self.contender.start:
            return None
        seq_len = self.spec.training.seq_len
        try:
            return starting_model(self.contender, size, seq_len=seq_len, corpus=self.corpus)
        except SpecError as error:
            raise self.error(("contenders", self.contender.name, "start"), str(error)) from error

    def _check_start(self, request: RunRequest, start: PlannedRun | None, dims: ModelDims) -> None:
        if start is None:
            return
        from_, here = start.plan.identity, dump(self.contender.architecture)
        if from_.architecture != here or from_.dims != dims:
            raise self.error(
                request.loc,
                f"would begin from a run of {from_.architecture['kind']} with {from_.dims!r}, but has {dims!r}; "
                "architecture, size and vocabulary must be the same on both sides",
            )

    def _first_batches(self) -> None:
        training, objective, evaluation = self.spec.training, self.contender.objective, self.spec.evaluation
        batches = [self.batch_tokens(index, size) for index, size in enumerate(self.spec.scan.sizes)]
        rows = max(batches) // training.seq_len
        try:
            TrainingBatches(
                self.corpus, objective, seq_len=training.seq_len, rows=rows, order=self.spec.data.order, seed=0
            )
            EvaluationBatches(
                self.corpus, objective, seq_len=training.seq_len, rows=rows, tokens=evaluation.tokens, seed=0
            )
            if evaluation.final_tokens is not None:
                DocumentBatches(
                    self.corpus,
                    objective,
                    seq_len=training.seq_len,
                    rows=rows,
                    tokens=evaluation.final_tokens,
                    seed=0,
                    carries_state=self.contender.architecture.carries_state,
                )
        except DataError as error:
            raise DataError(f"{self.spec.file.where(('data', 'dataset'))}: data.dataset: {error}") from error

    def error(self, loc: Loc, problem: str) -> ArchbenchError:
        """An error about the place `loc` of the spec that names the contender."""
        return self.spec.error(loc, f"{self.contender.name}: {' '.join(problem.split())}")

    @contextmanager
    def _plugin_code(self, what: str) -> Iterator[None]:
        """Turns whatever a plug-in's code throws into one line that names the plug-in."""
        kind = self.contender.architecture.kind
        plugin = self.host.registry.architectures[kind].plugin
        try:
            with self.host.kept(plugin, f"{kind}, {what}"):
                yield
        except ArchbenchError:
            raise
        except (Exception, SystemExit) as error:  # the plug-in's own defect, not the user's and not archbench's
            raise PluginError(
                f"plug-in {plugin!r} failed on architecture {kind!r}, {what}: {in_one_line(error)}"
            ) from error
