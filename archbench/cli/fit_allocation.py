"""`archbench fit FILE --law allocation`: how N and D grow with compute, by each approach of the field."""

from pathlib import Path
from typing import Any

from archbench.cli.common import print_json, table_console
from archbench.cli.run_tables import load_tables, unstated
from archbench.cli.terminal import echo
from archbench.errors import SpecError

ALLOCATION = "allocation"


def fit_allocation(file: Path, options: dict[str, Any], *, as_json: bool) -> None:
    """Prints the exponents of each architecture. Raises SpecError where a column is not named."""
    from archbench.analysis.planning.approaches import study_allocation

    for flag in ("params", "tokens", "compute"):
        if options[flag] is None:
            raise SpecError(f"--law {ALLOCATION}: needs N, D and C; name the column by --{flag}")
    found = [
        (
            table.arch,
            study_allocation(
                table,
                delta=options["delta"],
                resamples=min(options["resamples"], 400),
                seed=options["random_seed"],
            ),
        )
        for table in load_tables(file, options)
    ]
    notes = unstated(options)
    if as_json:
        from archbench.cli.outputs.analysis import AllocationOutput, ArchAllocation

        fits = [ArchAllocation(arch, list(rows)) for arch, rows in found]
        print_json(AllocationOutput(str(file), fits, list(notes)))
        return
    from rich.table import Table

    for arch, rows in found:
        echo(f"{arch + ': ' if arch else ''}N ~ C^a, D ~ C^b (Hoffmann et al. 2022, section 3)")
        for line in notes:
            echo(f"note: {line}")
        table = Table("approach", "points", "a (95 %)", "b (95 %)", "status", box=None, header_style="bold")
        for row in rows:
            status = row.status.value + (f": {row.reason}" if row.reason else "")
            table.add_row(row.approach, str(row.points), _cell(row.of_params), _cell(row.of_tokens), status)
        table_console().print(table)


def _cell(interval: Any) -> str:
    if interval is None:
        return "-"
    ends = f" ({interval.low:.3f} to {interval.high:.3f})" if interval.low == interval.low else ""
    return f"{interval.value:.4f}{ends}"
