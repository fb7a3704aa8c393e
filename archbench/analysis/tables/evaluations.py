"""Histories of others' runs as one table of evaluations, in columns of standard names.

Readers of all formats give histories: rows of what a run logged, and its settings, under the names that the run used.
Here it is said which of them is the held-out loss, the step, N and D; what a file lacks is given once for a run. Every
number is checked, and each refusal names file, place and key.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from archbench.analysis.tables.run_facts import (
    Asked,
    arch_of,
    batch_tokens_of,
    check_given,
    check_keys,
    cost_of,
    learning_rate_of,
    metrics_of,
    params_of,
    seed_of,
    tokens_of,
)
from archbench.analysis.tables.run_names import named_apart, plain_name
from archbench.analysis.tables.stated_numbers import number_of, whole_number
from archbench.contracts.run_reader import HistoryRow, RunHistory
from archbench.errors import SpecError, nearest
from archbench.units import counted

COLUMNS = (
    "run", "arch", "params", "tokens", "step", "seed", "batch_tokens", "learning_rate", "compute", "seconds", "file",
    "place",
)  # fmt: skip
"""Columns of the table, besides the loss's, which keeps its name. `place` is where the evaluation stands in `file`."""
_LOSS = re.compile(
    r"(?:val|valid|validation|eval|dev|heldout|held_out)(?:_.+)?_(?:loss|bpb)|"
    r"(?:loss|bpb)_(?:val|valid|validation|eval|dev)"
)
"""Names of held-out losses, in lower case with `_` between words."""
_BITS_PER_BYTE = re.compile(r"(?:^|[\W_])(?:bpb|bits?[\W_]*per[\W_]*byte)(?:$|[\W_])", re.IGNORECASE)
_STEPS = (
    "train/global_step", "trainer/global_step", "global_step", "iter", "iteration", "iter_num", "num_steps", "step",
    "Step", "_step",
)  # fmt: skip
"""Names of counters of optimiser steps, the surest first: W&B's `_step` counts calls of `log`, not steps."""


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Evaluations of all runs, ready for the way that tables take."""

    frame: pd.DataFrame
    """A row for each evaluation; columns are COLUMNS, where something is known of them, and the loss's."""
    loss: str
    """The column of the loss, which the runs called so."""
    loss_unit: str | None
    """`bpb` where the name says so; None: nats per token, unless somebody says otherwise."""
    notes: tuple[str, ...]
    """What was chosen and what was left out, in words."""


def evaluations(histories: Iterable[RunHistory], asked: Asked) -> Evaluations:
    """The table of evaluations. Raises SpecError where something is missing, ambiguous, or no number."""
    runs = named_apart(list(histories))
    if not runs:
        raise SpecError("there is no run in what was named")
    loss = _loss_name(runs, asked.loss)
    check_given(runs, asked.given)
    check_keys(runs, asked)
    rows: list[dict[str, Any]] = []
    untrained: list[dict[str, Any]] = []
    notes = [f"loss: {loss}" + (", bits per byte" if (unit := _unit_of(loss)) else "")]
    steps_of: dict[str, list[str]] = {}
    for run in runs:
        own, step = _run_rows(run, loss, asked)
        if step:
            steps_of.setdefault(step, []).append(run.run)
        untrained += [one for one in own if one["tokens"] == 0]
        kept = [one for one in own if one["tokens"] > 0]
        if not kept:
            raise SpecError(f"{run.file}: run {run.run!r}: has no evaluation ({loss}) after its first step")
        rows += kept
    if len(steps_of) > 1 or not steps_of.keys() <= {"step", "Step"}:
        notes += [f"steps of {_some(names)}: {step}" for step, names in steps_of.items()]
    frame = pd.DataFrame(rows)
    unknown = [
        name for name in ("seed", "learning_rate", "batch_tokens", "compute", "seconds") if frame[name].isna().all()
    ]
    frame = frame.drop(columns=unknown)
    if untrained:
        places = ", ".join(f"{one['run']} {one['place']}" for one in untrained[:3])
        more = ", ..." if len(untrained) > 3 else ""
        notes.append(f"left out {counted(len(untrained), 'evaluation')} before any step: {places}{more}")
    return Evaluations(_typed(frame, loss), _loss_column(loss), unit, tuple(notes))


def _unit_of(loss: str) -> str | None:
    return "bpb" if _BITS_PER_BYTE.search(loss) else None


def _loss_name(runs: Sequence[RunHistory], asked: str | None) -> str:
    """The metric that is the held-out loss in every run. Raises SpecError where it is not one."""
    logged = [metrics_of(run) for run in runs]
    if asked is not None:
        for run, names in zip(runs, logged, strict=True):
            if asked not in names:
                raise SpecError(f"{run.file}: run {run.run!r}: --loss: it logged no {asked!r}{nearest(asked, names)}")
        return asked
    common = [name for name in logged[0] if all(name in names for names in logged)]
    fitting = [name for name in common if _LOSS.fullmatch(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"))]
    in_nats = [name for name in fitting if not _BITS_PER_BYTE.search(name)]
    found = in_nats or fitting
    if len(found) > 1:
        raise SpecError(
            f"{runs[0].file}: several metrics may be the held-out loss: {', '.join(found)}; choose by --loss"
        )
    if not found:
        for run, names in zip(runs, logged, strict=True):
            if not names:
                raise SpecError(f"{run.file}: run {run.run!r}: logged nothing")
        known = ", ".join(sorted(common)[:20]) or "none that every run has"
        raise SpecError(f"{runs[0].file}: no metric has the name of a held-out loss; say it by --loss: {known}")
    return found[0]


def _run_rows(run: RunHistory, loss: str, asked: Asked) -> tuple[list[dict[str, Any]], str | None]:
    """The evaluations of a run, and the name of its counter of steps."""
    logged = [row for row in run.rows if row.values.get(loss) is not None]
    step = _step_name(run, logged, asked)
    whole = {
        "run": run.run,
        "arch": arch_of(run, asked),
        "params": params_of(run, asked),
        "seed": seed_of(run, asked),
        "learning_rate": learning_rate_of(run, asked),
        "file": plain_name(str(run.file)),
    }
    batch = batch_tokens_of(run, asked)
    rows = []
    for row in logged:
        where = f"{run.file}: {row.place}"
        taken = None if step is None else whole_number(row.values[step], f"{where}: {step}")
        tokens, per_step = tokens_of(run, row, taken, batch, asked, only=len(logged) == 1)
        rows.append(
            {
                **whole,
                "tokens": tokens,
                "step": _steps_at(taken, tokens, per_step),
                "batch_tokens": per_step,
                "compute": None if asked.compute is None else cost_of(run, row, asked.compute, "--compute"),
                "seconds": None if asked.seconds is None else cost_of(run, row, asked.seconds, "--seconds"),
                _loss_column(loss): number_of(row.values[loss], f"{where}: {loss}"),
                "place": plain_name(row.place),
            }
        )
    return rows, step


def _loss_column(loss: str) -> str:
    return "loss" if loss in COLUMNS else loss


def _step_name(run: RunHistory, logged: Sequence[HistoryRow], asked: Asked) -> str | None:
    """The counter that every evaluation has; None where there is none and none was asked for."""
    if asked.step is not None:
        for row in logged:
            if row.values.get(asked.step) is None:
                raise SpecError(f"{run.file}: {row.place}: has no {asked.step} (--step)")
        return asked.step
    return next((name for name in _STEPS if all(row.values.get(name) is not None for row in logged)), None)


def _steps_at(taken: int | None, tokens: float, batch: float | None) -> int:
    """Steps taken; of a run without a counter, those that its tokens make, or its tokens themselves."""
    if taken is not None:
        return taken
    return max(1, round(tokens / batch)) if batch else int(tokens)


def _some(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{len(names)} runs"


def _typed(frame: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Columns in their order; a run without a stated seed has seed 0."""
    if "seed" in frame:
        frame["seed"] = frame["seed"].fillna(0).astype(int)
    names = [name for name in (*COLUMNS[:5], _loss_column(loss), *COLUMNS[5:]) if name in frame]
    return frame[names]
