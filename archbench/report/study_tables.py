"""What studies are made of as data tables: the curves of their runs, and every figure that their analyses returned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

from archbench.contracts.report import Cell, DataTable, ScanResults
from archbench.names import file_stem
from archbench.report.columns import data_table
from archbench.report.tables import labels_text
from archbench.results.fits import FitResult, Interval
from archbench.results.runs import RunRecord

_CURVE_COLUMNS = (
    "study", "role", "labels", "contender", "track", "size_index", "non_embedding_params", "seed", "batch_tokens",
    "unique_tokens", "planned_tokens", "run_id", "state", "reason", "step", "tokens", "kaplan_flops", "exact_flops",
    "device_seconds", "processor_seconds", "train_loss_nats", "validation_loss_nats", "bits_per_byte", "in_warmup",
    "finished",
)  # fmt: skip

Row = dict[str, Cell]


@dataclass(slots=True)
class _Tables:
    """Rows by the name of the table that they belong to, in the order in which they came."""

    laws: list[Row] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> None:
        self.rows.setdefault(table, []).append(row)


def study_curves_table(records: Sequence[RunRecord]) -> DataTable:
    """Every evaluated point of every run of a study, one a row; losses in nats per predicted token."""
    rows = [
        (
            run.study, run.role, labels_text(run), run.contender, run.track, run.size_index, run.non_embedding_params,
            run.seed, run.batch_tokens, run.unique_tokens, run.planned_tokens, run.run_id, run.state.value, run.reason,
            point.step, point.tokens, point.kaplan_flops, point.exact_flops, point.device_seconds,
            point.processor_seconds, point.train_loss_nats, point.validation_loss_nats, point.bits_per_byte,
            point.in_warmup, point.finished,
        )
        for run in records
        for point in run.curve
    ]  # fmt: skip
    return data_table("study_curves", "One evaluation of one run of a study.", _CURVE_COLUMNS, rows)


def study_tables(results: ScanResults) -> tuple[DataTable, ...]:
    """What each study returned, a table for each sort of row, and `study_laws`.

    Columns are the fields of the values in `archbench.results`. An interval takes three columns: its value and its two
    ends. What is not made of dataclasses, as a plug-in's own result may be, is left out.
    """
    found: list[DataTable] = []
    laws: list[Row] = []
    for study, result in results.studies.items():
        tables = _Tables()
        for one in result if isinstance(result, tuple) else (result,):
            if is_dataclass(one):
                _collect(one, "", {"study": study}, tables)
        laws += tables.laws
        for name, rows in tables.rows.items():
            about = f"Study {study}: one of its {name.replace('_', ' ')}." if name != "summary" else f"Study {study}."
            found.append(_table(study_table_name(study, name), about, rows))
    if laws:
        found.append(_table("study_laws", "One parameter of one law of a study, or a law that was refused.", laws))
    return tuple(found)


def _collect(value: Any, table: str, keys: Mapping[str, Cell], tables: _Tables) -> None:
    """`value` as a row of `table` under `keys`; values inside it become rows of their own, under what names it."""
    own = {**keys, **_plain(value, taken=keys)}
    laws = {one.name: law for one in fields(value) if isinstance(law := getattr(value, one.name), FitResult)}
    inner = {one.name: tuple(_dataclasses(getattr(value, one.name))) for one in fields(value)}
    # The root of a study is told by what it is about; its other figures are rows of `summary`.
    names = {name: cell for name, cell in own.items() if table or name in _NAMES}
    if set(own) - set(names) or table:
        tables.add(table or "summary", own)
    for name, law in laws.items():
        tables.laws += _law_rows({key: cell for key, cell in own.items() if key in _NAMES}, name, law)
    for name, ones in inner.items():
        is_root = not table and name in _ROOTS
        for one in ones:
            _collect(one, "" if is_root else _joined(table, name), names, tables)


_NAMES = ("study", "kind", "contender", "track", "source", "target")
"""Fields that say what a result is about."""

_SORTS_ABOVE_OTHERS = ("_trade_offs", "_budgets", "_scratch", "_frontiers", "_rankings")
"""Endings of a study's name that would make `study_NAME_points` the name of another study's table."""

_ROOTS = ("directions",)
"""Fields whose values are results of their own, such as the directions of a transfer study."""


def _dataclasses(value: object) -> Iterator[Any]:
    """The dataclasses that `value` is or holds, but for those that become columns or laws."""
    for one in value if isinstance(value, tuple) else (value,):
        if is_dataclass(one) and not isinstance(one, (Interval, FitResult)):
            yield one


def _plain(value: Any, taken: Mapping[str, object]) -> Row:
    """The fields of `value` that fit into cells."""
    row: Row = {}
    for one in fields(value):
        content = getattr(value, one.name)
        name = one.name
        if name in taken and name in _NAMES:
            continue
        if name in taken:
            name = f"point_{name}"
        if isinstance(content, Interval):
            row |= {name: content.value, f"{name}_low": content.low, f"{name}_high": content.high}
        elif isinstance(content, Mapping):
            row[name] = "; ".join(f"{key}: {cell}" for key, cell in content.items())
        elif isinstance(content, tuple) and content and not any(map(is_dataclass, content)):
            row[name] = "; ".join(map(str, content))
        elif not isinstance(content, tuple) and not is_dataclass(content):
            row[name] = _cell(content)
    return row


def _cell(content: object) -> Cell:
    """`content` as a cell; words for what is neither number nor text. A value of an enumeration is its text."""
    if isinstance(content, StrEnum):
        return content.value
    return content if isinstance(content, (str, int, float, bool, type(None))) else str(content)


def _law_rows(keys: Mapping[str, Cell], name: str, law: FitResult) -> Iterator[Row]:
    """A row for each parameter; one without a parameter where the law was refused."""
    told: Row = {
        **keys, "law": name, "equation": law.equation, "status": law.status.value, "reason": law.reason,
        "floor": law.floor, "objective": law.objective, "points_used": law.points_used,
        "left_out": "; ".join(f"{count} {reason}" for reason, count in law.left_out.items()),
        "residual_std": law.residual_std,
    }  # fmt: skip
    if law.status.value != "ok" or not law.params:
        yield {**told, "parameter": None, "value": None, "low": None, "high": None}
        return
    for parameter, value in law.params.items():
        found = law.intervals.get(parameter)
        low, high = (None, None) if found is None else (found.low, found.high)
        yield {**told, "parameter": parameter, "value": value, "low": low, "high": high}


def _table(name: str, about: str, rows: Sequence[Row]) -> DataTable:
    header = list(dict.fromkeys(name for row in rows for name in row))
    return data_table(name, about, header, [[row.get(name) for name in header] for row in rows])


def _joined(table: str, name: str) -> str:
    return f"{table}_{name}" if table else name


def study_table_name(study: str, sort: str) -> str:
    """The name of the table of a study's rows of one sort: `study_batch_trade_offs`.

    Different for different studies: one whose own name ends like a sort that has others below it gets a mark.
    """
    stem = file_stem(study)
    return f"study_{stem}{'~' * stem.endswith(_SORTS_ABOVE_OTHERS)}_{sort}"
