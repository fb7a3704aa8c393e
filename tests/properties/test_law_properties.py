"""What a fit must keep whatever the data: units, order, duplicates; and inputs that no fit can mend."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from archbench.analysis.fitting.fit import LawFit, fit_law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.laws.single import ComputeLaw
from archbench.answers.table_options import MAX_POINTS
from archbench.cli.fit import fit
from archbench.errors import SpecError
from archbench.results.fits import FitStatus

SEEDS = st.integers(0, 10_000)


def runs_of(seed: int, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Costs and losses of a law with a floor, with noise that leaves it identified."""
    generator = np.random.default_rng(seed)
    cost = np.exp(generator.uniform(np.log(1e17), np.log(1e22), count))
    truth = {"alpha_C": float(generator.uniform(0.12, 0.4)), "C_c": 1e18, "E": float(generator.uniform(0.8, 2.0))}
    return cost, ComputeLaw().predict(truth, C=cost) * np.exp(generator.normal(0, 0.002, count))


def fitted(cost: np.ndarray, loss: np.ndarray, weights: np.ndarray | None = None) -> LawFit:
    # Least squares has one smooth minimum: agreement is then limited by the minimiser's tolerance alone.
    return fit_law(ComputeLaw(), {"C": cost}, loss, delta=np.inf, weights=weights)


def same(one: LawFit, other: LawFit, rel: float = 1e-5) -> None:
    assert one.result.status is other.result.status
    for name, value in one.result.params.items():
        assert other.result.params[name] == pytest.approx(value, rel=rel)


@settings(max_examples=6)
@given(seed=SEEDS, factor=st.floats(1e-20, 1e20))
def test_another_unit_of_cost_changes_the_scale_and_nothing_else(seed: int, factor: float) -> None:
    cost, loss = runs_of(seed)
    one, other = fitted(cost, loss).result, fitted(cost * factor, loss).result
    assert one.status is other.status
    assert other.params["alpha_C"] == pytest.approx(one.params["alpha_C"], rel=1e-5)
    assert other.params["E"] == pytest.approx(one.params["E"], rel=1e-5)
    assert other.params["C_c"] == pytest.approx(one.params["C_c"] * factor, rel=1e-3)  # of ln C_c, near 40: 3e-5


@settings(max_examples=6)
@given(seed=SEEDS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(seed: int, order: object) -> None:
    cost, loss = runs_of(seed)
    shuffled = list(range(len(cost)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    same(fitted(cost, loss), fitted(cost[shuffled], loss[shuffled]))


@settings(max_examples=6)
@given(seed=SEEDS, repeats=st.lists(st.integers(1, 4), min_size=24, max_size=24))
def test_a_repeated_row_is_a_row_of_that_weight(seed: int, repeats: list[int]) -> None:
    cost, loss = runs_of(seed)
    weighted = fitted(cost, loss, np.array(repeats, dtype=float))
    repeated = fitted(np.repeat(cost, repeats), np.repeat(loss, repeats))
    for name, value in weighted.result.params.items():
        assert repeated.result.params[name] == pytest.approx(value, rel=1e-5)
    assert repeated.result.objective_value == pytest.approx(weighted.result.objective_value, rel=1e-6)


@settings(max_examples=3)
@given(seed=SEEDS)
def test_more_parameters_and_more_tokens_never_predict_a_higher_loss(seed: int) -> None:
    generator = np.random.default_rng(seed)
    N = np.exp(generator.uniform(np.log(1e7), np.log(1e10), 40))
    D = np.exp(generator.uniform(np.log(1e9), np.log(1e12), 40))
    truth = {"A": 482.0, "B": 2085.0, "E": 1.8, "alpha": 0.35, "beta": 0.37}
    found = fit_law(
        Chinchilla(), {"N": N, "D": D}, Chinchilla().predict(truth, N=N, D=D) * (1 + 0.01 * generator.random(40))
    )
    if not found.ok:
        return
    grid = np.geomspace(1e6, 1e13, 50)
    assert (np.diff(found.predict(N=grid, D=1e11)) <= 0).all()
    assert (np.diff(found.predict(N=1e9, D=grid)) <= 0).all()


# Inputs that no fit can mend, through the command: each a status, or one clear line.

FLAGS = ["--law", "chinchilla", "--params", "n", "--tokens", "d", "--loss", "loss"]


def table() -> pd.DataFrame:
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 5)))
    truth = {"A": 482.0, "B": 2085.0, "E": 1.8, "alpha": 0.35, "beta": 0.37}
    noise = np.random.default_rng(0).normal(0, 0.001, len(n))
    return pd.DataFrame({"n": n, "d": d, "seed": 0, "loss": Chinchilla().predict(truth, N=n, D=d) * np.exp(noise)})


def command(file: Path, *flags: str) -> Result:
    return CliRunner().invoke(fit, [str(file), *flags])


def status_of(frame: pd.DataFrame, folder: Path, *flags: str) -> dict[str, object]:
    file = folder / "runs.csv"
    frame.to_csv(file, index=False)
    result = command(file, *FLAGS, "--no-audit", "--resamples", "20", "--json", *flags)
    assert result.exit_code == 0, (result.output, result.exception)
    one: dict[str, object] = json.loads(result.stdout)["fits"][0]
    return one


def test_two_sizes_are_too_few(tmp_path: Path) -> None:
    frame = table()
    found = status_of(frame[frame["n"] <= frame["n"].unique()[1] * 1.01], tmp_path)
    assert found["status"] == "too_few_sizes"
    assert found["params"] == {}


def test_one_run_and_no_run_are_too_few(tmp_path: Path) -> None:
    assert status_of(table().iloc[:1], tmp_path)["status"] == "too_few_points"
    assert status_of(table().assign(loss=np.nan), tmp_path)["status"] == "invalid_data"


def test_ties_of_the_loss_identify_nothing(tmp_path: Path) -> None:
    found = status_of(table().assign(loss=3.0), tmp_path)
    assert found["status"] in {"bound_hit", "not_identifiable"}
    assert found["intervals"] == {}


def test_one_outlier_of_a_hundred_times_the_loss_moves_exponents_by_less_than_their_interval(tmp_path: Path) -> None:
    frame = table()
    frame.loc[7, "loss"] *= 100
    clean, spoilt = status_of(table(), tmp_path), status_of(frame, tmp_path)
    assert spoilt["status"] == "ok"
    for name in ("alpha", "beta"):
        low, high = (clean["intervals"][name][end] for end in ("low", "high"))  # type: ignore[index]
        assert abs(spoilt["params"][name] - clean["params"][name]) < high - low  # type: ignore[index]


def test_negative_losses_and_missing_values_are_left_out_and_counted(tmp_path: Path) -> None:
    frame = table()
    frame.loc[[3, 4], "loss"] = [-1.0, np.nan]
    frame.loc[5, "d"] = np.inf
    frame.loc[6, "n"] = 0
    found = status_of(frame, tmp_path)
    assert found["points_used"] == 21
    assert found["left_out"] == {"no_number": 2, "not_positive": 2}
    assert found["status"] == "ok"


def test_one_seed_is_enough_for_a_fit(tmp_path: Path) -> None:
    assert status_of(table(), tmp_path, "--seed", "seed")["status"] == "ok"


def test_tokens_in_billions_keep_the_exponents_once_that_is_said(tmp_path: Path) -> None:
    frame = table().assign(d=table()["d"] / 1e9)
    right, wrong = status_of(table(), tmp_path), status_of(frame, tmp_path, "--scale", "tokens=1e9")
    assert wrong["params"]["beta"] == pytest.approx(right["params"]["beta"], rel=1e-3)  # type: ignore[index]
    assert any("not stated" in line for line in wrong["notes"])  # type: ignore[attr-defined]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    file = tmp_path / "excel.csv"
    file.write_bytes(b"\xef\xbb\xbf" + table().to_csv(index=False).encode())
    result = command(file, *FLAGS, "--no-audit", "--resamples", "0")
    assert result.exit_code == 0, result.exception


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.rename(columns={"loss": "loss_nats"}), "did you mean 'loss_nats'"),
        (lambda frame: frame.astype({"n": object}).replace({"n": {1e7: "10M"}}), "row 1: got '10M', expected a number"),
        (lambda frame: frame.iloc[:0], "holds no rows"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path: Path, change: object, message: str) -> None:
    file = tmp_path / "runs.csv"
    change(table()).to_csv(file, index=False)  # type: ignore[operator]
    result = command(file, *FLAGS)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00\x01", b"n,d,loss\n1,2\n3,4,5,6\n", b"\x00" * 64])
def test_bytes_that_are_no_table_are_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "runs.csv"
    file.write_bytes(content)
    result = command(file, *FLAGS)
    assert isinstance(result.exception, SpecError)
    assert "\n" not in str(result.exception)


def test_more_points_than_a_law_needs_are_refused_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    many = pd.DataFrame({"n": 1e7, "d": np.arange(1.0, MAX_POINTS + 2.0), "loss": 3.0})
    many.to_csv(file, index=False)
    result = command(file, *FLAGS)
    assert isinstance(result.exception, SpecError)
    assert f"{MAX_POINTS + 1:,} points" in str(result.exception)
    assert "--points final or efficient" in str(result.exception)


def test_a_fit_of_many_points_searches_on_a_part_of_them_and_ends_on_all() -> None:
    cost, loss = runs_of(3, count=6000)
    found = fitted(cost, loss)
    assert found.result.status is FitStatus.OK
    assert found.result.points_used == 6000
    part = fitted(cost[:1500], loss[:1500])
    # Four times the points: the estimates differ by about the standard error of the smaller part.
    assert found.result.params["alpha_C"] == pytest.approx(part.result.params["alpha_C"], rel=0.02)
