"""A table of runs as run records, which `import` stores and comparisons read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from archbench.analysis.tables.records import ImportSettings, records_of
from archbench.analysis.tables.run_table import RunTable
from archbench.errors import SpecError
from archbench.results.runs import RunRecord
from archbench.runs.imported import imported_run_id


def check_costs(options: Mapping[str, Any]) -> None:
    """Raises SpecError for columns of cost that contradict each other, or whose unit is not said."""
    if options["compute"] and not options["compute_unit"]:
        raise SpecError("--compute-unit: say flops, pf-days, seconds or gpu-hours; it is not guessed")
    if options.get("seconds") and options["compute_unit"] in ("seconds", "gpu-hours"):
        raise SpecError(f"--seconds and --compute in {options['compute_unit']}: both are times; give one of them")


def table_records(
    shown: str, tables: Sequence[RunTable], options: Mapping[str, Any], best_of: tuple[str, ...]
) -> list[RunRecord]:
    """The runs of `tables`, each under the id of all that it says; of architectures without a row left there is none.

    shown: what the table is called. Raises SpecError where no row of any is left.
    """
    settings = ImportSettings(
        origin=origin_of(shown, options),
        track=options["track"],
        param_convention=options["param_convention"],
        compute_unit=options["compute_unit"],
        active=bool(options["params_active"]),
        best_of=best_of,
    )
    filled = [table for table in tables if len(table)]
    records = [record for table in filled or tables for record in records_of(table, settings)]
    return [replace(record, run_id=imported_run_id(record)) for record in records]


def origin_of(shown: str, options: Mapping[str, Any]) -> str:
    """What runs of the table `shown` state as their origin."""
    return f"{shown} (N {options['param_convention']})"


def dropped_words(table: RunTable) -> str:
    """Which architecture is left without a run, why, and what brings it back."""
    reasons = "; ".join(dict.fromkeys(one.reason for one in table.gate.left_out))
    remedy = "; fill its cells" if any(one.kind in ("no_number", "no_label") for one in table.gate.left_out) else ""
    if "--params-total" in reasons:
        remedy += " (all parameters of a dense model are its N), or leave --params-total out"
    return f"{table.arch} is left out altogether: {reasons}{remedy}"
