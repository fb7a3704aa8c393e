"""What axes, columns and sentences call the quantities of runs: as archbench counts them, or as a table stated them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from archbench.report.plotting import AXIS_LABELS, AXIS_NAMES, LOSS_LABEL
from archbench.results.runs import IMPORTED, CostAxis, RunRecord

_PER_TOKEN = "nats per token"
_BY_SIX_N_D = "by 6ND"
COUNTED: Mapping[str, str] = {"non_embedding": "without embeddings", "total": "with embeddings"}
"""What N counts, by the convention that a person states."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of cost axes, of N and of the loss, for one set of runs that stand on one page."""

    axis_names: Mapping[CostAxis, str]
    """Short, for titles and cells: `executed FLOPs`."""
    axis_labels: Mapping[CostAxis, str]
    """Of a figure's axis."""
    cost_words: Mapping[CostAxis, str]
    """In sentences: `compute (executed FLOPs)`."""
    loss_label: str
    """Of a figure's axis."""
    nats: str
    """Unit of a column of losses: `nats`, or `nats per byte`."""
    params: str
    """What N counts: `without embeddings`."""
    flops_column: str
    """Header of the column of FLOPs: `FLOPs executed`."""


def labels_of(records: Iterable[RunRecord]) -> Labels:
    """The labels that are true of all of `records`: where they differ, both are named."""
    runs = list(records)
    counted = _either(COUNTED.get(_stated(run, "param_convention", "non_embedding"), "not stated") for run in runs)
    active = any(run.details.get("params_active") for run in runs)
    params = (f"active, {counted}" if active else counted) or COUNTED["non_embedding"]
    executed = _executed(runs)
    units = {_stated(run, "loss_unit", _PER_TOKEN) for run in runs}
    per_byte = bool(units) and _PER_TOKEN not in units
    flops = "executed FLOPs" if executed == "executed" else f"FLOPs {executed}"
    by_size = f"{flops}, N {params}" if executed == _BY_SIX_N_D else flops
    return Labels(
        axis_names={**AXIS_NAMES, CostAxis.EXACT: flops},
        axis_labels={
            **AXIS_LABELS,
            CostAxis.KAPLAN: f"training compute 6ND (FLOPs, N {params})",
            CostAxis.EXACT: f"training compute {executed} (FLOPs)",
        },
        cost_words={
            CostAxis.EXACT: f"compute ({by_size})",
            CostAxis.KAPLAN: "compute (6ND FLOPs)",
            CostAxis.DEVICE_SECONDS: "device time (seconds)",
            CostAxis.PROCESSOR_SECONDS: "processor time (seconds)",
        },
        loss_label="validation loss (nats per byte)" if per_byte else LOSS_LABEL,
        nats="nats per byte" if per_byte else "nats",
        params=params,
        flops_column=f"FLOPs {executed}",
    )


def epochs_known(run: RunRecord) -> bool:
    """Whether it is known how many unique tokens a run saw; an imported table seldom says."""
    return bool(run.details.get("unique_tokens_known", True))


def _stated(run: RunRecord, key: str, own: str) -> str:
    return str(run.details.get(key, own))


def _either(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


def _executed(runs: list[RunRecord]) -> str:
    """Whose count of FLOPs the exact axis holds: archbench's, a table's, or 6ND in place of any."""
    return _either(_whose(run) for run in runs) or "executed"


def _whose(run: RunRecord) -> str:
    if run.objective != IMPORTED:
        return "executed"
    stated = run.details.get("compute_stated")
    if stated is None:
        stated = any(point.exact_flops != point.kaplan_flops for point in run.curve)
    return "as stated in the table" if stated else _BY_SIX_N_D


OWN = labels_of(())
"""Of runs that archbench trained."""
