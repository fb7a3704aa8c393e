"""`archbench forecast --transfer` from runs of the store that follow known laws."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from archbench.cli.forecast import forecast
from archbench.errors import ArchbenchError, SpecError, StoreError
from archbench.runs.imported import write_imported
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.testing.synthetic_transfer import SyntheticTransfer, synthetic_transfer_records

AMOUNTS = tuple(int(value) for value in np.geomspace(3e4, 1e9, 10))
PLAN = SyntheticTransfer(
    law={"k": 600.0, "alpha": 0.3, "beta": 0.45},
    sizes=(30_000, 100_000, 300_000, 1_000_000),
    scratch_tokens=AMOUNTS,
    finetune_tokens=AMOUNTS[:6],
    seeds=2,
    noise_std=0.002,
    pretraining_tokens=20_000_000,
)


def store_of(plan: SyntheticTransfer, folder: Path) -> RunStore:
    store = RunStore(folder)
    store.create()
    runs = []
    for record in synthetic_transfer_records(plan, source="en", target="de"):
        write_imported(store.directory(record.run_id), record)
        names = {"study": record.study, "role": record.role, "labels": dict(record.labels)}
        runs.append(
            IndexedRun(contender="gpt2", size_index=record.size_index, seed=record.seed, run_id=record.run_id, **names)
        )
    for name, some in (("languages", runs), ("scanonly", [])):
        store.save_scan(ScanIndex(name=name, description="", baseline=None, runs=tuple(some), spec={}, environment={}))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return store_of(PLAN, tmp_path_factory.mktemp("runs"))


def ask(store: RunStore, *arguments: str) -> Result:
    options = ("--runs", str(store.root), "--resamples", "100", "--axis", "kaplan")
    return CliRunner().invoke(forecast, [*arguments, *options])


def answer(store: RunStore, budget: float, tokens: float) -> dict[str, Any]:
    command = ("--scan", "languages", "--transfer", "--target-tokens", str(tokens), "--budget", str(budget), "--json")
    result = ask(store, *command)
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["forecasts"]
    return dict(one)


def option(one: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(dict(each) for each in one["options"] if each["kind"].startswith(kind))


def test_losses_are_those_of_the_laws_that_made_the_runs(store: RunStore) -> None:
    one = answer(store, 1e14, 300_000)
    scratch, tuned = option(one, "from scratch"), option(one, "fine-tuning, pre-training not")
    for found, truth in ((scratch, PLAN.scratch_loss), (tuned, PLAN.finetuned_loss)):
        expected = truth(round(found["params"]), 300_000)
        assert found["loss"]["low"] < expected < found["loss"]["high"]
        assert found["loss"]["value"] == pytest.approx(expected, rel=0.01)


def test_the_size_is_the_largest_that_the_budget_affords(store: RunStore) -> None:
    # Runs see five epochs, so 6·N·5·D_F is the cost; the grid of sizes has steps of 2 %.
    found = option(answer(store, 1e12, 300_000), "fine-tuning, pre-training not")
    assert found["params"] == pytest.approx(1e12 / (6 * 5 * 300_000), rel=0.02)
    assert found["flops"] <= 1e12


def test_counted_pretraining_leaves_less_for_size(store: RunStore) -> None:
    one = answer(store, 3e14, 300_000)
    counted = option(one, "fine-tuning, pre-training counted")
    assert counted["params"] == pytest.approx(3e14 / (6 * 5 * (300_000 + 20_000_000)), rel=0.02)
    assert counted["loss"]["value"] > option(one, "fine-tuning, pre-training not")["loss"]["value"]


def test_pretraining_that_the_budget_does_not_pay_is_refused_with_its_price(store: RunStore) -> None:
    one = answer(store, 1e13, 300_000)
    assert "smallest size" in option(one, "fine-tuning, pre-training counted")["reason"]
    at_hand, without = one["answers"]
    assert (at_hand["best"], at_hand["told_apart"]) == ("fine-tuning, pre-training not counted", True)
    assert (without["best"], without["told_apart"]) == ("from scratch", False)
    assert (at_hand["alone"], without["alone"]) == (False, True)
    assert one["remark"] == ""


def test_without_a_law_of_transferred_data_only_measurements_speak_of_fine_tuning(tmp_path: Path) -> None:
    # A k this small transfers less than the noise of a run: L(N,D) from scratch is found, D_T is not.
    store = store_of(replace(PLAN, law={**PLAN.law, "k": 1e-6}), tmp_path)
    one = answer(store, 1e12, 300_000)
    assert option(one, "from scratch")["loss"] is not None
    assert option(one, "fine-tuning, pre-training not")["reason"].startswith("D_T(D_F,N): ")
    assert [each["alone"] for each in one["answers"]] == [True, True]
    asked = ("--scan", "languages", "--transfer", "--target-tokens", "300000", "--budget")
    words = " ".join(ask(store, *asked, "1e12").stdout.split())
    assert "the law of D_T was refused, so the laws forecast training from scratch alone" in words
    assert "only what was measured tells whether fine-tuning is better measured at" in words
    assert "lowest loss by the laws" not in words


def test_what_lies_beyond_the_data_is_marked(store: RunStore) -> None:
    one = answer(store, 1e20, 1e8)
    tuned = option(one, "fine-tuning, pre-training not")
    assert tuned["capped"]
    assert tuned["params_beyond_data"] == pytest.approx(10.0)
    assert tuned["tokens_beyond_data"] == pytest.approx(1e8 / AMOUNTS[5])
    words = ask(store, "--scan", "languages", "--transfer", "--target-tokens", "1e8", "--budget", "1e20").stdout
    assert "far: 10x beyond the sizes of the study" in words
    assert "affords more than the largest size considered" in words
    assert "measured at" in words


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["--scan", "languages", "--transfer"], SpecError, "--target-tokens D_F"),
        (["--scan", "languages", "--target-tokens", "10"], SpecError, "with --transfer only"),
        (["--scan", "scanonly", "--transfer", "--target-tokens", "10"], StoreError, "no fine-tuned run"),
        (["--scan", "languages", "--transfer", "--target-tokens", "10", "--direction", "en-de"], SpecError, "en:de"),
        (["--scan", "languages", "--transfer", "--target-tokens", "10", "--contender", "gtp2"], SpecError, "gpt2"),
    ],
)
def test_wrong_questions_are_told_in_one_line(
    store: RunStore, arguments: list[str], kind: type[ArchbenchError], words: str
) -> None:
    result = ask(store, *arguments, "--budget", "1e12")
    assert isinstance(result.exception, kind)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
