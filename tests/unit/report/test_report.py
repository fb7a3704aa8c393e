import csv
import re
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.builtins.reports.sections import FrontierSection
from archbench.cli.finish import report_sections
from archbench.contracts.report import ReportSection, ScanResults
from archbench.errors import StoreError
from archbench.host import default_host
from archbench.report.answer import answer_sentence
from archbench.report.plotting import markdown_table
from archbench.report.verdict import details, reservations
from archbench.report.words import number, p_text
from archbench.report.writer import write_report
from archbench.results.runs import RESULT, RunRecord, RunState
from archbench.results.tuning import TRIAL
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_tuning import synthetic_tuning

LAW = SyntheticLaw(noise_std=0.003)


def results_of(records: list[RunRecord], baseline: str | None = "gpt2") -> ScanResults:
    frontiers, comparisons = analyse_scan(records, baseline=baseline, options=StudyOptions(num_resamples=200))
    return ScanResults("demo", "Made-up runs", baseline, tuple(records), frontiers, comparisons, {"name": "demo"}, {})


@pytest.fixture(scope="module")
def results() -> ScanResults:
    diverged = replace(
        synthetic_records("reformer", LAW, seed=9)[0],
        seed=7,
        state=RunState.DIVERGED,
        reason="loss is not finite at step 40",
    )
    tuned = synthetic_tuning(synthetic_records("gpt2", LAW), best=9e-3)
    untuned = results_of(
        [
            *(record for record in tuned if record.role == RESULT),
            *synthetic_records("reformer", replace(LAW, A=12.6), seed=1),
            diverged,
            *synthetic_records("xl", LAW, seed=2, capacity_limit=40_000),
            *synthetic_records("bert", LAW, seed=3, track="masked"),
        ]
    )
    return replace(untuned, trials=tuple(record for record in tuned if record.role == TRIAL))


@pytest.fixture(scope="module")
def report(results: ScanResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sections = report_sections(default_host())
    return write_report(results, tmp_path_factory.mktemp("report"), sections)


def line(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_the_detail_names_tiers_and_the_sizes_that_do_not_gain(results: ScanResults) -> None:
    words = line(details(results), "xl: tiered")
    assert "tiered, sizes 3-5 are one tier" in words
    assert "size 4 does not gain over size 3" in words
    assert "where its law expects" in words


def test_the_detail_does_not_compare_losses_across_tracks(results: ScanResults) -> None:
    words = line(details(results), "bert: of another track")
    assert "losses do not compare" in words
    assert "multiplier" not in words


def test_equal_architectures_are_called_not_told_apart() -> None:
    records = synthetic_records("gpt2", LAW)
    results = results_of([*records, *(replace(record, contender="same") for record in records)])
    assert answer_sentence(results).startswith("same and gpt2 are not told apart: multiplier 1.0")
    words = line(details(results), "same: ")
    assert "exponents are not told apart" in words
    assert "are found here with less than 80 % power" in words


def test_a_crossover_in_the_detail_carries_its_unit() -> None:
    quiet = SyntheticLaw(noise_std=0.001)
    steep = SyntheticLaw(A=30.0, alpha=0.24, noise_std=0.001)  # below the other from about 30 thousand parameters on
    words = details(results_of(synthetic_records("gpt2", quiet) + synthetic_records("reformer", steep, seed=1)))
    crossing = [one for one in words if "cross at" in one]
    assert crossing
    assert all("executed FLOPs." in one for one in crossing)


def test_what_a_design_cannot_see_is_among_the_reservations(report: Path, results: ScanResults) -> None:
    one_seed = SyntheticScan(seeds=(1, 1, 1, 1, 1))
    blind = results_of(synthetic_records("gpt2", LAW, one_seed) + synthetic_records("xl", LAW, one_seed, seed=1))
    (shared,) = [one for one in reservations(blind) if "run-to-run noise is unknown" in one]
    assert shared.startswith("gpt2, xl: ")
    noisy = results_of(synthetic_records("gpt2", SyntheticLaw(noise_std=0.1)))
    assert any("not resolved at a noise of" in one for one in reservations(noisy))
    said = [one for one in reservations(results) if "mid-schedule" in one]
    assert said
    assert all(f"- {one}" in report.read_text().split("## Compute-efficient")[0] for one in said)


def test_the_audit_says_at_a_glance_what_holds(report: Path) -> None:
    text = report.read_text().split("## Does the conclusion hang on a convention?")[1]
    assert re.search(r"- reformer: (needs more than|needs less than|not told apart from) gpt2; holds \d+/\d+", text)
    assert "| as fitted |" in text
    assert "| without the smallest size |" in text


def test_the_back_test_states_prediction_actual_error_and_cover(report: Path) -> None:
    text = report.read_text().split("## Back-test")[1].split("## Multipliers")[0]
    row = line(text.splitlines(), "| gpt2 | 4 sizes | 5 |")
    assert re.search(r"floor free \| [\d.]+ \[[\d.]+, [\d.]+\] \| [\d.]+ \| [+-][\d.]+ % \| (yes|\*\*no\*\*|-) \|", row)


def test_refused_laws_show_as_a_status_in_the_verdict() -> None:
    two = SyntheticScan(sizes=(10_000, 20_000), seeds=(3, 1))
    records = synthetic_records("gpt2", LAW) + synthetic_records("small", LAW, two)
    words = line(details(results_of(records)), "small: ")
    assert "No law, and so no exponent, can be read from their runs" in words


def test_one_seed_at_three_sizes_is_reported_with_what_little_it_tells(tmp_path: Path) -> None:
    three = SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(1, 1, 1))
    results = results_of(
        synthetic_records("gpt2", LAW, three) + synthetic_records("reformer", replace(LAW, A=20.0), three, seed=1)
    )
    assert "`" not in answer_sentence(results)
    assert "No law" not in line(details(results), "reformer: ")
    text = write_report(results, tmp_path, report_sections(default_host())).read_text()
    assert "could not be made" not in text


def test_a_scan_without_finished_runs_says_so() -> None:
    records = [replace(record, state=RunState.PLANNED, curve=()) for record in synthetic_records("gpt2", LAW)]
    assert "No run has finished" in answer_sentence(results_of(records))
    assert "nothing to compare" in answer_sentence(results_of([]))


def test_the_report_opens_with_the_verdict_and_shows_every_section(report: Path, results: ScanResults) -> None:
    text = report.read_text()
    assert text.index(f"**{answer_sentence(results)}**") < text.index("## Compute-efficient frontiers")
    for section in map(type, report_sections(default_host())):
        # Studies have sections where a scan holds some; this one is a size scan alone, asks no question, has dense
        # models alone, and was not evaluated by document.
        absent = ("transfer", "decomposition", "question", "evaluation_text", "memory")
        elsewhere = section().kind in absent or section().kind.startswith("study_")
        assert (f"## {section().title}" in text) is not elsewhere, section().kind


def test_every_figure_that_the_report_shows_exists_as_svg_and_png(report: Path) -> None:
    shown = [part.split(")")[0] for part in report.read_text().split("](figures/")[1:]]
    assert len(shown) >= 10
    for name in shown:
        assert (report.parent / "figures" / name).stat().st_size > 2000
        assert (report.parent / "figures" / name).with_suffix(".png").stat().st_size > 2000


def test_figures_are_the_same_bytes_when_made_again(report: Path, results: ScanResults, tmp_path: Path) -> None:
    again = write_report(results, tmp_path, report_sections(default_host()))
    assert again.read_text() == report.read_text()
    for path in (report.parent / "figures").iterdir():
        assert (tmp_path / "figures" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_tuning_of_each_size_is_told_with_its_optimum_and_its_cost(report: Path) -> None:
    text = report.read_text().split("## Tuning")[1].split("\n## ")[0]
    assert "the same number of trials: 40" in text
    assert "| gpt2 | 1 | 10k | 5 + 3 | 0.00800 | 0.00900 |" in text
    assert re.search(r"\| gpt2 \| 40 \| .* \| \d+ % \|", text)


def test_a_rate_at_the_edge_of_its_grid_is_among_the_reservations() -> None:
    tuned = synthetic_tuning(synthetic_records("gpt2", LAW), best=5e-2)
    results = results_of([record for record in tuned if record.role == RESULT])
    assert not [one for one in reservations(results) if "grid" in one]
    results = replace(results, trials=tuple(record for record in tuned if record.role == TRIAL))
    assert (
        "the highest of its grid at gpt2 sizes 1, 2, 3, 4, 5: a higher one may be better." in reservations(results)[0]
    )


def test_excluded_runs_are_listed_with_their_reason(report: Path) -> None:
    assert "**left out**: diverged, loss is not finite at step 40" in report.read_text()


def test_the_csv_holds_every_point_of_every_curve(report: Path, results: ScanResults) -> None:
    with (report.parent / "data" / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(record.curve) for record in results.records)
    first = results.records[0]
    assert float(rows[3]["validation_loss_nats"]) == first.curve[3].validation_loss_nats
    assert rows[0]["train_loss_nats"] == ""


class BrokenSection(ReportSection):
    kind: Literal["broken"] = "broken"
    title: str = "Broken"
    order: int = 50

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        raise RuntimeError("out of ink")


class EmptySection(ReportSection):
    kind: Literal["empty"] = "empty"
    title: str = "Nothing to say"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        return None


def test_a_section_that_fails_is_named_and_costs_no_other_section(results: ScanResults, tmp_path: Path) -> None:
    text = write_report(results, tmp_path, [BrokenSection(), EmptySection()]).read_text()
    assert "## Broken\n\nThis section could not be made: RuntimeError: out of ink" in text
    assert "Nothing to say" not in text
    assert "## Data" in text


def test_a_folder_that_cannot_be_made_is_one_clear_error(results: ScanResults, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(results, tmp_path / "file", [])


def test_a_disk_that_is_full_leaves_no_half_of_a_figure_or_page(results: ScanResults, tmp_path: Path) -> None:
    host_sections = [FrontierSection()]
    write_report(results, tmp_path, host_sections)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    figure = max((path for path in before if path.suffix == ".svg"), key=lambda path: len(before[path]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[figure]) // 2, hard))
        with pytest.raises(StoreError, match="the report cannot be written: File too large"):
            write_report(results, tmp_path, host_sections)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.4142, "1.41"), (0.09526, "0.0953"), (2.5e12, "2.50e12"), (0.0, "0"), (-3e-5, "-3.00e-5"), (123.4, "123")],
)
def test_numbers_are_printed_with_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("p_value", "text"), [(None, "-"), (1.0, "1.0"), (0.0123, "0.012"), (0.0001, "0.00010"), (9.6e-19, "<0.0001")]
)
def test_p_values_that_no_run_tells_are_given_by_their_bound(p_value: float | None, text: str) -> None:
    assert p_text(p_value) == text


def test_without_a_baseline_the_reservations_say_where_multipliers_are_given() -> None:
    both = synthetic_records("gpt2", LAW) + synthetic_records("xl", LAW, seed=2)
    where = "`archbench compare A B` gives a multiplier of any two."
    without = results_of(both, baseline=None)
    assert answer_sentence(without) == "No baseline is named among 2 contenders, so no multiplier is given."
    assert where in reservations(without)
    assert where not in reservations(results_of(both))


def test_a_bar_inside_a_cell_does_not_break_the_table() -> None:
    assert markdown_table(["a"], [["x|y"]]).splitlines()[-1] == "| x&#124;y |"


@pytest.mark.filterwarnings("error")
def test_a_scan_without_any_exponent_is_reported_without_a_warning(tmp_path: Path) -> None:
    few = [record for record in synthetic_records("gpt2", LAW) if record.size_index == 0]
    sections = report_sections(default_host())
    text = write_report(results_of(few), tmp_path, sections).read_text()
    assert "too_few_sizes" in text


def test_of_many_contenders_the_baseline_and_the_best_are_drawn_and_all_are_in_the_tables(
    results: ScanResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archbench.report.contenders.MOST_DRAWN", 2)
    kinds = ("frontiers", "multipliers", "learning_curves")
    sections = [section for section in report_sections(default_host()) if section.kind in kinds]
    text = write_report(results, tmp_path, sections).read_text()
    # Of the causal ones; the masked one has a track to itself. Two are compared with the baseline, and two are drawn.
    assert text.count("Drawn are 2 of 3: the baseline and the lowest losses; the tables hold all.") == 2
    drawn = {path.stem for path in (tmp_path / "figures").glob("frontier_*.svg")}
    lowest = {
        name: min(run.curve[-1].validation_loss_nats for run in results.records if run.contender == name and run.usable)
        for name in ("reformer", "xl")
    }
    assert drawn == {"frontier_gpt2", "frontier_bert", f"frontier_{min(lowest, key=lowest.__getitem__)}"}
    for name in ("gpt2", "reformer", "xl", "bert"):
        assert f"### {name}\n" in text
