"""The verdict on published runs of other groups: a known factor comes back, and every command says the same.

Sources and licences of the tables: rundata/README.md.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from archbench.analysis.comparison.multiplier import headline_multiplier
from archbench.analysis.frontier.finished import FinishedRuns
from archbench.analysis.frontier.read import read_frontiers
from archbench.analysis.frontier.reading import Form
from archbench.cli.main import cli
from archbench.results.fits import FitStatus
from archbench.results.runs import CostAxis

RUNDATA = Path(__file__).parent / "rundata"
HALVES = 4


def gemstone() -> pd.DataFrame:
    table = pd.read_json(RUNDATA / "gemstone_hot.jsonl", lines=True)
    return pd.DataFrame({"N": table.params_active_precise, "D": table.tokens, "loss": table.final_loss})


def mlfoundations(dataset: str) -> pd.DataFrame:
    table = pd.read_csv(RUNDATA / "mlfoundations_runs.csv")
    mine = table[table.train_dataset == dataset]
    return pd.DataFrame({"N": mine.N, "D": mine.D, "loss": mine.loss_c4_val}).dropna()


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "gemstone": gemstone,
    "mlfoundations rpj": lambda: mlfoundations("rpj"),
    "mlfoundations c4": lambda: mlfoundations("c4_original"),
}


def half(name: str, table: pd.DataFrame, factor: float = 1.0) -> FinishedRuns:
    """Finished runs whose compute is divided by `factor`: the same losses for less."""
    ranked = table.assign(C=6.0 * table.N * table.D / factor).sort_values("C", kind="stable")
    params = ranked.N.to_numpy(dtype=float)
    return FinishedRuns(
        name,
        CostAxis.KAPLAN,
        np.unique(params, return_inverse=True)[1],
        np.log(params),
        np.log(ranked.D.to_numpy(dtype=float)),
        np.log(ranked.C.to_numpy(dtype=float)),
        tuple(np.array([loss]) for loss in np.log(ranked.loss.to_numpy(dtype=float))),
        tuple((0,) for _ in params),
    )


EVERY = pytest.mark.parametrize(
    "name", [name if name == "mlfoundations c4" else pytest.param(name, marks=pytest.mark.thorough) for name in TABLES]
)


@EVERY
@pytest.mark.parametrize("factor", [1.0, 1.3, 2.5])
def test_random_halves_differ_by_the_factor_that_was_put_in(name: str, factor: float) -> None:
    table = TABLES[name]()
    held = 0
    for seed in range(HALVES):
        generator = np.random.default_rng(seed)
        first = generator.permutation(len(table)) < len(table) / 2
        pair = (half("A", table[first]), half("X", table[~first], factor))
        found = headline_multiplier(read_frontiers(pair, num_resamples=100, generator=generator))
        if found.status is FitStatus.OK and found.multiplier is not None:
            held += found.multiplier.covers(factor)
            # Seventeen runs a half tell a factor no better than that.
            assert 0.5 * factor < found.multiplier.value < 2.0 * factor
        else:
            held += 1  # a refusal claims nothing
    # Four halves at 95 %: fewer than three holding it has a probability of 1.4 %.
    assert held >= HALVES - 1


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@EVERY
def test_fit_compare_report_and_forecast_print_the_same_figures(name: str, tmp_path: Path) -> None:
    table = TABLES[name]()
    # Every second size is one architecture: two grids that share no run.
    sizes = {size: number for number, size in enumerate(sorted(table.N.unique()))}
    table = table.assign(arch=["ab"[sizes[size] % 2] for size in table.N], N=table.N.astype(int), D=table.D.astype(int))
    file = tmp_path / "runs.csv"
    table.to_csv(file, index=False)
    columns = ("--params", "N", "--tokens", "D", "--loss", "loss", "--arch", "arch", "--param-convention", "total")
    store = ("--runs", str(tmp_path / "store"))
    invoke("import", str(file), *columns, "--track", "causal", "--baseline", "a", *store)

    compared = json.loads(invoke("compare", "a", "b", *store, "--json"))["comparisons"]
    reports = tmp_path / "reports"
    invoke("report", "runs", *store, "--reports", str(reports))
    data = next(reports.rglob("headlines.csv")).parent
    reported = {row["cost_axis"]: row for row in csv.DictReader((data / "headlines.csv").read_text().splitlines())}
    assert len(compared) == len(reported) >= 1
    for pair in compared:
        row, headline = reported[pair["cost_axis"]], pair["headline"]
        assert row["status"] == headline["status"]
        assert float(row["multiplier"]) == headline["multiplier"]["value"]
        assert (float(row["low_95"]), float(row["high_95"])) == (
            headline["multiplier"]["low"],
            headline["multiplier"]["high"],
        )
        assert (float(row["window_high_nats"]), float(row["window_low_nats"])) == tuple(headline["window_nats"])

    law = ("--law", "chinchilla", "--resamples", "100")
    fits = json.loads(invoke("fit", str(file), *columns, *law, "--no-audit", "--json"))["fits"]
    laws = [
        row for row in csv.DictReader((data / "laws.csv").read_text().splitlines()) if row["law"].startswith("L(N,D)")
    ]
    assert laws
    for row in laws:
        fit = next(one for one in fits if one["arch"] == row["contender"])
        assert row["status"] == fit["status"]
        if fit["status"] == "ok":
            assert float(row["E"]) == pytest.approx(fit["params"]["E"], rel=1e-9)

    budget = ("--budget", "1e21", "--resamples", "100")
    scan = json.loads(invoke("forecast", "--scan", "runs", "--axis", "kaplan", *budget, *store, "--json"))
    by_table = json.loads(invoke("forecast", str(file), *columns, *law[:2], *budget, "--json"))
    for one in scan["forecasts"]:
        other = next(row for row in by_table["forecasts"] if row["arch"] == one["contender"])
        if other["budgets"] and one["joint"]["status"] == "ok" and one["joint"]["law"] == other["fit"]["law"]:
            losses = (one["budgets"][0]["loss"]["loss"]["value"], other["budgets"][0]["loss"]["value"])
            assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def ladders(folder: Path) -> Path:
    """Six sizes at twenty tokens a parameter on each of three texts, as the architectures of one table."""
    table = pd.read_csv(RUNDATA / "mlfoundations_runs.csv")
    mine = table[(table.D / table.N).round() == 20].dropna(subset=["loss_c4_val"])
    file = folder / "ladders.csv"
    pd.DataFrame({"arch": mine.train_dataset, "N": mine.N, "D": mine.D, "loss": mine.loss_c4_val}).to_csv(
        file, index=False
    )
    return file


def with_ends(interval: dict[str, float]) -> tuple[float, float, float]:
    return interval["value"], interval["low"], interval["high"]


def test_the_laws_of_a_ladder_and_their_intervals_are_the_same_by_every_command(tmp_path: Path) -> None:
    file = ladders(tmp_path)
    columns = ("--params", "N", "--tokens", "D", "--loss", "loss", "--arch", "arch", "--param-convention", "total")
    store = ("--runs", str(tmp_path / "store"))
    invoke("import", str(file), *columns, "--track", "causal", "--baseline", "c4_original", *store)
    invoke("report", "ladders", *store, "--reports", str(tmp_path / "reports"))
    data = next((tmp_path / "reports").rglob("laws.csv")).parent
    laws = {
        (row["contender"], row["law"]): row
        for row in csv.DictReader((data / "laws.csv").read_text().splitlines())
        if row["cost_axis"] == "exact"
    }
    studies = list(csv.DictReader((data / "study_laws.csv").read_text().splitlines()))

    fits = json.loads(invoke("fit", str(file), *columns, "--law", "L(C)", "--compute", "6ND", "--no-audit", "--json"))
    assert [one["status"] for one in fits["fits"]] == ["ok"] * 3
    for fit in fits["fits"]:
        row = laws[fit["arch"], "L(C) with floor"]
        reported = (float(row["alpha"]), float(row["alpha_low"]), float(row["alpha_high"]))
        assert with_ends(fit["intervals"]["alpha_C"]) == pytest.approx(reported, rel=1e-6)
        assert fit["params"]["E"] == pytest.approx(float(row["E"]), rel=1e-6)

    for fit in json.loads(invoke("fit", str(file), *columns, "--law", "L(N)", "--no-audit", "--json"))["fits"]:
        row = next(
            one
            for one in studies
            if (one["contender"], one["kind"], one["floor"], one["parameter"])
            == (fit["arch"], "size_scan", "free", "alpha_N")
        )
        reported = (float(row["value"]), float(row["low"]), float(row["high"]))
        assert with_ends(fit["intervals"]["alpha_N"]) == pytest.approx(reported, rel=1e-6)

    budget = ("--budget", "1e21")
    scan = json.loads(invoke("forecast", "--scan", "ladders", "--axis", "kaplan", *budget, *store, "--json"))
    table = json.loads(invoke("forecast", str(file), *columns, "--law", "L(C)", "--compute", "6ND", *budget, "--json"))
    for one, other in zip(scan["forecasts"], table["forecasts"], strict=True):
        assert one["contender"] == other["arch"]
        by_scan, by_table = one["budgets"][0]["loss"]["loss"], other["budgets"][0]["loss"]
        assert with_ends(by_scan) == pytest.approx(with_ends(by_table), rel=1e-6)


def test_neither_the_order_of_rows_nor_which_is_the_baseline_changes_a_digit(tmp_path: Path) -> None:
    file = ladders(tmp_path)
    columns = ("--params", "N", "--tokens", "D", "--loss", "loss", "--arch", "arch", "--param-convention", "total")
    shuffled = tmp_path / "shuffled.csv"
    pd.read_csv(file).sample(frac=1.0, random_state=5).to_csv(shuffled, index=False)
    found = []
    for table in (file, shuffled):
        store = ("--runs", str(tmp_path / table.stem))
        invoke("import", str(table), *columns, "--track", "causal", *store)
        pair = json.loads(invoke("compare", "rpj", "c4_original", *store, "--json"))["comparisons"][0]
        found.append(with_ends(pair["headline"]["multiplier"]))
    assert found[0] == found[1]
    turned = json.loads(invoke("compare", "c4_original", "rpj", *store, "--json"))["comparisons"][0]
    value, low, high = with_ends(turned["headline"]["multiplier"])
    assert (1 / value, 1 / high, 1 / low) == pytest.approx(found[0], rel=1e-9)


def test_a_ladder_is_read_by_its_law_of_compute_and_says_why() -> None:
    optima = pd.read_csv(RUNDATA / "marin_isoflop_optima.csv")
    cost = optima.budget_flops.to_numpy(dtype=float)
    loss = optima.paloma_macro_optimum.to_numpy(dtype=float)
    size = (cost / 120.0) ** 0.5
    runs = pd.DataFrame({"N": size, "D": 20.0 * size, "loss": loss}).dropna()
    pair = (half("published", runs), half("cheaper", runs, 1.3))
    reading = read_frontiers(pair, num_resamples=200, generator=np.random.default_rng(0))
    found = headline_multiplier(reading)
    assert reading.form is Form.COMMON_FLOOR
    assert "one budget a size" in reading.why
    assert found.multiplier is not None
    assert found.multiplier.value == pytest.approx(1.3, rel=1e-3)
