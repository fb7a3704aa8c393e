"""The command line answers at once, says mistakes in one line, and ends with the agreed code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from archbench.builtins.tools.journal import journal_file, note_run, read_journal
from archbench.cli.main import COMMANDS, CommandLine, cli, main
from archbench.errors import DataError
from archbench.host import default_host
from archbench.spec.identity import ORDERS_WITH_MEMORY
from archbench.spec.load import load_spec
from archbench.testing.synthetic import SyntheticLaw, synthetic_records
from archbench.user_folders import cache_folder, state_folder

ROOT = Path(__file__).parents[3]
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))

SPEC = """\
name: trial
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
data:
  dataset: {kind: text_files, paths: ["FOLDER/*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [1e4, 2e4], seeds: {smallest_two: 1}, tokens: 20000}
training: {seq_len: 64, batch_tokens: 512, learning_rate: 3e-3, schedule: {warmup_steps: 5}}
evaluation: {tokens: 1000, points: 4}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text(f"document {number}: " + "what is to be planned is planned. " * 80)
    path = tmp_path / "trial.yaml"
    path.write_text(SPEC.replace("FOLDER", str(tmp_path)))
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return path


def code_of(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ending:
        main([str(argument) for argument in arguments])
    assert isinstance(ending.value.code, int)
    return ending.value.code


def test_each_of_several_problems_of_a_spec_is_a_line_of_its_own(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(spec.read_text().replace("seq_len: 64", "seq_len: x").replace("kind: gpt2", "kind: gtp2"))
    assert code_of("plan", spec) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:3] for line in lines] == [
        ["archbench", f"{spec}:10", "training.seq_len"],
        ["archbench", f"{spec}:4", "contenders.gpt2.architecture.kind"],
    ]


def test_help_takes_little_longer_than_the_libraries_that_it_needs() -> None:
    def processor_seconds(*arguments: str) -> float:
        began = sum(os.times()[2:4])
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        return sum(os.times()[2:4]) - began

    libraries = ("-c", "import click, numpy, pluggy, pydantic, yaml")
    # The best of three, against the same machine at the same time: half a second on one is a whole one on another.
    needed = min(processor_seconds(*libraries) for _ in range(3))
    assert min(processor_seconds("-m", "archbench.cli.main", "--help") for _ in range(3)) < 3.5 * needed


def test_reading_commands_never_import_torch(spec: Path) -> None:
    calls = ["--help", "plan trial.yaml", "status", "plugins list", "runs list", "schema"]
    code = (
        "import sys\nfrom archbench.cli.main import main\n"
        f"for call in {calls!r}:\n    try:\n        main(call.split())\n    except SystemExit:\n        pass\n"
        "    heavy = {'torch', 'transformers', 'deepspeed'} & set(sys.modules)\n    assert not heavy, call"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=spec.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_table_is_there_and_documented() -> None:
    context = click.Context(cli)
    assert isinstance(cli, CommandLine)
    present = [name for name, (target, _) in COMMANDS.items() if _exists(target)]
    assert {"run", "plan", "status", "plugins", "doctor", "schema", "runs"} <= set(present)
    for name in present:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def _exists(target: str) -> bool:
    return (ROOT / (target.split(":")[0].replace(".", "/") + ".py")).exists()


def test_the_commands_of_plugins_are_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--help") == 0
    assert "journal" in capsys.readouterr().out


def test_a_mistake_is_one_line_with_the_agreed_code(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(spec.read_text().replace("seq_len: 64", "seq_len: x"))
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text(spec.read_text().replace("kind: gpt2", "kind: gtp2"))
    (tmp_path / "file").write_text("")
    for arguments, code, message in (
        (("plan", wrong), 2, "wrong.yaml:10: training.seq_len: got"),
        (("plan", tmp_path / "none.yaml"), 2, "no such file"),
        (("plan", unknown), 3, "architecture 'gtp2' is not registered; did you mean 'gpt2'?"),
        (("plugins", "show", "reformr"), 3, "did you mean 'reformer'?"),
        (("run", spec, "--tracker", "tensorbord"), 3, "is not registered; did you mean 'tensorboard'?"),
        (("run", spec, "--runs", tmp_path / "file" / "runs"), 4, "cannot hold runs"),
        (("status",), 4, "holds no scan"),
        (("runs", "show", "abc"), 4, "no run begins with 'abc'"),
        (("plan", spec, "--plugin", tmp_path / "none.py"), 3, "no such plug-in; give the path"),
    ):
        capsys.readouterr()
        assert code_of(*arguments) == code, arguments
        output = capsys.readouterr()
        assert message in output.err
        assert output.err.strip().count("\n") == 0, output.err
        assert output.out == ""


def test_a_current_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    command = f"{sys.executable} -m archbench.cli.main plan /spec.yaml"
    done = subprocess.run(
        ["sh", "-c", f"mkdir gone && cd gone && rmdir ../gone && {command}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = "archbench: the current folder has been removed; change into one that is there\n"
    assert (done.returncode, done.stdout, done.stderr.endswith(told)) == (2, "", True), done.stderr


def test_an_unknown_command_or_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("plam") == 2
    assert "did you mean 'plan'?" in capsys.readouterr().err
    assert code_of("plan", "--nonsense") == 2


@pytest.mark.provokes_a_defect
def test_a_defect_is_told_as_one_and_shows_its_traceback_on_demand(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("archbench.cli.plan_scan.plan_scan", broken)
    assert code_of("plan", spec) == 70
    error = capsys.readouterr().err
    assert "a defect of archbench: RuntimeError: out of order" in error
    assert "Traceback" not in error
    assert code_of("--debug", "plan", spec) == 70
    assert "Traceback" in capsys.readouterr().err


def test_plan_prints_what_would_be_trained(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("plan", spec) == 0
    output = capsys.readouterr().out
    assert "2 runs, 2 to train" in output
    assert code_of("plan", spec, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert [run["size_index"] for run in plan["runs"]] == [0, 1]
    assert all(run["state"] == "planned" and not run["estimate_is_measured"] for run in plan["runs"])
    assert plan["seconds_left"] > 0


def test_plan_shows_parameters_and_flops_of_contenders_side_by_side(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contender = "  window: {architecture: {kind: controlled, mixer: local_window, window: 8}}\n"
    text = (
        spec.read_text()
        .replace("data:\n", f"{contender}data:\n", 1)
        .replace("tokens: 20000", "tokens: 20000, match: exact_flops")
    )
    spec.write_text(text)
    assert code_of("plan", spec) == 0
    shown = capsys.readouterr().out.splitlines()
    header = next(line for line in shown if "FLOPs a token" in line)
    assert header.split() == ["size", "contender", "shape", "N", "x", "FLOPs", "a", "token", "x"]
    lines = [line.split() for line in shown[shown.index(header) + 1 :][:4]]
    assert [line[0] for line in lines] == ["1", "window", "2", "window"]
    assert [line[-1] for line in lines[::2]] == ["1.000", "1.000"]
    assert all(0.98 <= float(line[-1]) <= 1.02 for line in lines)


@pytest.mark.parametrize("columns", [80, 140])
def test_the_plan_fits_the_terminal_with_its_figures_whole(
    spec: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr("archbench.cli.common.on_screen", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert code_of("plan", spec) == 0
    table = capsys.readouterr().out.partition("\n\n")[0]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= columns
    assert "planned" in table


def test_a_plugin_given_by_path_serves_a_spec(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from typing import Literal\n"
        "from archbench.api import DatasetConfig, Document, hookimpl\n"
        "class Mine(DatasetConfig):\n"
        "    kind: Literal['mine'] = 'mine'\n"
        "    def documents(self):\n"
        "        for number in range(20):\n"
        "            yield Document(str(number), f'{number} ' + 'some text of mine ' * 100)\n"
        "@hookimpl\n"
        "def register_datasets():\n"
        "    return [Mine]\n"
    )
    own = tmp_path / "own.yaml"
    own.write_text(spec.read_text().replace("{kind: text_files, paths: [", "{kind: mine} #"))
    assert code_of("plan", own) == 3
    assert code_of("plan", own, "--plugin", plugin) == 0
    assert "2 runs" in capsys.readouterr().out


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_bundled_spec_is_valid(path: Path) -> None:
    spec = load_spec(path, default_host().registry)
    assert spec.data.order in ORDERS_WITH_MEMORY or spec.name == "protocol_order_shuffled"
    of_many_settings = {"tuning_bytes", "one_change", "one_change_schedules"}
    of_one_size = path.parent.name == "protocol" or spec.name in of_many_settings
    assert len(spec.scan.sizes) >= 3 or spec.studies or of_one_size
    assert spec.description


def test_bundled_specs_share_the_runs_of_their_baseline() -> None:
    """The protocol is the same in all of them, whichever architecture they compare."""
    for folder in (ROOT / "specs", ROOT / "specs" / "gpu"):
        # Those of libraries' models have shorter ladders, with rates that are not of trials.
        left_out = {"quickstart", "zoo", "modern", "experts", "hybrid"}
        paths = [path for path in folder.glob("*.yaml") if path.stem not in left_out]
        specs = [load_spec(path, default_host().registry) for path in paths]
        # Specs of studies alone need no run of the scans; those that match or decompose have sizes of their own.
        own_sizes = [spec for spec in specs if spec.decompose or spec.scan.match != "parameters"]
        resolved = [spec.resolved() for spec in specs if spec.scan.trained and spec not in own_sizes]
        assert len(resolved) >= 6
        for part in ("data", "training", "evaluation"):
            assert all(one[part] == resolved[0][part] for one in resolved), part
        scans = sorted((one["scan"] for one in resolved), key=lambda scan: len(scan["sizes"]))
        for scan in scans:  # a shorter ladder is the lower part of the longest: its runs are shared all the same
            sizes = scans[-1]["sizes"][: len(scan["sizes"])]
            assert scan == {**scans[-1], "sizes": sizes}


def test_the_journal_keeps_whole_lines(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal_file().parent.mkdir(parents=True)
    entry = {"time": "t", "event": "scan", "name": "trial", "runs": 3, "usable": 2}
    journal_file().write_text(json.dumps(entry) + "\n" + '{"torn')
    assert read_journal() == [entry]
    assert code_of("journal") == 0
    assert "scan trial: 2 of 3 runs usable" in capsys.readouterr().out


def test_a_journal_that_cannot_be_written_is_told_once_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    for record in synthetic_records("gpt2", SyntheticLaw())[:3]:
        note_run(record)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"the journal of finished runs is not kept: {tmp_path}/file/archbench: ")
    assert told[0].endswith("$XDG_STATE_HOME names another folder for it")


def test_without_a_home_the_folder_to_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user whom the system does not know has none."""
    for name in ("ARCHBENCH_CACHE", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(DataError, match=r"there is no home folder here.*--cache, \$ARCHBENCH_CACHE or \$HOME"):
        cache_folder()
    with pytest.raises(DataError, match=r"\$XDG_STATE_HOME or \$HOME"):
        state_folder()


def test_a_reader_who_has_seen_enough_is_no_problem() -> None:
    command = f"{sys.executable} -m archbench.cli.main plugins list"
    # `head` may be gone before the first line or after the last one.
    for reader in ("true", "head -n 1", "head -n 3"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{command} | {reader}"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
