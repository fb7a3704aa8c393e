"""The report of a transfer study."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archbench.contracts.report import ScanResults
from archbench.report.words import number
from archbench.results.fits import FitStatus, Interval
from archbench.studies.transfer.analysis import TransferSettings, analyse_transfer
from archbench.studies.transfer.results import Censoring, TransferCell, TransferResult
from archbench.studies.transfer.section import TransferSection
from archbench.studies.transfer.text import headline, ranking_text, verdict_lines
from archbench.testing.synthetic_transfer import SyntheticTransfer, synthetic_transfer_records

AMOUNTS = tuple(int(value) for value in np.geomspace(3e4, 1e8, 7))


@pytest.fixture(scope="module")
def study() -> TransferResult:
    records = []
    for number_, (target, k) in enumerate((("zh", 300.0), ("de", 1200.0))):
        plan = SyntheticTransfer(
            law={"k": k, "alpha": 0.3, "beta": 0.45},
            sizes=(30_000, 300_000, 3_000_000),
            scratch_tokens=AMOUNTS,
            finetune_tokens=AMOUNTS[:6],
            seeds=2,
            noise_std=0.003,
            pretraining_tokens=20_000_000,
        )
        records += synthetic_transfer_records(plan, source="en", target=target, seed=number_)
    settings = TransferSettings("languages", {"en": 4.2, "de": 3.3, "zh": 2.1}, num_resamples=200)
    return analyse_transfer(records, settings)


@pytest.fixture(scope="module")
def text(study: TransferResult, tmp_path_factory: pytest.TempPathFactory) -> str:
    results = ScanResults("demo", "", None, (), (), (), {}, {}, studies={"languages": study})
    folder = tmp_path_factory.mktemp("report") / "figures"
    words = TransferSection().render(results, folder)
    assert words is not None
    for line in words.splitlines():
        if line.startswith("!["):
            path = line.split("(")[1].rstrip(")")
            assert (folder.parent / path).stat().st_size > 2000
    return words


def test_every_direction_has_its_figures_laws_and_cells(text: str, study: TransferResult) -> None:
    for one in study.directions:
        assert f"#### gpt2: {one.name}" in text
        assert f"transfer_direction_languages--gpt2--{one.source}--{one.target}.svg" in text
        assert f"transfer_compute_languages--gpt2--{one.source}--{one.target}.svg" in text
    assert "k·D_F^alpha·N^beta (Hernandez et al. 2021, eq 1.1)" in text
    alpha = study.directions[0].law.intervals["alpha"]
    assert f"alpha {number(alpha.value)} [{number(alpha.low)}, {number(alpha.high)}]" in text


def test_the_order_of_languages_is_said_with_its_test(text: str, study: TransferResult) -> None:
    assert "**gpt2, from en:** de > zh" in text
    assert "en → de over en → zh" in text
    (ranking,) = study.rankings
    assert ranking_text(ranking) in text


def test_the_verdict_says_what_pretraining_is_worth_and_in_which_order(study: TransferResult) -> None:
    lines = verdict_lines(study)
    mean = study.directions[0].mean_multiplier
    assert mean is not None
    assert f"is worth {number(mean.value)} [" in lines[0]
    assert lines[-1] == "gpt2, from en: de > zh."


def test_the_verdict_has_a_line_for_each_law_and_counts_those_refused(study: TransferResult) -> None:
    refused = replace(
        study.directions[0].law, status=FitStatus.BOUND_HIT, reason="D_T does not rise with it", params={}, intervals={}
    )
    mended = replace(study, directions=(replace(study.directions[0], law=refused), *study.directions[1:]))
    lines = verdict_lines(mended)
    name = study.directions[0].name
    (counted,) = [line for line in lines if "may not be read" in line]
    assert "1 `bound_hit`" in counted
    assert not [line for line in lines if line.startswith(f"gpt2, {name}: D_T(D_F,N)")]
    assert counted not in verdict_lines(study)
    other = study.directions[1]
    (words,) = [line for line in lines if line.startswith(f"gpt2, {other.name}: D_T(D_F,N)")]
    assert f"has alpha {number(other.law.params['alpha'])} [" in words
    assert f" and beta {number(other.law.params['beta'])} [" in words
    for target in ("de", "zh"):
        assert sum(line.startswith(f"gpt2, {target} from scratch: L(N,D) ") for line in lines) == 1


def test_where_every_cell_is_censored_the_verdict_gives_the_bounds(study: TransferResult) -> None:
    one = study.directions[0]
    cell = next(cell for cell in one.cells if cell.censored is Censoring.NONE)

    def bound(value: float, censored: Censoring, high: float = math.inf) -> TransferCell:
        return replace(cell, censored=censored, multiplier=Interval(value, value * 0.9, high))

    cells = (
        bound(10.0, Censoring.ABOVE),
        bound(100.0, Censoring.ABOVE),
        bound(300.0, Censoring.NONE),  # at least the low end of its interval: 270
        bound(0.25, Censoring.BELOW, high=0.3),
    )
    words = verdict_lines(replace(study, directions=(replace(one, cells=cells, mean_multiplier=None),)))[0]
    assert "of D_E/D_F only bounds are known: at least 10.0 to 270 at 3 and at most 0.250 at 1 of them." in words


def test_censored_figures_are_printed_as_bounds(study: TransferResult) -> None:
    bounds = [cell for one in study.directions for cell in one.cells if cell.censored.value == "above"]
    assert bounds
    words = headline(next(one for one in study.directions if any(cell in bounds for cell in one.cells)))
    assert "D_E is a bound at" in words


def test_bytes_per_token_of_both_sides_are_stated(text: str) -> None:
    assert "A token holds 4.20 bytes of en and 3.30 of de." in text


def test_a_scan_without_a_transfer_study_has_no_section(tmp_path: Path) -> None:
    results = ScanResults("demo", "", None, (), (), (), {}, {})
    assert TransferSection().render(results, tmp_path) is None


def test_a_study_whose_fine_tuning_failed_still_has_a_section(study: TransferResult, tmp_path: Path) -> None:
    empty = replace(study.directions[0], cells=(), frontiers=(), forgetting=(), warnings=("nothing ended",))
    results = ScanResults("demo", "", None, (), (), (), {}, {}, studies={"a": replace(study, directions=(empty,))})
    words = TransferSection().render(results, tmp_path)
    assert words is not None
    assert "nothing ended" in words


def test_a_study_whose_every_run_failed_says_so(tmp_path: Path) -> None:
    lost = TransferResult("a", (), (), warnings=("gpt2, finetune 0123 is left out: diverged",))
    words = TransferSection().render(ScanResults("demo", "", None, (), (), (), {}, {}, studies={"a": lost}), tmp_path)
    assert words == "- gpt2, finetune 0123 is left out: diverged"
