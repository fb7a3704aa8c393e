"""Reference lines in reports: drawn, said of every run and size, and `unknown` once where nobody noted them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.builtins.reports.run_sections import RunSection
from archbench.builtins.reports.sections import FrontierSection, LearningCurveSection
from archbench.contracts.report import ScanResults
from archbench.report.charts import charts_of
from archbench.report.contenders import contenders_of
from archbench.report.html.charts import charts_json
from archbench.report.plotting import new_figure
from archbench.report.reference_lines import draw_reference_lines, drawn_lines, places_text
from archbench.report.verdict import reservations
from archbench.report.writer import write_report
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

LINES = {"unigram": 5.2, "bigram": 4.0, "trigram": 3.45}
SECTIONS = (FrontierSection(), LearningCurveSection(), RunSection())


def results(records: Sequence[RunRecord]) -> ScanResults:
    frontiers, comparisons = analyse_scan(records, baseline="gpt2", options=StudyOptions(num_resamples=100))
    return ScanResults("demo", "", "gpt2", tuple(records), frontiers, comparisons, {}, {})


def made(name: str, lines: dict[str, float], seed: int = 0) -> list[RunRecord]:
    plan = SyntheticScan(seeds=(2, 2, 2, 2, 2))
    law = SyntheticLaw(noise_std=0.003)
    return [replace(run, reference_lines=lines) for run in synthetic_records(name, law, plan, seed=seed)]


@pytest.fixture(scope="module")
def mixed() -> ScanResults:
    return results([*made("gpt2", LINES), *made("old", {}, seed=1)])


@pytest.fixture(scope="module")
def report(mixed: ScanResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(mixed, tmp_path_factory.mktemp("report"), SECTIONS)


def test_every_size_and_run_has_its_place_and_sizes_on_the_plateau_their_status(report: Path) -> None:
    text = report.read_text()
    assert "| `on_plateau`: 70 % of the way from single tokens to pairs |" in text
    assert "| past triples |" in text
    assert "place between the lines | tokens on the plateau |" in text
    assert text.count("Reference lines of old: unknown") == 1
    assert "gpt2: on\\_plateau: sizes 1, 2 end on or above the bigram line and are left out." in text or (
        "gpt2: on_plateau: sizes 1, 2 end on or above the bigram line and are left out." in text
    )


def test_data_tables_hold_lines_places_and_shares(report: Path) -> None:
    runs = pd.read_csv(report.parent / "data" / "runs.csv").set_index("contender")
    assert set(runs.loc["gpt2", "bigram_nats"]) == {4.0}
    assert runs.loc["gpt2", "on_plateau"].sum() == 4
    assert runs.loc["gpt2", "plateau_share"].between(0.0, 1.0).all()
    assert set(runs.loc["old", "place"]) == {"unknown"}
    assert runs.loc["old", ["bigram_nats", "on_plateau", "plateau_share"]].isna().all(axis=None)
    sizes = pd.read_csv(report.parent / "data" / "sizes.csv")
    on = sizes[(sizes.contender == "gpt2") & (sizes.cost_axis == "exact")].status
    assert list(on) == ["on_plateau", "on_plateau", "ok", "ok", "ok"]


def test_scans_without_any_line_say_so_once_and_have_no_columns_for_them(tmp_path: Path) -> None:
    found = results(made("gpt2", {}))
    text = write_report(found, tmp_path, SECTIONS).read_text()
    assert "place between" not in text
    assert text.count("unknown") == 1
    assert "plateau" not in " ".join(reservations(found))


def test_figures_draw_the_lines_of_the_curve_that_saw_most(mixed: ScanResults) -> None:
    gpt2, old = contenders_of(mixed)
    assert drawn_lines([*old.curves.curves, *gpt2.curves.curves]) == LINES
    assert drawn_lines(old.curves.curves) == {}
    first, *rest = gpt2.curves.curves
    longer = replace(first, tokens=first.tokens * 10, reference_lines={**LINES, "bigram": 3.8})
    assert drawn_lines([*rest, longer])["bigram"] == 3.8


def test_the_line_of_pairs_is_drawn_wherever_it_lies_and_others_where_losses_are(mixed: ScanResults) -> None:
    gpt2 = contenders_of(mixed)[0]
    _, (axes,) = new_figure(4.0, 3.0)
    axes.plot([1.0, 2.0], [3.3, 3.6])
    draw_reference_lines(axes, gpt2.curves.curves)
    assert [text.get_text() for text in axes.texts] == ["bigram 4.00", "trigram 3.45"]
    assert axes.get_ylim()[1] > 4.0


def test_charts_of_losses_carry_the_lines_and_those_of_multipliers_do_not(mixed: ScanResults) -> None:
    charts = charts_of(mixed)
    drawn = {name: [level.name for level in chart.levels] for name, chart in charts.items()}
    named = ["unigram 5.20", "bigram 4.00", "trigram 3.45"]
    assert drawn["overview_causal"] == drawn["frontier_gpt2"] == drawn["learning_curves_causal"] == named
    assert drawn["frontier_old"] == []
    assert not any(drawn[name] for name in drawn if name.startswith("multiplier"))
    content = json.loads(charts_json(charts))["charts"]["frontier_gpt2"]
    assert content["levels"][1] == {"name": "bigram 4.00", "value": 4.0}


def test_places_are_said_by_size_and_unknown_ones_once(mixed: ScanResults) -> None:
    known, unknown = places_text(mixed.records)
    assert known.startswith("gpt2, by size: 1 70 % of the way from single tokens to pairs; 2 9")
    assert known.endswith("5 past triples")
    assert unknown == "Reference lines of old: unknown, so that none of its losses is refused as on the plateau"
