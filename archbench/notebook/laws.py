"""`archbench.fit`: what `archbench fit` answers, of a frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from archbench.answers.allocations import (
    Allocation,
    allocation_head,
    allocation_output,
    approach_notes,
    find_allocations,
)
from archbench.answers.law_words import law_lines, recommendation
from archbench.answers.laws import AuditOptions, FoundLaw, find_laws, fit_output
from archbench.answers.plain import as_json, fields_of
from archbench.answers.table_options import ALLOCATION, no_law_to_draw
from archbench.errors import SpecError, nearest
from archbench.notebook.inputs import Data, runs_in, table_for_a_law
from archbench.notebook.options import options_of
from archbench.notebook.result import Result, chosen, interval_cells, shown
from archbench.results.fits import FitResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLES = ("parameters", "laws", "audit", "back-test")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Laws(Result):
    """The law of each architecture, with its audit and back-test."""

    source: str
    found: tuple[FoundLaw, ...]
    """In order of name."""
    notes: tuple[str, ...] = ()

    def __getitem__(self, arch: str) -> FitResult:
        """The law of one architecture; "" names that of a table without a column of architectures."""
        return self._of(arch).result

    def lines(self) -> Iterator[str]:
        """Of each architecture its law, status, what it was fitted to, what the gate says, and notes."""
        for one in self.found:
            if one.laws:
                yield recommendation(one.laws, one.why)
            yield from law_lines(one)

    def told(self) -> tuple[str, ...]:
        """Columns that were taken by their usual names."""
        return self.notes

    def to_frame(self, of: str = "parameters") -> pd.DataFrame:
        """A parameter a row, with its 95 % interval; a law that may not be read has a row with its status alone.

        of: `laws` side by side, the `audit`'s variants, or the windows of the `back-test`.
        """
        rows = {"parameters": _parameters, "laws": _laws, "audit": _audit, "back-test": _back_test}
        make = rows[chosen(of, _TABLES)]
        return pd.DataFrame([row for one in self.found for row in make(one)])

    def to_dict(self) -> dict[str, Any]:
        """What `archbench fit --json` prints."""
        return as_json(fit_output(self.source, self.found))

    def plot(self, arch: str | None = None) -> "Figure":
        """Points, law and residuals of one architecture. Raises SpecError where there are several and none is named."""
        from archbench.report.fit_figure import fit_figure

        if arch is None and len(self.found) > 1:
            raise SpecError(f"plot: draws one architecture; name it: arch= one of {', '.join(self._names())}")
        one = self.found[0] if arch is None else self._of(arch)
        return shown(fit_figure(one.fit, title=one.arch, loss_unit=one.gate.loss_unit))

    def _of(self, arch: str) -> FoundLaw:
        for one in self.found:
            if one.arch == arch:
                return one
        raise SpecError(f"no law of an architecture {arch!r}{nearest(arch, self._names())}")

    def _names(self) -> list[str]:
        return [one.arch for one in self.found]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Allocations(Result):
    """How N and D of each architecture grow with compute, by each approach of the field."""

    source: str
    found: tuple[Allocation, ...]
    options: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """What the exponents are, what the gate says, and what is known of each approach."""
        for one in self.found:
            yield from allocation_head(one, self.options)
            yield from approach_notes(one)

    def told(self) -> tuple[str, ...]:
        """Columns that were taken by their usual names."""
        return self.notes

    def to_frame(self) -> pd.DataFrame:
        """An approach a row: a of N ~ C^a and b of D ~ C^b with their 95 % intervals."""
        return pd.DataFrame(
            [
                {
                    "arch": one.arch,
                    "approach": row.approach,
                    "points": row.points,
                    **interval_cells("a", row.of_params),
                    **interval_cells("b", row.of_tokens),
                    "status": row.status.value,
                    "reason": row.reason,
                }
                for one in self.found
                for row in one.rows
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """What `archbench fit --law allocation --json` prints."""
        return as_json(allocation_output(self.source, self.found, self.options))

    def plot(self) -> "Figure":
        """Raises SpecError: there is no law to draw."""
        raise no_law_to_draw()


def fit(
    data: Data,
    *,
    law: str | None = None,
    params: str | None = None,
    tokens: str | None = None,
    compute: str | None = None,
    loss: str | None = None,
    arch: str | None = None,
    seed: str | None = None,
    step: str | None = None,
    run: str | None = None,
    critical_batch: str | None = None,
    finetune_tokens: str | None = None,
    transferred: str | None = None,
    params_active: str | None = None,
    params_total: str | None = None,
    compute_unit: str | None = None,
    param_convention: str | None = None,
    loss_unit: str | None = None,
    scale: Mapping[str, float] | None = None,
    log10: str | Sequence[str] = (),
    best_of: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    points: str = "all",
    floor: str | float = "free",
    delta: float | None = None,
    residuals: str = "log",
    resamples: int = 1000,
    interval: str = "auto",
    random_seed: int = 0,
    audit: bool = True,
    params_other: str | None = None,
    compute_other: Mapping[str, str] | None = None,
) -> Laws | Allocations:
    """The law of each architecture in `data`, with its gate, audit and back-test: those of `archbench fit`.

    data: a frame, runs that were loaded (of a scan: its finished runs), or a path. Arguments are the flags of the
    command (docs/fitting.md), of which `scale`, `where` and `compute_other` are mappings: `{"params": 1e9}`, column to
    value, column to what the audit calls it. `law="allocation"` gives `Allocations`, all others `Laws`. Raises
    SpecError, in one line, where the command would end with it.
    """
    options = options_of(locals())
    notes: list[str] = []
    table, options = table_for_a_law(runs_in(data), options, notes.append)
    if law == ALLOCATION:
        return Allocations(table.source, tuple(find_allocations(table, options)), options, tuple(notes))
    found = find_laws(table, options, AuditOptions(audit, options["params_other"], options["compute_others"]))
    return Laws(table.source, tuple(found), tuple(notes))


def _parameters(one: FoundLaw) -> Iterator[Mapping[str, Any]]:
    result = one.result
    head = {"arch": one.arch, "law": result.law, "floor": result.floor}
    tail = {
        "status": result.status.value,
        "reason": result.reason,
        "points_used": result.points_used,
        "param_convention": result.param_convention,
        "objective": result.objective,
    }
    readable = result.params if result.status.value == "ok" else {}
    if not readable:
        yield {**head, "parameter": None, "value": None, "low": None, "high": None, "interval": None, **tail}
    for name, value in readable.items():
        found = result.intervals.get(name)
        ends = {
            "low": found.low if found else None,
            "high": found.high if found else None,
            "interval": found.method if found else None,
        }
        yield {**head, "parameter": name, "value": value, **ends, **tail}


def _laws(one: FoundLaw) -> Iterator[Mapping[str, Any]]:
    return ({"arch": one.arch, **fields_of(row), "status": row.status.value} for row in one.laws)


def _audit(one: FoundLaw) -> Iterator[Mapping[str, Any]]:
    for row in one.audit:
        params = row.result.params if row.result.status.value == "ok" else {}
        yield {"arch": one.arch, "variant": row.variant, "status": row.result.status.value, **params}


def _back_test(one: FoundLaw) -> Iterator[Mapping[str, Any]]:
    for row in one.back_test:
        cells = {name: value for name, value in fields_of(row).items() if name != "predicted"}
        yield {"arch": one.arch, **cells, "status": row.status.value, **interval_cells("predicted", row.predicted)}
