"""How a table of runs is meant, in the words of the options of `fit`, `forecast` and `import`, and what it holds.

Options are the parameters of those commands by name; what is not said is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.errors import SpecError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from archbench.analysis.tables.quantities import Treatment
    from archbench.analysis.tables.run_table import Columns, RunTable

ALLOCATION = "allocation"
"""In place of a law's name: how N and D grow with compute."""
MAX_POINTS = 20_000
"""Of one fit. Points of one curve say little more than its last ones, and a bootstrap of more takes minutes."""
COLUMNS = (
    "params", "tokens", "compute", "loss", "arch", "seed", "step", "run", "critical_batch", "finetune_tokens",
    "transferred",
)  # fmt: skip
"""Options that name a column, beside those of mixtures of experts and of seconds."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "compute_unit": ("flops", "pf-days", "seconds", "gpu-hours"),
    "param_convention": ("non_embedding", "total"),
    "loss_unit": ("nats", "bits", "ppl", "bpb", "nats-per-byte"),
    "points": ("all", "final", "efficient"),
    "residuals": ("log", "absolute"),
    "interval": ("auto", "percentile", "bca", "profile"),
}
"""Option -> what it may be."""
_SCALED = ("params", "params-total", "tokens", "compute", "seconds", "step", "loss", "critical-batch",
           "finetune-tokens", "transferred")  # fmt: skip
"""What `--scale` and `--log10` may name: the flags of columns of numbers."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of runs, and what they are called in messages: a path, or whose frame it is."""

    frame: "pd.DataFrame"
    source: str


def table_in(file: Path) -> Table:
    """The table in `file`. Raises SpecError where it cannot be read."""
    from archbench.analysis.tables.files import read_table

    return Table(read_table(file), str(file))


def treatment_of(options: Mapping[str, Any]) -> "Treatment":
    """What `meaning_options` said. Raises SpecError for a name or a factor that is none."""
    from archbench.analysis.tables.quantities import Treatment

    scale = {}
    for given in _listed(options["scales"]):
        name, _, factor = given.partition("=")
        scale[_field(name, "--scale")] = _factor(given, factor)
    where = []
    for given in options["where"]:
        column, separator, value = given.partition("=")
        if not (column and separator):
            raise SpecError(f"--where: got {given!r}, expected COL=VALUE, for example dataset=c4")
        where.append((column, value))
    return Treatment(
        scale=scale,
        log10=frozenset(_field(name, "--log10") for name in _listed(options["log10s"])),
        loss_unit=options["loss_unit"],
        best_of=tuple(dict.fromkeys(_listed(options["best_of"]))),
        where=tuple(where),
    )


def _listed(given: Sequence[str]) -> list[str]:
    return [part.strip() for text in given for part in text.split(",") if part.strip()]


def _field(name: str, flag: str) -> str:
    if name not in _SCALED:
        raise SpecError(f"{flag}: got {name!r}, expected the name of a flag of numbers{nearest(name, _SCALED)}")
    return name.replace("-", "_")


def _factor(given: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise SpecError(f"--scale: got {given!r}, expected NAME=FACTOR, for example params=1e9")
    return value


def columns_of(options: Mapping[str, Any]) -> "Columns":
    """Which column holds what. Active parameters of a mixture of experts are its N."""
    from archbench.analysis.tables.run_table import Columns

    chosen: dict[str, Any] = {name: options.get(name) for name in (*COLUMNS, "params_total", "seconds")}
    if active := options.get("params_active"):
        if chosen["params"]:
            raise SpecError("--params and --params-active: both name N; give one, and all parameters by --params-total")
        chosen["params"] = active
    return Columns(**chosen)


def parse_floor(text: str) -> Any:
    """`none`, `free` or a number. Raises SpecError for anything else."""
    if text in ("none", "free"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise SpecError(f"--floor: got {text!r}, expected none, free or a number of nats, for example 1.6")
    return value


def load_tables(table: Table, options: Mapping[str, Any]) -> list["RunTable"]:
    """The runs of each architecture in `table` that the gate let in; `gate` of each says which, and why not others."""
    from archbench.analysis.tables.read import run_tables

    tables = run_tables(
        table.frame,
        columns_of(options),
        source=table.source,
        compute_unit=options["compute_unit"],
        points=options["points"],
        treatment=treatment_of(options),
    )
    for one in tables:
        if len(one) > MAX_POINTS:
            head = f"{table.source}: {one.arch}: " if one.arch else f"{table.source}: "
            raise SpecError(
                f"{head}{len(one):,} points, a law is fitted to at most {MAX_POINTS:,}; "
                "choose --points final or efficient, or thin the curves"
            )
    return tables


def empty_reason(table: "RunTable") -> str:
    """Why no row of `table` is left, by column; empty where some are."""
    if len(table):
        return ""
    return "no row is left: " + "; ".join(dict.fromkeys(one.reason for one in table.gate.left_out))


def unstated(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Which conventions the caller left unsaid, each as a note."""
    notes = []
    if options["compute"] and options["compute"] != "6ND" and not options["compute_unit"]:
        notes.append("unit of --compute not stated (--compute-unit): scales are in the column's unit")
    if (options["params"] or options["params_active"]) and not options["param_convention"]:
        notes.append("convention of --params not stated (--param-convention): exponents differ between conventions")
    if not options["loss_unit"]:
        notes.append("unit of --loss not stated (--loss-unit): read as nats per token")
    return tuple(notes)


def stated_params(options: Mapping[str, Any]) -> str:
    """What N counts, as far as it was said."""
    counted = options["param_convention"] or "not stated"
    return f"{counted}, active" if options.get("params_active") else counted


def no_law_to_draw() -> SpecError:
    """What is said where a figure of ALLOCATION is asked for."""
    return SpecError(f"--plot: draws a law; --law {ALLOCATION} is none, leave one of the two out")
