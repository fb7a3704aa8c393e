"""Steps of archbench's training loop, made ready and timed."""

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from accelerator_parts.jobs import Job, objective_of
from archbench.data.corpus import open_corpus
from archbench.errors import ArchbenchError
from archbench.host import default_host
from archbench.testing.small_runs import plan_small_run
from archbench.training.assembly import Assembly, assemble
from archbench.training.loop import train_step
from archbench.training.measurement import peak_memory_bytes, reset_peak_memory
from archbench.training.progress import resume
from archbench.training.torch_settings import configure_torch

WARM_UP_STEPS = 2
CHUNKS = 3
"""A figure is the median of so many."""


@contextmanager
def assembled(job: Job, corpus: str, folder: Path) -> Iterator[tuple[Assembly, Callable[[], None]]]:
    """All that `job` trains with, and its step: that of archbench's training loop, under its engine."""
    configure_torch(1)
    registry = default_host().registry
    with tempfile.TemporaryDirectory(dir=folder) as place:
        directory = plan_small_run(
            Path(place),
            open_corpus(Path(corpus)),
            registry,
            architecture={"kind": job.architecture},
            objective={"kind": objective_of(job.architecture)},
            dims=job.dims,
            seq_len=job.dims.seq_len,
            rows=job.rows,
            total_steps=1_000_000,
            training={"precision": job.precision},
            execution={"device": job.device, "micro_batch_rows": job.micro_rows},
        )
        assembly = assemble(directory.read_plan(), registry, directory)
        try:
            reset_peak_memory(assembly.device)
            progress = resume(directory, assembly)
            assembly.engine.train_mode()

            def step() -> None:
                train_step(assembly, progress)
                if problem := progress.finite_checks.problem(progress.step) if progress.step == WARM_UP_STEPS else None:
                    raise ArchbenchError(problem)

            yield assembly, step
        finally:
            assembly.engine.close()
            gc.collect()
            if assembly.device.type == "cuda":
                torch.cuda.empty_cache()


def timed(assembly: Assembly, step: Callable[[], None], seconds: float) -> dict[str, Any]:
    """Seconds until the step is warm, and tokens per second over about `seconds`: the median of three chunks."""
    began = time.perf_counter()
    for _ in range(WARM_UP_STEPS):
        step()
    synchronise(assembly.device)
    warm_up = time.perf_counter() - began
    one = _seconds(assembly.device, step, 1)
    times = max(1, round(seconds / CHUNKS / max(one, 1e-6)))
    step_seconds = statistics.median(_seconds(assembly.device, step, times) / times for _ in range(CHUNKS))
    tokens_per_s = assembly.plan.identity.training.batch_tokens / step_seconds
    return {
        "non_embedding_params": assembly.plan.facts.non_embedding_params,
        "total_params": assembly.plan.facts.non_embedding_params + assembly.plan.facts.embedding_params,
        "tokens_per_s": _rounded(tokens_per_s),
        "step_seconds": _rounded(step_seconds),
        "num_steps": CHUNKS * times,
        "warm_up_seconds": _rounded(warm_up),
        "exact_flops_per_token": _rounded(assembly.plan.facts.exact_flops_per_token),
        "exact_flop_per_s": _rounded(tokens_per_s * assembly.plan.facts.exact_flops_per_token),
        "peak_memory_bytes": peak_memory_bytes(assembly.device),
    }


def utilisation(flop_per_s: float, peaks: Mapping[str, float]) -> dict[str, float]:
    """`flop_per_s` as a share of each peak."""
    return {f"share_of_{name}_peak": _rounded(flop_per_s / peak) for name, peak in peaks.items()}


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(device: torch.device, step: Callable[[], None], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        step()
    synchronise(device)
    return time.perf_counter() - began


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
