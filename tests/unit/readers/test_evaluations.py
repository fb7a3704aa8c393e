"""From histories to one table of evaluations: what is chosen, what is given once, and each refusal in one line."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbench.analysis.tables.evaluations import evaluations
from archbench.analysis.tables.read import run_tables
from archbench.analysis.tables.run_facts import Asked, Given
from archbench.analysis.tables.stated_numbers import parse_count
from archbench.builtins.readers import wire
from archbench.builtins.readers.files import joined_by_step
from archbench.cli.import_readers import all_given, evaluation_columns, reader_of, scan_name
from archbench.contracts.run_reader import HistoryRow, RunHistory
from archbench.errors import SpecError
from archbench.host import default_host

SAID = {"params": "1e6", "batch_tokens": "1000", "arch": "gpt2"}


def history(name: str, *rows: dict[str, Any], **config: Any) -> RunHistory:
    return RunHistory(
        name, Path("f.csv"), [HistoryRow(f"row {number}", row) for number, row in enumerate(rows, start=1)], config
    )


def one(*rows: dict[str, Any], **config: Any) -> list[RunHistory]:
    return [history("a", *rows, **config)]


def test_rows_without_a_held_out_loss_are_no_evaluations() -> None:
    found = evaluations(
        one({"step": 1, "loss": 4.0}, {"step": 2, "val/loss": 3.0}, {"step": 3, "val/loss": None}), Asked(**SAID)
    )
    assert found.frame[["step", "tokens", "val/loss", "place"]].values.tolist() == [[2, 2000, 3.0, "row 2"]]
    assert found.loss == "val/loss"
    assert found.loss_unit is None


@pytest.mark.parametrize(
    ("row", "step"),
    [
        ({"_step": 1, "iter": 50}, 50),
        ({"_step": 1, "train/global_step": 40, "step": 3}, 40),
        ({"_step": 7}, 7),
        ({"_step": 1, "global_step": 5.0}, 5),
        ({"Step": "30"}, 30),
    ],
)
def test_the_surest_counter_of_steps_is_taken(row: dict[str, Any], step: int) -> None:
    assert evaluations(one({**row, "val_loss": 3.0}), Asked(**SAID)).frame["step"].tolist() == [step]


def test_a_counter_that_an_evaluation_lacks_is_not_taken() -> None:
    rows = ({"_step": 1, "iter": 50, "val_loss": 3.0}, {"_step": 2, "val_loss": 2.9})
    found = evaluations(one(*rows), Asked(**SAID))
    assert found.frame["step"].tolist() == [1, 2]
    assert "steps of 'a': _step" in found.notes


def test_what_a_person_says_of_tokens_goes_before_what_the_file_has() -> None:
    row = {"step": 10, "val_loss": 3.0, "num_input_tokens_seen": 777, "seen": 888}
    plain = {"params": "1e6", "arch": "gpt2"}

    def tokens(**asked: Any) -> float:
        return float(evaluations(one(row, total_batch_size=64), Asked(**plain, **asked)).frame["tokens"][0])

    assert tokens() == 777
    assert tokens(tokens="seen") == 888
    assert tokens(batch_tokens="1000") == 10_000
    assert tokens(given=(Given("a", "batch_tokens", "2K", "--set"),)) == 20_000
    assert tokens(tokens="1e9") == 1e9
    del row["num_input_tokens_seen"]
    assert tokens() == 640


def test_values_by_name_outweigh_patterns_and_those_outweigh_flags() -> None:
    runs = [history(name, {"step": 1, "val_loss": 3.0}) for name in ("gpt2-a", "gpt2-b", "other")]
    given_ones = all_given(["gpt2-*.params=2e6", "gpt2-b.params=3M", "learning_rate=0.001"], None)
    frame = evaluations(runs, Asked(**SAID, given=given_ones)).frame
    assert frame["params"].tolist() == [2e6, 3e6, 1e6]
    assert frame["learning_rate"].tolist() == [0.001] * 3


def test_a_table_about_runs_gives_what_set_gives(tmp_path: Path) -> None:
    table = tmp_path / "about.csv"
    table.write_text("run,params,arch,seed\na,2e6,gpt2,\nb*,3e6,llama,7\n")
    runs = [history(name, {"step": 1, "val_loss": 3.0}) for name in ("a", "b1")]
    frame = evaluations(runs, Asked(batch_tokens="10", given=all_given(["a.params=5"], table))).frame
    assert frame[["arch", "params", "seed"]].values.tolist() == [["gpt2", 5.0, 0], ["llama", 3e6, 7]]


def test_the_count_that_was_asked_for_is_taken_of_two() -> None:
    runs = one({"step": 1, "val_bpb": 0.9}, params_total=100, params_non_embedding=60, batch_tokens=5)
    for convention, params in (("total", 100), ("non_embedding", 60)):
        found = evaluations(runs, Asked(arch="x", param_convention=convention))
        assert found.frame["params"].tolist() == [params]
        assert found.loss_unit == "bpb"


def test_settings_of_the_run_fill_what_flags_name() -> None:
    runs = one(
        {"step": 2, "val_loss": 3.0, "flops": 1e9}, n=5e6, tok=100, model={"a": 1}, kind="llama", seed=3, lr="1e-3"
    )
    asked = Asked(params="n", batch_tokens="tok", arch="kind", compute="flops")
    [row] = evaluations(runs, asked).frame.to_dict(orient="records")
    assert (row["params"], row["tokens"], row["arch"], row["seed"]) == (5e6, 200, "llama", 3)
    assert (row["learning_rate"], row["compute"]) == (1e-3, 1e9)


LOGGED = {"step": 1, "val_loss": 3.0}


@pytest.mark.parametrize(
    ("runs", "asked", "message"),
    [
        ([], SAID, "there is no run"),
        (one({"step": 1, "loss": 3.0}), SAID, r"f\.csv: no metric has the name of a held-out loss.*--loss: loss, step"),
        (one({"val_loss": 1, "eval_loss": 1}), SAID, "several metrics may be the held-out loss: val_loss, eval_loss"),
        (one(LOGGED), SAID | {"loss": "val_los"}, "logged no 'val_los'; did you mean 'val_loss'"),
        (one(), SAID, "run 'a': logged nothing"),
        (one({"step": 1, "val_loss": "3.l"}), SAID, r"f\.csv: row 1: val_loss: got '3\.l', expected a number"),
        (one({"step": 1, "val_loss": True}), SAID, "row 1: val_loss: got True"),
        (one({"step": -1, "val_loss": 3}), SAID, "row 1: step: got -1, expected a whole number"),
        (one({"step": 1.5, "val_loss": 3}), SAID, "row 1: step: got 1.5"),
        (one({"step": float("nan"), "val_loss": 3}), SAID, "row 1: step: got nan"),
        (one({"step": 0, "val_loss": 3}), SAID, "has no evaluation .val_loss. after its first step"),
        (one({"val_loss": 3}), SAID, "row 1: has no step to count tokens by"),
        (one(LOGGED), SAID | {"step": "it"}, "--step: no run has a setting or metric 'it'"),
        (one(LOGGED), SAID | {"params": "n_parms"}, "--params: no run has a setting or metric 'n_parms'"),
        (one(LOGGED), SAID | {"params": "0"}, "--params: got '0', expected a number above 0"),
        (one(LOGGED), SAID | {"params": "1e999"}, "--params: got '1e999'"),
        (one(LOGGED), SAID | {"params": "0.5"}, "at least one parameter"),
        (one(LOGGED, n="x"), SAID | {"params": "n"}, r"run 'a': n \(--params\): got 'x'"),
        (one(LOGGED), SAID | {"params": None}, "its parameters are not in the file; say --params 124e6"),
        (one(LOGGED, num_params=8, n_embd=8), SAID | {"params": None}, r"--params NAME \(it has num_params\)"),
        (one(LOGGED, params_non_embedding=8), SAID | {"params": None}, "--param-convention non_embedding"),
        (one(LOGGED), SAID | {"batch_tokens": None}, "its tokens are not in the file"),
        (one(LOGGED, LOGGED), SAID | {"tokens": "1e9"}, "has several evaluations; give --batch-tokens"),
        (one(LOGGED), SAID | {"arch": None}, "its architecture is not said"),
        (one(LOGGED, architecture="x"), SAID | {"arch": "architcture"}, "did you mean 'architecture'"),
        (one(LOGGED, arch=["a", "b"]), SAID | {"arch": "arch"}, "expected the name of an architecture"),
        (one(LOGGED, seed="x"), SAID, "run 'a': seed: got 'x'"),
        (one(LOGGED), SAID | {"given": (Given("b", "params", "1", "--set"),)}, "--set: no run is called 'b'"),
        (
            one(LOGGED),
            SAID | {"given": (Given("a", "size", "1", "t.csv: row 1"),)},
            "row 1: 'size' cannot be given",
        ),
        (one(LOGGED), SAID | {"given": (Given("a", "params", "x", "--set a"),)}, "--set a: params: got 'x'"),
    ],
)
def test_what_is_missing_or_wrong_is_told_in_one_line(runs: list[RunHistory], asked: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        evaluations(runs, Asked(**asked))
    assert "\n" not in str(raised.value)


def test_losses_that_are_no_numbers_pass_on_to_the_checks_of_all_tables() -> None:
    rows = ({"step": 1, "val_loss": "NaN"}, {"step": 2, "val_loss": "Infinity"}, {"step": 3, "val_loss": 3})
    assert [str(loss) for loss in evaluations(one(*rows), Asked(**SAID)).frame["val_loss"]] == ["nan", "inf", "3.0"]


@pytest.mark.parametrize("name", ["a\x00", "\x00", "é\ud800", " ", "a\nb", "nan"])
def test_names_of_any_letters_become_names_that_can_be_printed(name: str) -> None:
    runs = [
        history(name, LOGGED, architecture=name if name.strip() else "x"),
        history("other", LOGGED, architecture="y"),
    ]
    found = evaluations(runs, Asked(**SAID | {"arch": "architecture"}))
    assert found.frame["run"].map(str.isprintable).all()
    assert found.frame["arch"].map(str.isprintable).all()
    tables = run_tables(found.frame, evaluation_columns(found), source="f")
    assert [len(table) for table in tables] == [1, 1]


@pytest.mark.parametrize(("text", "count"), [("124e6", 124e6), ("124M", 124e6), ("1.3B", 1.3e9), ("2k", 2e3), ("7", 7)])
def test_counts_are_said_as_people_say_them(text: str, count: float) -> None:
    assert parse_count(text, "--params") == pytest.approx(count, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params=5", ("*", "params", "5")),
        ("a.params=5", ("a", "params", "5")),
        ("lr=1e-3.b.c.arch=x=y", ("lr=1e-3.b.c", "arch", "x=y")),
        ("a.b=c", ("a", "b", "c")),
    ],
)
def test_a_value_is_set_for_a_run_whatever_its_name_holds(text: str, expected: tuple[str, str, str]) -> None:
    [found] = all_given([text], None)
    assert (found.pattern, found.key, found.value) == expected


@pytest.mark.parametrize("text", ["", "a", "a.params", "a.params=", "=5", "params= "])
def test_a_value_that_is_not_set_is_told(text: str) -> None:
    with pytest.raises(SpecError, match=re.escape(f"--set {text}")):
        all_given([text], None)


def test_a_table_about_runs_with_other_columns_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "about.csv"
    for text, message in (("name,params\na,1\n", "no column run"), ("run,parms\na,1\n", "'parms' cannot be given")):
        table.write_text(text)
        with pytest.raises(SpecError, match=message):
            all_given([], table)


def test_paths_are_recognised_or_told(tmp_path: Path, files: Path) -> None:
    host = default_host()
    state = files / "hf-trainer" / "gpt2-4320" / "trainer_state.json"
    chart = tmp_path / "runs.csv"
    chart.write_text("n,d,loss\n1,2,3\n")
    for path, kind in (
        (state, "hf-trainer"),
        (files / "wandb", "wandb"),
        (files / "tensorboard", "tensorboard"),
        (files / "mlflow" / "mlruns", "mlflow"),
        (files / "mlflow" / "mlflow.db", "mlflow"),
        (files / "mlflow" / "runs.csv", "mlflow"),
        (files / "trackio" / "scan.db", "trackio"),
        (files / "nanochat" / "results.csv", "nanochat"),
        (chart, "table"),
    ):
        assert reader_of(host, [path], None) == kind
    for paths, kind, message in (
        ([tmp_path / "gone"], None, "gone: no such file or folder"),
        ([chart], "wand", "'wand' is no reader; did you mean 'wandb'"),
        ([chart, state], None, "files of several kinds"),
        ([tmp_path], None, "no reader knows this folder; say --from hf-trainer"),
    ):
        with pytest.raises(SpecError, match=message):
            reader_of(host, paths, kind)


def test_a_scan_is_called_as_its_files_or_their_folder(tmp_path: Path) -> None:
    (tmp_path / "my runs").mkdir()
    for name in ("a.csv", "trainer_state.json"):
        (tmp_path / "my runs" / name).touch()
    assert scan_name([tmp_path / "my runs" / "a.csv"]) == "a"
    assert scan_name([tmp_path / "my runs" / "trainer_state.json"]) == "my-runs"
    assert scan_name([tmp_path / "my runs" / "a" / "x", tmp_path / "my runs" / "b" / "x"]) == "my-runs"


def test_a_table_of_one_run_is_read_with_what_is_given_once(tmp_path: Path, taken: Any) -> None:
    file = tmp_path / "log.csv"
    file.write_text("iter,train_loss,val_loss\n0,5.5,5.5\n50,4,\n100,3.6,3.7\n200,3.2,3.3\n")
    table = tmp_path / "evaluations.csv"
    words = ("--step", "iter", "--loss", "val_loss", "--params", "20k", "--batch-tokens", "1000", "--arch", "gpt2")
    assert "1 run of 1 architecture" in taken(file, *words, "--write-table", table)
    header, *rows = table.read_text().splitlines()
    assert header.startswith("run,arch,params,tokens,step,val_loss")
    assert [row.split(",")[3] for row in rows] == ["100000.0", "200000.0"]
    with pytest.raises(SpecError, match="exists; name another"):
        taken(file, *words, "--write-table", table)


def test_rows_of_a_table_are_runs_where_nothing_joins_them(tmp_path: Path, taken: Any) -> None:
    file = tmp_path / "finals.csv"
    file.write_text("n,d,loss\n1e4,1e6,3.5\n2e4,1e6,3.3\n4e4,1e6,3.2\n")
    told = taken(file, "--params", "n", "--tokens", "d", "--loss", "loss", "--arch", "gpt2")
    assert "3 runs of 1 architecture" in told


def test_points_of_one_step_are_one_row_and_repeated_ones_another() -> None:
    rows = joined_by_step([("a", 1, 2.0), ("b", 1, 3.0), ("a", 2, 4.0), ("a", 1, 5.0)])
    assert [dict(row.values) for row in rows] == [
        {"step": 1, "a": 2.0, "b": 3.0},
        {"step": 1, "a": 5.0},
        {"step": 2, "a": 4.0},
    ]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_told(data: bytes) -> None:
    for read in (wire.floats, wire.doubles, wire.integer, wire.text, wire.parts):
        with contextlib.suppress(wire.DamagedError):  # whatever else they raise fails the test
            assert read(data, 1) is not None
