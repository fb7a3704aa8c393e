"""Which reader takes the files that `archbench import` was given, and what was said of their runs."""

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.cli.common import note
from archbench.errors import SpecError, nearest
from archbench.units import counted

if TYPE_CHECKING:
    import pandas as pd

    from archbench.analysis.tables.evaluations import Evaluations
    from archbench.analysis.tables.run_facts import Asked, Given
    from archbench.analysis.tables.run_table import Columns
    from archbench.contracts.run_reader import RunHistory, RunReader
    from archbench.host import Host

TABLE = "table"
"""The reader of what no other recognises."""

FLAGS = ("params", "tokens", "batch_tokens", "loss", "arch", "compute", "seconds", "seed", "step")
"""Flags that hold a value or the name of a setting or metric: fields of `Asked`."""

_MOST_PLACES = 8
"""Rows whose places are printed; a table has them all."""
_SET = re.compile(r"(?:(?P<run>.+)\.)?(?P<key>\w+)=(?P<value>.+)", re.DOTALL)
_GENERIC = frozenset({"trainer_state", "results", "main", "log", "train", "wandb", "mlruns", "mlflow"})
"""Stems and folders that name a format rather than somebody's runs."""


def reader_of(host: "Host", paths: Sequence[Path], kind: str | None) -> str:
    """The kind that reads `paths`: as said, else as they are recognised, which is told; TABLE where nobody does.

    Raises SpecError for a path that does not exist, a kind that is none, and paths of several kinds.
    """
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises where a folder may not be entered)
            raise SpecError(f"{path}: no such file or folder")
        if not (path.is_file() or path.is_dir()):  # of a pipe one would wait for whoever writes into it
            raise SpecError(f"{path}: is neither a file nor a folder; write into a file what comes through a pipe")
    readers = host.registry.run_readers
    if kind is not None:
        if kind not in readers.entries:
            failed = "".join(f"; plug-in {name!r} failed: {why}" for name, why in readers.failures.items())
            raise SpecError(f"--from: {kind!r} is no reader{nearest(kind, readers.entries)}{failed}")
        return kind
    found: dict[str, Path] = {}
    for path in paths:
        kinds = [name for name, registered in readers.entries.items() if _recognised(registered.config, path)]
        if len(kinds) > 1:
            raise SpecError(f"{path}: may be read as {' or '.join(kinds)}; choose by --from")
        if not kinds and path.is_dir():
            raise SpecError(f"{path}: no reader knows this folder; say --from {', '.join(sorted(readers.entries))}")
        found.setdefault(kinds[0] if kinds else TABLE, path)
    if len(found) > 1:
        kinds_of = "; ".join(f"{path} as {name}" for name, path in found.items())
        raise SpecError(f"files of several kinds ({kinds_of}): import each kind by itself, or say --from")
    chosen = next(iter(found))
    if chosen != TABLE:
        others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        note(f"{paths[0]}{others}: read as {chosen} (another: --from KIND)")
    return chosen


def _recognised(reader: type, path: Path) -> bool:
    try:
        return bool(reader().recognises(path))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_histories(reader: "RunReader", paths: Sequence[Path]) -> list["RunHistory"]:
    """The runs in `paths`. Raises SpecError."""
    histories: list[RunHistory] = []
    for path in paths:
        try:
            histories += reader.read(path)
        except OSError as error:
            raise SpecError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    return histories


def read_evaluations(reader: "RunReader", paths: Sequence[Path], asked: "Asked") -> "Evaluations":
    """The evaluations of all runs in `paths`, as one table; what was chosen is told. Raises SpecError."""
    from archbench.analysis.tables.evaluations import evaluations

    found = evaluations(read_histories(reader, paths), asked)
    for line in found.notes:
        note(line)
    return found


def has_all_columns(paths: Sequence[Path], options: Mapping[str, Any]) -> bool:
    """Whether a table has a column for all that is said; if something is given once, it is read as histories.

    Raises SpecError for a column that flags must name and do not.
    """
    from archbench.analysis.tables.files import read_table

    if len(paths) > 1 or options["batch_tokens"]:
        return False
    if not (options["params"] or options["params_active"]):
        raise SpecError("--params: name the column of parameters N, or by --params-active that of a mixture of experts")
    for key in ("loss", "arch"):
        if not options[key]:
            raise SpecError(f"--{key}: {paths[0]} is read as a table: name its column of {key}, or say another --from")
    known = [str(name) for name in read_table(paths[0]).columns]
    params, arch = str(options["params"] or ""), str(options["arch"])
    if params not in known and re.match(r"[\d.]", params):
        return False
    if arch not in known and not difflib.get_close_matches(arch, known, n=1, cutoff=0.6):
        return False
    if not options["tokens"]:
        raise SpecError(f"--tokens: {paths[0]}: name its column of tokens, or say --batch-tokens, tokens of one --step")
    return True


def reader_for(host: "Host", kind: str, paths: Sequence[Path], names: Mapping[str, Any]) -> "RunReader":
    """The reader `kind`; `--run` says what rows of a table are a run.

    Raises SpecError where another kind is given `--run`.
    """
    run = names["run"]
    reader = host.registry.run_readers[kind].config
    if kind != TABLE:
        if run:
            raise SpecError(f"--run: reader {kind} names the runs by itself; --run is for tables")
        return reader.model_validate({})
    if run:
        return reader.model_validate({"columns_of_run": (run,)})
    if not names["step"]:
        return reader.model_validate({"columns_of_run": None})
    from archbench.analysis.tables.files import read_table

    known = [set(map(str, read_table(path).columns)) for path in paths]
    shared = [
        names[key] for key in ("arch", "params", "seed") if names[key] and all(names[key] in one for one in known)
    ]
    return reader.model_validate({"columns_of_run": tuple(shared)})


def evaluation_columns(found: "Evaluations") -> "Columns":
    """Where the table of evaluations has what."""
    from archbench.analysis.tables.run_table import Columns

    known = {
        key: key
        for key in ("params", "tokens", "arch", "step", "run", "seed", "compute", "seconds")
        if key in found.frame
    }
    return Columns(loss=found.loss, **known)


def row_places(places: "pd.DataFrame", rows: Collection[int]) -> list[str]:
    """Where evaluations, counted from 1 over all runs, stand in their files: a line for each of the first `rows`."""
    lines = []
    for row in sorted(rows)[:_MOST_PLACES]:
        run, file, place = places.iloc[row - 1]
        lines.append(f"row {row} is {place} of {file} (run {run})")
    if len(rows) > _MOST_PLACES:
        lines.append(f"and {len(rows) - _MOST_PLACES} more rows: --write-table FILE.csv has the place of each")
    return lines


def save_table(found: "Evaluations", file: Path) -> None:
    """Writes the table of evaluations. Raises SpecError where that fails, or where it would replace a file."""
    if file.suffix.lower() != ".csv":
        raise SpecError(f"--write-table: got {str(file)!r}, expected the name of a .csv")
    try:
        with file.open("x", encoding="utf-8", newline="") as stream:
            found.frame.to_csv(stream, index=False)
    except FileExistsError:
        raise SpecError(f"--write-table: {file} exists; name another, or remove it") from None
    except OSError as error:
        raise SpecError(f"--write-table: {file}: cannot be written: {error.strerror or error}") from error
    note(f"{file}: {counted(len(found.frame), 'evaluation')}, loss in column {found.loss!r}")


def all_given(settings: Iterable[str], about: Path | None) -> tuple["Given", ...]:
    """What `--about` and then `--set` give for single runs, so that `--set` is the last word. Raises SpecError."""
    return (*(_about(about) if about is not None else ()), *map(_set, settings))


def _set(text: str) -> "Given":
    """`[RUN.]KEY=VALUE`."""
    from archbench.analysis.tables.run_facts import GIVEN_KEYS, Given

    where = f"--set {text}"
    # The key is the last word before an equals sign; a run's name may hold dots and equals signs itself.
    ends = [match.end() for match in re.finditer(rf"(?:^|\.)(?:{'|'.join(GIVEN_KEYS)})=", text)]
    match = _SET.fullmatch(text) if not ends else re.fullmatch(_SET.pattern, text[: ends[-1]] + "-")
    if match is None:
        raise SpecError(f"{where}: expected [RUN.]KEY=VALUE, for example small.params=124e6")
    value = text[ends[-1] :] if ends else match["value"]
    if not value.strip():
        raise SpecError(f"{where}: has no value, expected [RUN.]KEY=VALUE, for example small.params=124e6")
    return Given(match["run"] or "*", match["key"], value.strip(), where)


def _about(path: Path) -> list["Given"]:
    """A table with a column `run` and others named as the values that `--set` takes."""
    from archbench.analysis.tables.files import read_table
    from archbench.analysis.tables.run_facts import GIVEN_KEYS, Given

    frame = read_table(path)
    names = [str(name) for name in frame.columns]
    if "run" not in names:
        raise SpecError(f"{path}: has no column run{nearest('run', names)}")
    for name in names:
        if name != "run" and name not in GIVEN_KEYS:
            raise SpecError(f"{path}: column {name!r} cannot be given{nearest(name, ['run', *GIVEN_KEYS])}")
    return [
        Given(str(row["run"]), name, str(row[name]), f"{path}: row {number}")
        for number, row in enumerate(frame.to_dict(orient="records"), start=1)
        for name in names
        if name != "run" and row[name] == row[name] and row[name] is not None
    ]


def scan_name(paths: Sequence[Path]) -> str:
    """A name for the scan of what `paths` hold: of one file or folder its own, else that of the folder of all."""
    first = paths[0].absolute()
    name = first.stem if first.is_file() else first.name
    if len(paths) > 1 or name in _GENERIC:
        name = Path(os.path.commonpath([path.absolute().parent for path in paths])).name
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "imported"
