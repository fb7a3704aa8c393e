"""A published entry as a contender, by the command line: its runs are data, and all else is as if it were trained."""

import datetime
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archbench.cli.finish import scan_results
from archbench.cli.main import cli
from archbench.contracts.report import ScanResults
from archbench.errors import SpecError, StoreError
from archbench.host import default_host
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import add_entry, read_entry, write_entry
from archbench.leaderboard.folders import OWN
from archbench.leaderboard.folders import PUBLISHED as PUBLISHED_FOLDER
from archbench.leaderboard.published import published_records, read_published
from archbench.leaderboard.replacing import require_free_entries
from archbench.numerics import NUMERICS
from archbench.report.verdict import reservations
from archbench.results.published import publication_of
from archbench.results.runs import RunRecord
from archbench.runs.imported import keep_published
from archbench.runs.store import RunStore, ScanIndex
from archbench.scans.planner import plan_scan
from archbench.spec.identity import ComponentIdentity, RunIdentity
from archbench.spec.load import load_spec
from archbench.testing.synthetic import SyntheticLaw
from archbench.testing.synthetic_store import TIMED, end_planned

pytestmark = pytest.mark.thorough

SPEC = """\
name: both
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  llama: {architecture: {kind: llama}}
data:
  dataset: {kind: text_files, paths: ["*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [5e3, 1e4, 2e4, 4e4], seeds: {default: 2, smallest_two: 2}, tokens: 200000}
training: {seq_len: 64, batch_tokens: 512, learning_rate: 3e-3, schedule: {warmup_steps: 5}}
evaluation: {tokens: 2000, points: 4}
"""
TRAINED, PUBLISHED = "gpt2: {architecture: {kind: gpt2}}", "gpt2: {entry: both--gpt2}"
LAWS = {"gpt2": SyntheticLaw(), "llama": SyntheticLaw(A=10.5)}
ELSEWHERE = {**TIMED, "hardware": {**TIMED["hardware"], "cpu": "another"}}


@dataclass(frozen=True)
class Folder:
    """A folder with a leaderboard, on which the scan `both` stands, and `mine.yaml`, which names its gpt2."""

    path: Path

    @property
    def leaderboard(self) -> Path:
        return self.path / "leaderboard"

    @property
    def entry(self) -> Path:
        return self.leaderboard / "entries" / "both--gpt2.json"

    def store(self, name: str) -> RunStore:
        return RunStore(self.path / f"runs of {name}")

    def end_runs(self, name: str, timed: dict[str, Any] = TIMED) -> ScanIndex:
        """Ends all runs of the spec in its store: equal runs in equal ways, whatever their store."""
        spec = load_spec(self.path / f"{name}.yaml", default_host().registry)
        plan = plan_scan(spec, default_host(), cache_dir=self.path / "cache")
        for run in plan.runs:
            shift = 1.0 + 0.004 * (1 - 2 * run.seed) / (1 + run.size_index)
            end_planned(self.store(name), run.plan, LAWS[run.contender], shift=shift, timed=timed)
        return plan.index

    def archbench(self, command: str, name: str, *options: str, folders: Sequence[str] = ("cache",)) -> Result:
        where = [word for one in folders for word in (f"--{one}", str(self.path / one))]
        spec = str(self.path / f"{name}.yaml") if command in ("plan", "run", "status", "report") else name
        runs = ("--runs", str(self.store(name).root))
        return CliRunner().invoke(cli, [command, *([spec] if spec else []), *runs, *where, *options])

    def run(self, name: str, *options: str) -> Result:
        return self.archbench("run", name, *options, folders=("cache", "reports", "leaderboard"))

    def plan(self, *options: str) -> Result:
        return self.archbench("plan", "mine", *options, folders=("cache", "leaderboard"))

    def results(self, name: str) -> ScanResults:
        store = self.store(name)
        records, problems = store.records(store.scan(name))
        assert problems == ()
        return scan_results(store.scan(name), records, default_host())


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Two scans that have ended: `both` trained gpt2 and llama, `mine` trained llama against the entry of gpt2."""
    folder = Folder(tmp_path_factory.mktemp("scans"))
    for number in range(20):
        (folder.path / f"{number}.txt").write_text(
            f"document {number}: " + "what is published is compared here. " * 600
        )
    (folder.path / "both.yaml").write_text(SPEC)
    (folder.path / "mine.yaml").write_text(SPEC.replace("name: both", "name: mine").replace(TRAINED, PUBLISHED))
    index = folder.end_runs("both")
    folder.store("both").create()
    folder.store("both").save_scan(index)
    for entry in make_entries(folder.results("both")):
        add_entry(folder.leaderboard, entry, datetime.date(2026, 1, 1))
    folder.end_runs("mine")
    ran = folder.run("mine")
    assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def folder(scans: Folder, tmp_path: Path) -> Folder:
    """A copy of these scans that a test may change."""
    shutil.copytree(scans.path, tmp_path / "scans")
    return Folder(tmp_path / "scans")


def rewritten(folder: Folder, **changes: Any) -> None:
    """The entry of gpt2 with other identities of its runs, as somebody would have published it."""
    entry = read_entry(folder.entry)
    runs = []
    for run in entry.runs:
        identity = RunIdentity.model_validate(run.identity).model_copy(update=changes)
        runs.append(run.model_copy(update={"identity": identity.model_dump(mode="json"), "run_id": identity.run_id}))
    write_entry(folder.leaderboard, entry.model_copy(update={"runs": tuple(runs)}))


def read_entry_run(folder: Folder, record: RunRecord) -> RunRecord:
    """The run that `record` is, as it comes out of the entry."""
    spec = load_spec(folder.path / "mine.yaml", default_host().registry)
    (one,) = read_published(spec, folder.leaderboard)
    return next(made for made in published_records(one, spec.scan.sizes) if made.run_id == record.run_id)


def published(records: Sequence[RunRecord]) -> list[RunRecord]:
    return [record for record in records if publication_of(record) is not None]


def test_a_published_baseline_is_compared_as_if_it_had_been_trained_here(scans: Folder) -> None:
    trained, mine = scans.results("both"), scans.results("mine")
    assert mine.comparisons == trained.comparisons
    assert {pair.cost_axis.value for pair in mine.comparisons} >= {"exact", "kaplan", "device_seconds"}
    assert all(pair.headline and pair.headline.multiplier for pair in mine.comparisons)
    assert [(one.contender, one.law) for one in mine.frontiers] == [
        (one.contender, one.law) for one in trained.frontiers
    ]


def test_its_runs_are_marked_with_entry_and_digest_wherever_they_are_shown(scans: Folder) -> None:
    digest = json.loads(scans.entry.read_text())["digest"]
    index = scans.store("mine").scan("mine")
    assert index.environment["entries"]["gpt2"]["digest"] == digest
    marked = published(scans.results("mine").records)
    assert {record.contender for record in marked} == {"gpt2"}
    assert len(marked) == 8
    report = (scans.path / "reports" / "mine" / "report.md").read_text()
    assert report.count(f"done; published: both--gpt2, digest {digest[:12]}") == 8
    assert f"gpt2 is a published entry (both--gpt2, digest {digest[:12]}): its 8 runs were not trained here" in report
    assert "8 runs were not trained here" in scans.archbench("status", "mine", folders=()).stdout
    rows = json.loads(scans.archbench("status", "mine", "--json", folders=()).stdout)[0]["runs"]
    assert {(row["contender"], row["entry"]) for row in rows} == {("gpt2", "both--gpt2"), ("llama", None)}


def test_no_entry_is_written_for_it_and_the_trained_one_names_it(scans: Folder) -> None:
    assert sorted(path.stem for path in scans.entry.parent.iterdir()) == ["both--gpt2", "both--llama", "mine--llama"]
    entry = read_entry(scans.entry.with_name("mine--llama.json"))
    assert entry.baseline == "gpt2"
    assert entry.environment["entries"]["gpt2"]["digest"] == json.loads(scans.entry.read_text())["digest"]
    checked = CliRunner().invoke(cli, ["leaderboard", "check", str(scans.entry.with_name("mine--llama.json"))])
    assert checked.exit_code == 0, checked.output


def test_a_plan_shows_its_sizes_and_counts_nothing_of_it_as_to_be_trained(scans: Folder) -> None:
    told = json.loads(scans.plan("--json").stdout)
    assert {row["contender"] for row in told["runs"]} == {"llama"}
    assert {(row["contender"], row["entry"]) for row in told["published"]} == {("gpt2", "both--gpt2")}
    shown = scans.plan("-o", "training.learning_rate=1e-3").stdout
    assert "8 runs, 8 to train" in shown
    assert [line.split()[-1] for line in shown.splitlines()[1:5]] == ["published"] * 4
    assert "2L 14d 2h ff56" in shown


def test_the_power_of_a_question_is_reckoned_by_the_published_ladder(scans: Folder, tmp_path: Path) -> None:
    asked = ("-o", "question={margin: 1.1}", "--runs", str(tmp_path / "empty"))
    power = json.loads(scans.plan("--json", *asked).stdout)["power"]
    assert {row["contender"] for row in power} == {"llama"}
    assert "by its published runs" in power[0]["source"]
    assert "degrees of freedom of their seeds" in power[0]["source"]


def test_no_further_run_of_a_published_contender_is_proposed(scans: Folder) -> None:
    runs = ("--runs", str(scans.store("mine").root))
    told = CliRunner().invoke(cli, ["plan", "--next", "--scan", "mine", "--json", *runs])
    assert [one["contender"] for one in json.loads(told.stdout)["plans"]] == ["llama"]
    named = CliRunner().invoke(cli, ["plan", "--next", "--scan", "mine", "--contender", "gpt2", *runs])
    assert "'gpt2' is a published entry, of which nothing is trained" in str(named.exception)


def test_a_stored_scan_is_read_when_the_entry_is_gone_and_run_again_only_with_it(folder: Folder) -> None:
    shutil.rmtree(folder.leaderboard)
    runs = ("--runs", str(folder.store("mine").root))
    compared = CliRunner().invoke(cli, ["compare", "gpt2", "llama", *runs])
    assert compared.exit_code == 0, compared.output
    assert "gpt2 is a published entry (both--gpt2" in compared.stdout
    assert folder.archbench("report", "mine", folders=("reports",)).exit_code == 0
    forecast = CliRunner().invoke(cli, ["forecast", "--scan", "mine", "--contender", "gpt2", "--budget", "1e11", *runs])
    assert forecast.exit_code == 0, forecast.output
    ran = folder.run("mine")
    assert isinstance(ran.exception, SpecError)
    assert "both--gpt2.json: there is no such entry" in str(ran.exception)


def test_a_damaged_copy_in_the_store_is_told_and_written_anew(folder: Folder) -> None:
    store = folder.store("mine")
    whole = published(folder.results("mine").records)
    directory = store.directory(whole[0].run_id)
    path = directory.path / "imported.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"0.", b"1.", 1))
    _, problems = store.records(store.scan("mine"))
    assert "`archbench run` on the spec that names it" in problems[0]
    keep_published(directory, read_entry_run(folder, whole[0]))
    assert path.read_bytes() == before


def test_seconds_of_another_machine_are_compared_with_nothing_and_the_report_says_so(folder: Folder) -> None:
    shutil.rmtree(folder.store("mine").root)
    folder.end_runs("mine", ELSEWHERE)
    assert folder.run("mine").exit_code == 0
    results = folder.results("mine")
    assert {pair.cost_axis.value for pair in results.comparisons} == {"exact", "kaplan"}
    words = "the published runs of gpt2 were timed elsewhere (made up) than those trained here"
    assert any(words in line for line in reservations(results))
    assert words in (folder.path / "reports" / "mine" / "report.md").read_text()
    compared = CliRunner().invoke(cli, ["compare", "gpt2", "llama", "--runs", str(folder.store("mine").root)])
    assert words in compared.stdout


def test_a_changed_entry_is_refused_before_anything_is_trained(folder: Folder) -> None:
    shutil.rmtree(folder.store("mine").root)
    text = folder.entry.read_text()
    place = text.index("validation_loss_nats") + 40
    digit = next(at for at in range(place, len(text)) if text[at].isdigit())
    folder.entry.write_text(f"{text[:digit]}{(int(text[digit]) + 1) % 10}{text[digit + 1 :]}")
    ran = folder.run("mine")
    assert isinstance(ran.exception, SpecError)
    message = str(ran.exception)
    assert f"mine.yaml:4: contenders.gpt2.entry: {folder.entry}: is damaged: its content is not what its" in message
    assert "\n" not in message
    assert folder.store("mine").scan_names() == []


def test_an_entry_without_a_digest_is_refused(folder: Folder) -> None:
    content = json.loads(folder.entry.read_text())
    del content["digest"]
    folder.entry.write_text(json.dumps({**content, "format": 3}))
    refused = folder.plan().exception
    assert isinstance(refused, SpecError)
    written = f"`archbench leaderboard --leaderboard {folder.leaderboard}` writes it anew with one"
    assert f"is of format 3, which has no digest; {written}" in str(refused)


@pytest.fixture
def places(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The folder as the working directory, what stood on its leaderboard copied to one's own."""
    monkeypatch.chdir(folder.path)
    shutil.copytree(PUBLISHED_FOLDER, OWN)
    return folder


def planned(places: Folder, *options: str) -> Result:
    return places.archbench("plan", "mine", *options)


def test_a_name_is_looked_for_among_published_entries_first_and_then_among_ones_own(places: Folder) -> None:
    name = PUBLISHED_FOLDER / "entries" / "both--gpt2.json"
    own = OWN / "entries" / "both--gpt2.json"
    both = planned(places)
    assert both.exit_code == 0, both.output
    warning = f"gpt2: the entry was taken that is published, {name}; to take your own, {own}, give its path from the"
    assert both.output.count(warning) == 1
    taken = planned(places, "-o", f"contenders.gpt2.entry={own}")
    assert (taken.exit_code, "the entry was taken" in taken.output) == (0, False)
    own.unlink()
    assert (planned(places).exit_code, "the entry was taken" in planned(places).output) == (0, False)
    shutil.move(name, own)
    alone = planned(places)
    assert (alone.exit_code, "the entry was taken" in alone.output) == (0, False)
    own.unlink()
    refused = str(planned(places, "-o", "contenders.gpt2.entry=both--lama").exception)
    assert f"{PUBLISHED_FOLDER}/entries/both--lama.json: there is no such entry, nor in {OWN}/entries" in refused
    assert "did you mean 'both--llama'?" in refused


def test_where_the_published_entry_does_not_fit_ones_own_of_its_name_is_named(places: Folder) -> None:
    own = OWN / "entries" / "both--gpt2.json"
    refused = str(planned(places, "-o", "training.batch_tokens=1024").exception)
    assert "batch_tokens is 512 there, 1024 here" in refused
    assert refused.endswith(f"; to take your own, {own}, give its path from the folder of the spec")
    assert "\n" not in refused


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scan.seeds.default=1", "is of another protocol than 'llama': scan.seeds.default is 2 there, 1 here"),
        ("evaluation.tokens=1000", "evaluation is 2000 there, 1000 here"),
        ("training.batch_tokens=1024", "batch_tokens is 512 there, 1024 here"),
        ("training.schedule.kind=linear", "schedule.kind is cosine there, linear here"),
        ("training.optimizer.kind=muon", "optimizer is adamw there, muon here"),
        ("common.tie_output=true", "common is absent there, {'tie_output': True} here"),
        ("data.order=shuffled", "order is stream there, shuffled here"),
        ("data.validation_fraction=0.3", "corpus is "),
        ("objective.kind=masked_lm", "is of track causal, 'llama' of masked: their losses do not compare"),
        ("contenders.gpt2.entry=both--gtp2", "both--gtp2.json: there is no such entry; did you mean 'both--gpt2'?"),
        ("contenders.gpt2.entry=gone.json", "gone.json: there is no such file; give its path from the folder of the"),
    ],
)
def test_an_entry_that_does_not_fit_is_refused_with_the_first_rule_that_differs(
    scans: Folder, override: str, message: str
) -> None:
    bidirectional = ("-o", "contenders.llama.architecture={kind: bert}") if "masked" in override else ()
    refused = scans.plan("-o", override, *bidirectional).exception
    assert isinstance(refused, SpecError)
    assert message in str(refused)
    assert "\n" not in str(refused)


def test_an_entry_fits_where_one_of_the_trained_contenders_shares_its_protocol(scans: Folder) -> None:
    other = "contenders.other={architecture: {kind: llama}, training: {optimizer: {kind: muon}}}"
    assert scans.plan("-o", other).exit_code == 0
    alone = scans.plan("-o", "contenders.llama.training={optimizer: {kind: muon}}").exception
    assert "optimizer is adamw there, muon here" in str(alone)


def test_rates_and_sizes_of_an_entry_need_not_be_those_of_the_spec(scans: Folder) -> None:
    planned = scans.plan("--json", "-o", "training.learning_rate=1e-3", "-o", "scan.sizes=[5e3, 7e3, 1e4, 2e4, 4e4]")
    rows = json.loads(planned.stdout)["published"]
    assert sorted({row["size_index"] for row in rows}) == [0, 2, 3, 4], "on the spec's rungs of these sizes"
    planned = scans.plan("--json", "-o", "scan.sizes=[1e4, 8e4]")
    assert sorted({row["size_index"] for row in json.loads(planned.stdout)["published"]}) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numerics": 1}, f"was computed by numerics 1 of archbench, this version has {NUMERICS}"),
        ({"libraries": {"transformers": "4.0"}}, "was computed with transformers 4.0, here is "),
        ({"libraries": {"reformer-pytorch": "0.1"}}, ""),
        (
            {"components": {"objective": ComponentIdentity(numerics=7)}},
            "its objective computed by numerics 7, the one here by numerics 1",
        ),
        (
            {"components": {"architecture": ComponentIdentity(numerics=7)}},
            "its architecture computed by numerics 7, the one here by numerics 1",
        ),
        ({"components": {"architecture": ComponentIdentity(numerics=7, distribution="d", version="1")}}, ""),
    ],
)
def test_an_entry_computed_by_other_numerics_is_refused(folder: Folder, changes: dict[str, Any], message: str) -> None:
    rewritten(folder, **changes)
    planned = folder.plan()
    if not message:  # a library that its architecture alone uses, or the architecture of somebody else
        assert planned.exit_code == 0, planned.output
        return
    assert isinstance(planned.exception, SpecError)
    assert message in str(planned.exception)


def test_imported_runs_are_refused(folder: Folder) -> None:
    entry = read_entry(folder.entry)
    runs = tuple(run.model_copy(update={"identity": None}) for run in entry.runs)
    write_entry(folder.leaderboard, entry.model_copy(update={"runs": runs, "origin": "runs.csv"}))
    assert "its runs come from runs.csv, and no rules are known" in str(folder.plan().exception)


def test_a_scan_may_take_its_own_earlier_entry_as_a_contender(scans: Folder) -> None:
    index = scans.store("mine").scan("mine").model_copy(update={"name": "both"})
    require_free_entries(scans.leaderboard, index, rename=str)
    trained = index.model_copy(update={"environment": {}})
    with pytest.raises(SpecError, match="is the entry of another scan 'both': 8 runs of gpt2"):
        require_free_entries(scans.leaderboard, trained, rename=str)


def test_published_runs_are_nothing_to_train_again_or_to_export(scans: Folder) -> None:
    run_id = published(scans.results("mine").records)[0].run_id[:16]
    runs = ("--runs", str(scans.store("mine").root))
    again = CliRunner().invoke(cli, ["runs", "rerun", run_id, "--yes", *runs]).exception
    assert isinstance(again, SpecError)
    assert "taken from a published entry" in str(again)
    exported = CliRunner().invoke(cli, ["export", run_id, *runs]).exception
    assert isinstance(exported, StoreError)
    listed = CliRunner().invoke(cli, ["runs", "list", *runs]).stdout
    assert listed.count("entry both--gpt2") == 8
