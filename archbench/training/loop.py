"""One run from its first step to its last, read from top to bottom: `train`, `train_step`, `measure`."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any

import torch

from archbench.contracts.architecture import Attention
from archbench.contracts.objective import IGNORE_TARGET, LossParts
from archbench.contracts.schedule import EarlyStopping
from archbench.errors import ArchbenchError
from archbench.nn.language_model import State
from archbench.results.runs import CurvePoint, FinalEvaluation, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import Lease
from archbench.runs.records import Outcome
from archbench.training.assembly import Assembly
from archbench.training.evaluation import evaluate, evaluate_documents, row_slices, to_device
from archbench.training.finite_checks import CHECK_STEPS, REMEDY, has_non_finite_weights
from archbench.training.measurement import Stopwatch
from archbench.training.prefix_audit import audit_prefixes
from archbench.training.progress import Progress, commit, joined_state, keep
from archbench.training.randomness import Purpose, seed_generators
from archbench.training.schedule import evaluation_steps, in_warmup, learning_rate
from archbench.training.shapes import checked_shapes
from archbench.training.tracing import Tracer

REPORT_SECONDS = 0.5
"""Least time between two progress reports; each reads the loss from the device."""

_STORED_BYTES_PER_PARAM = 8
"""Weights, and a master copy under bf16; what the optimizer keeps comes to it."""

_SLOWEST_BYTES_PER_S = 10e6
"""Of a disk that is slow and not broken."""

UNREMARKABLE_SECONDS = 10.0
"""A pause that nobody needs to know of before."""

DIVERGED_MARGIN_NATS = 1.0
"""A validation loss that far above the untrained model's has diverged: only a rate that is too high does that."""


class Interrupted(ArchbenchError):  # noqa: N818  (asked for, not an error)
    """The run was asked to stop; it goes on from its checkpoint when it is submitted again."""


@dataclass(frozen=True, slots=True)
class Report:
    """A run took steps."""

    step: int
    total_steps: int
    loss_nats: float | None
    tokens_per_s: float | None
    note: str | None = None
    """Something that a person should be told, in one line."""
    evaluation_seconds: float = 0.0
    """What one evaluation takes, on average."""
    interval_seconds: float = 0.0
    """Time since the report before, or since training began."""
    pause_seconds: float | None = None
    """Given where no step was taken: the run goes on with something else, which may take so long."""


@dataclass(slots=True)
class Upkeep:
    """What happens beside the steps, by the clock: reports, heartbeats, checkpoints, and stopping when asked.

    None of it changes a number of the run.
    """

    directory: RunDirectory
    lease: Lease
    report: Callable[[Report], None]
    stop: Event
    reported: float = field(default_factory=time.monotonic)
    showed_life: float = field(default_factory=time.monotonic)
    reported_step: int | None = None
    committed: float = field(default_factory=time.monotonic)
    tracer: Tracer | None = None
    """Of rank 0, from its first step on."""

    def alive(self, assembly: Assembly, progress: Progress, pause_seconds: float = 0.0) -> None:
        """Called between the batches of an evaluation, and before a pause that may be long."""
        now = time.monotonic()
        if pause_seconds or now - self.showed_life >= REPORT_SECONDS:
            self.showed_life = now
            total_steps = assembly.plan.identity.training.total_steps
            self.report(Report(progress.step, total_steps, None, None, pause_seconds=pause_seconds))

    def stop_if_asked(self, assembly: Assembly, progress: Progress) -> None:
        """Called by all ranks between parts of the evaluation at the end, which takes no step and has no progress.

        Raises Interrupted after a checkpoint of the last step: only the evaluation is done anew.
        """
        (stopping,) = assembly.ranks.any(self.stop.is_set())
        if stopping:
            self.before_storing(assembly, progress)
            commit(self.directory, self.lease, assembly, progress)
            raise Interrupted("stopped in the evaluation at its end; run the same command to go on")

    def before_storing(self, assembly: Assembly, progress: Progress) -> None:
        """Called before tensors are stored: a slow disk does not hang."""
        facts = assembly.plan.facts
        bytes_per_param = _STORED_BYTES_PER_PARAM + facts.optimizer_bytes_per_param
        seconds = bytes_per_param * (facts.non_embedding_params + facts.embedding_params) / _SLOWEST_BYTES_PER_S
        if seconds > UNREMARKABLE_SECONDS:
            self.alive(assembly, progress, seconds)

    def after_step(self, assembly: Assembly, progress: Progress, clock: Stopwatch) -> str | None:
        """Called after each step. Returns why the run has diverged, where it looked at that before a checkpoint.

        Raises Interrupted after a last checkpoint, LeaseLost if the run was taken over.
        """
        now = time.monotonic()
        # Each rank has its own clock; what they do, they do together.
        stopping, committing, reporting = assembly.ranks.any(
            self.stop.is_set(),
            now - self.committed >= assembly.plan.execution.checkpoint_seconds,
            assembly.ranks.first and now - self.reported >= REPORT_SECONDS,
        )
        keeping, committing = progress.step in assembly.plan.execution.keep_steps, committing or stopping
        if (keeping or committing) and (problem := progress.finite_checks.problem(progress.step)):
            return problem
        tracer = self._tracer(assembly, progress)
        if tracer is not None:
            tracer.note_evaluations(progress)
        if keeping or committing:
            self.before_storing(assembly, progress)
        if keeping:
            with clock.paused():
                note_time(progress, clock)
                keep(self.directory, self.lease, assembly, progress)
        if committing:
            with clock.paused():
                note_time(progress, clock)
                commit(self.directory, self.lease, assembly, progress)
            self.committed = time.monotonic()
        if stopping:
            raise Interrupted(f"stopped at step {progress.step}; run the same command to go on")
        if reporting:
            self._report(assembly, progress, clock, now)
        return None

    def _tracer(self, assembly: Assembly, progress: Progress) -> Tracer | None:
        """What writes the run's trace, made at its first step; None on other ranks than the first."""
        if self.tracer is None and assembly.ranks.first:
            self.tracer = Tracer.of(self.directory, self.lease.token, assembly, progress)
        return self.tracer

    def _report(self, assembly: Assembly, progress: Progress, clock: Stopwatch, now: float) -> None:
        training = assembly.plan.identity.training
        steps = progress.step - (self.reported_step if self.reported_step is not None else progress.started_at)
        loss = progress.mean_loss_nats
        report = Report(
            step=progress.step,
            total_steps=training.total_steps,
            loss_nats=loss if loss is not None and math.isfinite(loss) else None,
            tokens_per_s=steps * training.batch_tokens / (now - self.reported),
            evaluation_seconds=progress.evaluation_seconds / max(1, len(progress.curve)),
            interval_seconds=now - self.reported,
        )
        self.report(report)
        if self.tracer is not None:
            self.tracer.note_steps(progress, clock.seconds, report.loss_nats, report.tokens_per_s)
        self.reported, self.reported_step = now, progress.step
        progress.energy.glance()
        if not assembly.ranks.first:
            return
        self.lease.renew(progress.step)


def train(assembly: Assembly, progress: Progress, upkeep: Upkeep) -> Outcome:
    """Takes the run from `progress` to its end, and `progress` with it: `done`, or `diverged` with the reason.

    The outcome is the same bits however often the run was interrupted on the way.
    """
    identity = assembly.plan.identity
    total_steps = identity.training.total_steps
    evaluated_after = frozenset(evaluation_steps(identity.training, identity.evaluation))
    clock = Stopwatch(assembly.device, progress.device_seconds, progress.energy, progress.processor_seconds)
    alive = partial(upkeep.alive, assembly, progress)
    # An attempt that was ended by a lack of memory may have left an evaluation to the next one.
    due = not progress.curve or (progress.step in evaluated_after and progress.curve[-1].step != progress.step)
    if due and (problem := measure(assembly, progress, clock, alive)):
        return Outcome(RunState.DIVERGED, tuple(progress.curve), reason=problem)
    assembly.engine.train_mode()
    clock.start()
    try:
        while progress.step < total_steps and not stalled(progress.curve, identity.training.early_stopping):
            if measures_noise(assembly, progress):
                with clock.paused():
                    measure_noise(assembly, progress)
            train_step(assembly, progress)
            problem = None
            if progress.step in evaluated_after:
                with clock.paused():
                    problem = measure(assembly, progress, clock, alive)
            elif progress.step % CHECK_STEPS == 0:
                problem = progress.finite_checks.problem(progress.step)
            problem = problem or upkeep.after_step(assembly, progress, clock)
            if problem is not None:
                return Outcome(RunState.DIVERGED, tuple(progress.curve), reason=problem)
    finally:
        clock.stop()
        note_time(progress, clock)
    by_document = _document_losses(assembly, progress, upkeep)
    final = by_document.pop(identity.data.corpus_hash, None)
    if assembly.document_sets and final is None:
        problem = f"the loss of its last weights on all held-out text is not finite; {REMEDY}"
        return Outcome(RunState.DIVERGED, tuple(progress.curve), reason=problem)
    others = {name: one.loss_nats for name, one in by_document.items()}
    return Outcome(
        RunState.DONE,
        tuple(progress.curve),
        prefix_audit=_audit(assembly),
        other_losses_nats=others | _other_losses(assembly, alive),
        noise_scale=tuple(progress.noise_scale),
        final=final,
    )


def train_step(assembly: Assembly, progress: Progress) -> None:
    """One optimiser step: the batch in micro-batches, forward and backward each, then the update. Waits for nothing.

    `progress` is that of the step before until the step is whole.
    """
    identity, engine = assembly.plan.identity, assembly.engine
    settings, ranks = assembly.settings, assembly.ranks
    arrays = assembly.batches.batch(progress.step, settings.rows_of(ranks.rank))
    num_predictions = max(1, ranks.total(int((arrays["targets"] != IGNORE_TARGET).sum())))
    batch = to_device(arrays, assembly.device)
    rate = learning_rate(identity.training, progress.step + 1)
    last_part = settings.accumulation_steps - 1
    states: dict[int, State | None] = {}
    losses: list[LossParts] = []
    for part, micro in row_slices(batch, settings.micro_batch_rows):
        # The same on every rank, as for every micro-batch.
        seed_generators(identity.seed, Purpose.TRAINING, progress.step)
        parts = engine.forward(micro, progress.states.get(part))
        # Divided by the whole batch's predictions: the gradient is the same however the batch is cut.
        loss = parts.nats / num_predictions
        if parts.auxiliary is not None:
            loss = loss + parts.auxiliary / (settings.accumulation_steps * settings.nproc)
        engine.backward(loss)
        progress.updating = part == last_part
        norm = engine.step(rate)
        if assembly.architecture.carries_state:
            states[part] = parts.state
        losses.append(parts._replace(nats=parts.nats.detach()))
    # Only now: a step that the memory did not suffice for is taken again from where it began.
    progress.took_step(losses, states, norm)


def measure(
    assembly: Assembly, progress: Progress, clock: Stopwatch, alive: Callable[[], None] = lambda: None
) -> str | None:
    """Adds a point to the curve; returns why the run has diverged, None if it has not.

    A point that is not finite is not added.
    """
    began = time.perf_counter()
    plan, step = assembly.plan, progress.step
    if problem := progress.finite_checks.problem(step):
        return problem
    assembly.engine.eval_mode()
    module, identity = assembly.engine.module, plan.identity
    with checked_shapes(module.model, identity.dims, assembly.architecture.kind) if step == 0 else nullcontext():
        result = evaluate(module, assembly.evaluation_set, assembly.device, alive)
    assembly.engine.train_mode()
    if not result.finite:
        if step == 0:
            return "the validation loss of the untrained model is not finite; the architecture or objective is broken"
        culprit = "a weight" if has_non_finite_weights(assembly.engine.module) else "the validation loss"
        return f"{culprit} is not finite after step {step}, though losses and gradients were; {REMEDY}"
    tokens = step * plan.identity.training.batch_tokens
    progress.curve.append(
        CurvePoint(
            step=step,
            tokens=tokens,
            kaplan_flops=plan.facts.kaplan_flops_per_token * tokens,
            exact_flops=plan.facts.exact_flops_per_token * tokens,
            train_loss_nats=progress.mean_loss_nats,
            validation_loss_nats=result.loss_nats,
            bits_per_byte=result.bits_per_byte,
            in_warmup=in_warmup(plan.identity.training.schedule, step),
            finished=step == plan.identity.training.total_steps,
            device_seconds=clock.seconds,
            processor_seconds=_processor_seconds(assembly, clock),
        )
    )
    progress.forget_losses()
    progress.evaluation_seconds += time.perf_counter() - began
    untrained = progress.curve[0].validation_loss_nats
    if result.loss_nats > untrained + DIVERGED_MARGIN_NATS:
        return (
            f"the validation loss is {result.loss_nats:.3g} nats after step {step}, the untrained model's was "
            f"{untrained:.3g}; {REMEDY}"
        )
    return None


def note_time(progress: Progress, clock: Stopwatch) -> None:
    """What the stopped `clock` shows becomes the run's."""
    progress.device_seconds, progress.processor_seconds = clock.seconds, clock.processor_seconds


def _processor_seconds(assembly: Assembly, clock: Stopwatch) -> float | None:
    """Processor time of all ranks in training steps; None on accelerators, whose time it does not measure."""
    if assembly.device.type != "cpu" or clock.processor_seconds is None:
        return None
    return float(assembly.ranks.summed(torch.tensor(clock.processor_seconds, dtype=torch.float64)))


def measures_noise(assembly: Assembly, progress: Progress) -> bool:
    """Whether gradient noise is to be measured on the batch of the next step, and was not measured before."""
    every, step = assembly.plan.identity.evaluation.noise_scale_every, progress.step
    if every == 0 or step == 0 or step % every:
        return False
    return not progress.noise_scale or progress.noise_scale[-1].step != step


def measure_noise(assembly: Assembly, progress: Progress) -> None:
    """Adds a measurement of the gradient noise; changes nothing that the run goes on with."""
    assert assembly.noise_meter is not None, "made where the plan asks for measurements"
    began = time.perf_counter()
    identity = assembly.plan.identity
    found = assembly.noise_meter.measure(
        assembly.engine.module,
        assembly.batches.batch(progress.step),
        tuple(assembly.ranks.joined(tensor) for tensor in joined_state(progress.states)),
        seed=identity.seed,
        step=progress.step,
        tokens_per_row=identity.dims.seq_len,
    )
    if found is not None:
        progress.noise_scale.append(found)
    progress.noise_scale_seconds += time.perf_counter() - began


def stalled(curve: Sequence[CurvePoint], settings: EarlyStopping | None) -> bool:
    """Whether the last `patience` evaluations brought no new minimum."""
    if settings is None or len(curve) <= settings.patience:
        return False
    losses = [point.validation_loss_nats for point in curve]
    return min(losses[-settings.patience :]) >= min(losses[: -settings.patience])


def _other_losses(assembly: Assembly, alive: Callable[[], None]) -> dict[str, float]:
    """Loss on the validation text of other corpora; those on which it is not finite are left out."""
    assembly.engine.eval_mode()
    results = {
        name: evaluate(assembly.engine.module, one, assembly.device, alive)
        for name, one in assembly.other_evaluation_sets.items()
    }
    return {name: result.loss_nats for name, result in results.items() if result.finite}


def _document_losses(assembly: Assembly, progress: Progress, upkeep: Upkeep) -> dict[str, FinalEvaluation]:
    """By hash of the corpus, the final model's loss on its held-out documents; those that are not finite are left out.

    Empty where none is asked for. Raises Interrupted as `Upkeep.stop_if_asked`.
    """
    began = time.perf_counter()
    assembly.engine.eval_mode()
    results = {
        name: evaluate_documents(
            assembly.engine.module,
            one,
            assembly.device,
            assembly.ranks,
            after_batch=partial(upkeep.alive, assembly, progress),
            after_round=partial(upkeep.stop_if_asked, assembly, progress),
        )
        for name, one in assembly.document_sets.items()
    }
    progress.final_evaluation_seconds = time.perf_counter() - began if results else 0.0
    return {name: result for name, result in results.items() if result is not None}


def _audit(assembly: Assembly) -> Any:
    positions = assembly.plan.identity.evaluation.prefix_audit_positions
    if assembly.objective.attention is not Attention.CAUSAL or positions == 0:
        return None
    assembly.engine.eval_mode()
    return audit_prefixes(assembly.engine.module.model, assembly.evaluation_set, positions)
