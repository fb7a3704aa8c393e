"""What a report, `compare` and the leaderboard say of a question, its controls and the multipliers of each size."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.analysis.frontier.collapse import analyse_collapse
from archbench.builtins.reports.question_sections import CollapseSection
from archbench.cli.finish import report_sections, scan_results
from archbench.cli.main import cli
from archbench.contracts.report import ScanResults
from archbench.host import default_host
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.standings import make_standings
from archbench.leaderboard.tables import main_table
from archbench.report import collapses
from archbench.report.answer import answer_sentence
from archbench.report.verdict import details, reservations
from archbench.report.words import window_text
from archbench.report.writer import write_report
from archbench.results.controls import Collapse
from archbench.results.fits import Answer
from archbench.results.runs import CONTROL, CostAxis, RunRecord
from archbench.runs.store import RunStore, ScanIndex
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records

pytestmark = pytest.mark.thorough

LAW = SyntheticLaw(noise_std=0.003)
PLAN = SyntheticScan(seeds=(3, 3, 3, 3, 3))
QUESTION = {"margin": 1.1, "controls": ["baseline_again", "shuffled_targets"]}


def runs(name: str, law: SyntheticLaw, seed: int, *, control: bool = False) -> list[RunRecord]:
    made = synthetic_records(name, law, PLAN, seed=seed)
    return [replace(run, seed=run.seed + 1000, role=CONTROL) for run in made] if control else made


def records(again: SyntheticLaw = LAW) -> list[RunRecord]:
    return [
        *runs("gpt2", LAW, 0),
        *runs("better", replace(LAW, A=11.0), 1),
        *runs("baseline_again", again, 2, control=True),
        *runs("shuffled_targets", SyntheticLaw(E=4.9, A=0.5, noise_std=0.003), 3, control=True),
    ]


def analysed(made: list[RunRecord], question: dict[str, object] | None = None) -> ScanResults:
    spec = {"question": question or QUESTION, "data": {"dataset": {"kind": "installed_docs"}}}
    index = ScanIndex(name="asked", description="", baseline="gpt2", runs=(), spec=spec, environment={})
    return scan_results(index, made, default_host())


@pytest.fixture(scope="module")
def passed() -> ScanResults:
    return analysed(records())


@pytest.fixture(scope="module")
def failed() -> ScanResults:
    return analysed(records(again=replace(LAW, A=11.0)))


def test_controls_enter_no_comparison_no_frontier_and_no_entry(passed: ScanResults) -> None:
    assert {one.contender for one in passed.frontiers} == {"gpt2", "better"}
    assert {pair.contender for pair in passed.comparisons} == {"better"}
    assert [entry.contender for entry in make_entries(passed)] == ["gpt2", "better"]
    assert {run.contender for run in passed.control_records} == {"baseline_again", "shuffled_targets"}


def test_the_detail_begins_with_controls_and_answers_the_question(passed: ScanResults) -> None:
    lines = details(passed)
    assert lines[0].startswith("Control baseline_again passed: not told apart from the baseline (multiplier over gpt2")
    assert lines[1].startswith("Control shuffled_targets passed: not better")
    (said,) = [line for line in lines if line.startswith("better: ")]
    pair = next(one for one in passed.comparisons if one.cost_axis is CostAxis.EXACT)
    assert pair.headline is not None
    assert (
        f"Better by a margin of 1.10 at {window_text(pair.headline, None, unit=False)} nats? Better (one-sided" in said
    )
    assert "Size by size the multiplier is " in said
    assert answer_sentence(passed).startswith("better is better than gpt2 by a margin of 1.10: multiplier ")
    assert "control failed" not in "".join(lines) + answer_sentence(passed)


def test_a_failed_control_is_the_answer_and_marks_every_comparison(failed: ScanResults) -> None:
    lines = details(failed)
    assert lines[0].startswith("Control baseline_again FAILED: told apart from the baseline, which it is")
    (said,) = [line for line in lines if line.startswith("better: ")]
    assert said.endswith("(a control failed: see the first lines)")
    sentence = answer_sentence(failed)
    assert sentence == "Control baseline_again FAILED: no comparison with gpt2 may be relied on."


def test_the_report_holds_answers_controls_rungs_and_collapse(failed: ScanResults, tmp_path: Path) -> None:
    report = write_report(failed, tmp_path, report_sections(default_host()))
    text, html = report.read_text(), (tmp_path / "report.html").read_text()
    for title in ("The question and its controls", "Multipliers at each size", "Normalised learning curves"):
        assert f"## {title}" in text
        assert title in html
    assert "better; a control failed" in text
    tables = {name: json.loads((tmp_path / "data" / f"{name}.json").read_text()) for name in ("answers", "rungs")}
    columns = [one["name"] for one in tables["answers"]["columns"]]
    rows = [dict(zip(columns, row, strict=True)) for row in tables["answers"]["rows"]]
    assert {row["answer"] for row in rows} == {"better"}
    assert all(row["control_failed"] for row in rows)
    assert len(tables["rungs"]["rows"]) == 5 * len(rows)
    assert (tmp_path / "data" / "controls.csv").exists()
    assert (tmp_path / "data" / "collapse.csv").exists()


def test_a_size_whose_curve_departs_is_minded() -> None:
    slow = [
        replace(
            run,
            curve=tuple(
                replace(point, validation_loss_nats=LAW.loss(run.non_embedding_params, max(point.tokens / 10, 1000.0)))
                for point in run.curve
            ),
        )
        if run.size_index == 2
        else run
        for run in runs("gpt2", LAW, 0)
    ]
    results = analysed([*slow, *runs("better", LAW, 1)], {"margin": 1.1})
    assert any("gpt2: the normalised learning curve of size 3" in line for line in reservations(results))
    clean = analysed([*runs("gpt2", LAW, 0), *runs("better", LAW, 1)], {"margin": 1.1})
    assert not any("normalised" in line for line in reservations(clean))


def test_curves_are_normalised_once_for_verdict_section_and_table(
    passed: ScanResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(records: Sequence[RunRecord]) -> tuple[Collapse, ...]:
        asked.append(len(records))
        return analyse_collapse(records)

    monkeypatch.setattr(collapses, "analyse_collapse", counted)
    results = replace(passed)
    reservations(results)
    CollapseSection().render(results, tmp_path)
    CollapseSection().tables(results)
    assert asked == [len(results.records)]


def test_an_open_answer_says_what_would_settle_it() -> None:
    noisy = replace(LAW, noise_std=0.012)
    results = analysed(
        [*runs("gpt2", noisy, 0), *runs("near", replace(noisy, A=11.75), 1)], {"margin": 1.15, "at": [3.85, 3.6]}
    )
    pair = next(one for one in results.comparisons if one.cost_axis is CostAxis.EXACT)
    assert pair.answer is not None
    assert pair.answer.answer is Answer.INCONCLUSIVE
    assert pair.answer.window_nats == (3.85, 3.6)
    assert "Better by a margin of 1.15 at 3.850 to 3.600 nats? Inconclusive" in "".join(details(results))
    assert "would settle it" in "".join(details(results))
    assert "would settle it" in answer_sentence(results)


def test_a_window_that_the_line_of_pairs_cuts_is_said_to_be_cut(tmp_path: Path) -> None:
    lines = {"unigram": 5.0, "bigram": 3.75, "trigram": 3.0}
    made = [*runs("gpt2", LAW, 0), *runs("better", replace(LAW, A=11.0), 1)]
    results = analysed([replace(run, reference_lines=lines) for run in made], {"margin": 1.1, "at": [3.85, 3.6]})
    cut = "Better by a margin of 1.10 at 3.750 to 3.600 nats (cut at the line of pairs)? "
    assert cut in "".join(details(results))
    assert cut in write_report(results, tmp_path, report_sections(default_host())).read_text()
    above = analysed([replace(run, reference_lines=lines) for run in made], {"margin": 1.1, "at": [4.2, 3.9]})
    assert "Better by a margin of 1.10 at 4.200 to 3.900 nats? Inconclusive (`on_plateau`" in "".join(details(above))


def test_the_leaderboard_answers_the_question_and_marks_a_failed_control(
    passed: ScanResults, failed: ScanResults
) -> None:
    for results, cell in ((passed, "| better |"), (failed, "| better (a control failed) |")):
        table = make_standings(make_entries(results))[0].main
        row = next(row for row in table.rows if row.name == "better")
        assert row.answer is not None
        assert row.answer.answer is Answer.BETTER
        text = main_table(table, lambda entry, whose: "x")
        assert "better by 1.10?" in text
        assert cell in text


def test_entries_of_several_questions_answer_none(passed: ScanResults) -> None:
    one, other = make_entries(passed)
    asked = other.model_copy(update={"spec": {**other.spec, "question": {"margin": 1.3}}})
    table = make_standings([one, asked])[0].main
    assert all(row.answer is None for row in table.rows)


def test_no_answer_is_given_over_another_than_the_baseline_that_was_asked_of() -> None:
    above = {"unigram": 3.0, "bigram": 2.5, "trigram": 2.0}
    plateau = [replace(run, reference_lines=above) for run in runs("gpt2", LAW, 0)]
    others = [*runs("better", LAW, 1), *runs("worse", replace(LAW, A=13.0), 2)]
    table = make_standings(make_entries(analysed([*plateau, *others], {"margin": 1.1})))[0].main
    assert (table.baseline, table.reference) == ("gpt2", "better")
    assert sum(row.multiplier is not None for row in table.rows) == 2
    assert [row.answer for row in table.rows] == [None, None, None]


def test_compare_answers_the_question_of_its_scan(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs")
    made = records(again=replace(LAW, A=11.0))
    store_records(store, "asked", made)
    index = store.scan("asked")
    store.save_scan(index.model_copy(update={"spec": {**index.spec, "question": QUESTION}}))
    arguments = ("compare", "gpt2", "better", "--runs", str(store.root))
    said = " ".join(CliRunner().invoke(cli, arguments, catch_exceptions=False).output.split())
    assert "Control baseline_again FAILED" in said
    assert re.search(r"Better by a margin of 1\.10 at \d\.\d+ to \d\.\d+ nats\? Better", said)
    assert "exponent" in said.lower()
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False).stdout)
    answers = [pair["answer"]["answer"] for pair in found["comparisons"] if pair["answer"]]
    assert set(answers) == {"better"}
    assert [one["passed"] for one in found["controls"]] == [False, True]
    assert all(len(pair["rungs"]) == 5 for pair in found["comparisons"])
    over = json.loads(
        CliRunner().invoke(cli, [*arguments, "--json", "--window", "3.85", "3.6"], catch_exceptions=False).stdout
    )
    assert all(pair["answer"] is None for pair in over["comparisons"])
    assert [one["passed"] for one in over["controls"]] == [False, True]
    turned = ("compare", "better", "gpt2", "--runs", str(store.root))
    said = " ".join(CliRunner().invoke(cli, turned, catch_exceptions=False).output.split())
    assert "Control baseline_again FAILED: told apart from the baseline, which it is (multiplier over gpt2" in said
    assert "Better by a margin" not in said
    assert "(a control failed: see the first lines)" in said
