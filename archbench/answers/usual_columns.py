"""Columns that are taken by their usual names, where a caller names none."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from archbench.answers.table_options import Table
from archbench.errors import SpecError

_USUAL = {
    "params": ("params", "n", "n_params", "num_params", "parameters", "non_embedding_params"),
    "tokens": ("tokens", "d", "n_tokens", "num_tokens", "train_tokens", "tokens_seen"),
    "compute": ("flops", "c", "compute", "train_flops", "total_flops", "training_flops"),
    "loss": ("loss", "eval_loss", "val_loss", "validation_loss", "final_loss", "validation_loss_nats", "test_loss"),
    "arch": ("arch", "architecture", "contender"),
    "seed": ("seed",),
    "run": ("run", "run_id", "run_name"),
}
"""Flag -> names, the first that is there is taken; letters may be of either case."""
_ASKED = (
    *_USUAL,
    "params_active",
    "params_total",
    "step",
    "critical_batch",
    "finetune_tokens",
    "transferred",
)
_SIX = (2.0, 20.0)
"""C/(N·D) of columns of which C is FLOPs: 6 by Kaplan's count, some more with attention and logits."""


def with_usual_columns(table: Table, options: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """`options` with the columns that `table` calls by usual names, which are told by `say`.

    Where a flag names any column, the loss alone is looked for: what a fit is to, it always needs.
    """
    named = any(options.get(name) is not None for name in _ASKED)
    if named and options["loss"] is not None:
        return dict(options)
    frame = table.frame
    known = {str(name).strip().lower(): str(name) for name in frame.columns}
    found = {flag: next((known[name] for name in names if name in known), None) for flag, names in _USUAL.items()}
    taken = {flag: name for flag, name in found.items() if name is not None}
    if "loss" not in taken:
        return dict(options)
    if named:
        say(f"column by its usual name: --loss {taken['loss']}; name another by this flag")
        return {**options, "loss": taken["loss"]}
    if "run" in taken and "step" in known:
        taken["step"] = known["step"]
    if "params" in taken and "tokens" in taken and "compute" not in taken:
        taken["compute"] = "6ND"
    unit = options["compute_unit"] or _unit(frame, taken)
    flags = [f"--{flag} {name}" for flag, name in taken.items()] + ([f"--compute-unit {unit}"] if unit else [])
    say(f"columns by their usual names: {', '.join(flags)}; name others by these flags")
    return {**options, **taken, "compute_unit": unit}


def _unit(frame: Any, taken: dict[str, str]) -> str | None:
    """`flops` where the column says so, or where its numbers are those of 6·N·D; None where nothing tells."""
    import pandas as pd

    column = taken.get("compute", "")
    if "flops" in column.lower():
        return "flops"
    if column in frame.columns and {"params", "tokens"} <= taken.keys():
        numbers = (pd.to_numeric(frame[taken[name]], errors="coerce") for name in ("compute", "params", "tokens"))
        C, N, D = (one.to_numpy(dtype=float) for one in numbers)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = C / (N * D)
        ratio = ratio[np.isfinite(ratio)]
        if len(ratio) and _SIX[0] < float(np.median(ratio)) < _SIX[1]:
            return "flops"
    return None


def require_loss(options: Mapping[str, Any]) -> None:
    """Raises SpecError where no column of loss is named or found."""
    if options["loss"] is None:
        usual = ", ".join(_USUAL["loss"])
        raise SpecError(f"--loss: name the column of loss; none is called by a usual name ({usual})")
