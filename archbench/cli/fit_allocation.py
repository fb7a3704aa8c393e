"""`archbench fit FILE --law allocation`: how N and D grow with compute, by each approach of the field."""

from pathlib import Path
from typing import Any

from archbench.cli.common import print_json, table_console
from archbench.cli.run_tables import load_tables, print_gate, stated_params, unstated
from archbench.cli.terminal import echo
from archbench.errors import SpecError

ALLOCATION = "allocation"


def fit_allocation(file: Path, options: dict[str, Any], *, as_json: bool) -> None:
    """Prints the exponents of each architecture. Raises SpecError where a column is not named."""
    from archbench.analysis.planning.approaches import study_allocation

    for flag in ("params", "tokens", "compute"):
        if options[flag] is None and not (flag == "params" and options["params_active"]):
            raise SpecError(f"--law {ALLOCATION}: needs N, D and C; name the column by --{flag}")
    found = [
        (
            table,
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
        from archbench.cli.outputs.gate import gate_output

        fits = [ArchAllocation(table.arch, list(rows), gate_output(table.gate)) for table, rows in found]
        print_json(AllocationOutput(str(file), fits, list(notes)))
        return
    from rich.table import Table

    for runs, rows in found:
        head = f"{runs.arch}: " if runs.arch else ""
        echo(f"{head}N ~ C^a, D ~ C^b (Hoffmann et al. 2022, section 3), N {stated_params(options)}")
        print_gate(runs)
        for line in notes:
            echo(f"note: {line}")
        table = Table("approach", "points", "a (95 %)", "b (95 %)", "status", box=None, header_style="bold")
        for row in rows:
            status = row.status.value + (f": {row.reason}" if row.reason else "")
            table.add_row(row.approach, str(row.points), _cell(row.of_params), _cell(row.of_tokens), status)
        table_console().print_whole(table)
        for row in rows:
            for line in row.notes:
                echo(f"{row.approach}: {line}")


def _cell(interval: Any) -> str:
    if interval is None:
        return "-"
    known = interval.low == interval.low
    ends = f" ({interval.low:.3f} to {interval.high:.3f})" if known else " (no interval: few resamples give a trend)"
    return f"{interval.value:.4f}{ends}"
