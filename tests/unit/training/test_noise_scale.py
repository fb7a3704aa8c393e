"""Gradient noise: unbiased where it is known in closed form, and without effect on the run that is measured."""

import json
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archbench.contracts.objective import LossParts
from archbench.data.corpus import Corpus
from archbench.errors import SpecError
from archbench.registry import Registry
from archbench.results.runs import NoiseMeasurement, RunState
from archbench.runs.records import read_record
from archbench.testing.small_runs import StopAfter
from archbench.training.assembly import assemble
from archbench.training.evaluation import to_device
from archbench.training.noise_scale import MAX_PARTS, NoiseMeter, num_parts, unbiased
from archbench.training.randomness import Purpose, seed_generators

EVERY_OTHER = {"noise_scale_every": 2}
NUM_WEIGHTS, NOISE_STD = 12, 1.5


class LinearRegression(nn.Module):
    """y = x·w + noise under half the squared error; x is standard normal, the true w is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1.0, 1.0, NUM_WEIGHTS, dtype=torch.float64))

    def forward(self, batch: dict[str, Tensor], state: object) -> LossParts:
        residual = batch["tokens"] @ self.weight - batch["targets"]
        return LossParts(
            nats=0.5 * residual.square().sum(), predictions=torch.tensor(len(residual)), auxiliary=None, state=None
        )


def examples(generator: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    noise = NOISE_STD * generator.standard_normal(rows)
    return {"tokens": generator.standard_normal((rows, NUM_WEIGHTS)), "targets": noise}


@lru_cache
def measured(rows: int) -> list[NoiseMeasurement]:
    """2,500 measurements at the true weights, each of a batch of its own."""
    model, generator = LinearRegression(), np.random.default_rng(rows)
    meter = NoiseMeter(model, rows, torch.device("cpu"))  # type: ignore[arg-type]
    found = [
        meter.measure(model, examples(generator, rows), None, seed=0, step=step, tokens_per_row=1)
        for step in range(2500)
    ]
    return [one for one in found if one is not None]


def true_gradient_squared() -> float:
    """|G|² where G = w."""
    return float(LinearRegression().weight.detach().square().sum())


@pytest.mark.parametrize("rows", [8, *(pytest.param(rows, marks=pytest.mark.thorough) for rows in (4, 24))])
def test_estimates_are_unbiased_for_a_linear_regression(rows: int) -> None:
    squared = np.array([one.gradient_squared for one in measured(rows)])
    trace = np.array([one.trace_covariance for one in measured(rows)])
    # E|g|² = (p + 2)|w|² + sigma² p for standard normal x (its fourth moments: Isserlis 1918).
    true_squared = true_gradient_squared()
    true_trace = (NUM_WEIGHTS + 2) * true_squared + NOISE_STD**2 * NUM_WEIGHTS - true_squared
    for values, truth in ((squared, true_squared), (trace, true_trace)):
        error = values.std(ddof=1) / np.sqrt(len(values))
        # Four standard errors: one in 16,000 by chance. The error itself must be small enough to notice a bias.
        assert error < 0.1 * truth
        assert abs(values.mean() - truth) < 4 * error


def test_biased_estimate_would_be_noticed() -> None:
    naive = [one.gradient_squared + one.trace_covariance / 8 for one in measured(8)]
    assert np.mean(naive) - true_gradient_squared() > 10 * np.std(naive) / np.sqrt(len(naive))


def test_two_norms_give_back_the_two_unknowns() -> None:
    squared, trace = 3.0, 5000.0
    small, large = squared + trace / 128, squared + trace / 1024
    assert unbiased(small, large, 128, 1024) == pytest.approx((squared, trace))


def test_parts_follow_from_the_batch_alone() -> None:
    assert [num_parts(rows) for rows in (2, 6, 8, 11, 12, 26, 32)] == [2, 3, 4, 11, 4, 2, 4]
    assert max(num_parts(rows) for rows in range(2, 513, 2)) == MAX_PARTS
    with pytest.raises(SpecError, match=r"raise training\.batch_tokens"):
        num_parts(1)


def test_measurement_leaves_gradients_and_buffers_of_the_trained_model_alone() -> None:
    model = LinearRegression()
    model.weight.grad = torch.full_like(model.weight, 7.0)
    meter = NoiseMeter(model, 4, torch.device("cpu"))  # type: ignore[arg-type]
    before = model.weight.detach().clone()
    meter.measure(model, examples(np.random.default_rng(0), 4), None, seed=0, step=0, tokens_per_row=1)
    assert torch.equal(model.weight.grad, torch.full_like(model.weight, 7.0))
    assert torch.equal(model.weight.detach(), before)


def test_gradient_that_is_not_finite_gives_no_measurement() -> None:
    model = LinearRegression()
    meter = NoiseMeter(model, 4, torch.device("cpu"))  # type: ignore[arg-type]
    broken = examples(np.random.default_rng(0), 4)
    broken["targets"][0] = np.inf
    assert meter.measure(model, broken, None, seed=0, step=0, tokens_per_row=1) is None


RUNS = [
    ({"kind": "gpt2"}, None, {}),
    ({"kind": "gpt2"}, None, {"execution": {"micro_batch_rows": 1}}),
    pytest.param({"kind": "gpt2"}, None, {"training": {"precision": "bf16"}}, marks=pytest.mark.thorough),
    ({"kind": "reformer", "bucket_size": 16}, None, {}),
    pytest.param({"kind": "transformer_xl"}, None, {}, marks=pytest.mark.thorough),
    ({"kind": "transformer_xl"}, None, {"execution": {"micro_batch_rows": 2}}),
    pytest.param({"kind": "bert"}, {"kind": "masked_lm"}, {}, marks=pytest.mark.thorough),
    ({"kind": "bert"}, {"kind": "bert_pretraining"}, {}),
]


@pytest.mark.parametrize(("architecture", "objective", "changes"), RUNS)
def test_run_is_the_same_to_the_bit_with_and_without_measurements(
    plan: Any,
    train_to_end: Any,
    architecture: dict[str, Any],
    objective: dict[str, Any] | None,
    changes: dict[str, Any],
) -> None:
    without = plan("without", architecture=architecture, objective=objective, **changes)
    measured = plan("with", architecture=architecture, objective=objective, evaluation=EVERY_OTHER, **changes)
    assert train_to_end(without).state is RunState.DONE
    assert train_to_end(measured).state is RunState.DONE
    plain, noisy = (json.loads(one.record_file.read_bytes()) for one in (without, measured))
    assert "noise_scale" not in plain
    assert "noise_scale_every" not in plain["identity"]["evaluation"]
    assert [one["step"] for one in noisy["noise_scale"]] == [2, 4, 6, 8, 10]
    assert all(one["trace_covariance"] > 0.0 for one in noisy["noise_scale"])
    assert json.dumps(plain["curve"]) == json.dumps(noisy["curve"])
    assert json.dumps(plain["prefix_audit"]) == json.dumps(noisy["prefix_audit"])
    record = read_record(measured, contender="mine", size_index=0)
    assert record is not None
    assert len(record.noise_scale) == 5


@pytest.mark.parametrize("architecture", [{"kind": "gpt2"}, {"kind": "transformer_xl"}])
def test_interrupted_run_measures_the_same_noise(plan: Any, train_to_end: Any, architecture: dict[str, Any]) -> None:
    whole, interrupted = (plan(name, architecture=architecture, evaluation=EVERY_OTHER) for name in ("one", "two"))
    train_to_end(whole)
    for steps in (2, 3, 1):
        assert train_to_end(interrupted, StopAfter(steps)) is None
    train_to_end(interrupted)
    assert whole.record_file.read_bytes() == interrupted.record_file.read_bytes()


def test_measured_gradient_is_the_one_that_trains(plan: Any, registry: Registry, corpus: Corpus) -> None:
    # |G|² + tr Sigma/B is the squared norm of the whole batch's gradient, whatever the parts.
    directory = plan(evaluation=EVERY_OTHER)
    assembly = assemble(directory.read_plan(), registry, directory)
    assert assembly.noise_meter is not None
    batch = assembly.batches.batch(0)
    found = assembly.noise_meter.measure(assembly.engine.module, batch, None, seed=0, step=0, tokens_per_row=32)
    assert found is not None
    module = assembly.engine.module
    seed_generators(0, Purpose.TRAINING, 0)
    parts = module.forward(to_device(batch, assembly.device), None)
    (parts.nats / parts.predictions).backward()
    squared = sum(float(p.grad.double().square().sum()) for p in module.parameters() if p.grad is not None)
    # Single precision, and four passes of a row against one of four rows.
    assert found.gradient_squared + found.trace_covariance / 128 == pytest.approx(squared, rel=1e-4)
    assembly.engine.close()


def test_batch_of_one_row_fails_with_the_remedy(plan: Any, train_to_end: Any) -> None:
    outcome = train_to_end(plan(rows=1, evaluation=EVERY_OTHER))
    assert outcome.state is RunState.FAILED
    assert "raise training.batch_tokens" in outcome.reason
