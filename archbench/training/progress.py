"""How far a run has come: all that a checkpoint holds beside the engine's own tensors."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from archbench.contracts.objective import LossParts
from archbench.errors import StoreError
from archbench.nn.language_model import State
from archbench.results.runs import CurvePoint, NoiseMeasurement
from archbench.runs.directory import RunDirectory
from archbench.runs.lease import Lease
from archbench.runs.records import curve_point, noise_measurement
from archbench.training import checkpoint
from archbench.training.assembly import Assembly
from archbench.training.energy import EnergyCount, find_meter
from archbench.training.finite_checks import FiniteChecks
from archbench.training.measurement import arithmetic
from archbench.training.ranks import ALONE, Ranks

log = logging.getLogger(__name__)

_NATS, _PREDICTIONS, _STATE = "progress.nats", "progress.predictions", "state."


@dataclass(slots=True)
class Progress:
    """The mutable part of a run. Tensors stay on the device until somebody must know them."""

    nats: Tensor
    """Training loss of this rank's rows, summed since the last point of the curve; float64 scalar."""
    predictions: Tensor
    """Tokens predicted in them since then; float64 scalar."""
    finite_checks: FiniteChecks
    """Of losses and gradients since the last look; a checkpoint is only made of steps that were sound."""
    ranks: Ranks = ALONE
    step: int = 0
    states: dict[int, State | None] = field(default_factory=dict)
    """Memory carried to the next step, by number of the micro-batch."""
    curve: list[CurvePoint] = field(default_factory=list)
    noise_scale: list[NoiseMeasurement] = field(default_factory=list)
    device_seconds: float = 0.0
    """Measured time in training steps, over all attempts."""
    processor_seconds: float | None = 0.0
    """Processor time of this process in them; None where an earlier attempt did not count it."""
    evaluation_seconds: float = 0.0
    """Of the points of the curve, over all attempts."""
    final_evaluation_seconds: float = 0.0
    """Of the evaluation document by document at the end, in the attempt that finished it."""
    energy: EnergyCount = field(default_factory=lambda: EnergyCount(None))
    """Energy in training steps, over all attempts."""
    noise_scale_seconds: float = 0.0
    attempts: int = 1
    """How often the run was taken up, the first time included."""
    started_at: int = 0
    """Step at which this attempt began."""
    gradient_norm: Tensor | float | None = None
    """Of the last step that this attempt took, before it was clipped."""
    updating: bool = False
    """Whether parameters are being changed: only outside of that do they belong to `step`."""

    @property
    def mean_loss_nats(self) -> float | None:
        """Mean training loss since the last point of the curve, over all ranks; None before the first step.

        Waits for the device, and for every rank to ask.
        """
        nats, predictions = self.ranks.summed(torch.stack([self.nats, self.predictions])).tolist()
        return nats / predictions if predictions else None

    def took_step(
        self, losses: Sequence[LossParts], states: dict[int, State | None], norm: Tensor | float | None
    ) -> None:
        """One more step was taken: losses and memory of its micro-batches, and the norm of its gradient."""
        for parts in losses:
            self.nats += parts.nats
            self.predictions += parts.predictions
            self.finite_checks.note_loss(self.step, parts.nats)
        if norm is not None:
            self.finite_checks.note_gradient(self.step, norm)
            self.gradient_norm = norm
        self.states |= states
        self.step += 1
        self.updating = False

    def forget_losses(self) -> None:
        """Begins a new mean."""
        self.nats.zero_()
        self.predictions.zero_()


def fresh_progress(device: torch.device, ranks: Ranks = ALONE) -> Progress:
    """A run before its first step."""
    zero = torch.zeros((), dtype=torch.float64, device=device)
    finite_checks, energy = FiniteChecks(device, ranks), EnergyCount(find_meter(device))
    return Progress(nats=zero, predictions=zero.clone(), finite_checks=finite_checks, ranks=ranks, energy=energy)


def commit(directory: RunDirectory, lease: Lease, assembly: Assembly, progress: Progress) -> None:
    """Stores a checkpoint. Raises LeaseLost if another process has taken the run over."""
    with _fenced(lease):
        checkpoint.save(
            directory, assembly.plan.identity.run_id, _snapshot(assembly, progress), assembly.ranks, lease.held
        )


def keep(directory: RunDirectory, lease: Lease, assembly: Assembly, progress: Progress) -> None:
    """Stores a checkpoint for runs that branch off here. Raises as `commit`."""
    with _fenced(lease):
        checkpoint.keep(
            directory, assembly.plan.identity.run_id, _snapshot(assembly, progress), assembly.ranks, lease.held
        )


@contextmanager
def _fenced(lease: Lease) -> Iterator[None]:
    """Says of a run that was taken over just that, and not that its files cannot be written."""
    lease.check()
    try:
        yield
    except StoreError:
        lease.check()
        raise


def _snapshot(assembly: Assembly, progress: Progress) -> checkpoint.Checkpoint:
    tensors = assembly.engine.tensors()
    own = {name: tensors.pop(name) for name in list(tensors) if assembly.engine.is_own(name)}
    rows = tensors if assembly.ranks.size == 1 else own
    rows[_NATS] = progress.nats.cpu().clone()
    rows[_PREDICTIONS] = progress.predictions.cpu().clone()
    for index, tensor in enumerate(joined_state(progress.states)):
        rows[f"{_STATE}{index}"] = tensor.detach().to("cpu", copy=True).contiguous()
    content = {
        "curve": [asdict(point) for point in progress.curve],
        "noise_scale": [asdict(one) for one in progress.noise_scale],
        "device_seconds": progress.device_seconds,
        "processor_seconds": _of_all_ranks(progress.processor_seconds, assembly.ranks),
        "evaluation_seconds": progress.evaluation_seconds,
        "energy_joules": progress.energy.joules,
        "noise_scale_seconds": progress.noise_scale_seconds,
        "attempts": progress.attempts,
        "arithmetic": arithmetic(assembly.device, assembly.plan.execution),
    }
    return checkpoint.Checkpoint(progress.step, tensors, content, own)


def _of_all_ranks(seconds: float | None, ranks: Ranks) -> float | None:
    """The sum of everybody's seconds, asked for by all ranks at the same point; None where they are not measured."""
    if seconds is None:
        return None
    return float(ranks.summed(torch.tensor(seconds, dtype=torch.float64)))


def resume(directory: RunDirectory, assembly: Assembly) -> Progress:
    """The progress stored in the newest checkpoint that is whole, loaded into the engine; a fresh one without any.

    A run that has none yet begins from the checkpoint that it may branch off, if that is there. A checkpoint of other
    execution settings (another ZeRO stage) is logged and left unused: the run would end in bits that no
    undisturbed run has.
    """
    ranks = assembly.ranks
    stored = checkpoint.load_newest(directory, assembly.plan.identity.run_id, ranks)
    branch = assembly.plan.execution.branch_from
    if stored is None and branch is not None:
        stored = checkpoint.load_kept(directory.sibling(branch.run_id), branch.run_id, branch.step, ranks)
    progress = fresh_progress(assembly.device, ranks)
    if stored is None:
        return progress
    if (problem := _other_arithmetic(stored.progress, assembly)) is not None:
        log.warning("%s: %s; the run begins anew", directory.checkpoints_dir, problem)
        return progress
    tensors = {**stored.tensors, **stored.own}
    progress.nats.copy_(tensors.pop(_NATS))
    progress.predictions.copy_(tensors.pop(_PREDICTIONS))
    names = sorted((name for name in tensors if name.startswith(_STATE)), key=lambda name: int(name[len(_STATE) :]))
    state = tuple(tensors.pop(name).to(assembly.device) for name in names)
    try:
        assembly.engine.restore(tensors)
    except StoreError as error:
        log.warning("%s: %s; the run begins anew", directory.checkpoints_dir, error)
        return fresh_progress(assembly.device, assembly.ranks)
    progress.step = progress.started_at = stored.step
    progress.states = _split(state, assembly.settings.micro_batch_rows)
    progress.curve = [curve_point(point) for point in stored.progress["curve"]]
    progress.noise_scale = [noise_measurement(one) for one in stored.progress.get("noise_scale", [])]
    progress.device_seconds = float(stored.progress["device_seconds"])
    # Of all ranks, as it was stored: one of them goes on with it.
    spent = stored.progress.get("processor_seconds")
    progress.processor_seconds = spent if spent is None or ranks.first else 0.0
    progress.evaluation_seconds = float(stored.progress["evaluation_seconds"])
    progress.energy = EnergyCount(progress.energy.meter, stored.progress.get("energy_joules"))
    progress.noise_scale_seconds = float(stored.progress.get("noise_scale_seconds", 0.0))
    progress.attempts = int(stored.progress["attempts"]) + 1
    return progress


def _other_arithmetic(stored: Mapping[str, Any], assembly: Assembly) -> str | None:
    """How what computed a checkpoint differs from what would go on from it; None where it does not.

    Checkpoints of older versions name the kernels that computed them, those of 0.1.0 nothing else: torch computes all
    now, in another order, and none of them is gone on from.
    """
    here = arithmetic(assembly.device, assembly.plan.execution)
    there = stored.get("arithmetic", {"kernels": stored.get("kernels")})
    name = next((name for name in sorted(there) if there[name] != here.get(name)), None)
    return None if name is None else f"made with {name} {there[name]}, here is {here.get(name, 'none')}"


def joined_state(states: dict[int, State | None]) -> State:
    """The memory of the whole batch: the first axis of every tensor is the row."""
    present = [state for _, state in sorted(states.items()) if state is not None]
    return tuple(torch.cat(tensors) for tensors in zip(*present, strict=True))


def _split(state: State, rows_per_part: int) -> dict[int, State | None]:
    if not state:
        return {}
    pieces = zip(*(torch.split(tensor, rows_per_part) for tensor in state), strict=True)
    return dict(enumerate(pieces))
