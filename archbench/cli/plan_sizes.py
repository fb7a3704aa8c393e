"""What `archbench plan` says of sizes: parameters and FLOPs of the contenders' models, rung by rung, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archbench.results.runs import SIZE_SCAN, size_number
from archbench.scans.planned_run import PlannedRun

if TYPE_CHECKING:
    from rich.table import Table


def size_table(runs: Sequence[PlannedRun], baseline: str | None) -> "Table | None":
    """One line for each size and contender of the scan, with ratios to the baseline's model of that size.

    None where fewer than two contenders are compared.
    """
    from rich.table import Table

    models: dict[int, dict[str, PlannedRun]] = {}
    for run in runs:
        if run.study == SIZE_SCAN:
            models.setdefault(run.size_index, {}).setdefault(run.contender, run)
    if len({name for of_size in models.values() for name in of_size}) < 2:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("size", "contender", "shape", "N", "x", "FLOPs a token", "x"):
        left = header in ("contender", "shape")
        table.add_column(header, justify="left" if left else "right", no_wrap=True)
    for size_index in sorted(models):
        of_size = models[size_index]
        reference = of_size.get(baseline or "", next(iter(of_size.values())))
        for name, run in of_size.items():
            table.add_row(str(size_number(size_index)) if run is next(iter(of_size.values())) else "", name,
                          _shape(run), *_beside(run, reference))  # fmt: skip
    return table


def _beside(run: PlannedRun, reference: PlannedRun) -> tuple[str, str, str, str]:
    """Parameters and FLOPs of `run`'s model, each with its ratio to those of `reference`."""
    facts, theirs = run.plan.facts, reference.plan.facts
    return (
        f"{facts.non_embedding_params:,}",
        f"{facts.non_embedding_params / theirs.non_embedding_params:.3f}",
        f"{facts.exact_flops_per_token:,.0f}",
        f"{facts.exact_flops_per_token / theirs.exact_flops_per_token:.3f}",
    )


def _shape(run: PlannedRun) -> str:
    """Layers, width, heads and feed-forward width in a few letters."""
    dims = run.plan.identity.dims
    return f"{dims.n_layers}L {dims.d_model}d {dims.n_heads}h ff{dims.d_ff}"
