"""`archbench.compare`: what `archbench compare` answers, of a store, an entry or a frame."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from archbench.analysis.tables.read import run_tables
from archbench.answers.comparison_words import lines_below, place_lines, verdict_lines
from archbench.answers.comparisons import Compared, Sides, check_units, compare_output, compare_sides, places_of
from archbench.answers.plain import as_json
from archbench.answers.stored_sides import stored_pair, stored_scan
from archbench.answers.table_options import CHOICES, Table, columns_of, treatment_of
from archbench.answers.table_records import check_costs, dropped_words, table_records
from archbench.answers.usual_columns import require_loss, with_usual_columns
from archbench.errors import SpecError, nearest
from archbench.notebook.inputs import Data, runs_in
from archbench.notebook.options import choice, options_of, refuse_meaning
from archbench.notebook.result import Result, chosen, frame_of, shown
from archbench.notebook.runs import Runs
from archbench.report.answer import main_axis
from archbench.report.labels import labels_of
from archbench.report.tables import headlines_table, multipliers_table, rungs_table
from archbench.results.runs import RunRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLES = {"headlines": headlines_table, "multipliers": multipliers_table, "rungs": rungs_table}
_FIGURES = ("multipliers", "overview")
_TRACKS = ("causal", "masked")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Comparisons(Result):
    """Contenders against a baseline, on each cost axis."""

    compared: Compared
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The verdict, what it must be read with, what figures are read from, and what was asked for at a place."""
        yield from verdict_lines(self.compared)
        yield from lines_below(self.compared)
        if self.compared.places:
            yield from place_lines(self.compared)

    def told(self) -> tuple[str, ...]:
        """Columns taken by usual names, what the gate says of a table, runs that could not be read."""
        return self.notes

    def to_frame(self, of: str = "headlines") -> pd.DataFrame:
        """A contender and cost axis a row: the headline multiplier, its intervals and window, exponents, status.

        of: `multipliers` at each loss, or `rungs`, the multiplier at each size. Columns are those of a report's data
        tables; their meanings are in `attrs["columns"]`.
        """
        return frame_of(_TABLES[chosen(of, tuple(_TABLES))](self.compared.results))

    def to_dict(self) -> dict[str, Any]:
        """What `archbench compare --json` prints."""
        return as_json(compare_output(self.compared))

    def plot(self, of: str = "multipliers") -> "Figure":
        """The multipliers over the losses that both reach, or the `overview` of frontiers, on the verdict's axis.

        Without any multiplier it is the overview. Raises SpecError where no run has ended.
        """
        from archbench.report import figures
        from archbench.report.contenders import contenders_of

        if of not in _FIGURES:
            raise SpecError(f"plot: got {of!r}, expected {' or '.join(_FIGURES)}")
        results = self.compared.results
        labels = labels_of(results.records)
        drawn = contenders_of(results)
        if not drawn:
            raise SpecError(f"{results.name}: no run has ended, so that there is nothing to draw")
        axis = main_axis(results)
        pairs = [pair for pair in results.comparisons if pair.cost_axis is axis and pair.comparable_loss]
        names = [one.name for one in drawn]
        figure = figures.multipliers(pairs, names, labels) if of == "multipliers" else None
        return shown(figure if figure is not None else figures.overview(drawn, labels))


def compare(
    data: Data,
    baseline: str,
    contender: str | None = None,
    *,
    scan: str | None = None,
    window: Sequence[float] | None = None,
    at_cost: float | None = None,
    at_loss: float | None = None,
    track: str | None = None,
    params: str | None = None,
    tokens: str | None = None,
    compute: str | None = None,
    loss: str | None = None,
    arch: str | None = None,
    seed: str | None = None,
    step: str | None = None,
    run: str | None = None,
    seconds: str | None = None,
    params_active: str | None = None,
    params_total: str | None = None,
    compute_unit: str | None = None,
    param_convention: str | None = None,
    loss_unit: str | None = None,
    scale: Mapping[str, float] | None = None,
    log10: str | Sequence[str] = (),
    best_of: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
) -> Comparisons:
    """`contender` against `baseline`, or all others where none is named, as `archbench compare` answers.

    data: a store or runs loaded of it; or a frame or table, which passes the gate of `archbench import` first: then
    `track` (causal or masked) and `param_convention` (non_embedding or total) must be said, and columns are named as
    there or taken by their usual names. Of several contenders p is corrected over all, as in a scan's report.
    window: the higher and the lower loss (nats). Raises SpecError or StoreError, in one line, where the commands would
    end with it.
    """
    options = options_of(locals())
    notes: list[str] = []
    if window is not None and not isinstance(window, Sequence):
        raise SpecError(f"--window: got {window!r}, expected two losses, the higher first, as in (2.9, 2.6)")
    places = places_of(window, at_cost, at_loss)
    runs = runs_in(data)
    if runs.table is not None:
        if scan is not None:
            raise SpecError(f"--scan: {runs.source} is a table and has no scan {scan!r}")
        sides = _of_table(runs.table, baseline, contender, options, notes.append)
    else:
        refuse_meaning(options, runs.source)
        sides = _of_scans(runs, baseline, contender, scan, notes.append)
    if len(sides.contenders) > 1 and (at_cost is not None or at_loss is not None):
        raise SpecError(f"--at-cost and --at-loss: are of one pair; name a contender: {', '.join(sides.contenders)}")
    return Comparisons(compare_sides(sides, places), tuple(dict.fromkeys((*runs.notes, *notes))))


def _of_scans(runs: Runs, baseline: str, contender: str | None, scan: str | None, say: Callable[[str], None]) -> Sides:
    if runs.store is None:
        runs.one_scan(scan)
        return _sides(runs.records, baseline, contender, runs.source, say)
    if contender is None:
        return stored_scan(runs.store, baseline, runs.one_scan(scan).name, say)
    # Of all scans of a store the pair may come of two; what was loaded of one scan is of that one.
    one = runs.one_scan(scan) if scan is not None or len(runs.scans) == 1 else None
    return stored_pair(runs.store, baseline, contender, one.name if one is not None else None, say)


def _of_table(
    table: Table, baseline: str, contender: str | None, options: dict[str, Any], say: Callable[[str], None]
) -> Sides:
    options["track"] = choice("track", options["track"], _TRACKS)
    choice("param_convention", options["param_convention"], CHOICES["param_convention"])
    named_compute = options["compute"]
    options = with_usual_columns(table, options, say)
    require_loss(options)
    if named_compute is None and options["compute"] == "6ND":
        options["compute"] = None  # 6·N·D stands in for it in records anyway
    check_costs(options)
    for name in ("params", "tokens", "arch"):
        if not options[name] and not (name == "params" and options["params_active"]):
            raise SpecError(f"--{name}: {table.source}: name its column of {name}")
    treatment = treatment_of(options)
    tables = run_tables(
        table.frame,
        columns_of(options),
        source=table.source,
        compute_unit=options["compute_unit"],
        treatment=treatment,
    )
    for one in tables:
        for line in one.gate.lines():
            say(f"{one.arch}: {line}")
        if not len(one):
            say(f"warning: {dropped_words(one)}")
    records = table_records(Path(table.source).name, tables, options, treatment.best_of)
    return _sides(records, baseline, contender, table.source, say)


def _sides(
    records: Sequence[RunRecord], baseline: str, contender: str | None, source: str, say: Callable[[str], None]
) -> Sides:
    names = list(dict.fromkeys(record.contender for record in records))
    for name in (baseline, *([contender] if contender is not None else [])):
        if name not in names:
            raise SpecError(f"{source}: has no contender {name!r} with a run{nearest(name, names)}")
    if contender == baseline:
        raise SpecError(f"A and B are both {baseline!r}; name two contenders")
    others = tuple(name for name in names if name != baseline) if contender is None else (contender,)
    if not others:
        raise SpecError(f"{source}: has no contender beside {baseline!r}; nothing to compare it with")
    taken = tuple(record for name in (baseline, *others) for record in records if record.contender == name)
    for other in others:
        check_units(taken, baseline, other, say)
    return Sides(taken, baseline, others, num_others=len(names) - 1 - len(others))
