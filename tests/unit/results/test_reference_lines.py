"""Places between the lines, and shares of tokens on the plateau, by figures that a person can check."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from archbench.results.reference_lines import (
    end_place,
    is_on_plateau,
    place_words,
    plateau_line,
    plateau_share,
    share_words,
)
from archbench.results.runs import CurvePoint, FinalEvaluation, RunRecord
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

CAUSAL = {"unigram": 3.4, "bigram": 2.8, "trigram": 2.3}
MASKED = {"unigram": 3.4, "neighbours": 1.8}


@pytest.mark.parametrize(
    ("loss", "lines", "words"),
    [
        (3.5, CAUSAL, "not yet at single tokens"),
        (3.4, CAUSAL, "0 % of the way from single tokens to pairs"),
        (3.1, CAUSAL, "50 % of the way from single tokens to pairs"),
        (2.8, CAUSAL, "0 % of the way from pairs to triples"),
        (2.68, CAUSAL, "24 % of the way from pairs to triples"),
        (2.3, CAUSAL, "past triples"),
        (1.0, CAUSAL, "past triples"),
        (2.2, MASKED, "75 % of the way from single tokens to both neighbours"),
        (1.7, MASKED, "past both neighbours"),
        (2.2, {}, "unknown"),
        # Little text: triples do worse than pairs.
        (2.9, {**CAUSAL, "trigram": 3.0}, "83 % of the way from single tokens to pairs"),
        (2.7, {**CAUSAL, "trigram": 3.0}, "past triples"),
    ],
)
def test_a_loss_is_placed_between_its_lines(loss: float, lines: dict[str, float], words: str) -> None:
    assert place_words(loss, lines) == words


def test_the_line_of_pairs_itself_is_on_the_plateau_and_what_is_below_is_not() -> None:
    assert is_on_plateau(2.8, CAUSAL) is True
    assert is_on_plateau(2.79, CAUSAL) is False
    assert is_on_plateau(2.79, MASKED) is True
    assert is_on_plateau(2.79, {}) is None
    assert plateau_line(MASKED) == ("neighbours", 1.8)


def run(*ends: tuple[int, float], lines: Mapping[str, float] = CAUSAL) -> RunRecord:
    """A run whose curve goes through these tokens and losses."""
    curve = tuple(
        CurvePoint(n, tokens, 0.0, 0.0, None, loss, None, False, False) for n, (tokens, loss) in enumerate(ends)
    )
    (some,) = synthetic_records("gpt2", SyntheticLaw(), SyntheticScan(sizes=(1e4,), seeds=(1,)))
    return replace(some, curve=curve, final=None, reference_lines=lines)


def test_the_share_of_tokens_on_the_plateau_is_that_of_a_straight_walk_through_the_band() -> None:
    # The band reaches a tenth of 3.4 - 2.8 to either side: 2.74 to 2.86.
    assert plateau_share(run((0, 5.0), (100, 2.86), (300, 2.74), (1000, 2.0))) == pytest.approx(0.2)
    assert plateau_share(run((0, 3.0), (100, 2.6))) == pytest.approx(0.12 / 0.4)
    assert plateau_share(run((0, 5.0), (100, 2.8), (1000, 2.8))) == pytest.approx(0.9, abs=0.01)
    assert plateau_share(run((0, 5.0), (100, 4.0))) == 0.0
    assert plateau_share(run((0, 2.8), (100, 2.8))) == 1.0


def test_a_curve_of_less_text_than_the_final_loss_is_scaled_to_end_there() -> None:
    whole = FinalEvaluation(nats=(220.0,), predictions=(100,), documents=(3,), utf8_bytes=None)
    measured = replace(run((0, 4.0), (100, 2.6), (1000, 2.0)), final=whole)
    scaled = run((0, 4.4), (100, 2.86), (1000, 2.2))
    assert plateau_share(measured) == pytest.approx(plateau_share(scaled))
    assert end_place(measured) == end_place(scaled) == "past triples"


def test_a_run_without_lines_or_without_a_curve_has_no_share() -> None:
    assert plateau_share(run((0, 5.0), (100, 2.8), lines={})) is None
    assert plateau_share(run((100, 2.8))) is None
    assert share_words(None) == ""
    assert share_words(0.123) == "12 % of its tokens on the plateau"
