"""Files that each tool wrote (make_files.py says how), from `import` to the verdict of `compare`."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archbench.builtins.readers.mlflow import MlFlow
from archbench.builtins.readers.nanochat import NanoChat
from archbench.builtins.readers.tensorboard import TensorBoard
from archbench.builtins.readers.trackio import Trackio
from archbench.builtins.readers.wandb import Wandb
from archbench.cli.main import cli
from archbench.errors import SpecError
from archbench.host import default_host
from archbench.results.runs import RunRecord
from archbench.runs.store import RunStore

_spec = importlib.util.spec_from_file_location("make_files", Path(__file__).parent / "make_files.py")
assert _spec is not None
assert _spec.loader is not None
make_files: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_files)

BY_NAME = ("--set", "gpt2-*.arch=gpt2", "--set", "llama-*.arch=llama")
SIZES = tuple(word for size in (20, 40, 80, 160) for word in ("--set", f"*-{size}k.params={size}k"))
STATED = ("--params", "n_params", "--arch", "architecture")
WAYS: dict[str, tuple[str, ...]] = {
    "wandb": ("wandb", *STATED),
    "tensorboard": ("tensorboard", *BY_NAME, *SIZES, "--batch-tokens", "4096"),
    "mlflow database": ("mlflow/mlflow.db", *STATED),
    "trackio database": ("trackio/scan.db", *STATED),
    "trackio parquet": ("trackio/scan.parquet", *STATED, "--from", "trackio"),
    "nanochat logs": ("nanochat/*-*.log", *BY_NAME),
}
"""What is read, and what is said of it, of files in which all eight runs of the law are logged."""


def paths(files: Path, pattern: str) -> list[Path]:
    found = sorted(files.glob(pattern))
    assert found
    return found


def stored(tmp_path: Path) -> list[RunRecord]:
    store = RunStore(tmp_path / "runs")
    [name] = store.scan_names()
    records, problems = store.records(store.scan(name))
    assert not problems
    return sorted(records, key=lambda record: (record.contender, record.non_embedding_params))


@pytest.mark.parametrize("way", WAYS)
def test_every_logged_number_arrives_and_leads_to_a_verdict(way: str, files: Path, taken: Any, tmp_path: Path) -> None:
    pattern, *said = WAYS[way]
    nanochat = "nanochat" in way
    taken(*paths(files, pattern), *said, convention="non_embedding" if nanochat else "total")
    records = stored(tmp_path)
    assert [(record.contender, record.non_embedding_params) for record in records] == [
        (arch, size) for arch in ("gpt2", "llama") for size in make_files.SIZES
    ]
    for record in records:
        assert [(point.step, point.tokens) for point in record.curve] == [(s, s * 4096) for s in (100, 200, 300, 400)]
        expected = [make_files.loss(record.contender, record.non_embedding_params, s) for s in (100, 200, 300, 400)]
        # nanochat prints bits per byte in six digits, TensorBoard stores single precision.
        expected = [round(value / 4, 6) for value in expected] if nanochat else expected
        found = [point.bits_per_byte if nanochat else point.validation_loss_nats for point in record.curve]
        assert found == pytest.approx(expected, rel=1e-7 if way == "tensorboard" else 1e-15)
    answer = CliRunner().invoke(cli, ["compare", "gpt2", "llama", "--runs", str(tmp_path / "runs")])
    assert answer.exit_code == 0, answer.output
    assert "llama needs less compute than gpt2: multiplier 1." in answer.output


def test_states_of_the_trainer_lead_to_a_verdict(files: Path, taken: Any, tmp_path: Path) -> None:
    states = paths(files, "hf-trainer/*/trainer_state.json")
    table = tmp_path / "sizes.csv"
    named = [state.parent.name for state in states]
    table.write_text("run,arch,params\n" + "".join(f"{one},{one.split('-')[0]},{one.split('-')[1]}\n" for one in named))
    told = taken(*states, "--about", table)
    assert "read as hf-trainer" in told
    records = stored(tmp_path)
    assert len(records) == 8
    for record in records:
        state = json.loads((files / "hf-trainer" / record.details["run"] / "trainer_state.json").read_text())
        logged = [entry for entry in state["log_history"] if "eval_loss" in entry]
        assert [point.validation_loss_nats for point in record.curve] == [entry["eval_loss"] for entry in logged]
        assert [point.tokens for point in record.curve] == [entry["num_input_tokens_seen"] for entry in logged]
        assert record.curve[-1].tokens == 40 * 8 * 64
    answer = CliRunner().invoke(cli, ["compare", "gpt2", "llama", "--runs", str(tmp_path / "runs")])
    assert answer.exit_code == 0, answer.output
    assert "llama and gpt2 are not told apart" in answer.output


def test_the_folder_of_mlflow_and_its_csv_say_what_its_database_says(files: Path) -> None:
    in_database = {history.run: history for history in MlFlow().read(files / "mlflow" / "mlflow.db")}
    assert sorted(in_database) == sorted(name for name, _, _ in make_files.runs())
    [in_folder] = MlFlow().read(files / "mlflow" / "mlruns")
    same = in_database[in_folder.run]
    assert [float(row.values["val/loss"]) for row in in_folder.rows] == [row.values["val/loss"] for row in same.rows]
    assert dict(in_folder.config) == dict(same.config)
    for last in MlFlow().read(files / "mlflow" / "runs.csv"):
        assert float(last.rows[0].values["val/loss"]) == in_database[last.run].rows[-1].values["val/loss"]
        assert dict(last.config) == dict(in_database[last.run].config)


def test_runs_of_mlflow_as_csv_are_points_without_curves(files: Path, taken: Any, tmp_path: Path) -> None:
    taken(files / "mlflow" / "runs.csv", *STATED)
    assert [[point.tokens for point in record.curve] for record in stored(tmp_path)] == [[400 * 4096]] * 8


def test_runs_of_mlflow_as_json_are_read(tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    run = {
        "info": {"run_id": "a1", "run_name": "small"},
        "data": {
            "metrics": [{"key": "val/loss", "value": 3.5, "step": 400, "timestamp": 1}],
            "params": [{"key": "n_params", "value": "20000"}],
        },
    }
    file.write_text(json.dumps({"runs": [run]}))
    [history] = MlFlow().read(file)
    assert (history.run, dict(history.config)) == ("small", {"n_params": "20000"})
    assert dict(history.rows[0].values) == {"step": "400", "val/loss": 3.5}


def test_the_sweep_of_nanochat_is_one_run_a_line(files: Path, taken: Any, tmp_path: Path) -> None:
    told = taken(files / "nanochat" / "results.csv", "--arch", "nanochat", convention="non_embedding")
    assert "read as nanochat" in told
    assert "bits per byte" in told
    records = stored(tmp_path)
    assert sorted({record.non_embedding_params for record in records}) == list(make_files.SIZES)
    assert {record.planned_tokens for record in records} == {200 * 4096, 400 * 4096}
    assert all(record.details["loss_unit"] == "bits per byte" for record in records)


@pytest.mark.parametrize(
    ("file", "run", "settings"),
    [
        ("records/base_train.log", "records", {"params_total": 36_000, "params_non_embedding": 20_000}),
        ("nanogpt.txt", "nanogpt", {"number_of_parameters": 20_000, "batch_tokens": 4096}),
        ("llmc/main.log", "llmc", {}),
        ("gpt2-20k.log", "gpt2-20k", {"params_total": 36_000, "params_non_embedding": 20_000, "batch_tokens": 4096}),
    ],
)
def test_logs_of_nanochat_and_its_kin_are_read(file: str, run: str, settings: dict[str, float], files: Path) -> None:
    path = files / "nanochat" / file
    assert NanoChat().recognises(path)
    [history] = NanoChat().read(path)
    assert history.run == run
    assert {key: history.config[key] for key in settings} == settings
    assert [int(row.values["step"]) for row in history.rows] == [0, 100, 200, 300, 400]
    bits = "val_bpb" in history.rows[0].values
    losses = [float(row.values["val_bpb" if bits else "val_loss"]) for row in history.rows]
    expected = [make_files.loss("gpt2", 20_000, step) / (4 if bits else 1) for step in range(0, 401, 100)]
    assert losses == pytest.approx(expected, abs=6e-5)  # nanoGPT and llm.c print four digits


def test_lines_behind_a_time_or_a_rank_and_in_colours_are_read(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    lines = [
        "12:00:01 [rank0] \x1b[32mstep 100: train loss 3.5, val loss 3.6\x1b[0m",
        "0: step:200/400 val_loss:3.25 t:9",
    ]
    file.write_text("\n".join(lines))
    [history] = NanoChat().read(file)
    assert [(row.values["step"], row.values["val_loss"]) for row in history.rows] == [("100", "3.6"), ("200", "3.25")]
    assert history.run == tmp_path.name


def test_a_file_of_another_kind_is_told(files: Path) -> None:
    state = files / "hf-trainer" / "gpt2-4320" / "trainer_state.json"
    readers = default_host().registry.run_readers.entries
    told = {}
    for kind in sorted(set(readers) - {"hf-trainer", "table"}):
        with pytest.raises(SpecError, match=r"trainer_state\.json: ") as raised:
            list(readers[kind].config().read(state))
        told[kind] = str(raised.value).partition(f"{state}: ")[2]
    assert told["tensorboard"] == "record 1: is damaged, or the file is no event file of TensorBoard"
    assert told["wandb"] == "reader wandb reads .wandb, .csv and .jsonl; export the chart as CSV"


def test_the_curve_of_an_experiment_of_nanochat_has_its_runs(tmp_path: Path) -> None:
    file = tmp_path / "curve.log"
    file.write_text(
        "model model_tag=d4 depth=4 base.num_params=1000 base.num_iterations=10 base.tokens_trained=5120 "
        "base.val_bpb=0.9 base.gpu='NVIDIA H100 80GB'\n"
    )
    [history] = NanoChat().read(file)
    assert (history.run, history.config["params_total"], history.config["gpu"]) == ("d4", 1000, "NVIDIA H100 80GB")
    assert history.rows[0].values["tokens_trained"] == "5120"


WIDE = (
    '"Step","a - b - val/loss","a - b - val/loss__MIN","a - b - val/loss__MAX","c - val/loss","c - train/loss"\n'
    '"0","5.5","5.5","5.5","","3"\n'
    '"100","3.5","3.5","3.5","","3"\n'
    '"200","","","","3.1","3"\n'
    '"400","3.0","3.0","3.0","NaN",""\n'
)


def test_a_chart_of_wandb_has_gaps_and_runs_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "chart.csv"
    file.write_text(WIDE)
    assert Wandb().recognises(file)
    first, second = Wandb().read(file)
    assert (first.run, second.run) == ("a - b", "c")
    assert [(row.place, dict(row.values)) for row in first.rows] == [
        ("row 1", {"val/loss": "5.5", "_step": "0"}),
        ("row 2", {"val/loss": "3.5", "_step": "100"}),
        ("row 4", {"val/loss": "3.0", "_step": "400"}),
    ]
    evaluated = [row.values for row in second.rows if "val/loss" in row.values]
    assert [(row["_step"], row["val/loss"]) for row in evaluated] == [("200", "3.1"), ("400", "NaN")]


def test_a_chart_of_wandb_is_taken_in_whole(tmp_path: Path, taken: Any) -> None:
    file = tmp_path / "chart.csv"
    file.write_text(WIDE)
    told = taken(file, "--batch-tokens", 1000, "--arch", "gpt2", "--set", "a - b.params=20k", "--set", "c.params=40k")
    assert f"row 4 is row 4 of {file} (run c)" in told
    first, second = stored(tmp_path)
    assert [(point.tokens, point.validation_loss_nats) for point in first.curve] == [(100_000, 3.5), (400_000, 3.0)]
    assert second.curve[0].validation_loss_nats == 3.1


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_chart_of_all_runs_leads_to_the_verdict_of_their_files(separator: str, taken: Any, tmp_path: Path) -> None:
    """The form of the page's export, by hand: it is made by a server, which does not run here."""
    chosen, steps = make_files.runs(), range(0, 401, 100)
    lines = [["Step", *(f"{name} - val/loss{end}" for name, _, _ in chosen for end in ("", "__MIN", "__MAX"))]]
    for step in steps:
        losses = [make_files.loss(arch, size, step) for _, arch, size in chosen]
        # Each second run was not evaluated at step 200: a gap.
        cells = ["" if step == 200 and column % 2 else repr(loss) for column, loss in enumerate(losses)]
        lines.append([str(step), *(cell for cell in cells for _ in range(3))])
    file = tmp_path / "wandb_export.csv"
    file.write_text("".join(separator.join(f'"{cell}"' for cell in line) + "\n" for line in lines))
    told = taken(file, *BY_NAME, *SIZES, "--batch-tokens", "4096")
    assert "read as wandb" in told
    records = stored(tmp_path)
    assert [len(record.curve) for record in records].count(3) == 4
    for record in records:
        for point in record.curve:
            expected = make_files.loss(record.contender, record.non_embedding_params, point.step)
            assert (point.validation_loss_nats, point.tokens) == (expected, 4096 * point.step)
    answer = CliRunner().invoke(cli, ["compare", "gpt2", "llama", "--runs", str(tmp_path / "runs")])
    assert answer.exit_code == 0, answer.output
    assert "llama needs less compute than gpt2: multiplier 1." in answer.output


def test_a_history_and_a_table_of_runs_of_wandb_are_read(tmp_path: Path, taken: Any) -> None:
    history = tmp_path / "small.csv"
    history.write_text("_step,_runtime,iter,train/loss,val/loss\n0,1,0,3,5.5\n1,2,50,3,\n2,3,100,3,3.5\n")
    taken(history, "--from", "wandb", "--arch", "gpt2", "--params", "20k", "--batch-tokens", 1000, "--name", "one")
    [record] = stored(tmp_path)
    assert [(point.step, point.tokens) for point in record.curve] == [(100, 100_000)]
    runs = tmp_path / "runs.csv"
    runs.write_text(
        "Name,ID,State,n_params,val/loss,tokens\nsmall,x1,finished,20000,3.5,1e6\nsmall,x2,finished,4e4,3.2,1e6\n"
    )
    same_name = list(Wandb().read(runs))
    assert [(one.run, one.run_id, one.config["n_params"]) for one in same_name] == [
        ("small", "x1", "20000"),
        ("small", "x2", "4e4"),
    ]
    assert "2 runs" in taken(runs, "--from", "wandb", "--arch", "gpt2", "--params", "n_params", "--name", "two")


def test_nested_metrics_and_lines_of_json_of_wandb_are_read(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text('{"_step": 0, "val": {"loss": 3.5}}\n\n{"_step": 9, "val": {"loss": "NaN"}}\n')
    [history] = Wandb().read(file)
    assert [(row.place, dict(row.values)) for row in history.rows] == [
        ("line 1", {"_step": 0, "val.loss": 3.5}),
        ("line 3", {"_step": 9, "val.loss": "NaN"}),
    ]


def test_runs_that_mlflows_page_downloads_are_read(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text("Start Time,Duration,Run ID,Name,Source Type,n_params,val/loss\n2026,9s,a1,small,LOCAL,20000,3.5\n")
    [history] = MlFlow().read(file)
    assert (history.run, history.config["n_params"], history.rows[0].values["val/loss"]) == ("small", "20000", "3.5")


def test_downloads_of_tensorboard_and_its_newer_scalars_are_read(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    file = tmp_path / "run-gpt2_small-tag-eval_loss.csv"
    file.write_text("Wall time,Step,Value\n1.7e9,100,3.5\n1.7e9,200,3.25\n")
    assert TensorBoard().recognises(file)
    [history] = TensorBoard().read(file)
    assert (history.run, [row.values["eval_loss"] for row in history.rows]) == ("gpt2_small", ["3.5", "3.25"])
    writer = EventFileWriter(str(tmp_path / "logs" / "new"))
    for step, value in ((0, 5.5), (7, 0.0), (100, 3.5)):
        event = Event(step=step, wall_time=0.0)
        event.summary.CopyFrom(scalar_pb("eval/loss", value))
        writer.add_event(event)
    writer.close()
    [history] = TensorBoard().read(tmp_path / "logs")
    found = [(row.values["step"], row.values["eval/loss"]) for row in history.rows]
    assert (history.run, found) == ("new", [(0, 5.5), (7, 0.0), (100, 3.5)])


def test_event_files_hold_what_tensorboard_itself_finds_in_them(files: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for history in TensorBoard().read(files / "tensorboard"):
        accumulated = EventAccumulator(str(files / "tensorboard" / history.run)).Reload()
        for tag in accumulated.Tags()["scalars"]:
            theirs = [(event.step, event.value) for event in accumulated.Scalars(tag)]
            assert [(row.values["step"], row.values[tag]) for row in history.rows] == theirs


def test_a_run_of_tensorboard_that_was_continued_has_its_later_values(tmp_path: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for suffix, steps, value in ((".a", (100, 200), 4.0), (".b", (200, 300), 3.0)):
        writer = EventFileWriter(str(tmp_path / "run"), filename_suffix=suffix)
        for step in steps:
            summary = Summary(value=[Summary.Value(tag="eval/loss", simple_value=value)])
            writer.add_event(Event(step=step, wall_time=0.0, summary=summary))
        writer.close()
    [history] = TensorBoard().read(tmp_path / "run")
    found = [(row.values["step"], row.values["eval/loss"]) for row in history.rows]
    assert found == [(100, 4.0), (200, 3.0), (300, 3.0)]


def test_a_folder_of_checkpoints_is_the_run_as_its_latest_knows_it(files: Path, tmp_path: Path, taken: Any) -> None:
    state = json.loads((files / "hf-trainer" / "gpt2-4320" / "trainer_state.json").read_text())
    for step in (20, 40):
        folder = tmp_path / "small" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        cut = [entry for entry in state["log_history"] if entry["step"] <= step]
        (folder / "trainer_state.json").write_text(json.dumps(state | {"log_history": cut}))
        (folder / "config.json").write_text(json.dumps({"architectures": ["GPT2LMHeadModel"], "n_embd": 8}))
    taken(tmp_path / "small", "--arch", "architectures", "--params", 4320)
    [record] = stored(tmp_path)
    assert (record.contender, record.details["run"]) == ("GPT2LMHeadModel", "small")
    assert [point.step for point in record.curve] == [10, 20, 30, 40]


def test_what_a_project_of_trackio_exports_says_what_its_database_says(files: Path) -> None:
    databases = {one.run: one for one in Trackio().read(files / "trackio" / "scan.db")}
    for exported in Trackio().read(files / "trackio" / "scan.parquet"):
        same = databases[exported.run]
        assert dict(exported.config) == dict(same.config)
        assert [dict(row.values) for row in exported.rows] == [dict(row.values) for row in same.rows]


def test_two_runs_of_one_name_are_told_apart_and_parts_of_one_are_joined(files: Path, tmp_path: Path) -> None:
    from archbench.analysis.tables.evaluations import evaluations
    from archbench.analysis.tables.run_facts import Asked
    from archbench.contracts.run_reader import HistoryRow, RunHistory

    def history(run_id: str, *steps: int) -> RunHistory:
        rows = [HistoryRow(f"row {step}", {"step": step, "val_loss": 3.0}) for step in steps]
        return RunHistory("a", Path("f"), rows, run_id=run_id)

    asked = Asked(params="1e6", batch_tokens="1000", arch="gpt2")
    apart = evaluations([history("x", 1, 2), history("y", 1)], asked).frame
    assert apart["run"].tolist() == ["a (x)", "a (x)", "a (y)"]
    joined = evaluations([history("x", 1, 2), history("x", 3)], asked).frame
    assert joined["step"].tolist() == [1, 2, 3]
    with pytest.raises(SpecError, match="two runs are called 'a'"):
        evaluations([history("", 1), history("", 2)], asked)


def test_sweeps_of_one_naming_are_told_apart_by_their_files(files: Path, tmp_path: Path, taken: Any) -> None:
    for fork in ("base", "muon"):
        (tmp_path / fork).mkdir()
        shutil.copy(files / "nanochat" / "results.csv", tmp_path / fork)
    sweeps = [tmp_path / fork / "results.csv" for fork in ("base", "muon")]
    given = ("--set", "*(base/*.arch=base", "--set", "*(muon/*.arch=muon")
    assert "16 runs of 2 architectures" in taken(*sweeps, *given, convention="non_embedding")
    assert {record.contender for record in stored(tmp_path)} == {"base", "muon"}


def test_checkpoints_of_one_run_are_parts_of_it(files: Path, tmp_path: Path, taken: Any) -> None:
    state = json.loads((files / "hf-trainer" / "gpt2-4320" / "trainer_state.json").read_text())
    saved = []
    for step in (20, 40):
        saved.append(tmp_path / "small" / f"checkpoint-{step}" / "trainer_state.json")
        saved[-1].parent.mkdir(parents=True)
        cut = [entry for entry in state["log_history"] if entry["step"] <= step]
        saved[-1].write_text(json.dumps(state | {"log_history": cut}))
    taken(*saved, "--arch", "gpt2", "--params", 4320)
    [record] = stored(tmp_path)
    assert (record.details["run"], [point.step for point in record.curve]) == ("small", [10, 20, 30, 40])


def test_a_folder_of_several_kinds_is_asked_about(files: Path, tmp_path: Path, taken: Any) -> None:
    shutil.copytree(files / "hf-trainer" / "gpt2-4320", tmp_path / "out")
    shutil.copytree(files / "tensorboard" / "gpt2-20k", tmp_path / "out" / "runs")
    with pytest.raises(SpecError, match="may be read as hf-trainer or tensorboard"):
        taken(tmp_path / "out", "--arch", "gpt2", "--params", "1e4")
