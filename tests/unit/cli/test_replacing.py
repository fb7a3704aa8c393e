"""A scan takes the place of another one of its name where nothing is lost, or where it was told to."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archbench.cli.import_runs import import_runs
from archbench.cli.leaderboard import leaderboard
from archbench.cli.report import report
from archbench.cli.run import run
from archbench.cli.status import status
from archbench.errors import SpecError
from archbench.leaderboard.folders import OWN
from archbench.leaderboard.replacing import require_free_entries
from archbench.results.runs import CONTROL
from archbench.runs.replacing import require_free, same_spec
from archbench.runs.store import RunStore, ScanIndex
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

pytestmark = pytest.mark.thorough

Fill = Callable[..., None]
LAW = SyntheticLaw(noise_std=0.003)
SPEC = {"training": {"learning_rate": 0.003}, "execution": {"device": "cpu"}, "description": "first"}
COLUMNS = ("--params", "N", "--tokens", "D", "--loss", "loss", "--arch", "arch", "--track", "causal")


@pytest.fixture
def store(tmp_path: Path, fill: Fill) -> RunStore:
    """Scan `trained`: two contenders, one seed at each of five sizes."""
    store = RunStore(tmp_path / "runs")
    scan = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    fill(store, "trained", [*synthetic_records("gpt2", LAW, scan), *synthetic_records("xl", LAW, scan, seed=1)])
    store.save_scan(store.scan("trained").model_copy(update={"spec": SPEC}))
    return store


def other(index: ScanIndex, rate: float = 0.001, **changes: Any) -> ScanIndex:
    """`index` as a spec with another rate would have it: none of its runs, but as many others."""
    runs = tuple(one.model_copy(update={"run_id": one.run_id[::-1]}) for one in index.runs)
    spec = {**SPEC, "training": {"learning_rate": rate}}
    return index.model_copy(update={"runs": runs, "spec": spec, **changes})


def free(store: RunStore, index: ScanIndex) -> None:
    require_free(store, index, rename=lambda name: f"-o name={name}")


def table(path: Path, *archs: str, factor: float = 1.0) -> Path:
    rows = [f"{arch},{n}e6,{n}e8,{factor * 4 / n**0.1:.6f}" for arch in archs for n in (1, 2, 4, 8)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["arch,N,D,loss", *rows]))
    return path


def invoke(command: Any, *arguments: object) -> Any:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def imported(store: RunStore, path: Path, *more: object) -> Any:
    where = ("--param-convention", "total", "--runs", store.root)
    return invoke(import_runs, path, *COLUMNS, *where, *more)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_the_same_spec_goes_on_and_so_does_one_that_has_gained_runs_or_lost_unfinished_ones(store: RunStore) -> None:
    index = store.scan("trained")
    free(store, index)
    more = (*index.runs, index.runs[0].model_copy(update={"run_id": "f" * 64, "seed": 7}))
    free(store, index.model_copy(update={"runs": more, "spec": {**SPEC, "scan": {"seeds": 2}}}))
    store.save_scan(index.model_copy(update={"runs": more}))
    free(store, index.model_copy(update={"spec": {**SPEC, "scan": {"seeds": 1}}}))


def test_the_same_spec_goes_on_where_its_text_or_plugins_have_changed(store: RunStore) -> None:
    free(store, other(store.scan("trained"), rate=0.003, description="second"))


def test_another_spec_of_the_name_is_refused_with_what_is_there_and_a_free_name(store: RunStore) -> None:
    index = store.scan("trained")
    store.save_scan(index.model_copy(update={"name": "trained-2"}))
    expected = (
        r"holds a scan 'trained' already: 10 runs of gpt2, xl, trained by archbench; 10 finished ones are not in this "
        r"one \(training.learning_rate is 0.003 there, 0.001 here\); say -o name=trained-3 to keep both, or --replace"
    )
    with pytest.raises(SpecError, match=expected):
        free(store, other(index))
    without_xl = tuple(one for one in index.runs if one.contender == "gpt2")
    with pytest.raises(SpecError, match="5 finished ones are not in this one"):
        free(store, index.model_copy(update={"runs": without_xl, "spec": {**SPEC, "contenders": {}}}))


def test_a_setting_that_was_added_since_makes_no_other_spec(store: RunStore) -> None:
    def restate(spec: Any) -> Any:
        return {**spec, "evaluation": {"points": 8}}

    given = {**SPEC, "evaluation": {"points": 8}, "execution": {"device": "cuda"}}
    assert same_spec(SPEC, given, restate)
    assert not same_spec(SPEC, {**given, "training": {}}, restate)
    assert not same_spec({}, {}, restate)


def test_a_damaged_list_is_written_anew(store: RunStore) -> None:
    (store.scans_dir / "trained.json").write_text("{")
    free(store, ScanIndex(name="trained", description="", baseline=None, runs=(), spec={}, environment={}))


def test_a_file_of_the_same_name_from_another_folder_replaces_nothing_untold(store: RunStore, tmp_path: Path) -> None:
    first, second = table(tmp_path / "A/set.csv", "gpt", "mamba"), table(tmp_path / "B/set.csv", "gpt", "hyena")
    assert imported(store, first).exit_code == 0
    before = files(store.root)
    result = imported(store, second)
    assert isinstance(result.exception, SpecError)
    assert re_words(result.exception).startswith(
        "holds a scan 'set' already: 8 runs of gpt, mamba, imported from set.csv (N total); 4 finished ones are not in "
        "this one; say --name set-2 to keep both, or --replace"
    )
    assert files(store.root) == before, "a refused import leaves nothing behind"
    assert imported(store, first).exit_code == 0
    assert imported(store, second, "--name", "set-2").exit_code == 0
    assert imported(store, second, "--replace").exit_code == 0
    assert {one.contender for one in store.scan("set").runs} == {"gpt", "hyena"}


def test_of_imports_at_once_under_one_name_one_is_stored_and_the_others_are_refused(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    command = (sys.executable, "-c", "from archbench.cli.main import main; main()", "import")
    meant = (*COLUMNS, "--param-convention", "total", "--runs", str(store), "--name", "same")
    started = [
        subprocess.Popen([*command, str(table(tmp_path / f"{number}.csv", "gpt", f"other{number}")), *meant],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(4)
    ]  # fmt: skip
    told = [process.communicate(timeout=120)[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 2, 2, 2], told
    stored = next(number for number, process in enumerate(started) if process.returncode == 0)
    assert {one.contender for one in RunStore(store).scan("same").runs} == {"gpt", f"other{stored}"}
    for number in {0, 1, 2, 3} - {stored}:
        assert "holds a scan 'same' already: 8 runs of gpt, " in told[number]


def re_words(error: BaseException) -> str:
    return str(error).partition(": ")[2]


def test_a_table_that_has_grown_is_taken_in_again(store: RunStore, tmp_path: Path) -> None:
    assert imported(store, table(tmp_path / "set.csv", "gpt")).exit_code == 0
    assert imported(store, table(tmp_path / "set.csv", "gpt", "mamba")).exit_code == 0


def test_an_import_replaces_no_trained_scan_and_no_trained_scan_an_import(store: RunStore, tmp_path: Path) -> None:
    index = store.scan("trained")
    result = imported(store, table(tmp_path / "set.csv", "gpt2"), "--name", "trained")
    assert isinstance(result.exception, SpecError)
    assert store.scan("trained") == index
    assert imported(store, table(tmp_path / "set.csv", "gpt2")).exit_code == 0
    with pytest.raises(SpecError, match=r"imported from set\.csv"):
        free(store, index.model_copy(update={"name": "set"}))


@pytest.mark.parametrize("name", ["../../victim", "/tmp/victim", "a/../../../victim", "x" * 5000, "a\x1b]0;t\x07", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_written(store: RunStore, tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "set.csv", "gpt")
    before = files(tmp_path)
    result = imported(store, path, "--name", name)
    if name:
        assert isinstance(result.exception, SpecError)
        assert "--name: the name" in str(result.exception)
        assert files(tmp_path) == before


def test_a_contender_whose_name_is_none_is_named_with_its_column(store: RunStore, tmp_path: Path) -> None:
    result = imported(store, table(tmp_path / "set.csv", "x" * 5000))
    assert isinstance(result.exception, SpecError)
    assert str(result.exception).endswith("has 5,000 characters, a name has at most 128")
    assert "set.csv: --arch arch: the name 'xxx" in str(result.exception)


@pytest.mark.parametrize("name", ["a/b", "a//b", "GPT (ours) [red]", "модель", "runs"])
def test_every_command_finds_a_scan_by_any_name(
    store: RunStore, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which holds a folder `runs`
    assert imported(store, table(tmp_path / "set.csv", "gpt"), "--name", name).exit_code == 0
    shown = invoke(status, name, "--runs", store.root)
    assert shown.output.startswith(f"{name}: 4 done")
    assert f"{name}: 4 done" in invoke(status, "--runs", store.root).output
    assert {path.parent for path in store.scans_dir.iterdir()} == {store.scans_dir}


@pytest.mark.thorough
def test_names_alike_have_their_own_report_figures_and_entries(store: RunStore, tmp_path: Path) -> None:
    names = ["a b", "a/b", "a_b", "A b"]
    assert imported(store, table(tmp_path / "set.csv", *names)).exit_code == 0
    assert invoke(report, "set", "--runs", store.root, "--reports", tmp_path / "reports").exit_code == 0
    assert len(list((tmp_path / "reports/set/figures").glob("frontier_*.svg"))) == 4
    board = tmp_path / "board"
    added = invoke(leaderboard, "--leaderboard", board, "add", "set", "--runs", store.root)
    assert added.exit_code == 0, added.exception
    assert len(list((board / "entries").iterdir())) == 4
    assert all(f"[{name}](" in (board / "README.md").read_text() for name in names)


def test_an_entry_under_its_older_file_name_is_found_and_renamed(store: RunStore, tmp_path: Path) -> None:
    assert imported(store, table(tmp_path / "set.csv", "A b")).exit_code == 0
    board = tmp_path / "board"
    add = ("--leaderboard", board, "add", "set", "--runs", store.root)
    assert invoke(leaderboard, *add).exit_code == 0
    (entry,) = (board / "entries").iterdir()
    older = entry.rename(board / "entries/set--A_b.json")
    assert invoke(leaderboard, *add).exit_code == 0
    assert list((board / "entries").iterdir()) == [entry]
    entry.rename(older)
    assert f"the file must be called {entry.name}" in invoke(leaderboard, "--leaderboard", board, "--check").output
    assert invoke(leaderboard, "--leaderboard", board).exit_code == 0
    assert list((board / "entries").iterdir()) == [entry]


def test_a_store_whose_files_were_named_by_capitals_is_read_as_before(store: RunStore) -> None:
    index = store.scan("trained").model_copy(update={"name": "Trained--2"})
    store.save_scan(index).rename(store.scans_dir / "Trained--2.json")
    assert store.scan("Trained--2") == index
    assert "Trained--2" in store.scan_names()
    assert store.save_scan(index) == store.scans_dir / "Trained--2.json"


def test_an_entry_is_replaced_by_its_own_spec_and_by_no_other(store: RunStore, tmp_path: Path, fill: Fill) -> None:
    index = store.scan("trained")
    add = ("--leaderboard", tmp_path / "board", "add", "trained", "--runs", store.root)
    assert invoke(leaderboard, *add).exit_code == 0
    assert invoke(leaderboard, *add).exit_code == 0

    def check(given: ScanIndex) -> None:
        require_free_entries(tmp_path / "board", given, rename=lambda name: f"-o name={name}")

    check(index)
    check(other(index, rate=0.003))
    with pytest.raises(SpecError, match=r"trained--gpt2\.json: is the entry of another scan 'trained': 5 runs of gpt2"):
        check(other(index))
    elsewhere = RunStore(tmp_path / "elsewhere")
    fill(elsewhere, "trained", synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1))), corpus="d" * 64)
    elsewhere.save_scan(elsewhere.scan("trained").model_copy(update={"spec": other(index).spec}))
    result = invoke(leaderboard, *add[:-1], elsewhere.root)
    assert isinstance(result.exception, SpecError)
    assert "training.learning_rate is 0.003 there, 0.001 here" in str(result.exception)
    assert invoke(leaderboard, *add[:-1], elsewhere.root, "--replace").exit_code == 0


def test_a_control_takes_no_place_and_replaces_no_entry(store: RunStore, tmp_path: Path) -> None:
    index = store.scan("trained")
    assert invoke(leaderboard, "--leaderboard", tmp_path, "add", "trained", "--runs", store.root).exit_code == 0
    kept = [run for run in index.runs if run.contender == "gpt2"]
    again = [run.model_copy(update={"role": CONTROL}) for run in other(index).runs if run.contender == "xl"]
    given = other(index, runs=(*kept, *again))
    require_free_entries(tmp_path, given, rename=lambda name: f"-o name={name}")


@pytest.fixture
def spec_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another spec of the name `trained`, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").mkdir()
    for number in range(20):
        (tmp_path / f"text/{number}.txt").write_text(f"{number}: the quick brown fox jumps over the lazy dog. " * 20)
    (tmp_path / "spec.yaml").write_text(
        "name: trained\ncontenders: {gpt2: {architecture: {kind: controlled}}}\n"
        'data: {dataset: {kind: text_files, paths: ["text/*.txt"]}, tokenizer: {kind: bytes}}\n'
        "scan: {sizes: [1e4], seeds: {default: 1, smallest_two: 1}, tokens: 2e3}\n"
        "training: {seq_len: 32, batch_tokens: 256, learning_rate: 3e-3, schedule: {warmup_steps: 5}}\n"
    )
    return tmp_path / "spec.yaml"


def refusal_of_run(spec: Path, runs: Path) -> str:
    """Why `archbench run` refuses it."""
    handlers = {sort: signal.getsignal(sort) for sort in (signal.SIGTERM, signal.SIGHUP)}
    result = invoke(run, spec, "--runs", runs, "--cache", spec.with_name("cache"))
    for sort, handler in handlers.items():
        signal.signal(sort, handler)
    assert isinstance(result.exception, SpecError), result.output
    return str(result.exception)


def test_run_refuses_another_spec_of_its_name_before_it_trains(store: RunStore, spec_of_its_name: Path) -> None:
    before = files(store.root)
    assert "say -o name=trained-2 to keep both, or --replace" in refusal_of_run(spec_of_its_name, store.root)
    assert files(store.root) == before


def test_run_refuses_what_would_replace_finished_entries_of_ones_own(store: RunStore, spec_of_its_name: Path) -> None:
    """What is published under its name is no obstacle: tests/integration/test_clean_clone.py."""
    assert invoke(leaderboard, "--leaderboard", OWN, "add", "trained", "--runs", store.root).exit_code == 0
    refusal = refusal_of_run(spec_of_its_name, Path("elsewhere"))
    assert refusal.startswith(
        f"{OWN}/entries/trained--gpt2.json: is the entry of another scan 'trained': 5 runs of gpt2"
    )
    assert refusal.endswith("say -o name=trained-2 to keep both, or --replace")
