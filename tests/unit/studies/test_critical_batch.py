"""B_crit from batch scans made of the published laws: recovery, censoring, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from archbench.results.fits import FitStatus
from archbench.results.runs import RunState
from archbench.studies.batch_scan.analysis import study_batches
from archbench.studies.batch_scan.steps_to_loss import descent
from archbench.studies.batch_scan.trade_off import fit_hyperbolas
from archbench.testing.synthetic_studies import PublishedLaws, batch_scan_runs

LAWS = PublishedLaws()
BATCHES = [2**power for power in range(15, 25)]
TARGETS = (6.0, 5.0, 4.2, 3.6, 3.2)


def test_hyperbola_recovers_its_constants_when_noise_free() -> None:
    batch = np.array([1e3, 4e3, 1.6e4, 6.4e4])
    truth = np.log([[50.0, 2e4], [900.0, 3e3]])
    log_steps = truth[:, :1] + np.log1p(np.exp(truth[:, 1:]) / batch)
    found = fit_hyperbolas(log_steps, batch)
    # A golden section stops where the objective's difference is rounding: at the square root of double precision.
    assert np.allclose(found.log_steps_min, truth[:, 0], atol=1e-6)
    assert np.allclose(found.log_critical, truth[:, 1], atol=1e-6)


def test_censored_runs_do_not_move_an_exact_hyperbola() -> None:
    batch = np.array([1e3, 4e3, 1.6e4, 6.4e4, 2.56e5])
    log_steps = np.log(50.0 * (1 + 2e4 / batch))[None, :].copy()
    log_steps[0, 1] = np.nan
    assert np.exp(fit_hyperbolas(log_steps, batch).log_critical[0]) == pytest.approx(2e4, rel=1e-5)


def test_descent_leaves_out_warm_up_and_points_that_do_not_improve() -> None:
    run = batch_scan_runs(LAWS, [2**20], size=10**8, target_nats=3.5)[0]
    worse = replace(run.curve[20], validation_loss_nats=9.0)
    bumpy = replace(run, curve=(*run.curve[:20], worse, *run.curve[21:]))
    assert len(descent(bumpy).log_loss) == len(descent(run).log_loss) - 1
    assert not any(point.in_warmup for point in run.curve if np.log(point.step or 1) in descent(run).log_steps)


def test_steps_at_a_loss_are_those_of_the_law() -> None:
    run = batch_scan_runs(LAWS, [2**18], size=10**8, target_nats=3.2)[0]
    wanted = np.array([5.0, 4.0, 3.5])
    steps = np.exp(descent(run).log_steps_at(wanted))
    # Forty log-spaced points of a smooth curve: cubic interpolation is good to 1e-3.
    assert LAWS.curve(10**8, 2**18, steps) == pytest.approx(wanted, rel=1e-3)
    assert np.isnan(descent(run).log_steps_at([2.0])).all()


def test_batch_scan_gives_back_the_published_law_of_the_critical_batch() -> None:
    runs = batch_scan_runs(LAWS, BATCHES, size=10**8, target_nats=3.1, noise_std=0.002, seed=3)
    study, samples = study_batches("batches", "gpt2", runs, targets_nats=TARGETS)
    assert samples is not None
    assert study.law.status is FitStatus.OK
    assert study.law.intervals["alpha_B"].covers(0.21)
    assert study.law.intervals["B_star"].covers(2e8)
    for trade_off in study.trade_offs:
        truth = float(LAWS.critical_batch_tokens(np.array([trade_off.loss_nats]))[0])
        assert trade_off.critical_batch_tokens is not None
        # Eight to ten runs with 0.2 % of noise: each B_crit is known to a few percent.
        assert trade_off.critical_batch_tokens.value == pytest.approx(truth, rel=0.2)
        product = trade_off.steps_min.value * trade_off.critical_batch_tokens.value  # type: ignore[union-attr]
        assert trade_off.tokens_min is not None
        assert trade_off.tokens_min.value == pytest.approx(product)


def test_target_that_some_batches_miss_is_censored_with_its_lower_bound() -> None:
    runs = batch_scan_runs(LAWS, BATCHES, size=10**8, target_nats=3.3)
    short = batch_scan_runs(LAWS, [2**21], size=10**8, target_nats=4.0)[0]
    study, _ = study_batches("batches", "gpt2", [*runs, replace(short, seed=99)], targets_nats=(3.5,))
    point = next(one for one in study.trade_offs[0].points if one.seed == 99)
    assert point.steps is None
    assert point.tokens is None
    assert point.steps_spent == short.curve[-1].step
    assert study.trade_offs[0].censored == 1
    assert study.trade_offs[0].status is FitStatus.OK


def test_batches_far_above_critical_are_refused_and_not_extrapolated() -> None:
    runs = batch_scan_runs(LAWS, [2**30, 2**31, 2**32, 2**33], size=10**8, target_nats=4.0, noise_std=0.002)
    study, samples = study_batches("batches", "gpt2", runs, targets_nats=(5.0, 4.5, 4.2))
    assert all(one.status in (FitStatus.BOUND_HIT, FitStatus.NOT_IDENTIFIABLE) for one in study.trade_offs)
    assert all(one.critical_batch_tokens is None for one in study.trade_offs)
    assert study.law.status is FitStatus.TOO_FEW_POINTS
    assert samples is None


def test_two_batches_are_too_few() -> None:
    runs = batch_scan_runs(LAWS, [2**18, 2**20], size=10**8, target_nats=4.0)
    study, _ = study_batches("batches", "gpt2", runs)
    assert [one.status for one in study.trade_offs] == [FitStatus.TOO_FEW_POINTS]


def test_run_that_is_not_done_is_left_out_and_counted() -> None:
    runs = batch_scan_runs(LAWS, BATCHES, size=10**8, target_nats=4.0)
    study, _ = study_batches("batches", "gpt2", [replace(runs[0], state=RunState.DIVERGED), *runs[1:]])
    assert study.runs_used == len(runs) - 1
    assert study.left_out == {"not done": 1}


def test_same_seed_gives_the_same_intervals() -> None:
    runs = batch_scan_runs(LAWS, BATCHES, size=10**8, target_nats=4.0, noise_std=0.01)
    first, second = (study_batches("batches", "gpt2", runs, num_resamples=50, seed=5)[0] for _ in range(2))
    assert first == second
