"""Columns as numbers in stated units: factors, logarithms, units of loss, and columns that look like another unit.

Letters: N parameters (`N_total` all of a mixture of experts), D tokens, C compute, S steps, L loss, B critical batch,
D_F fine-tuning tokens, D_T effective data transferred.
"""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from archbench.analysis.fitting.power_sum import Array
from archbench.errors import SpecError, nearest
from archbench.units import NATS_PER_BIT

QUANTITIES: Mapping[str, str] = {
    "params": "N",
    "params_total": "N_total",
    "tokens": "D",
    "compute": "C",
    "seconds": "seconds",
    "step": "S",
    "loss": "L",
    "critical_batch": "B",
    "finetune_tokens": "D_F",
    "transferred": "D_T",
}
"""Field of `Columns` -> letter. A field's flag has dashes in place of underscores."""

_EXPONENT_OF = {"k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12}
"""Letters behind a count as people write it."""

LOSS_UNITS: Mapping[str, str] = {
    "nats": "nats per token",
    "bits": "nats per token",
    "ppl": "nats per token",
    "bpb": "bits per byte",
    "nats-per-byte": "nats per byte",
}
"""`--loss-unit` -> what losses are in once they are read: bits and perplexity become nats exactly, bytes stay bytes."""

_COUNTS = ("params", "tokens")
_LEAST_COUNT = 1e3
"""No table is of models with fewer parameters, or of runs on fewer tokens, than this: another unit is likelier."""
_TYPICAL_LOSS = 10.0
"""Nats per token: a uniform guess over 22,000 tokens. No table has half of its losses above."""
_LARGEST_LOSS = 20.0
"""Nats per token. A uniform guess over 4.8e8 tokens costs as much: losses above are no losses of a trained model."""
_MOST_LARGE = 0.25
"""Share of losses above the largest that can be of diverged runs."""
_LEAST_ROWS = 3
"""Losses of one contender that tell its unit; of fewer, half may be of a run that diverged."""
_LOG_NAME = re.compile(r"(^|[^a-z])(log|ln|lg)(10|2|e)?([^a-z]|$)", re.IGNORECASE)
_UNIT_NAMES: Mapping[str, str] = {
    "ppl": r"ppl|perplexit",
    "bpb": r"bpb|bits?[\W_]*per[\W_]*byte",
    "nats-per-byte": r"nats?[\W_]*per[\W_]*byte",
    "bits": r"(^|[\W_])(bpt|bits?)([\W_]|$)",
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a table is meant, as its reader says. Nothing of it is guessed."""

    scale: Mapping[str, float] = field(default_factory=dict)
    """Field of `Columns` -> factor to the plain count."""
    log10: frozenset[str] = frozenset()
    """Fields of `Columns` that hold logarithms to base 10."""
    loss_unit: str | None = None
    """A key of LOSS_UNITS; None: not stated, read as nats per token."""
    best_of: tuple[str, ...] = ()
    """Columns of settings that were swept; the best setting of each size and length is kept."""
    where: tuple[tuple[str, str], ...] = ()
    """Column and value: other rows are left out."""

    @property
    def loss_in(self) -> str:
        """What losses are in once they are read."""
        return LOSS_UNITS[self.loss_unit or "nats"]


@dataclass(frozen=True, slots=True)
class Contenders:
    """Whose each row of a table is."""

    column: str
    """That tells them apart (`--arch`)."""
    names: np.ndarray
    """One for each row."""

    def parts(self, values: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
        """Contender, in order of name -> letter -> numbers of its rows."""
        return {
            str(name): {letter: value[self.names == name] for letter, value in values.items()}
            for name in sorted(set(self.names))
        }

    def alone(self, name: str) -> str:
        """The flag that reads the rows of one of them and no others."""
        return f"--where {shlex.quote(f'{self.column}={name}')}"


def flag_of(name: str) -> str:
    """The flag of a field of `Columns`."""
    return f"--{name.replace('_', '-')}"


def column_of(frame: pd.DataFrame, column: str | None, flag: str, source: str) -> Any:
    """The key of `column` in `frame`. Raises SpecError where there is none, or several of that name."""
    known = {str(name): name for name in frame.columns}
    if column not in known:
        raise SpecError(f"{source}: {flag}: there is no column {column!r}{nearest(str(column), known)}")
    copies = [str(name) for name in frame.columns].count(str(column))
    if copies > 1 or column in frame.attrs.get("repeated_columns", ()):
        raise SpecError(f"{source}: {flag}: several columns are called {column!r}; rename or remove all but one")
    return known[column]


def numbers_of(frame: pd.DataFrame, column: str, flag: str, source: str) -> Array:
    """A column as floats, NaN where a cell is empty. Raises SpecError naming the first cell that is no number."""
    cells = frame[column_of(frame, column, flag, source)]
    if pd.api.types.is_datetime64_any_dtype(cells.dtype) or pd.api.types.is_timedelta64_dtype(cells.dtype):
        raise SpecError(f"{source}: {flag} {column}: holds times ({cells.dtype}), expected numbers")
    found = np.full(len(cells), np.nan)
    try:
        plain = pd.to_numeric(cells, errors="coerce")
        found = np.asarray(plain.to_numpy(dtype=float, na_value=np.nan))
    except (TypeError, ValueError, OverflowError):
        found = np.array([_number(cell) for cell in cells])
    bad = np.isnan(found)
    bad[bad] = [_filled(cell) for cell in cells[bad]]
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        got = str(cells.iloc[row])[:40]
        raise SpecError(f"{source}: {flag} {column}: row {row + 1}: got {got!r}, expected a number{_as_plain(got)}")
    return found


def _as_plain(cell: str) -> str:
    """How a number would be written that people and spreadsheets write in another way; empty for what is none."""
    if re.fullmatch(r"[-+]?\d[\d., ]*,[\d.,]*", cell):
        return "; write it with a point, and without marks between thousands"
    if match := re.fullmatch(r"([-+]?[\d.]+) ?([kKMGBT])", cell):
        return f" such as {match[1]}e{_EXPONENT_OF[match[2]]}"
    return ""


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def _filled(cell: Any) -> bool:
    """Whether a cell holds something; lists and the like do."""
    if isinstance(cell, str):
        return bool(cell.strip()) and cell.strip().lower() not in ("nan", "-nan", "na", "n/a", "none", "null")
    missing = pd.isna(cell)
    return not (isinstance(missing, bool | np.bool_) and bool(missing))


def converted(values: Array, name: str, treatment: Treatment) -> Array:
    """`values` of the field `name` as plain counts, or the loss in its unit."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if name in treatment.log10:
            values = np.power(10.0, values)
        values = values * treatment.scale.get(name, 1.0)
        if name == "loss" and treatment.loss_unit == "bits":
            values = values * NATS_PER_BIT
        elif name == "loss" and treatment.loss_unit == "ppl":
            values = np.where(values > 0, np.log(values), np.nan)
    return np.asarray(values, dtype=float)


def check_units(
    columns: Mapping[str, str],
    values: Mapping[str, Array],
    treatment: Treatment,
    source: str,
    contenders: Contenders | None = None,
) -> None:
    """Raises SpecError for columns that look like another unit than the one they are read in, with the remedy.

    columns: field -> name, of those that are mapped. values: letter -> numbers. contenders: counts and losses are
    judged of each; None where the table is of one.
    """
    stated = {*treatment.scale, *treatment.log10}
    counts = [name for name in _COUNTS if name in columns and name not in stated]
    _check_counts(counts, columns, values, source, contenders)
    compute = columns.get("compute", "")
    if "compute" not in stated and _LOG_NAME.search(compute) and _median(values["C"]) < 60:
        raise SpecError(
            f"{source}: --compute {compute}: {_span(values['C'])}: logarithms? say --log10 compute; as they are: "
            "--scale compute=1"
        )
    if treatment.loss_unit is None:
        _check_loss(columns["loss"], values["L"], source, contenders)


def _check_counts(
    names: list[str],
    columns: Mapping[str, str],
    values: Mapping[str, Array],
    source: str,
    contenders: Contenders | None,
) -> None:
    """Refuses N and D of which half is too low for counts: of the table, or of one contender, which is named."""
    parts = contenders.parts(values) if contenders else {"": values}
    doubtful = {
        part: [name for name in names if _median(own[QUANTITIES[name]]) < _LEAST_COUNT] for part, own in parts.items()
    }
    odd = [part for part, found in doubtful.items() if found]
    if odd and len(odd) == len(parts):
        everywhere = [name for name in names if any(name in found for found in doubtful.values())]
        raise SpecError(f"{source}: {_count_words(everywhere, columns, values)}")
    if odd and contenders:
        words = _count_words(doubtful[odd[0]], columns, parts[odd[0]])
        raise SpecError(f"{source}: {odd[0]}: {words}; of {odd[0]} alone: with {contenders.alone(odd[0])}")


def _median(values: Array) -> float:
    positive = values[np.isfinite(values) & (values > 0)]
    return float(np.median(positive)) if len(positive) else math.inf


def _span(values: Array) -> str:
    positive = values[np.isfinite(values) & (values > 0)]
    return f"values {positive.min():.4g} to {positive.max():.4g}"


def _count_words(doubtful: list[str], columns: Mapping[str, str], values: Mapping[str, Array]) -> str:
    parts, logs = [], []
    for name in doubtful:
        letter = QUANTITIES[name]
        parts.append(f"{flag_of(name)} {columns[name]}: {_span(values[letter])}")
        positive = values[letter][np.isfinite(values[letter]) & (values[letter] > 0)]
        logs.append(bool(_LOG_NAME.search(columns[name])) or (positive.min() >= 3 and positive.max() <= 30))
    names = ",".join(doubtful)
    as_logs = f"logarithms to base 10? say --log10 {names}"
    as_billions = "in billions? say --scale " + ",".join(f"{name}=1e9" for name in doubtful) + " (in millions, 1e6)"
    as_counts = "counts indeed? say --scale " + ",".join(f"{name}=1" for name in doubtful)
    remedies = (as_logs, as_billions) if all(logs) else (as_billions, as_logs)
    what = " and ".join("parameters" if name == "params" else "tokens" for name in doubtful)
    return f"{'; '.join(parts)}; expected counts of {what}: {'; '.join((*remedies, as_counts))}"


def _check_losses_of_one(column: str, loss: Array, source: str, contenders: Contenders) -> None:
    """Refuses losses that are as large as perplexities of one contender, and not of the others."""
    typical = {
        name: _median(own["L"])
        for name, own in contenders.parts({"L": loss}).items()
        if np.isfinite(own["L"]).sum() >= _LEAST_ROWS
    }
    odd = [name for name, median in typical.items() if _TYPICAL_LOSS < median < math.inf]
    if odd and len(odd) < len(typical):
        raise SpecError(
            f"{source}: {odd[0]}: --loss {column}: half of the values are above {typical[odd[0]]:.4g}, large for nats "
            f"per token; perplexity? say --loss-unit ppl, of {odd[0]} alone with {contenders.alone(odd[0])}; nats "
            "indeed? say --loss-unit nats"
        )


def _check_loss(column: str, loss: Array, source: str, contenders: Contenders | None) -> None:
    for unit, pattern in _UNIT_NAMES.items():
        if re.search(pattern, column, re.IGNORECASE):
            raise SpecError(
                f"{source}: --loss {column}: the name says {unit}; say --loss-unit {unit}, or --loss-unit nats if it "
                "holds nats per token"
            )
    given = loss[np.isfinite(loss) & (loss > 0)]
    if not len(given):
        return
    if contenders:
        _check_losses_of_one(column, loss, source, contenders)
    typical, large = float(np.median(given)), float((given > _LARGEST_LOSS).mean())
    if typical > _TYPICAL_LOSS or large > _MOST_LARGE:
        raise SpecError(
            f"{source}: --loss {column}: half of the values are above {typical:.4g}, and {large:.0%} above "
            f"{_LARGEST_LOSS:g}, large for nats per token; perplexity? say --loss-unit ppl; nats indeed? say "
            "--loss-unit nats"
        )
