"""From a spec to its runs: every number resolved, every problem found before anything is trained."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archbench.contracts.architecture import ModelDims
from archbench.contracts.objective import model_vocab_size
from archbench.data.batches import EvaluationBatches, TrainingBatches
from archbench.data.corpus import Corpus
from archbench.data.prepare import prepare_corpus
from archbench.errors import ArchbenchError, DataError, PluginError
from archbench.host import Host
from archbench.runs.store import IndexedRun, ScanIndex
from archbench.scans.environment import describe_environment
from archbench.spec.identity import (
    DataIdentity,
    ExecutionSettings,
    RunFacts,
    RunIdentity,
    RunPlan,
    TrainingSettings,
)
from archbench.spec.models import Contender, Spec, dump
from archbench.spec.settings import PowerLawRate
from archbench.spec.yaml_loader import Loc

MANY_EPOCHS = 4.0
"""Up to about four epochs, repeated text serves nearly as well as new text (Muennighoff et al. 2023, section 5)."""

MIN_SIZES_FOR_A_LAW = 4

MAX_STEPS = 10_000_000


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run and its place in the scan."""

    contender: str
    size_index: int
    plan: RunPlan
    run_id: str

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
    def kaplan_flops(self) -> float:
        """6·N·D."""
        return self.plan.facts.kaplan_flops_per_token * self.tokens


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """All runs of a scan."""

    index: ScanIndex
    runs: tuple[PlannedRun, ...]
    corpus: Corpus

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the results should know."""
        return self.index.warnings

    def distinct_runs(self) -> tuple[PlannedRun, ...]:
        """The runs without those that two contenders share."""
        return tuple({run.run_id: run for run in self.runs}.values())


def plan_scan(
    spec: Spec, host: Host, *, cache_dir: Path, report: Callable[[str], None] = lambda line: None
) -> ScanPlan:
    """Plans all runs of `spec`; text is prepared, or taken from `cache_dir`, and nothing is trained.

    Raises SpecError, DataError or PluginError, in one line with the place in the spec, where it cannot be carried out.
    """
    _check_protocol(spec)
    corpus = _prepared_corpus(spec, cache_dir, report)
    runs: list[PlannedRun] = []
    for contender in spec.contenders:
        runs += _ContenderPlanner(spec, contender, corpus, host).runs()
    index = ScanIndex(
        name=spec.name,
        description=spec.description,
        baseline=spec.baseline,
        runs=tuple(
            IndexedRun(contender=run.contender, size_index=run.size_index, seed=run.seed, run_id=run.run_id)
            for run in runs
        ),
        spec=spec.resolved(),
        environment=describe_environment(spec, host, corpus),
        warnings=tuple(_warnings(spec, runs)),
    )
    return ScanPlan(index, tuple(runs), corpus)


def _prepared_corpus(spec: Spec, cache_dir: Path, report: Callable[[str], None]) -> Corpus:
    data = spec.data
    try:
        return prepare_corpus(
            data.dataset,
            data.tokenizer,
            validation_fraction=data.validation_fraction,
            cache_dir=cache_dir,
            report=report,
        )
    except DataError as error:
        raise DataError(f"{spec.file.where(('data', 'dataset'))}: data: {error}") from error


def _check_protocol(spec: Spec) -> None:
    """What can be judged without text: cheap, hence first."""
    training, sizes = spec.training, spec.scan.sizes
    for index in range(1, len(sizes)):
        if sizes[index] <= sizes[index - 1]:
            raise spec.error(
                ("scan", "sizes", index), f"got {sizes[index]:g} after {sizes[index - 1]:g}; sizes must rise"
            )
    if training.batch_tokens % training.seq_len:
        below = training.batch_tokens // training.seq_len * training.seq_len
        raise spec.error(
            ("training", "batch_tokens"),
            f"got {training.batch_tokens}, which is not a multiple of seq_len {training.seq_len}; "
            f"choose {f'{below} or ' if below else ''}{below + training.seq_len}",
        )
    _check_execution(spec, training.batch_tokens // training.seq_len)
    rates = training.learning_rate
    if isinstance(rates, list) and len(rates) != len(sizes):
        raise spec.error(
            ("training", "learning_rate"), f"has {len(rates)} entries for {len(sizes)} sizes; give one for each"
        )
    for contender in spec.contenders:
        _check_pairing(spec, contender)


def _check_execution(spec: Spec, rows: int) -> None:
    """Whether ranks and micro-batches divide the `rows` of a batch, and the ZeRO stage has ranks to divide among."""
    execution = spec.execution
    nproc, micro, stage = execution.nproc, execution.micro_batch_rows, execution.zero_stage
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
    if objective.needs_token_types and not architecture.has_token_types:
        raise spec.error(
            loc,
            f"objective {objective.kind!r} needs token types, which architecture {architecture.kind!r} lacks; "
            "choose another objective or architecture",
        )
    if architecture.carries_state and spec.data.order != "stream":
        raise spec.error(
            ("data", "order"),
            f"got {spec.data.order!r}, but {contender.name!r} carries memory from segment to segment; choose stream",
        )
    if not 0 < objective.stride(spec.training.seq_len) <= spec.training.seq_len:
        raise spec.error(
            ("training", "seq_len"),
            f"got {spec.training.seq_len}, which leaves no room for text beside the special tokens of "
            f"{objective.kind!r}; choose a larger one",
        )


@dataclass(frozen=True, slots=True)
class _ContenderPlanner:
    """Plans the runs of one contender."""

    spec: Spec
    contender: Contender
    corpus: Corpus
    host: Host

    def runs(self) -> Iterator[PlannedRun]:
        """One run for each size and seed, smallest first."""
        with self._plugin_code("its objective"):
            self._check_text()
        shapes: dict[ModelDims, float] = {}
        for size_index, size in enumerate(self.spec.scan.sizes):
            with self._plugin_code(f"size {size:g}"):
                dims = self._dims(size_index, size)
            if dims in shapes:
                raise self.spec.error(
                    ("scan", "sizes", size_index),
                    f"{size:g} gives {self.contender.name!r} the same shape as {shapes[dims]:g}; leave one of them out",
                )
            shapes[dims] = size
            with self._plugin_code(f"size {size:g}"):
                facts = self._facts(dims)
            training = self._training(size_index, facts.non_embedding_params)
            for seed in range(self.spec.scan.seeds.count(size_index)):
                plan = RunPlan(identity=self._identity(dims, training, seed), facts=facts, execution=self._execution())
                yield PlannedRun(self.contender.name, size_index, plan, plan.identity.run_id)

    def _dims(self, size_index: int, size: float) -> ModelDims:
        architecture = self.contender.architecture
        try:
            dims = architecture.sized_for(
                size,
                vocab_size=model_vocab_size(self.corpus.text_vocab_size, self.contender.objective),
                seq_len=self.spec.training.seq_len,
            )
        except ValueError as error:
            raise self._error(("scan", "sizes", size_index), str(error)) from error
        problems = architecture.problems(dims)
        if problems:
            raise self._error(("contenders", self.contender.name, "architecture"), problems[0])
        return dims

    def _facts(self, dims: ModelDims) -> RunFacts:
        objective = self.contender.objective
        params = self.contender.architecture.num_params(dims)
        non_embedding = params.non_embedding + objective.num_head_params(dims)
        flops = self.contender.architecture.forward_flops_per_token(dims, objective.attention)
        fraction = objective.predicted_fraction(dims.seq_len)
        return RunFacts(
            track=objective.track,
            non_embedding_params=non_embedding,
            embedding_params=params.embedding,
            kaplan_flops_per_token=6.0 * non_embedding,
            exact_flops_per_token=flops.train(fraction),
            exact_flops_by_component={
                name: count * (fraction if name in flops.per_prediction else 1.0)
                for name, count in flops.components.items()
            },
            unique_tokens=self.corpus.unique_tokens,
        )

    def _training(self, size_index: int, num_params: int) -> TrainingSettings:
        spec, training = self.spec, self.spec.training
        scan = spec.scan
        tokens = scan.tokens if scan.tokens is not None else (scan.tokens_per_param or 0.0) * num_params
        budget: Loc = ("scan", "tokens" if scan.tokens is not None else "tokens_per_param")
        total_steps = max(1, round(tokens / training.batch_tokens))
        if total_steps > MAX_STEPS:
            raise self._error(
                budget, f"{tokens:g} tokens are {total_steps:,} steps; at most {MAX_STEPS:,} are possible"
            )
        epochs = total_steps * training.batch_tokens / self.corpus.unique_tokens
        if epochs > spec.data.max_epochs:
            raise self._error(
                budget,
                f"{tokens:.3g} tokens are {epochs:.1f} epochs of the {self.corpus.unique_tokens:,} training tokens "
                f"there are; lower them, add text, or raise data.max_epochs ({spec.data.max_epochs:g})",
            )
        if training.schedule.warmup_steps >= total_steps:
            raise self._error(
                ("training", "schedule", "warmup_steps"),
                f"{training.schedule.warmup_steps} steps of warm-up do not fit into a run of {total_steps}; "
                "shorten the warm-up or train longer",
            )
        return TrainingSettings(
            batch_tokens=training.batch_tokens,
            total_steps=total_steps,
            peak_learning_rate=self._learning_rate(size_index, num_params),
            schedule=training.schedule,
            optimizer=training.optimizer,
            precision=training.precision,
        )

    def _learning_rate(self, size_index: int, num_params: int) -> float:
        rate = self.spec.training.learning_rate
        if isinstance(rate, list):
            return rate[size_index]
        if isinstance(rate, PowerLawRate):
            # In logarithms, so that an absurd exponent gives an absurd rate and no overflow.
            log_peak = math.log(rate.power_law.coefficient) + rate.power_law.exponent * math.log(num_params)
            peak = math.exp(log_peak) if abs(log_peak) < 700.0 else math.inf
        elif rate == "kaplan":
            # Kaplan et al. 2020, appendix D.6.
            peak = 0.003239 - 0.0001395 * math.log(num_params)
        else:
            peak = float(rate)
        if not 0.0 < peak <= 10.0:
            raise self._error(("training", "learning_rate"), f"gives {peak:.3g} at {num_params:,} parameters")
        return peak

    def _identity(self, dims: ModelDims, training: TrainingSettings, seed: int) -> RunIdentity:
        return RunIdentity(
            architecture=dump(self.contender.architecture),
            dims=dims,
            objective=dump(self.contender.objective),
            data=DataIdentity(corpus_hash=self.corpus.corpus_hash, order=self.spec.data.order),
            training=training,
            evaluation=self.spec.evaluation,
            seed=seed,
            plugin_versions=self.contender.plugin_versions,
        )

    def _execution(self) -> ExecutionSettings:
        execution = self.spec.execution
        return ExecutionSettings(
            corpus_dir=str(self.corpus.directory.resolve()),
            device=execution.device,
            threads=execution.threads,
            micro_batch_rows=execution.micro_batch_rows,
            nproc=execution.nproc,
            zero_stage=execution.zero_stage,
            checkpoint_seconds=execution.checkpoint_seconds,
            watchdog_seconds=execution.watchdog_seconds,
        )

    def _check_text(self) -> None:
        """Makes the first batches, so that too little text is found now and not by a worker."""
        training, objective, evaluation = self.spec.training, self.contender.objective, self.spec.evaluation
        rows = training.batch_tokens // training.seq_len
        try:
            TrainingBatches(
                self.corpus, objective, seq_len=training.seq_len, rows=rows, order=self.spec.data.order, seed=0
            )
            EvaluationBatches(
                self.corpus, objective, seq_len=training.seq_len, rows=rows, tokens=evaluation.tokens, seed=0
            )
        except DataError as error:
            raise DataError(f"{self.spec.file.where(('data', 'dataset'))}: data.dataset: {error}") from error

    def _error(self, loc: Loc, problem: str) -> ArchbenchError:
        return self.spec.error(loc, f"{self.contender.name}: {' '.join(problem.split())}")

    @contextmanager
    def _plugin_code(self, what: str) -> Iterator[None]:
        """Turns whatever a plug-in's code throws into one line that names the plug-in."""
        try:
            yield
        except ArchbenchError:
            raise
        except (Exception, SystemExit) as error:  # the plug-in's own defect, not the user's and not archbench's
            kind = self.contender.architecture.kind
            plugin = self.host.registry.architectures[kind].plugin
            raise PluginError(
                f"plug-in {plugin!r} failed on architecture {kind!r}, {what}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error


def _warnings(spec: Spec, runs: list[PlannedRun]) -> Iterator[str]:
    epochs = max(run.epochs for run in runs)
    if epochs > MANY_EPOCHS:
        yield f"the training text is read {epochs:.1f} times; beyond about {MANY_EPOCHS:g}, repeated text helps less"
    if len(spec.scan.sizes) < MIN_SIZES_FOR_A_LAW:
        yield f"{len(spec.scan.sizes)} sizes: a law needs at least {MIN_SIZES_FOR_A_LAW} to be trusted"
