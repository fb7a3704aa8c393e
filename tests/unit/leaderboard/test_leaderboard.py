"""Tables of the leaderboard and its page: who stands beside whom, and what is said of them."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_boards import LAW, identified, scan

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.frontier.scan import analyse_scan
from archbench.contracts.report import ScanResults
from archbench.leaderboard import page
from archbench.leaderboard.board import read_board
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_files import read_entry, write_entry
from archbench.leaderboard.forgery import check_figures
from archbench.leaderboard.groups import ComputeTier
from archbench.leaderboard.page_cache import PageCache
from archbench.leaderboard.protocol import evaluated_on
from archbench.leaderboard.standings import make_standings
from archbench.leaderboard.tables import heading, main_table
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis, FinalEvaluation, PrefixAudit, RunRecord
from archbench.testing.synthetic import SyntheticScan, synthetic_records


def main_rows(text: str) -> list[str]:
    """The rows of main tables, which begin with a rank."""
    return [line for line in text.splitlines() if re.match(r"\| (\d+|-) \| \[", line)]


def test_what_is_not_told_apart_stands_with_its_interval_alone(board: Path, kept: PageCache) -> None:
    text = page.render(board, kept)[board / "README.md"].decode()
    rows = {row.split("[")[1].split("]")[0]: row.split("|")[3].strip() for row in main_rows(text)}
    assert re.fullmatch(r"not told apart, [\d.]+ to [\d.]+x", rows["twin"])
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]x", rows["reformer"])
    assert "holds" not in text.split("## How to read it")[0]


def test_the_page_ranks_by_tests_and_equal_ranks_were_not_told_apart(board: Path, kept: PageCache) -> None:
    page.write(board, kept)
    text = (board / "README.md").read_text()
    rows = main_rows(text)
    assert [row.split("[")[1].split("]")[0] for row in rows][-1] == "bert"
    by_name = {row.split("[")[1].split("]")[0]: row.split("|")[1].strip() for row in rows}
    assert by_name == {"gpt2": "1", "twin": "1", "reformer": "3", "bert": "1"}
    assert "multipliers over gpt2, at losses of" in text


def test_multipliers_of_a_table_are_those_of_a_comparison_over_its_window(
    results: ScanResults, entries: list[LeaderboardEntry]
) -> None:
    table = make_standings(entries)[0].main
    window = Window(*table.window_nats)
    _, comparisons = analyse_scan(results.records, baseline=table.reference, window=window)
    compared = {pair.contender: pair.headline for pair in comparisons if pair.cost_axis is table.axis}
    rows = [row for row in table.rows if row.multiplier is not None]
    assert len(rows) == 2
    for row in rows:
        headline = compared[row.name]
        assert headline is not None
        assert replace(headline, holm_p_value=None) == row.multiplier


def test_entries_of_another_protocol_are_never_in_one_table(
    results: ScanResults, entries: list[LeaderboardEntry]
) -> None:
    """The same text and sizes, but twice the tokens: another table, which moves neither reference nor ranks."""
    base = entries
    longer = replace(results, name="longer", spec={**results.spec, "scan": {"tokens": 8e6}})
    alone, both = make_standings(base), make_standings([*base, *make_entries(longer)])
    assert len(both) == 2 * len(alone)
    assert alone[0].main.protocol in {one.main.protocol for one in both}
    same = next(one for one in both if one.main.protocol == alone[0].main.protocol)
    assert [(row.name, row.rank) for row in same.main.rows] == [(row.name, row.rank) for row in alone[0].main.rows]
    assert same.main.reference_cost == alone[0].main.reference_cost


def test_a_small_entry_moves_neither_reference_nor_ranks_and_is_listed_without_one(
    results: ScanResults, entries: list[LeaderboardEntry]
) -> None:
    small = SyntheticScan(sizes=(1_000, 2_000, 3_000), seeds=(3, 3, 3))
    records = [*results.records, *(identified(one) for one in synthetic_records("small", LAW, small, seed=7))]
    alone = make_standings(entries)[0].main
    main = make_standings(make_entries(scan("demo", records)))[0].main
    assert main.reference_cost == alone.reference_cost
    assert main.window_nats == alone.window_nats
    by_name = {row.name: row for row in main.rows}
    assert by_name["small"].rank is None
    assert "do not cover the losses" in by_name["small"].unranked
    assert {name: row.rank for name, row in by_name.items() if name != "small"} == {
        row.name: row.rank for row in alone.rows
    }


def test_a_contender_beyond_the_window_shows_its_multiplier_over_the_losses_that_both_cover(
    results: ScanResults,
) -> None:
    """The same multiplier as a comparison of the two alone, with its losses, and no place."""
    better = replace(LAW, A=10.0)
    records = [one for one in results.records if one.contender == "gpt2"]
    records += [identified(one) for one in synthetic_records("better", better, seed=7)]
    main = make_standings(make_entries(scan("demo", records)))[0].main
    row = next(row for row in main.rows if row.name == "better")
    assert row.multiplier is not None
    assert row.multiplier.status is FitStatus.EXTRAPOLATED
    assert row.rank is None
    assert row.own_window is not None
    assert row.shown_multiplier == row.own_window
    alone = next(one for one in analyse_scan(records, baseline="gpt2")[1] if one.cost_axis is CostAxis.EXACT)
    assert alone.headline is not None
    assert replace(alone.headline, holm_p_value=None) == row.own_window
    shown = main_table(main, lambda entry, whose: "x.md")
    (line,) = (line for line in shown.splitlines() if line.startswith("| - | [better]"))
    assert re.search(r"\| [\d.]+ \[[\d.]+, [\d.]+\]x at [\d.]+ to [\d.]+ nats \|", line)


def test_headings_say_what_a_text_is_cut_into_and_dearer_tables_come_first(results: ScanResults) -> None:
    def of(name: str, tokenizer: dict[str, Any], tokens: float) -> ScanResults:
        data = {**results.spec.get("data", {}), "dataset": {"kind": "some_text"}, "tokenizer": tokenizer}
        spec = {**results.spec, "data": data, "scan": {"tokens": tokens}}
        plan = SyntheticScan(tokens=int(tokens))
        records = [identified(one) for one in synthetic_records("gpt2", LAW, plan)]
        return replace(scan(name, records), spec=spec)

    small = make_entries(of("small", {"kind": "bytes"}, 4e6))
    large = make_entries(of("large", {"kind": "bpe", "vocab_size": 1024}, 8e6))
    titles = [heading(one.main) for one in make_standings([*small, *large])]
    assert titles == [
        "## Causal language models on some_text in 1,024 ids, laptop tier",
        "## Causal language models on some_text in bytes, laptop tier",
    ]


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
    assert sum("[gpt2](evidence/" in line for line in main_rows(text)) == 1


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


def test_the_page_says_what_holds_the_back_test_and_who_trained(board: Path, kept: PageCache) -> None:
    text = page.render(board, kept)[board / "README.md"].decode()
    row = next(line for line in text.splitlines() if line.startswith("| [reformer](evidence/"))
    assert re.search(r"\| same under \d+ of \d+ \| [+-]\d\.\d %", row)
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


def test_the_reference_compute_is_that_of_the_baselines_dearest_run(
    results: ScanResults, entries: list[LeaderboardEntry]
) -> None:
    main = make_standings(entries)[0].main
    ends = [record.curve[-1].exact_flops for record in results.records if record.contender == "gpt2"]
    assert main.reference == "gpt2"
    assert main.reference_cost == pytest.approx(max(ends))


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
    causal = [one.main for one in make_standings(read_board(board, kept).entries) if one.main.track == "causal"]
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


def on_processors(record: RunRecord) -> RunRecord:
    curve = tuple(replace(point, processor_seconds=point.exact_flops / 1e9) for point in record.curve)
    return replace(record, curve=curve, details={**record.details, "timings": {"hardware": {"cpu": "fast"}}})


def test_processor_seconds_are_an_axis_of_entries_that_state_them(
    results: ScanResults, tmp_path: Path, kept: PageCache
) -> None:
    """One entry is from before there were any: it keeps its bytes, and has no row on that axis."""
    timed = [
        on_processors(record) if record.contender != "twin" else record
        for record in results.records
        if record.track == "causal"
    ]
    entries = make_entries(scan("timed", timed))
    for entry in entries:
        path = write_entry(tmp_path, entry)
        assert (b"processor_seconds" in path.read_bytes()) is (entry.contender != "twin")
        assert read_entry(path) == entry
        assert check_figures(entry) == []
    (standing,) = make_standings(entries)
    rows = {table.axis: {row.name for row in table.rows} for table in standing.tables}
    assert rows[CostAxis.PROCESSOR_SECONDS] == {"gpt2", "reformer"}
    assert rows[CostAxis.EXACT] == {"gpt2", "reformer", "twin"}
    text = page.render(tmp_path, kept)[tmp_path / "README.md"].decode()
    assert re.search(r"\| twin \|.*\| not timed, or other machine \|", text)
    assert "The wall-clock multiplier on CPUs is that on processor seconds" in text


def test_an_entry_holds_the_loss_on_all_held_out_text_and_is_read_by_it(results: ScanResults, tmp_path: Path) -> None:
    def harder(record: RunRecord) -> RunRecord:
        nats = 1.05 * record.curve[-1].validation_loss_nats
        return replace(record, final=FinalEvaluation((60 * nats, 40 * nats), (60, 40), (2, 1), (200, 150)))

    (plain,) = make_entries(scan("demo", [one for one in results.records if one.contender == "gpt2"]))
    records = [harder(one) for one in results.records if one.contender == "gpt2"]
    (entry,) = make_entries(scan("demo", records))
    stored = read_entry(write_entry(tmp_path, entry))
    for record, read in zip(sorted(records, key=lambda one: one.run_id),
                            sorted(stored.records(), key=lambda one: one.run_id), strict=True):  # fmt: skip
        assert read.final_loss_nats == pytest.approx(record.final_loss_nats, rel=1e-15)
        assert read.final_bits_per_byte == pytest.approx(record.final_bits_per_byte, rel=1e-15)
        assert read.final is not None
        assert read.final.num_documents == 3
        assert read.curve == record.curve
    assert check_figures(stored) == []
    assert b'"final"' not in write_entry(tmp_path / "plain", plain).read_bytes()
    assert plain.runs_sha256 != entry.runs_sha256
    settings = {"tokens": 65536}
    assert evaluated_on(settings) == 65536
    assert evaluated_on({**settings, "final_tokens": "all"}) == [65536, "all"]
