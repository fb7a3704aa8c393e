"""The answer in one sentence: short, the same everywhere, and in agreement with the tables below it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.analysis.comparison.question import asked_question
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.cli.finish import print_verdict, scan_results
from archbench.cli.main import cli
from archbench.contracts.report import ScanResults
from archbench.host import default_host
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import write_entry
from archbench.leaderboard.page import write as write_board
from archbench.report.answer import MOST_WORDS, answer_sentence, figure_of, told_pairs
from archbench.report.ranked import DRAWN_COLUMNS, basis, drawn_interval, ranked_lines, ranked_table
from archbench.report.verdict import details
from archbench.report.words import number_ranges, size_ranges, with_interval
from archbench.report.writer import write_report
from archbench.results.fits import FitStatus, Interval
from archbench.results.runs import CostAxis, RunRecord
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records
from archbench.view.answer import answer_from

LAW = SyntheticLaw(noise_std=0.003)
PLAN = SyntheticScan(points=6)
OTHERS = {"much": 10.5, "less": 11.0, "some": 11.5, "twin": 12.0, "more": 13.0, "far": 40.0}
WORDS = {
    "needs less": r"(\d+|None) of \d+ contenders needs? less",
    "needs more": r"(\d+) needs? more",
    "not told apart": r"(\d+) (?:is|are) not told apart",
    "refused": r"(\d+) ha(?:s|ve) no multiplier",
    "better": r"(\d+|None) of \d+ contenders (?:is|are) better",
    "not better": r"(\d+) (?:is|are) not better",
    "inconclusive": r"(\d+) (?:is|are) inconclusive",
}


def runs(**scales: float) -> list[RunRecord]:
    """Runs of gpt2, and of contenders whose loss has these scales."""
    made = [synthetic_records("gpt2", LAW, PLAN)]
    made += [
        synthetic_records(name, replace(LAW, A=A), PLAN, seed=at + 1) for at, (name, A) in enumerate(scales.items())
    ]
    return [run for some in made for run in some]


def analysed(records: list[RunRecord], question: dict[str, object] | None = None) -> ScanResults:
    spec = {"name": "demo", **({"question": question} if question else {})}
    options = StudyOptions(num_resamples=60, floor="none")
    kept = [replace(run, curve=tuple(replace(point, device_seconds=None) for point in run.curve)) for run in records]
    found = analyse_scan(kept, baseline="gpt2", options=options, question=asked_question(spec))
    return ScanResults("demo", "", "gpt2", tuple(kept), *found, spec, {})


@pytest.fixture(scope="module")
def many() -> ScanResults:
    return analysed(runs(**OTHERS))


@pytest.fixture(scope="module")
def asked() -> ScanResults:
    return analysed(runs(**OTHERS), {"margin": 1.2})


@pytest.mark.parametrize("name", ["many", "asked"])
def test_every_word_of_the_sentence_agrees_with_the_table(name: str, request: pytest.FixtureRequest) -> None:
    results = request.getfixturevalue(name)
    sentence, table = answer_sentence(results), ranked_table(results)
    assert table is not None
    said = [row[3] for row in table.rows]
    assert set(said) <= WORDS.keys()
    for words in dict.fromkeys(said):
        (count,) = re.findall(WORDS[words], sentence)
        assert said.count(words) == (0 if count == "None" else int(count)), words
    assert f"of {len(table.rows)} contenders" in sentence
    name, figure = re.findall(r"(?:best|closest) (\S+) \(multiplier ([^()]+)\)", sentence)[0]
    leading = [row for row in table.rows if row[3] in ("needs less", "better")]
    assert (name, figure) == leading[0][:2]
    assert [row[0] for row in table.rows] == ["much", "less", "some", "twin", "more", "far"]


def test_the_figure_is_that_of_the_data_tables(many: ScanResults, tmp_path: Path) -> None:
    write_report(many, tmp_path, [])
    rows = csv.DictReader((tmp_path / "data" / "headlines.csv").read_text().splitlines())
    stated = {row["contender"]: row for row in rows if row["cost_axis"] == "exact"}
    table = ranked_table(many)
    assert table is not None
    for row in table.rows:
        there = stated[row[0]]
        if there["status"] != "ok":
            assert row[1] == f"`{there['status']}`"
            continue
        interval = Interval(*(float(there[key]) for key in ("multiplier", "low_95", "high_95")))
        assert row[1] == with_interval(interval)
        assert (row[3] == "not told apart") is (float(there["holm_p_value"]) >= 0.05)


def test_what_is_open_comes_with_what_would_settle_it(many: ScanResults, asked: ScanResults) -> None:
    for results in (many, asked):
        table = ranked_table(results)
        assert table is not None
        settled = table.header.index("settled by")
        for row in table.rows:
            assert bool(row[settled]) is (row[3] in ("not told apart", "refused", "inconclusive")), row
    results = analysed(runs(near=12.07))
    settlement = told_pairs(results)[0].settlement
    assert settlement is not None
    assert settlement.seeds is not None
    by = rf"about {settlement.seeds} seeds? a size \([\d.]+[GTPE]? FLOPs more\)"
    assert re.search(rf"{by} would settle it\.$", answer_sentence(results)), answer_sentence(results)


@pytest.mark.parametrize(
    ("scales", "question", "said"),
    [
        ({"x": 11.0}, None, r"x needs less compute than gpt2: multiplier 1\.\d+ \[.* over losses of .* bits per byte"),
        ({"x": 13.0}, None, r"x needs more compute than gpt2: multiplier 0\.\d+ \["),
        ({"x": 12.0}, None, r"x and gpt2 are not told apart: multiplier [\d.]+ \[.*; .* would"),
        ({"x": 40.0}, None, r"How much compute x needs against gpt2 cannot be read: they reach no loss"),
        ({"x": 11.0}, {"margin": 1.2}, r"x is better than gpt2 by a margin of 1\.20: multiplier 1\.\d+ \["),
        ({"x": 13.0}, {"margin": 1.2}, r"x is not better than gpt2 by a margin of 1\.20: multiplier"),
        ({"x": 11.6}, {"margin": 1.26}, r"Whether x is better than gpt2 by a margin of 1\.26 is inconclusive: .*;"),
        ({"x": 40.0}, {"margin": 1.2}, r"Whether x is better .* is inconclusive: they reach no loss in common;"),
        ({}, None, r"The loss of gpt2 falls with compute by the exponent alpha 0\.\d+ \["),
        ({"x": 40.0, "y": 45.0}, None, r"None of 2 contenders has a multiplier over gpt2 that may be read"),
        ({"x": 13.0, "y": 14.0}, None, r"None of 2 contenders needs less compute than gpt2, closest x \("),
    ],
)  # fmt: skip
def test_the_sentence_is_short_and_says_what_was_found(
    scales: dict[str, float], question: dict[str, object] | None, said: str
) -> None:
    sentence = answer_sentence(analysed(runs(**scales), question))
    assert re.match(said, sentence), sentence
    assert len(sentence.split()) <= MOST_WORDS


def test_long_names_and_many_kinds_of_answers_stay_within_thirty_words() -> None:
    made = runs(**OTHERS)
    names = {name: f"{name} with a name of many words" for name in ("gpt2", *OTHERS)}
    renamed = [replace(run, contender=names[run.contender]) for run in made]
    results = analysed(made)
    frontiers = tuple(replace(one, contender=names[one.contender]) for one in results.frontiers)
    pairs = tuple(
        replace(one, contender=names[one.contender], baseline=names[one.baseline]) for one in results.comparisons
    )
    long = replace(results, baseline=names["gpt2"], records=tuple(renamed), frontiers=frontiers, comparisons=pairs)
    assert len(answer_sentence(long).split()) <= MOST_WORDS


def test_the_same_sentence_stands_in_every_output_of_a_scan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RunStore(tmp_path / "runs")
    store_records(store, "demo", runs(x=11.0))
    index = store.scan("demo")
    results = scan_results(index, store.records(index)[0], default_host())
    sentence = answer_sentence(results)
    print_verdict(results)
    assert capsys.readouterr().out.splitlines()[0] == sentence
    report = write_report(results, tmp_path / "report", [])
    assert f"**{sentence}**" in report.read_text()
    assert f"<strong>{sentence}</strong>" in report.with_suffix(".html").read_text()
    for entry in make_entries(results):
        write_entry(tmp_path / "board", entry)
    write_board(tmp_path / "board")
    assert sentence in (tmp_path / "board" / "README.md").read_text()
    assert sentence in (tmp_path / "board" / "index.html").read_text()
    compared = CliRunner().invoke(cli, ["compare", "gpt2", "x", "--runs", str(store.root), "--json"])
    assert json.loads(compared.stdout)["sentence"] == sentence
    assert answer_from(results)["sentence"] == sentence


def test_the_report_says_the_sentence_once_and_folds_the_detail(many: ScanResults, tmp_path: Path) -> None:
    text = write_report(many, tmp_path, []).read_text()
    assert text.count(answer_sentence(many)) == 1
    opening = text.split("### It hangs on")[0]
    assert len(opening.split("![")[0].splitlines()) < 25
    assert "(figures/multiplier_by_size.svg)" in opening
    folded = text.split("<details><summary>Detail")[1].split("</details>")[0]
    assert all(line[:30] in folded for line in details(many))


def test_what_all_lines_share_is_said_once(many: ScanResults) -> None:
    table = ranked_table(analysed(runs(x=11.0, y=11.5), {"margin": 1.2, "at": [3.85, 3.6]}))
    assert table is not None
    assert not any("losses" in title for title in table.header)
    own = ranked_table(many)
    assert own is not None
    assert own.header[-1] == "at losses (bits per byte)"
    assert "losses of their own" in basis(many)


def test_an_interval_beside_1_that_is_no_difference_is_explained(many: ScanResults) -> None:
    words = f"corrected for all {len(OTHERS)} (Holm)"
    assert words not in basis(many)
    pair = next(one for one in told_pairs(many) if one.contender == "much")
    assert pair.headline is not None
    weak = replace(pair, headline=replace(pair.headline, holm_p_value=0.2))
    others = tuple(weak if one is pair else one for one in many.comparisons)
    doubtful = replace(many, comparisons=others)
    table = ranked_table(doubtful)
    assert table is not None
    assert table.rows[0][3] == "not told apart"
    assert words in basis(doubtful)


@pytest.mark.parametrize("columns", [30, 60, 90, 140, 250])
def test_lines_of_the_table_keep_figures_whole_at_any_width(many: ScanResults, columns: int) -> None:
    lines = ranked_lines(many, columns)
    for pair in told_pairs(many):
        figure = figure_of(pair)
        (line,) = [one for one in lines if one.startswith(f"{pair.contender} ")]
        assert (with_interval(figure) if figure is not None else FitStatus.NO_COMMON_RANGE.value) in line
    if columns >= 90:
        assert max(map(len, lines)) <= columns


def test_a_drawn_interval_is_where_its_figures_are() -> None:
    drawn = drawn_interval(Interval(2.0, 1.0, 4.0), 0.25, 16.0)
    assert (len(drawn), drawn.index("━"), drawn.index("●"), drawn.rindex("━")) == (DRAWN_COLUMNS, 8, 12, 16)
    assert drawn_interval(Interval(1.0, 0.5, 2.0), 0.25, 4.0)[DRAWN_COLUMNS // 2] == "●"
    assert drawn_interval(Interval(1.0, 0.0, float("inf")), 0.5, 2.0) == "◂" + "━" * 11 + "●" + "━" * 11 + "▸"
    assert drawn_interval(Interval(1.0, float("-inf"), float("inf")), 0.5, 2.0).strip("·") == "●"


def test_many_sizes_are_counted_and_neighbours_joined() -> None:
    assert size_ranges([4]) == "size 4"
    assert size_ranges([5, 2, 3, 4, 9]) == "sizes 2-5, 9"
    assert size_ranges(list(range(2, 40, 2))) == "19 sizes from 2 to 38"
    assert number_ranges(range(2, 40)) == "2-39"


def test_seconds_and_six_nd_answer_where_no_flops_were_executed() -> None:
    results = analysed(runs(x=11.0))
    timed = replace(
        results,
        frontiers=tuple(one for one in results.frontiers if one.cost_axis is CostAxis.KAPLAN),
        comparisons=tuple(one for one in results.comparisons if one.cost_axis is CostAxis.KAPLAN),
    )
    assert answer_sentence(timed).startswith("x needs less compute than gpt2")
    assert "6ND FLOPs" in basis(timed)
