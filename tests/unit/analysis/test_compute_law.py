"""L(C) of a frontier: recovery and statuses."""

import numpy as np
import pytest

from archbench.analysis.frontier.compute_law import fit_compute_law
from archbench.results.fits import FitStatus

COST = np.geomspace(1e12, 1e17, 9)


@pytest.mark.parametrize(("alpha", "floor", "amplitude"), [(0.2, 1.7, 5e2), (0.35, 0.1, 1e5), (0.094, 1.6, 95.0)])
def test_noise_free_law_with_floor_is_recovered(alpha: float, floor: float, amplitude: float) -> None:
    fit = fit_compute_law(COST, floor + amplitude * COST**-alpha, floor="free")
    assert fit.status is FitStatus.OK
    # Noise-free data: what is left is rounding.
    assert fit.params["alpha_C"] == pytest.approx(alpha, rel=1e-6)
    assert fit.params["E"] == pytest.approx(floor, rel=1e-6)
    assert fit.params["ln_A"] == pytest.approx(np.log(amplitude), rel=1e-6)


def test_noise_free_law_without_floor_is_recovered() -> None:
    fit = fit_compute_law(COST, (3.1e8 * 8.64e19 / COST) ** 0.05, floor="none")
    assert fit.status is FitStatus.OK
    assert fit.params["alpha_C"] == pytest.approx(0.05, rel=1e-9)
    assert fit.params["C_c"] == pytest.approx(3.1e8 * 8.64e19, rel=1e-6)


def test_a_floor_that_is_not_there_is_refused() -> None:
    assert fit_compute_law(COST, 30 * COST**-0.05, floor="free").status is FitStatus.BOUND_HIT


def test_a_floor_that_noise_hides_is_not_identifiable() -> None:
    noise = np.random.default_rng(3).normal(0, 0.01, len(COST))
    fit = fit_compute_law(COST, 30 * COST**-0.05 * np.exp(noise) + 0.01, floor="free")
    assert fit.status in (FitStatus.NOT_IDENTIFIABLE, FitStatus.BOUND_HIT)


def test_a_floor_needs_more_runs_than_parameters() -> None:
    """Nine points of three runs: as many parameters as runs, whatever the points say."""
    loss = 1.5 + 400 * COST**-0.2
    fit = fit_compute_law(COST, loss, floor="free", clusters=np.repeat([0, 1, 2], 3))
    assert fit.status is FitStatus.NOT_IDENTIFIABLE
    assert "3 runs do not identify a floor" in fit.reason


@pytest.mark.parametrize(
    ("cost", "loss", "statuses"),
    [
        ([1.0, 2.0], [2.0, 1.0], {FitStatus.TOO_FEW_POINTS}),
        ([1.0, 1.0, 1.0, 1.0], [2.0, 3.0, 4.0, 5.0], {FitStatus.TOO_FEW_POINTS}),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], {FitStatus.BOUND_HIT}),
        ([], [], {FitStatus.INVALID_DATA}),
        ([1.0, 2.0, 3.0], [float("nan"), -1.0, float("inf")], {FitStatus.INVALID_DATA}),
    ],
)
def test_degenerate_input_ends_in_a_status(cost: list[float], loss: list[float], statuses: set[FitStatus]) -> None:
    fit = fit_compute_law(cost, loss, floor="free")
    assert fit.status in statuses
    assert fit.reason


def test_bad_points_are_left_out_and_counted() -> None:
    loss = 30 * COST**-0.05
    loss[2], loss[5] = np.nan, -1.0
    fit = fit_compute_law(COST, loss, floor="none")
    assert fit.left_out == {"not_finite": 1, "response_not_positive": 1}
    assert fit.params["alpha_C"] == pytest.approx(0.05, rel=1e-9)
