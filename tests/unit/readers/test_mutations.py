"""Whatever is done to a file, it is read, or refused in one line with the file and the place.

ARCHBENCH_MUTATIONS says how many mutants of each file are tried.
"""

import os
import random
import re
import shutil
import sqlite3
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.read import run_tables
from archbench.analysis.tables.records import ImportSettings, records_of
from archbench.analysis.tables.run_facts import Asked
from archbench.builtins.readers.record_logs import leveldb_records, masked_crc32c, tf_records
from archbench.cli.import_readers import evaluation_columns, read_evaluations
from archbench.cli.main import main
from archbench.errors import SpecError
from archbench.host import default_host

pytestmark = pytest.mark.thorough

NUM_MUTANTS = int(os.environ.get("ARCHBENCH_MUTATIONS", "60"))
STATED = Asked(params="n_params", arch="architecture")
SAID = Asked(params="20e3", arch="gpt2", batch_tokens="4096")
TEXTS: dict[str, tuple[str, str, Asked]] = {
    "state of the Trainer": ("hf-trainer", "hf-trainer/gpt2-4320/trainer_state.json", SAID),
    "log of nanochat": ("nanochat", "nanochat/gpt2-20k.log", Asked(arch="gpt2")),
    "records of nanochat": ("nanochat", "nanochat/records/base_train.log", Asked(arch="gpt2")),
    "log of nanoGPT": ("nanochat", "nanochat/nanogpt.txt", SAID),
    "sweep of nanochat": ("nanochat", "nanochat/results.csv", Asked(arch="gpt2")),
    "runs of MLflow": ("mlflow", "mlflow/runs.csv", STATED),
}
BINARIES: dict[str, tuple[str, str, Asked]] = {
    "events": ("tensorboard", "tensorboard/gpt2-20k/events*", SAID),
    "W&B": ("wandb", "wandb/*.wandb", STATED),
    "database of Trackio": ("trackio", "trackio/scan.db", STATED),
    "Parquet of Trackio": ("trackio", "trackio/scan.parquet", STATED),
    "database of MLflow": ("mlflow", "mlflow/mlflow.db", STATED),
}
TOKENS = (
    "", "NaN", "nan", "-1", "0", "1e999", "inf", "x", '"', ",", "\n", "\r", "\x00", "é", "\u2028", "null", "true", "{}",
    "[]", "9" * 400, "1.5", "{", "]", ":", " ", "\ufeff", "-", "1e18", "'", "=", "|", "log_history", "step",
)  # fmt: skip

quick = settings(
    max_examples=NUM_MUTANTS,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def take(kind: str, path: Path, asked: Asked) -> int:
    """The way of a file into the store, up to its records; how many evaluations came through."""
    reader = default_host().registry.run_readers[kind].config()
    found = read_evaluations(reader, [path], asked)
    treatment = Treatment(loss_unit=found.loss_unit)
    frame = found.frame.drop(columns=["file", "place"])
    tables = run_tables(frame, evaluation_columns(found), source=str(path), treatment=treatment)
    words = ImportSettings(str(path), "causal", "total", None)
    return sum(len(record.curve) for table in tables for record in records_of(table, words))


def survives(kind: str, path: Path, asked: Asked) -> None:
    """`take` gives evaluations, or one line that names the file."""
    count, told = 0, ""
    try:
        count = take(kind, path, asked)
    except SpecError as error:
        told = str(error)
    assert count > 0 if not told else path.name in told or path.parent.name in told


def mutated(data: bytes, draw: random.Random) -> bytes:
    """`data` with bytes flipped, cut, doubled or overwritten."""
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(data) + 1)
        end = min(len(data), place + draw.choice((1, 1, 4, 30)))
        match draw.randrange(4):
            case 0:
                data = data[:place]
            case 1:
                data = data[:place] + draw.randbytes(end - place) + data[end:]
            case 2:
                data = data[:place] + data[end:]
            case 3:
                data = data[:end] + data[place:]
    return data


def mutated_text(text: str, draw: random.Random) -> str:
    """`text` with words, cells and lines replaced by what nobody expects there."""
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(text) + 1)
        end = place
        while end < len(text) and text[end] not in ' ,\n":{}[]=|':
            end += 1
        text = text[:place] + draw.choice(TOKENS) + text[max(end, place + draw.choice((0, 0, 1))) :]
    return text


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_was_changed_is_read_or_refused_in_one_line(what: str, files: Path, tmp_path: Path) -> None:
    kind, name, asked = TEXTS[what]
    original = (files / name).read_text()
    copy = tmp_path / Path(name).name

    @quick
    @given(st.randoms(use_true_random=False))
    def check(draw: random.Random) -> None:
        copy.write_bytes(mutated_text(original, draw).encode())
        survives(kind, copy, asked)
        copy.write_bytes(mutated(original.encode(), draw))
        survives(kind, copy, asked)

    check()


@pytest.mark.parametrize("what", BINARIES)
def test_a_binary_file_that_was_changed_is_read_or_refused_in_one_line(what: str, files: Path, tmp_path: Path) -> None:
    kind, pattern, asked = BINARIES[what]
    source = sorted(files.glob(pattern))[0]
    original, copy = source.read_bytes(), tmp_path / source.name
    if source.suffix == ".parquet":
        shutil.copy(source.with_name("scan_configs.parquet"), tmp_path)

    @quick
    @given(st.randoms(use_true_random=False))
    def check(draw: random.Random) -> None:
        copy.write_bytes(mutated(original, draw))
        survives(kind, copy, asked)

    check()


def framed_as_wandb(records: list[bytes]) -> bytes:
    """A `.wandb` file of `records`, each with a right checksum; blocks are filled as LevelDB's log has it."""
    content = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        rest, first = record, True
        while first or rest:
            left = 32768 - len(content) % 32768
            if left < 7:
                content += bytes(left)
                continue
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if not rest else 2) if first else (4 if not rest else 3)
            content += struct.pack("<IHB", zlib.crc32(part, zlib.crc32(bytes([kind]))), len(part), kind) + part
            first = False
    return bytes(content)


def framed_as_events(records: list[bytes]) -> bytes:
    """An event file of `records`, each with right checksums."""
    parts = []
    for record in records:
        size = struct.pack("<Q", len(record))
        checks = [struct.pack("<I", masked_crc32c(data)) for data in (size, record)]
        parts += [size, checks[0], record, checks[1]]
    return b"".join(parts)


@pytest.mark.parametrize("what", ["W&B", "events"])
def test_records_with_a_right_checksum_are_read_or_refused_whatever_they_hold(
    what: str, files: Path, tmp_path: Path
) -> None:
    kind, pattern, asked = BINARIES[what]
    source = sorted(files.glob(pattern))[0]
    records = [data for _, data in (leveldb_records(source, 7) if what == "W&B" else tf_records(source))]
    framed = framed_as_wandb if what == "W&B" else framed_as_events
    copy = tmp_path / source.name
    copy.write_bytes(framed(records))
    assert take(kind, copy, asked) == take(kind, source, asked)

    @quick
    @given(st.randoms(use_true_random=False))
    def check(draw: random.Random) -> None:
        changed = list(records)
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(changed))
            changed[place] = mutated(changed[place], draw) + draw.randbytes(draw.choice((0, 0, 0, 300)))
        copy.write_bytes(framed(changed))
        survives(kind, copy, asked)

    check()


CHANGES: dict[str, tuple[str, str, Asked, str, tuple[str, ...]]] = {
    "Trackio": (
        "trackio",
        "trackio/scan.db",
        STATED,
        "UPDATE metrics SET {} = ? WHERE id = ?",
        ("metrics", "step", "run_name", "run_id"),
    ),
    "MLflow": (
        "mlflow",
        "mlflow/mlflow.db",
        STATED,
        "UPDATE metrics SET {} = ? WHERE rowid = ?",
        ("value", "step", "key"),
    ),
}
CELLS: tuple[object, ...] = (
    "x", "", "{}", "[]", "null", '{"val/loss": null}', '{"val/loss": "NaN"}', '{"val/loss": []}', '{"val/loss": true}',
    -1, 1e300, b"\xff\x00", "9" * 5000, float("inf"), '{"val/loss": 1e999}', '{"a": {"b": {"c": 1}}}', "[" * 3000,
)  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("cell", range(len(CELLS)))
def test_a_database_with_strange_cells_is_read_or_refused(what: str, cell: int, files: Path, tmp_path: Path) -> None:
    kind, name, asked, statement, columns = CHANGES[what]
    for column in columns:
        copy = tmp_path / f"{column}.db"
        shutil.copy(files / name, copy)
        with sqlite3.connect(copy) as connection:
            connection.execute("PRAGMA ignore_check_constraints = 1")
            connection.execute(statement.format(column), (CELLS[cell], 7))
        connection.close()
        survives(kind, copy, asked)


@pytest.mark.parametrize("cell", ["", "x", "1 2", "1 x 100", "1 2.5 x", "1 2.5 100 a", "1 nan 100", "1 inf -5", "\xff"])
def test_a_run_of_mlflows_folder_with_strange_lines_is_read_or_refused(cell: str, files: Path, tmp_path: Path) -> None:
    shutil.copytree(files / "mlflow" / "mlruns", tmp_path / "mlruns")
    [metric] = tmp_path.glob("mlruns/*/*/metrics/val/loss")
    lines = metric.read_text().splitlines()
    metric.write_bytes("\n".join([*lines[:2], cell, *lines[2:]]).encode("latin-1"))
    survives("mlflow", tmp_path / "mlruns", STATED)
    [meta] = tmp_path.glob("mlruns/*/*/meta.yaml")
    meta.write_bytes(cell.encode("latin-1") + b"\n- {")
    with pytest.raises(SpecError, match=r"meta\.yaml"):
        take("mlflow", tmp_path / "mlruns", STATED)


def test_a_damaged_record_is_named_with_its_number(files: Path, tmp_path: Path) -> None:
    for kind, pattern, asked in (BINARIES["events"], BINARIES["W&B"]):
        source = sorted(files.glob(pattern))[0]
        data = bytearray(source.read_bytes())
        data[len(data) // 2] ^= 0x10
        (tmp_path / source.name).write_bytes(data)
        with pytest.raises(SpecError, match=r"record \d+: is damaged"):
            take(kind, tmp_path / source.name, asked)
        # A file that ends within a record was not closed: what is whole of it counts.
        (tmp_path / source.name).write_bytes(source.read_bytes()[:-5])
        assert take(kind, tmp_path / source.name, asked) >= 3


@pytest.mark.parametrize("what", ["state of the Trainer", "sweep of nanochat", "W&B"])
def test_a_damaged_file_is_one_line_for_a_person(
    what: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, pattern, _ = (TEXTS | BINARIES)[what]
    source = sorted(files.glob(pattern))[0]
    data = bytearray(source.read_bytes())
    data[len(data) // 2] = 0xFF
    copy = tmp_path / source.name
    copy.write_bytes(data)
    words = ["--params", "1e4", "--arch", "gpt2", "--param-convention", "total", "--track", "causal"]
    with pytest.raises(SystemExit) as ended:
        main(["import", str(copy), "--from", kind, *words, "--runs", str(tmp_path / "runs")])
    assert ended.value.code == 2
    assert re.fullmatch(rf"archbench: {re.escape(str(copy))}: (line|record) \d+.*\n", capsys.readouterr().err)
    assert not (tmp_path / "runs").exists()
