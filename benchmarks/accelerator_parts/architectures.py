"""Speed of every registered architecture at two sizes: as archbench trains, and under torch.compile."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from accelerator_parts.child import Cell, Records, Setting, carry_out
from accelerator_parts.jobs import Job, dims_of, objective_of
from accelerator_parts.utilisation import COMPILED, EAGER, measure_job
from archbench.host import default_host


def run(setting: Setting, records: Records) -> None:
    """Eager figures of all first, since one that compiles takes the time of many."""
    scale = setting.scale
    records.conditions(
        precision=scale.precision,
        threads=1 if setting.device == "cpu" else None,
        vocab_size=scale.vocab_size,
        seq_len=scale.seq_len,
        tokens_per_step=scale.rows * scale.seq_len,
        rows_per_pass=scale.rows,
        peak_flop_per_s=dict(setting.peaks),
    )
    carry_out(list(_cells(setting)), setting, records)


def _cells(setting: Setting) -> Iterator[Cell]:
    kinds = list(default_host().registry.architectures.entries)
    # The baseline first: what comes later may not fit into the time.
    kinds.sort(key=lambda kind: (kind != "gpt2", kind))
    for loop in (EAGER, COMPILED):
        for size in setting.scale.sizes:
            for kind in kinds:
                yield Cell(
                    what=f"{kind} at {size:.2g} parameters, {loop}",
                    sort=f"{loop} {size}",
                    guess_seconds=25.0 if loop == COMPILED else 4.0,
                    limit_seconds=120.0 if loop == COMPILED else 45.0,
                    row={"architecture": kind, "objective": objective_of(kind), "size": size, "loop": loop},
                    measure=partial(measure, setting, kind, size, loop),
                )


def measure(setting: Setting, kind: str, size: float, loop: str) -> Mapping[str, Any]:
    """One row of the table."""
    scale = setting.scale
    dims = dims_of(kind, size, vocab_size=scale.vocab_size, seq_len=scale.seq_len)
    return measure_job(setting, Job(kind, dims, scale.rows, scale.rows, scale.precision, setting.device), loop)
