"""What a run took: seconds, memory and energy, and on what; it goes into its timings."""

import platform
from typing import Any

import torch

from archbench.flops.peaks import measured_matmul_peak
from archbench.spec.identity import RunPlan
from archbench.training.assembly import Assembly
from archbench.training.measurement import hardware, peak_memory_bytes, versions
from archbench.training.memory import MicroBatch, dumped
from archbench.training.progress import Progress


def measured_costs(plan: RunPlan, cut: MicroBatch, assembly: Assembly, progress: Progress) -> dict[str, Any]:
    """By the names that timings.json has; None where it was not measured."""
    seconds = progress.device_seconds
    tokens = progress.step * plan.identity.training.batch_tokens
    # Of all ranks, as the curve has it.
    processor_seconds = progress.curve[-1].processor_seconds if progress.curve else None
    return {
        "hardware": hardware(assembly.device),
        "host": platform.node(),
        "versions": versions(plan.identity.distributions),
        "threads": plan.execution.threads,
        "nproc": plan.execution.nproc,
        "zero_stage": assembly.engine.zero_stage,
        "micro_batch_rows": assembly.settings.micro_batch_rows,
        "micro_batch_halvings": dumped(cut.halvings),
        "peak_memory_bytes": peak_memory_bytes(assembly.device),
        "training_seconds": round(seconds, 3),
        "processor_seconds": None if processor_seconds is None else round(processor_seconds, 3),
        "evaluation_seconds": round(progress.evaluation_seconds, 3),
        "final_evaluation_seconds": round(progress.final_evaluation_seconds, 3),
        "noise_scale_seconds": round(progress.noise_scale_seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1) if seconds > 0 else None,
        "energy_joules": None if progress.energy.joules is None else round(progress.energy.joules, 3),
        "energy_scope": None if progress.energy.meter is None else progress.energy.meter.scope,
        "attempts": progress.attempts,
        **_utilisation(plan, assembly, tokens, seconds),
    }


def _utilisation(plan: RunPlan, assembly: Assembly, tokens: int, seconds: float) -> dict[str, float]:
    """Exact FLOP/s of training over what one large matrix product reaches now, with the same threads and ranks."""
    if seconds <= 0.0:
        return {}
    dtype = torch.bfloat16 if plan.identity.training.precision == "bf16" else torch.float32
    peak = measured_matmul_peak(str(assembly.device), dtype) * plan.execution.nproc
    achieved = plan.facts.exact_flops_per_token * tokens / seconds
    return {
        "exact_flop_per_s": float(f"{achieved:.4g}"),
        "matmul_peak_flop_per_s": float(f"{peak:.4g}"),
        "model_flop_utilisation": float(f"{achieved / peak:.4g}"),
    }
