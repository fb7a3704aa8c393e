"""Utilisation of the device by GPT-2 at full size, with several numbers of rows in one pass."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from accelerator_parts.child import Cell, Records, Setting, carry_out
from accelerator_parts.jobs import Job
from accelerator_parts.steps import assembled, timed, utilisation
from archbench.contracts.architecture import ModelDims

EAGER, COMPILED, UNORDERED = "eager", "compiled", "eager, sums in any order"
"""As archbench trains; under torch.compile; without torch's deterministic algorithms."""
GOAL = 0.5
"""Share of the peak that GPT-2 124M should reach on an accelerator in bf16."""


def run(setting: Setting, records: Records) -> None:
    """Eager with each number of rows first, then what it costs that runs repeat bit by bit, and last compiled."""
    scale = setting.scale
    shape = scale.full
    records.conditions(
        architecture="gpt2",
        precision=scale.precision,
        threads=1 if setting.device == "cpu" else None,
        vocab_size=shape.vocab_size,
        seq_len=shape.seq_len,
        d_model=shape.d_model,
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        tokens_per_step=scale.full_rows * shape.seq_len,
        goal_share_of_peak=GOAL if setting.device == "cuda" else None,
        peak_flop_per_s=dict(setting.peaks),
    )
    carry_out(list(_cells(setting)), setting, records)


def _cells(setting: Setting) -> Iterator[Cell]:
    counts = setting.scale.full_micro_rows
    eager, compiled = ([(loop, rows) for rows in counts] for loop in (EAGER, COMPILED))
    for loop, micro_rows in [*eager, (UNORDERED, max(counts)), *compiled]:
        yield Cell(
            what=f"{loop}, {micro_rows} rows a pass",
            sort=loop,
            guess_seconds=25.0 if loop == COMPILED else 5.0,
            limit_seconds=180.0 if loop == COMPILED else 60.0,
            row={"loop": loop, "micro_batch_rows": micro_rows},
            measure=partial(measure, setting, loop, micro_rows),
        )


def measure(setting: Setting, loop: str, micro_rows: int) -> Mapping[str, Any]:
    """One row of the table."""
    scale, shape = setting.scale, setting.scale.full
    dims = ModelDims(
        vocab_size=shape.vocab_size,
        seq_len=shape.seq_len,
        d_model=shape.d_model,
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        d_ff=shape.d_ff,
    )
    job = Job("gpt2", dims, scale.full_rows, micro_rows, scale.precision, setting.device)
    return measure_job(setting, job, loop)


def measure_job(setting: Setting, job: Job, loop: str) -> dict[str, Any]:
    """Figures of `job` under one of the three loops."""
    with assembled(job, setting.corpus, Path(setting.folder)) as (assembly, step):
        if loop == COMPILED:
            torch.compiler.reset()
            assembly.engine.module.compile()
        # Set when the job was assembled, and by the next one again.
        torch.use_deterministic_algorithms(loop != UNORDERED, warn_only=True)
        figures = timed(assembly, step, setting.scale.measuring_seconds)
    return {**figures, **utilisation(figures["exact_flop_per_s"], setting.peaks)}
