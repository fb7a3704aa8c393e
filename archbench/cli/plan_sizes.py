"""What `archbench plan` says of sizes: parameters and FLOPs of the contenders' models, rung by rung, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archbench.contracts.architecture import ModelDims
from archbench.results.runs import SIZE_SCAN, RunRecord, size_number
from archbench.scans.planned_run import PlannedRun

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class _Model:
    """One contender's model of one size."""

    contender: str
    size_index: int
    shape: str
    num_params: int
    """Without embeddings."""
    active: int
    """Of those, what a token uses."""
    flops_per_token: float


def size_table(runs: Sequence[PlannedRun], published: Sequence[RunRecord], baseline: str | None) -> "Table | None":
    """One line for each size and contender of the scan, with ratios to the baseline's model of that size.

    None where fewer than two contenders are compared.
    """
    from rich.table import Table

    models: dict[int, dict[str, _Model]] = {}
    for model in [*map(_published, published), *(_planned(run) for run in runs if run.study == SIZE_SCAN)]:
        models.setdefault(model.size_index, {}).setdefault(model.contender, model)
    if len({name for of_size in models.values() for name in of_size}) < 2:
        return None
    sparse = any(model.active < model.num_params for of_size in models.values() for model in of_size.values())
    table = Table(box=None, pad_edge=False, header_style="bold")
    used = ("N a token uses", "x") if sparse else ()
    for header in ("size", "contender", "shape", "N", "x", *used, "FLOPs a token", "x"):
        left = header in ("contender", "shape")
        table.add_column(header, justify="left" if left else "right", no_wrap=True)
    for size_index in sorted(models):
        of_size = models[size_index]
        reference = of_size.get(baseline or "", next(iter(of_size.values())))
        for name, model in of_size.items():
            first = model is next(iter(of_size.values()))
            cells = _beside(model, reference, sparse=sparse)
            table.add_row(str(size_number(size_index)) if first else "", name, model.shape, *cells)
    return table


def _beside(model: _Model, reference: _Model, *, sparse: bool) -> Iterator[str]:
    """Parameters and FLOPs of `model`, each with its ratio to those of `reference`; `sparse`: what a token uses too."""
    yield f"{model.num_params:,}"
    yield f"{model.num_params / reference.num_params:.3f}"
    if sparse:
        yield f"{model.active:,}"
        yield f"{model.active / reference.active:.3f}"
    yield f"{model.flops_per_token:,.0f}"
    yield f"{model.flops_per_token / reference.flops_per_token:.3f}" if reference.flops_per_token else "-"


def _planned(run: PlannedRun) -> _Model:
    facts, dims = run.plan.facts, run.plan.identity.dims
    return _Model(
        run.contender,
        run.size_index,
        _shape(dims),
        facts.non_embedding_params,
        facts.active_params,
        facts.exact_flops_per_token,
    )


def _published(run: RunRecord) -> _Model:
    dims = ModelDims.model_validate(run.details["identity"]["dims"])
    last = run.curve[-1] if run.curve else None
    per_token = last.exact_flops / last.tokens if last is not None and last.tokens else 0.0
    return _Model(run.contender, run.size_index, _shape(dims), run.non_embedding_params, run.active_params, per_token)


def _shape(dims: ModelDims) -> str:
    """Layers, width, heads and feed-forward width in a few letters."""
    return f"{dims.n_layers}L {dims.d_model}d {dims.n_heads}h ff{dims.d_ff}"
