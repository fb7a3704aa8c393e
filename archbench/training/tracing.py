"""Writes a run's trace (`archbench.runs.trace`): its evaluations, and between them now and then how its steps go."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from archbench.runs.directory import RunDirectory
from archbench.runs.trace import TracePoint, append_to_trace
from archbench.training.assembly import Assembly
from archbench.training.measurement import peak_memory_bytes
from archbench.training.progress import Progress

MOST_LINES = 400
"""About steps, of a whole run; those about evaluations come to them."""


@dataclass(slots=True)
class Tracer:
    """Writes the trace of one attempt. None of it changes a number of the run."""

    path: Path
    token: int
    device: torch.device
    every: int
    """Least steps between two lines about steps."""
    evaluated: int
    """The last step whose evaluation was written."""
    stepped: int

    @classmethod
    def of(cls, directory: RunDirectory, token: int, assembly: Assembly, progress: Progress) -> "Tracer":
        """That of the attempt that `progress` has just taken its first step in.

        Evaluations before it were written by the attempt before, unless there is no trace.
        """
        path = directory.trace_file
        began = progress.started_at if path.exists() else 0
        every = max(1, assembly.plan.identity.training.total_steps // MOST_LINES)
        return cls(path, token, assembly.device, every, evaluated=began - 1, stepped=progress.started_at)

    def note_evaluations(self, progress: Progress) -> None:
        """Writes those points of the curve that were not written yet."""
        if not progress.curve or progress.curve[-1].step <= self.evaluated:
            return
        for point in progress.curve:
            if point.step > self.evaluated:
                self.evaluated = point.step
                append_to_trace(
                    self.path,
                    TracePoint(
                        token=self.token,
                        step=point.step,
                        device_seconds=point.device_seconds or 0.0,
                        train_loss_nats=point.train_loss_nats,
                        validation_loss_nats=point.validation_loss_nats,
                        bits_per_byte=point.bits_per_byte,
                    ),
                )

    def note_steps(
        self, progress: Progress, device_seconds: float, loss_nats: float | None, tokens_per_s: float | None
    ) -> None:
        """Writes how steps go, unless a line about one shortly before was written. Waits for the device."""
        if progress.step - self.stepped < self.every:
            return
        self.stepped = progress.step
        norm = None if progress.gradient_norm is None else float(progress.gradient_norm)
        append_to_trace(
            self.path,
            TracePoint(
                token=self.token,
                step=progress.step,
                device_seconds=device_seconds,
                train_loss_nats=loss_nats,
                gradient_norm=norm if norm is not None and math.isfinite(norm) else None,
                tokens_per_s=tokens_per_s,
                memory_bytes=peak_memory_bytes(self.device),
            ),
        )
