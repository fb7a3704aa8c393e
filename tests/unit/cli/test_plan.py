"""`archbench plan` of text that is not at hand, and of evaluations that ask for more than there is."""

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from archbench.cli.main import cli
from archbench.errors import DataError
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import store_records

SPEC = """
name: planned
contenders: {gpt2: {architecture: {kind: gpt2}}}
objective: {kind: causal_lm}
data:
  dataset: {kind: text_files, paths: [text]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.1
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1e5}
training: {seq_len: 64, batch_tokens: 1024, learning_rate: 1e-3, schedule: {kind: cosine, warmup_steps: 10}}
"""
GPU_SPECS = sorted((Path(__file__).parents[3] / "specs" / "gpu").glob("*.yaml"))


def planned(folder: Path, *options: str) -> Result:
    (folder / "spec.yaml").write_text(SPEC)
    where = ("--cache", str(folder / "cache"), "--runs", str(folder / "runs"))
    return CliRunner().invoke(cli, ["plan", str(folder / "spec.yaml"), *where, *options])


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    for number in range(30):
        (tmp_path / "text" / f"{number}.txt").write_text(f"{number} " + "the ship sailed over the water " * 30)
    return tmp_path


def test_an_evaluation_costs_no_more_than_there_is_to_evaluate(folder: Path) -> None:
    all_of_it, beyond = (
        as_json(planned(folder, "--json", "-o", f"evaluation.tokens={tokens}"))["runs"][0]["estimated_seconds"]
        for tokens in ("1e5", "1e9")
    )
    assert beyond == all_of_it


def test_text_that_cannot_be_had_is_planned_by_its_stated_counts_and_marked(folder: Path) -> None:
    missing = ("-o", "data.dataset.paths=[nowhere]")
    assert isinstance(planned(folder, *missing).exception, DataError)
    stated = ("-o", "data.stated={vocab_size: 257, tokens: {main: 1e6}}")
    result = planned(folder, *missing, *stated)
    assert result.exit_code == 0
    assert "nowhere: no such file" in result.stderr
    assert "text: about 900,000 training tokens, vocabulary 257, as data.stated says; the text was not read" in (
        result.stdout
    )
    found = as_json(planned(folder, *missing, *stated, "--json"))
    assert found["text_is_stated"]
    assert found["environment"]["data"]["corpus_hash"].startswith("stated-")


def test_stated_counts_give_the_plan_that_the_text_gives(folder: Path) -> None:
    read = as_json(planned(folder, "--json"))
    assert not read["text_is_stated"]
    stated = "data.stated={vocab_size: 257, tokens: {main: 28100}}"
    again = as_json(planned(folder, "--json", "-o", stated))
    assert [run["run_id"] for run in again["runs"]] == [run["run_id"] for run in read["runs"]], "the text is at hand"
    unread = as_json(planned(folder, "--json", "--stated", "-o", stated))
    for key in ("non_embedding_params", "exact_flops", "tokens", "dims", "seed"):
        assert [run[key] for run in unread["runs"]] == [run[key] for run in read["runs"]], key
    assert not {run["run_id"] for run in unread["runs"]} & {run["run_id"] for run in read["runs"]}


def test_without_stated_counts_there_is_nothing_to_plan_by(folder: Path) -> None:
    error = planned(folder, "--stated").exception
    assert isinstance(error, DataError)
    assert "data.stated: is not there; to plan without the text, state its counts" in str(error)


@pytest.mark.parametrize("path", GPU_SPECS[::6], ids=lambda path: path.stem)
def test_specs_for_accelerators_are_planned_without_a_network(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("a plan by stated counts asks for no connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    where = ("--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs"))
    found = as_json(CliRunner().invoke(cli, ["plan", str(path), "--stated", "--json", *where]))
    assert found["text_is_stated"]
    assert found["runs"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["zoo", "modern", "experts", "hybrid"])
def test_specs_of_other_libraries_models_have_a_shape_at_every_size(name: str, tmp_path: Path) -> None:
    where = ("--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs"))
    stated = ("--stated", "-o", "data.stated={vocab_size: 257, tokens: {main: 1.2e7}}")
    found = as_json(
        CliRunner().invoke(cli, ["plan", str(GPU_SPECS[0].parents[1] / f"{name}.yaml"), *stated, "--json", *where])
    )
    sizes = {(run["contender"], run["size_index"]) for run in found["runs"]}
    assert len(sizes) == 4 * len({contender for contender, _ in sizes})


LADDER = ("-o", "scan.sizes=[1e4, 2e4, 4e4, 8e4]", "-o", "contenders.llama={architecture: {kind: llama}}")


def test_a_question_has_its_power_by_assumptions_that_are_stated(folder: Path) -> None:
    asked = (*LADDER, "-o", "question={baseline: gpt2, margin: 1.1}")
    text = " ".join(planned(folder, *asked).stdout.split())
    assert "question: better by 1.1? Power, assumed: loss falls as C^-0.057 (Kaplan et al. 2020) to 2.2 nats" in text
    assert "llama, seed SD 0.01 nats:" in text
    assert "llama, seed SD 0.04 nats:" in text
    assert "80 % takes" in text
    rows = as_json(planned(folder, *asked, "--json"))["power"]
    assert [row["true_multiplier"] for row in rows] == pytest.approx([1.32, 1.43, 1.65] * 2)
    quiet, noisy = rows[:3], rows[3:]
    assert [row["power"] for row in quiet] == sorted(row["power"] for row in quiet)
    assert all(one["power"] > other["power"] for one, other in zip(quiet, noisy, strict=True))


def test_power_grows_with_seeds_and_a_stated_noise_is_taken(folder: Path) -> None:
    powers = []
    for seeds in (1, 4):
        asked = (*LADDER, "-o", "question={baseline: gpt2, margin: 1.1, seed_std_nats: 0.03}", "-o",
                 f"scan.seeds={{default: {seeds}, smallest_two: {seeds}}}")  # fmt: skip
        rows = as_json(planned(folder, *asked, "--json"))["power"]
        assert {row["seed_std_nats"] for row in rows} == {0.03}
        assert "noise as the question states" in rows[0]["source"]
        powers.append(rows[0]["power"])
    assert powers[0] < powers[1]


@pytest.mark.parametrize("axis", ["device_seconds", "processor_seconds"])
def test_a_cost_in_seconds_is_no_place_on_a_planned_ladder_of_flops(folder: Path, axis: str) -> None:
    asked = (*LADDER, "-o", f"question={{baseline: gpt2, at: {{cost: 5.0, axis: {axis}}}}}")
    rows = as_json(planned(folder, *asked, "--json"))["power"]
    assert len(rows) == 6
    assert {row["reason"] for row in rows} == {""}
    assert all(row["source"].endswith("over the middle half of the losses, not where it is asked") for row in rows)


@pytest.mark.parametrize("axis", ["kaplan_flops", "exact_flops"])
def test_the_stores_law_of_the_loss_is_read_on_the_axis_that_is_asked_on(folder: Path, axis: str) -> None:
    corpus = as_json(planned(folder, "--json"))["environment"]["data"]["corpus_hash"]
    law, ladder = SyntheticLaw(B=0.0, noise_std=1e-4), SyntheticScan(seeds=(2, 2, 2, 2, 2))
    trained = [replace(run, objective="causal_lm") for run in synthetic_records("gpt2", law, ladder)]
    store_records(RunStore(folder / "runs"), "trained", trained, corpus)
    asked = (*LADDER, "-o", f"question={{baseline: gpt2, at: {{cost: 1e10, axis: {axis}}}}}")
    found = as_json(planned(folder, *asked, "--json"))
    end = max(run[axis] for run in found["runs"] if run["contender"] == "gpt2")
    dearest = max(trained, key=lambda run: run.non_embedding_params).curve[-1]
    expected = dearest.validation_loss_nats * (end / getattr(dearest, axis)) ** -law.alpha
    assert f"loss falls as C^-0.15 to {expected:.3g} nats by runs of the store" in found["power"][0]["source"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("scan.sizes=[1e4, 2e4]", "question={baseline: gpt2}"), "fewer than three sizes are planned so far"),
        (("question={baseline: gpt2, at: 1e30}",), "it is asked beyond the planned runs"),
    ],
)
def test_why_no_power_can_be_given_is_said(folder: Path, options: tuple[str, ...], reason: str) -> None:
    asked = (*LADDER, *(word for option in options for word in ("-o", option)))
    assert f"llama: none can be given: {reason}" in " ".join(planned(folder, *asked).stdout.split())
    (row,) = as_json(planned(folder, *asked, "--json"))["power"]
    assert (row["contender"], row["reason"]) == ("llama", reason)
    assert (row["true_multiplier"], row["power"], row["seeds_for_80_percent"]) == (None, None, None)


def test_controls_are_counted_and_without_a_question_there_is_no_power(folder: Path) -> None:
    controls = ("-o", "question={baseline: gpt2, controls: [baseline_again]}")
    assert "of them 7 runs of controls" in planned(folder, *controls).stdout
    assert "power" not in planned(folder).stdout.lower()
    assert as_json(planned(folder, "--json"))["power"] == []
