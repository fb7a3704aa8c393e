"""What the report says of the held-out text: errors in words, ranks that turn, and nothing where nothing was asked."""

from dataclasses import replace
from pathlib import Path

import pytest

from archbench.analysis.comparison.multiplier import Window
from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.builtins.reports.text_section import EvaluationTextSection
from archbench.contracts.report import ScanResults
from archbench.report.verdict import details, reservations
from archbench.results.runs import FinalEvaluation, RunRecord
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

LAW = SyntheticLaw(noise_std=0.003)
TEXTS = {
    "data": {"corpus_hash": "a" * 64},
    "texts": {"prose": {"corpus_hash": "a" * 64}, "code": {"corpus_hash": "b" * 64}},
}


def evaluated(run: RunRecord) -> RunRecord:
    own = run.curve[-1].validation_loss_nats
    nats = tuple(100 * own * (0.9 + 0.02 * place) for place in range(11))
    final = FinalEvaluation(nats, (100,) * 11, (2,) * 11, (250,) * 11)
    on_code = own * (0.9 if run.contender == "gpt2" else 1.2)
    return replace(run, final=final, other_losses_nats={"b" * 64: on_code})


def results_of(records: list[RunRecord], environment: dict[str, object]) -> ScanResults:
    frontiers, pairs = analyse_scan(records, baseline="gpt2", options=StudyOptions(num_resamples=100))
    return ScanResults("demo", "", "gpt2", tuple(records), frontiers, pairs, {}, environment)


@pytest.fixture(scope="module")
def plain() -> list[RunRecord]:
    return [*synthetic_records("gpt2", LAW), *synthetic_records("xl", replace(LAW, A=11.0), seed=1)]


def test_errors_and_ranks_are_said_in_words(plain: list[RunRecord], tmp_path: Path) -> None:
    text = EvaluationTextSection().render(results_of([evaluated(run) for run in plain], TEXTS), tmp_path)
    assert text is not None
    assert "nats (bootstrap over 22 documents in 11 groups)" in text
    assert "difference to gpt2: -" in text
    assert "| contender | prose | code | macro average |" in text
    assert "Ranks differ: by the loss at size 5, from the lowest up, on prose xl, gpt2; on code gpt2, xl." in text


def test_multipliers_of_all_texts_are_read_alike_and_say_over_which_losses(
    plain: list[RunRecord], tmp_path: Path
) -> None:
    """A window of losses that is asked for is one of the own text; on this page all are over the middle half."""
    records = [evaluated(run) for run in plain]
    frontiers, pairs = analyse_scan(records, baseline="gpt2", window=Window(4.0, 3.9))
    results = ScanResults("demo", "", "gpt2", tuple(records), frontiers, pairs, {}, TEXTS)
    (table,) = [one for one in EvaluationTextSection().tables(results) if one.name == "evaluation_texts"]
    header = [one.name for one in table.columns]
    rows = {row[0]: dict(zip(header, row, strict=True)) for row in table.rows if row[2] == "xl"}
    assert [rows["prose"][name] for name in ("cost_axis", "status", "reason")] == ["exact", "ok", ""]
    window = (rows["prose"]["window_high_nats"], rows["prose"]["window_low_nats"])
    assert window == results_of(records, TEXTS).comparisons[1].headline.window_nats
    text = EvaluationTextSection().render(results, tmp_path)
    assert text is not None
    assert f"] over {window[0]:.3f} to {window[1]:.3f} |" in text
    assert "that text (executed FLOPs)" in text


def test_a_text_on_which_no_multiplier_is_read_says_why(plain: list[RunRecord], tmp_path: Path) -> None:
    lines = {"unigram": 9.0, "bigram": 2.0, "trigram": 1.0}
    results = results_of([replace(evaluated(run), reference_lines=lines) for run in plain], TEXTS)
    text = EvaluationTextSection().render(results, tmp_path)
    assert text is not None
    assert "- xl on prose: on_plateau: all 5 sizes of gpt2 end on or above the bigram line" in text
    (table,) = [one for one in EvaluationTextSection().tables(results) if one.name == "evaluation_texts"]
    header = [one.name for one in table.columns]
    status = {row[0]: row[header.index("status")] for row in table.rows if row[2] == "xl"}
    assert status["prose"] == "on_plateau"


def test_nothing_is_said_where_runs_have_their_curves_alone(plain: list[RunRecord], tmp_path: Path) -> None:
    results = results_of(plain, TEXTS)
    assert EvaluationTextSection().render(results, tmp_path) is None
    assert EvaluationTextSection().tables(results) == []


def test_the_verdict_on_time_takes_the_processors_where_all_have_it(plain: list[RunRecord]) -> None:
    def timed(run: RunRecord) -> RunRecord:
        share = 1.0 if run.contender == "gpt2" else 2.0
        curve = tuple(replace(point, processor_seconds=share * (point.device_seconds or 0.0)) for point in run.curve)
        return replace(run, curve=curve)

    assert " On device time (seconds) the multiplier is " in "".join(details(results_of(plain, {})))
    words = "".join(details(results_of([timed(run) for run in plain], {})))
    assert " On processor time (seconds) the multiplier is " in words
    assert "device time" not in words
    some = [timed(run) if run.contender == "gpt2" else run for run in plain]
    assert " On device time (seconds) the multiplier is " in "".join(details(results_of(some, {})))


def test_runs_that_were_evaluated_on_different_text_are_minded(plain: list[RunRecord]) -> None:
    def told(run: RunRecord, final_tokens: object) -> RunRecord:
        evaluation = {"tokens": 65536} | ({"final_tokens": final_tokens} if final_tokens else {})
        return replace(run, details={"identity": {"evaluation": evaluation}})

    unlike = [told(run, "all" if run.contender == "xl" else None) for run in plain]
    (line,) = [one for one in reservations(results_of(unlike, {})) if "held-out" in one]
    assert line.endswith("gpt2 on 65,536 tokens of it, as the curve; xl on all of it.")
    alike = [told(run, 1000) for run in plain]
    assert not [one for one in reservations(results_of(alike, {})) if "held-out" in one]
