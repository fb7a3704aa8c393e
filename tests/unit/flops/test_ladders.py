"""Every rung's formula against torch's counter, and the page that shows them."""

from pathlib import Path

import pytest

from archbench.flops.dry_run import counted_step
from archbench.flops.ladders import Ladder, Rung, ladders
from archbench.flops.table import analytic_line
from archbench.host import default_host
from archbench.spec.load import load_spec

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "flops.md"

EXACT = 1e-9
"""Both sides count whole products: all that may differ is the rounding of sums of floats."""

ONCE_A_PASS = 0.01
"""Share of a step that formulas leave out because it does not grow with the rows (Transformer-XL's sinusoids)."""


COUNTED = {"experts", "hybrid", "modern", "zoo"}
"""Specs of other libraries' models, whose costs are the counter's in any case."""


def bundled(folder: str) -> list[Ladder]:
    registry = default_host().registry
    paths = sorted((ROOT / folder).glob("*.yaml"))
    return ladders(load_spec(path, registry) for path in paths if path.stem not in {"quickstart", *COUNTED})


LAPTOP, ACCELERATOR = bundled("specs"), bundled("specs/gpu")
LONG = [ladder for ladder in ACCELERATOR if ladder.architecture.kind != "reformer"]
"""Reformer's thousands of chunks take a minute there; the page has them."""


def each(ladders_of: list[Ladder]) -> pytest.MarkDecorator:
    """A case a ladder. Its rungs are sought within the test: collecting the others must not wait for it."""
    names = [f"{ladder.architecture.kind}-{ladder.objective.kind}" for ladder in ladders_of]
    return pytest.mark.parametrize("ladder", ladders_of, ids=names)


def check(rung: Rung) -> None:
    counted = counted_step(rung.architecture, rung.dims, rung.objective)
    assert counted.num_params == rung.architecture.num_params(rung.dims).total
    assert rung.forward == pytest.approx(counted.forward.per_token, rel=EXACT)
    assert rung.train == pytest.approx(counted.train.per_token, rel=EXACT)
    once = counted.train.at(rung.rows_per_pass, rung.dims.seq_len) / counted.train.per_token - 1.0
    assert 0.0 <= once < ONCE_A_PASS


@each(LAPTOP)
def test_exact_flops_at_each_rung_of_each_laptop_ladder_equal_the_counters(ladder: Ladder) -> None:
    for rung in ladder.rungs():
        check(rung)


@each(LONG)
def test_exact_flops_at_the_foot_of_each_long_ladder_equal_the_counters(ladder: Ladder) -> None:
    check(next(ladder.rungs()))


@each(LONG)
def test_exact_flops_up_to_350_million_parameters_equal_the_counters(ladder: Ladder) -> None:
    *_, last = ladder.rungs()
    check(last)


def test_a_formula_that_is_wrong_by_one_product_is_found() -> None:
    ladder = next(ladder for ladder in LAPTOP if ladder.architecture.kind == "gpt2")
    rung = next(ladder.rungs())
    wider = Rung(rung.architecture, rung.objective, rung.dims.model_copy(update={"d_ff": rung.dims.d_ff + 1}), 16)
    counted = counted_step(rung.architecture, rung.dims, rung.objective)
    assert wider.train != pytest.approx(counted.train.per_token, rel=EXACT)


def test_the_page_shows_every_rung_of_every_ladder_by_the_present_formulas() -> None:
    lines = PAGE.read_text().splitlines()
    for ladder in LAPTOP + ACCELERATOR:
        for rung in ladder.rungs():
            shown = [line for line in lines if line.startswith(analytic_line(rung))]
            assert shown, f"the page lacks {analytic_line(rung)}; run benchmarks/flop_table.py --markdown docs/flops.md"
            counted = [cell.strip() for cell in shown[0].split("|")][-4:-2]
            assert counted == ["1.00000", "1.00000"]


def test_every_bundled_architecture_and_objective_is_covered() -> None:
    covered = {(ladder.architecture.kind, ladder.objective.kind) for ladder in LAPTOP}
    assert covered == {(ladder.architecture.kind, ladder.objective.kind) for ladder in ACCELERATOR}
    assert {architecture for architecture, _ in covered} >= {"gpt2", "bert", "roberta", "reformer", "transformer_xl"}


def test_next_sentence_prediction_adds_its_head_only() -> None:
    registry = default_host().registry
    architecture = registry.architectures["bert"].config()
    objective = registry.objectives["bert_pretraining"].config()
    dims = architecture.sized_for(2e4, vocab_size=264, seq_len=128)
    rung = Rung(architecture, objective, dims, 16)
    head = 2.0 * (dims.d_model**2 + 2 * dims.d_model) / dims.seq_len
    counted = counted_step(architecture, dims, objective)
    assert counted.forward.per_token - rung.forward == pytest.approx(head, rel=1e-6)
