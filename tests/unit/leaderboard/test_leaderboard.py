import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.frontier.scan import analyse_scan
from archbench.contracts.architecture import ModelDims
from archbench.contracts.report import ScanResults
from archbench.errors import ArchbenchError, SpecError
from archbench.leaderboard import page
from archbench.leaderboard.bounds import MAX_ENTRY_BYTES
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import add_entry, read_entry, write_entry
from archbench.leaderboard.forgery import check_figures, upgraded
from archbench.leaderboard.page_cache import PageCache
from archbench.leaderboard.standings import ComputeTier, make_standings
from archbench.results.runs import CostAxis, PrefixAudit, RunRecord, RunState
from archbench.runs.sealed import seal
from archbench.spec.identity import DataIdentity, EvaluationSettings, RunIdentity, TrainingSettings
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LAW = SyntheticLaw(noise_std=0.003)

NESTED: dict[str, Any] = {}
for _ in range(40):
    NESTED = {"deeper": NESTED}


def identified(record: RunRecord, corpus: str = "c" * 64) -> RunRecord:
    """The record as if trained: its run id is the hash of an identity."""
    identity = RunIdentity(
        architecture={"kind": record.contender, "size": record.non_embedding_params},
        dims=ModelDims(vocab_size=264, seq_len=128, d_model=32, n_layers=1, n_heads=2, d_ff=128),
        objective={"kind": "causal_lm"},
        data=DataIdentity(corpus_hash=corpus, order="stream"),
        training=TrainingSettings(batch_tokens=4096, total_steps=976, peak_learning_rate=3e-3),
        evaluation=EvaluationSettings(),
        seed=record.seed,
        plugin_versions={"archbench": "0.1.0"},
    )
    return replace(record, run_id=identity.run_id, details={"identity": identity.model_dump(mode="json")})


def scan(name: str, records: list[RunRecord], baseline: str = "gpt2") -> ScanResults:
    frontiers, comparisons = analyse_scan(records, baseline=baseline)
    environment = {"versions": {"python": "3.11"}, "plugins": {"gpt2": {"plugin": "gpt2"}, "reformer": {"plugin": "r"}}}
    spec = {"data": {"dataset": {"kind": "installed_docs"}}}
    return ScanResults(name, "Made up", baseline, tuple(records), frontiers, comparisons, spec, environment)


@pytest.fixture(scope="module")
def results() -> ScanResults:
    records = [
        *synthetic_records("gpt2", LAW),
        *synthetic_records("reformer", replace(LAW, A=13), seed=1),
        *synthetic_records("twin", LAW, seed=2),
        *synthetic_records("bert", LAW, seed=3, track="masked"),
    ]
    return scan("demo", [identified(record) for record in records])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> PageCache:
    """What one test computed from its entries is not computed again for those of the next."""
    return PageCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def board(results: ScanResults, tmp_path: Path) -> Path:
    for entry in make_entries(results):
        write_entry(tmp_path, entry)
    return tmp_path


def edit(path: Path, *keys: Any, value: Any) -> None:
    """Changes one value and makes a new digest, as a forger would."""
    content = json.loads(path.read_text())
    del content["digest"]
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_bytes(seal(content, content["format"]))


def left_out(board: Path, kept: PageCache) -> str:
    """Why the one entry that is on no page is not."""
    (problem,) = page.read_board(board, kept).left_out
    return problem


def test_an_entry_gives_back_the_very_curves_that_it_was_made_from(results: ScanResults, board: Path) -> None:
    entry = read_entry(board / "entries" / "demo--gpt2.json")
    originals = {record.run_id: record for record in results.records if record.contender == "gpt2"}
    assert {record.run_id: record.curve for record in entry.records()} == {
        run_id: record.curve for run_id, record in originals.items()
    }


def test_figures_computed_again_from_an_entrys_own_curves_are_those_stated(board: Path) -> None:
    for path in (board / "entries").iterdir():
        assert check_figures(read_entry(path)) == []


def test_an_entry_names_only_its_own_plug_in(board: Path) -> None:
    assert read_entry(board / "entries" / "demo--reformer.json").environment["plugins"] == {"reformer": {"plugin": "r"}}


def test_the_page_ranks_by_tests_and_equal_ranks_were_not_told_apart(board: Path, kept: PageCache) -> None:
    page.write(board, kept)
    text = (board / "README.md").read_text()
    rows = [line for line in text.splitlines() if "](evidence/" in line]
    assert [row.split("[")[1].split("]")[0] for row in rows][-1] == "bert"
    by_name = {row.split("[")[1].split("]")[0]: row.split("|")[1].strip() for row in rows}
    assert by_name == {"gpt2": "1", "twin": "1", "reformer": "3", "bert": "1"}
    assert "multipliers over gpt2, at losses of" in text


def test_multipliers_of_a_table_are_those_of_a_comparison_over_its_window(results: ScanResults) -> None:
    table = make_standings(make_entries(results))[0].main
    window = Window(*table.window_nats)
    _, comparisons = analyse_scan(results.records, baseline=table.reference, window=window)
    compared = {pair.contender: pair.headline for pair in comparisons if pair.cost_axis is table.axis}
    rows = [row for row in table.rows if row.multiplier is not None]
    assert len(rows) == 2
    for row in rows:
        headline = compared[row.name]
        assert headline is not None
        assert replace(headline, holm_p_value=None) == row.multiplier


def test_entries_of_another_protocol_are_never_in_one_table(results: ScanResults) -> None:
    """The same text and sizes, but twice the tokens: another table, which moves neither reference nor ranks."""
    base = make_entries(results)
    longer = replace(results, name="longer", spec={**results.spec, "scan": {"tokens": 8e6}})
    alone, both = make_standings(base), make_standings([*base, *make_entries(longer)])
    assert len(both) == 2 * len(alone)
    assert alone[0].main.protocol in {one.main.protocol for one in both}
    same = next(one for one in both if one.main.protocol == alone[0].main.protocol)
    assert [(row.name, row.rank) for row in same.main.rows] == [(row.name, row.rank) for row in alone[0].main.rows]
    assert same.main.reference_cost == alone[0].main.reference_cost


def test_a_small_entry_moves_neither_reference_nor_ranks_and_is_listed_without_one(results: ScanResults) -> None:
    small = SyntheticScan(sizes=(1_000, 2_000, 3_000), seeds=(3, 3, 3))
    records = [*results.records, *(identified(one) for one in synthetic_records("small", LAW, small, seed=7))]
    alone = make_standings(make_entries(results))[0].main
    main = make_standings(make_entries(scan("demo", records)))[0].main
    assert main.reference_cost == alone.reference_cost
    assert main.window_nats == alone.window_nats
    by_name = {row.name: row for row in main.rows}
    assert by_name["small"].rank is None
    assert "do not cover the losses" in by_name["small"].unranked
    assert {name: row.rank for name, row in by_name.items() if name != "small"} == {
        row.name: row.rank for row in alone.rows
    }


def test_tracks_are_never_in_one_table(board: Path, kept: PageCache) -> None:
    text = page.render(board, kept)[board / "README.md"].decode()
    causal, masked = text.split("## Masked language models")
    assert "demo--bert" not in causal
    assert "demo--gpt2" not in masked


def test_losses_on_different_text_are_never_in_one_table(results: ScanResults, board: Path, kept: PageCache) -> None:
    elsewhere = [identified(record, "d" * 64) for record in synthetic_records("gpt2", LAW, seed=5)]
    for entry in make_entries(scan("other", elsewhere)):
        write_entry(board, entry)
    text = page.render(board, kept)[board / "README.md"].decode()
    assert text.count("## Causal language models") == 2


def test_the_same_runs_in_two_scans_appear_once(results: ScanResults, board: Path, kept: PageCache) -> None:
    again = replace(results, name="again")
    for entry in make_entries(again):
        write_entry(board, entry)
    text = page.render(board, kept)[board / "README.md"].decode()
    assert sum("[gpt2](evidence/" in line for line in text.splitlines()) == 1


def test_rendering_twice_gives_the_same_bytes_and_check_is_content(board: Path, kept: PageCache) -> None:
    assert page.check(board, kept)
    made = {path.relative_to(board).parts[0] for path in page.write(board, kept)}
    assert made == {"README.md", "index.html", "evidence", "figures"}
    assert page.write(board) == []
    assert page.check(board, kept) == []


def test_check_names_a_page_that_was_edited_and_a_figure_without_entry(board: Path, kept: PageCache) -> None:
    page.write(board, kept)
    (board / "README.md").write_text("edited")
    (board / "figures" / "stray.svg").write_text("<svg/>")
    problems = page.check(board, kept)
    assert [problem.split(": ")[1] for problem in problems] == [
        "differs from what the entries give",
        "belongs to no entry",
    ]
    page.write(board, kept)
    assert page.check(board, kept) == []


def test_an_empty_leaderboard_is_a_page_that_says_so(tmp_path: Path, kept: PageCache) -> None:
    page.write(tmp_path, kept)
    assert "There is no entry yet" in (tmp_path / "README.md").read_text()


def test_a_forged_figure_is_refused_and_named(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "figures", "exact", "alpha", value=0.2)
    assert f"{path}: exact: alpha is stated as 0.2, its curves give 0.09" in left_out(board, kept)
    assert "(evidence/demo--gpt2.md)" not in page.render(board, kept)[board / "README.md"].decode()


def test_a_forged_curve_is_refused_by_the_figures_that_it_gives(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    losses = json.loads(path.read_text())["runs"][0]["curve"]["validation_loss_nats"]
    edit(path, "runs", 0, "curve", "validation_loss_nats", value=[loss * 0.9 for loss in losses])
    assert "its curve is not the one whose hash it states" in left_out(board, kept)
    edit(path, "runs", 0, "curve_sha256", value=None)
    assert "its curves give" in left_out(board, kept)


def test_a_forged_identity_is_refused_by_its_hash(board: Path) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "runs", 0, "identity", "seed", value=99)
    with pytest.raises(SpecError, match="its id is not the hash of its identity"):
        read_entry(path)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("track",), None, "track: Input should be a valid string"),
        (("track",), "../../causal", "track: String should match pattern"),
        (("family",), "a/b", "family: String should match pattern"),
        (("scan",), "s" * 129, "has 129 characters, a name has at most 128"),
        (("runs",), [], "runs: Tuple should have at least 1 item"),
        (("environment", "plugins"), [1], "environment: Value error, plugins: expected an object, got list"),
        (("spec", "data"), NESTED, "spec: Value error, has more than 32 levels"),
        (("runs", 0, "seed"), "7", "runs.0.seed: Input should be a valid integer"),
        (("runs", 0, "non_embedding_params"), 10**19, "runs.0.non_embedding_params: Input should be less than or"),
        (
            ("runs", 0, "curve", "validation_loss_nats", 3),
            -5.0,
            "nats.3: Input should be greater than 0",
        ),
        (
            ("runs", 0, "curve", "validation_loss_nats", 3),
            1e308,
            "nats.3: Input should be less than or",
        ),
        (("runs", 0, "curve", "exact_flops", 3), 1e308, "exact_flops.3: Input should be less than or equal to 1"),
        (("runs", 0, "curve", "exact_flops", 3), "1e9", "exact_flops.3: Input should be a valid number"),
        (("runs", 0, "curve", "exact_flops", 3), 0.5, "exact_flops: falls from one point to the next"),
        (("runs", 0, "curve", "step", 3), 0, "step: does not rise from point to point"),
        (("runs", 0, "curve", "validation_loss_nats", 3), 1.33, "point 3: .* belie each other"),
        (("runs", 0, "curve", "finished", 3), 1, "finished.3: Input should be a valid boolean"),
        (("colour",), "red", "colour: Extra inputs are not permitted"),
        (("runs", 0, "run_id"), "abc", "runs.0.run_id: String should match pattern"),
        (("runs", 0, "curve", "step"), [1], "columns of a curve differ in length"),
        (("format",), 0, "format is 0"),
        (("format",), 9, "has format 9, this archbench reads up to 4; update archbench"),
    ],
)
def test_a_malformed_entry_is_one_clear_line(board: Path, keys: tuple[Any, ...], value: Any, message: str) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, *keys, value=value)
    with pytest.raises(ArchbenchError, match=message) as caught:
        read_entry(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def of_format_1(path: Path) -> None:
    """Makes the entry what the first format held: no back-tests, no hashes of curves, no dates."""
    content = json.loads(path.read_text()) | {"format": 1}
    for figure in content["figures"].values():
        del figure["back_test_error"]
    for run in content["runs"]:
        del run["curve_sha256"]
        del run["arithmetic"]
    for name in ("family", "added", "history", "digest"):
        del content[name]
    path.write_text(json.dumps(content))


def test_an_entry_of_the_first_format_is_shown_and_written_anew_from_its_curves(board: Path, kept: PageCache) -> None:
    page.write(board, kept)
    text = (board / "README.md").read_bytes()
    path = board / "entries" / "demo--gpt2.json"
    now = path.read_bytes()
    of_format_1(path)
    assert page.check(board, kept) == [f"{path}: is of format 1, not 4"]
    assert page.write(board, kept) == [path]
    assert path.read_bytes() == now
    assert (board / "README.md").read_bytes() == text


def test_a_forged_back_test_is_refused(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    edit(path, "figures", "exact", "back_test_error", value=0.0)
    assert "exact: back_test_error is stated as 0.0, its curves give" in left_out(board, kept)


def test_the_page_says_what_holds_the_back_test_and_who_trained(board: Path, kept: PageCache) -> None:
    text = page.render(board, kept)[board / "README.md"].decode()
    row = next(line for line in text.splitlines() if "[reformer](evidence/" in line)
    assert re.search(r"\| needs more, holds \d+/\d+ \| [+-]\d\.\d %", row)
    assert "reformer from synthetic" in text


def test_a_leak_of_later_tokens_is_marked(results: ScanResults, tmp_path: Path, kept: PageCache) -> None:
    leaking = [
        replace(record, prefix_audit=PrefixAudit(0.05, 0.03, 0.07, 256)) if record.contender == "reformer" else record
        for record in results.records
    ]
    for entry in make_entries(replace(results, records=tuple(leaking))):
        write_entry(tmp_path, entry)
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    rows = {line.split("[")[1].split("]")[0]: line for line in text.splitlines() if "](evidence/" in line}
    assert "0.05 [0.03, 0.07] **!**" in rows["reformer"]
    assert "**!**" not in rows["gpt2"]


def test_a_contender_without_a_usable_run_gets_no_entry(results: ScanResults) -> None:
    failed = [replace(record, state=RunState.FAILED) for record in results.records if record.contender == "gpt2"]
    assert make_entries(replace(results, records=tuple(failed))) == []


def test_the_reference_compute_is_that_of_the_baselines_dearest_run(results: ScanResults) -> None:
    main = make_standings(make_entries(results))[0].main
    ends = [record.curve[-1].exact_flops for record in results.records if record.contender == "gpt2"]
    assert main.reference == "gpt2"
    assert main.reference_cost == pytest.approx(max(ends))


def test_noise_that_few_seeds_borrow_from_the_other_contenders_is_no_forgery(tmp_path: Path, kept: PageCache) -> None:
    """Two seeds at one size are not enough for noise of their own, and an entry holds no other contender's runs."""
    few = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(2, 1, 1))
    records = [
        *synthetic_records("gpt2", LAW, few),
        *synthetic_records("reformer", replace(LAW, noise_std=0.03), few, seed=1),
    ]
    for entry in make_entries(scan("few", [identified(record) for record in records])):
        assert check_figures(entry) == []
        write_entry(tmp_path, entry)
    page.write(tmp_path, kept)


def test_an_entry_that_is_replaced_stays_in_the_history_of_the_new_one(
    results: ScanResults, tmp_path: Path, kept: PageCache
) -> None:
    first, then = datetime.date(2026, 1, 1), datetime.date(2026, 2, 1)
    old = next(entry for entry in make_entries(results) if entry.contender == "gpt2")
    path = add_entry(tmp_path, old, first)
    unchanged = path.read_bytes()
    add_entry(tmp_path, old, then)
    assert path.read_bytes() == unchanged
    others = [identified(record) for record in synthetic_records("gpt2", replace(LAW, A=12), seed=9)]
    (new,) = make_entries(scan("demo", others))
    add_entry(tmp_path, new, then)
    stored = read_entry(path)
    assert stored.added == then
    assert [past.until for past in stored.history] == [then]
    assert stored.history[0].figures == old.figures
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    history = text.split("## History")[1].split("##")[0]
    assert "| 2026-02-01 | [gpt2 of demo](evidence/demo--gpt2.md) |" in history


def test_entries_of_another_order_of_compute_are_never_in_one_table(
    results: ScanResults, board: Path, kept: PageCache
) -> None:
    large = [
        identified(
            replace(
                record,
                curve=tuple(replace(point, exact_flops=point.exact_flops * 1e6) for point in record.curve),
            ),
        )
        for record in synthetic_records("huge", LAW, seed=4)
    ]
    for entry in make_entries(scan("accelerated", large)):
        write_entry(board, entry)
    causal = [one.main for one in make_standings(page.read_board(board, kept).entries) if one.main.track == "causal"]
    assert [(table.tier, [row.name for row in table.rows]) for table in causal if "huge" in str(table.rows)] == [
        (ComputeTier.ACCELERATOR, ["huge"])
    ]
    assert ComputeTier.LAPTOP in {table.tier for table in causal}


def test_a_controlled_family_has_a_track_to_itself(results: ScanResults, board: Path, kept: PageCache) -> None:
    records = [identified(record) for record in synthetic_records("linear", LAW, seed=6)]
    environment = {"plugins": {"linear": {"plugin": "c", "family": "controlled"}}}
    for entry in make_entries(replace(scan("family", records), environment=environment)):
        write_entry(board, entry)
    text = page.render(board, kept)[board / "README.md"].decode()
    title = "## One backbone, one mechanism changed"
    assert "[linear](evidence/" in text.split(title)[1]
    assert "[linear](evidence/" not in text.split(title)[0]


def test_seconds_of_different_machines_are_never_compared(
    results: ScanResults, tmp_path: Path, kept: PageCache
) -> None:
    def timed(record: RunRecord) -> RunRecord:
        cpu = "slow" if record.contender == "twin" else "fast"
        curve = tuple(replace(point, device_seconds=point.exact_flops / 1e9) for point in record.curve)
        return replace(
            record, curve=curve, details=dict(record.details) | {"timings": {"hardware": {"device": "cpu", "cpu": cpu}}}
        )

    causal = tuple(timed(record) for record in results.records if record.track == "causal")
    (standing,) = make_standings(make_entries(scan("timed", list(causal))))
    rows = {table.axis: {row.name for row in table.rows} for table in standing.tables}
    assert rows[CostAxis.EXACT] == {"gpt2", "reformer", "twin"}
    assert rows[CostAxis.DEVICE_SECONDS] == {"gpt2", "reformer"}
    for entry in make_entries(scan("timed", list(causal))):
        write_entry(tmp_path, entry)
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    assert re.search(r"\| twin \|.*\| other machine \|", text)


def test_another_group_of_entries_changes_no_figure_of_the_others(
    results: ScanResults, board: Path, kept: PageCache
) -> None:
    before = {path: content for path, content in page.render(board, kept).items() if path.suffix == ".svg"}
    elsewhere = [identified(record, "0" * 64) for record in synthetic_records("gpt2", LAW, seed=5)]
    for entry in make_entries(scan("other", elsewhere)):
        write_entry(board, entry)
    after = page.render(board, kept)
    assert before.items() <= after.items()
    assert len([path for path in after if path.suffix == ".svg"]) == len(before) + 1


@pytest.mark.parametrize("number", [b"1e308", b"1" + b"0" * 400, b"-5.0", b"NaN", b"1e999"])
def test_a_number_that_no_run_can_have_measured_is_refused_with_the_files_name(board: Path, number: bytes) -> None:
    path = stranger(board, number)
    with pytest.raises(ArchbenchError, match=re.escape(str(path))):
        read_entry(path)


def test_one_strangers_entry_never_stops_the_page(board: Path, kept: PageCache) -> None:
    path = stranger(board, b"1" + b"0" * 400)
    assert board / "README.md" in page.write(board, kept)
    assert str(path) in left_out(board, kept)


def stranger(board: Path, number: bytes) -> Path:
    """An entry of somebody else, in which one loss is `number`."""
    whole = (board / "entries" / "demo--twin.json").read_bytes()
    theirs = re.sub(rb'("validation_loss_nats": \[\s+)[0-9.]+', rb"\g<1>" + number, whole, count=1)
    assert theirs != whole
    path = board / "entries" / "demo--stranger.json"
    path.write_bytes(theirs)
    return path


def test_an_entry_under_another_name_replaces_nothing(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    of_format_1(path)
    copy = path.with_name("demo--copy.json")
    copy.write_bytes(path.read_bytes().replace(b"Made up", b"Made over"))
    read = page.read_board(board, kept)
    (problem,) = read.left_out
    assert problem.startswith(f"{copy}: the file must be called demo--gpt2.json")
    assert "Made over" not in {entry.description for entry in read.entries}


def test_what_is_too_large_is_not_read(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    with path.open("ab") as stream:
        stream.truncate(MAX_ENTRY_BYTES + 1)
    assert "bytes, at most" in left_out(board, kept)


def test_a_curve_of_a_million_points_is_refused_before_it_is_analysed(board: Path, kept: PageCache) -> None:
    path = board / "entries" / "demo--gpt2.json"
    content = json.loads(path.read_text())
    curve = content["runs"][0]["curve"]
    for name, column in curve.items():
        curve[name] = list(range(100_000)) if name == "step" else column[-1:] * 100_000
    path.write_text(json.dumps(content))
    del content["digest"]
    path.write_bytes(seal(content, content["format"]))
    assert "should have at most 10001 items" in left_out(board, kept)


def test_entries_of_0_1_0_are_opened_and_written_anew_in_the_format_of_today(tmp_path: Path) -> None:
    old = Path(__file__).parents[2] / "golden" / "release_0_1_0" / "entries"
    for path in sorted(old.glob("*.json")):
        entry = read_entry(path)
        assert entry.format == 3
        new = read_entry(write_entry(tmp_path, upgraded(entry)))
        assert (new.format, new.runs) == (4, entry.runs)
        assert check_figures(entry) == check_figures(new) == []


def test_a_table_of_runs_that_other_arithmetic_computed_says_so(
    results: ScanResults, tmp_path: Path, kept: PageCache
) -> None:
    here, there = {"kernels": "torch", "processor": "one"}, {"kernels": "kernels-1", "processor": "one"}
    records = [
        replace(record, details={**record.details, "arithmetic": there if record.contender == "reformer" else here})
        for record in results.records
    ]
    for entry in make_entries(replace(results, records=tuple(records))):
        write_entry(tmp_path, entry)
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    assert "Mind: runs were computed by different arithmetic: kernels kernels-1 (9), torch (18): " in text
