"""The gate as a person meets it: the same sentences in text, JSON and report, for fit, forecast and import."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.cli.compare import compare
from archbench.cli.fit import fit
from archbench.cli.forecast import forecast
from archbench.cli.import_runs import import_runs
from archbench.cli.plan import plan
from archbench.cli.report import report
from archbench.errors import SpecError
from archbench.report.labels import labels_of
from archbench.results.executed_flops import without_executed_flops
from archbench.results.runs import RunRecord
from archbench.runs.store import RunStore

pytestmark = pytest.mark.thorough

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
COLUMNS = ["--params", "n", "--tokens", "d", "--loss", "loss", "--arch", "arch"]
STATED = ["--param-convention", "total", "--track", "causal"]


def runs(arch: str = "gpt", better: float = 1.0) -> pd.DataFrame:
    n = np.repeat(np.geomspace(1e7, 1e9, 5).round(), 4)
    d = np.tile([10.0, 20, 40, 80], 5) * n
    noise = np.exp(np.random.default_rng(4).normal(0, 0.003, 20))
    loss = Chinchilla().predict(TRUTH, N=n, D=d) * noise * better
    return pd.DataFrame({"arch": arch, "n": n, "d": d, "c": 7.5 * n * d, "hours": n * d / 1e17, "loss": loss})


def broken() -> pd.DataFrame:
    frame = runs()
    frame.loc[3, "loss"] = np.nan
    frame.loc[19, "loss"] = 10.4
    return frame


def written(folder: Path, frame: pd.DataFrame, name: str = "theirs.csv") -> Path:
    file = folder / name
    frame.to_csv(file, index=False)
    return file


def taken_in(file: Path, *arguments: str) -> Result:
    store = ["--runs", str(file.parent / "runs")]
    return CliRunner().invoke(import_runs, [str(file), *COLUMNS, *STATED, *store, *arguments])


def records(file: Path, scan: str | None = None) -> list[RunRecord]:
    store = RunStore(file.parent / "runs")
    found = [store.record(run) for run in store.scan(scan or file.stem).runs]
    return [record for record in found if record is not None]


LEFT_OUT = [
    "18 of 20 rows used",
    "left out: row 4: no number in column 'loss' (--loss)",
    "left out: row 20: diverged: its last loss is 10.4, the other runs lead one to expect ",
]


@pytest.mark.parametrize("law", ["chinchilla", "allocation"])
def test_fit_names_every_row_that_it_leaves_out_in_text_and_json(tmp_path: Path, law: str) -> None:
    flags = [*COLUMNS, "--compute", "c", "--law", law, "--resamples", "10"]
    arguments = [str(written(tmp_path, broken())), *flags, *([] if law == "allocation" else ["--no-audit"])]
    printed = CliRunner().invoke(fit, arguments).output
    (one,) = json.loads(CliRunner().invoke(fit, [*arguments, "--json"]).output)["fits"]
    gate = one["gate"]
    assert [line[: len(start)] for line, start in zip(gate["lines"], LEFT_OUT, strict=False)] == LEFT_OUT
    assert all(line in printed for line in gate["lines"])
    assert {(left["kind"], *left["rows"]) for left in gate["left_out"]} == {("no_number", 4), ("diverged", 20)}


def test_forecast_says_the_same(tmp_path: Path) -> None:
    arguments = [str(written(tmp_path, broken())), *COLUMNS, "--law", "chinchilla", "--budget", "1e20"]
    printed = CliRunner().invoke(forecast, [*arguments, "--resamples", "100"]).output
    assert all(f"gpt: {line}" in printed for line in LEFT_OUT[:2])


def test_where_no_row_is_left_the_status_names_the_column(tmp_path: Path) -> None:
    file = written(tmp_path, runs().assign(d=np.nan))
    found = CliRunner().invoke(fit, [str(file), *COLUMNS, "--law", "chinchilla"])
    assert found.exit_code == 0
    assert "status invalid_data: no row is left: no number in column 'd' (--tokens)" in found.output
    refused = taken_in(file)
    assert isinstance(refused.exception, SpecError)
    assert "no row is left: no number in column 'd' (--tokens)" in str(refused.exception)


def test_the_audit_shows_the_law_without_outliers(tmp_path: Path) -> None:
    frame = runs()
    frame.loc[[2, 17], "loss"] *= [1.08, 0.93]
    file = written(tmp_path, frame)
    found = CliRunner().invoke(fit, [str(file), *COLUMNS, "--law", "chinchilla", "--resamples", "0", "--json"])
    (one,) = json.loads(found.output)["fits"]
    assert one["gate"]["suspicions"][0]["rows"] == [3, 18]
    (without,) = (row for row in one["audit"] if row["variant"] == "without flagged runs")
    assert without["points_used"] == 18
    clean = frame.drop(index=[2, 17])
    direct = fit_law(Chinchilla(), {"N": clean["n"], "D": clean["d"]}, clean["loss"]).result.params
    assert without["params"]["alpha"] == pytest.approx(direct["alpha"], rel=1e-9)


def test_the_convention_of_n_is_carried_to_every_row_of_the_audit(tmp_path: Path) -> None:
    file = written(tmp_path, runs().assign(all=lambda frame: 8 * frame["n"]))
    columns = ["--params-active", "n", "--params-total", "all", *COLUMNS[2:]]
    flags = ["--law", "chinchilla", "--resamples", "0", "--param-convention", "total", "--json"]
    (one,) = json.loads(CliRunner().invoke(fit, [str(file), *columns, *flags]).output)["fits"]
    assert one["param_convention"] == "total, active"
    conventions = {row["variant"]: row["param_convention"] for row in one["audit"]}
    assert conventions.pop("N: all parameters") == "all parameters"
    assert set(conventions.values()) == {"total, active"}


def test_an_import_states_what_the_table_stated(tmp_path: Path) -> None:
    frame = runs()
    extra = {"all": 8 * frame["n"], "s": frame["hours"] * 3600, "six": 6 * frame["n"] * frame["d"]}
    file = written(tmp_path, frame.assign(**extra))
    columns = ["--compute", "c", "--compute-unit", "flops", "--seconds", "s", "--params-total", "all"]
    assert taken_in(file, *columns).exit_code == 0
    found = records(file)
    first = min(found, key=lambda run: (run.non_embedding_params, run.planned_tokens))
    assert first.curve[-1].exact_flops == pytest.approx(7.5e7 * 1e8)
    assert first.curve[-1].device_seconds == pytest.approx(1e15 / 1e17 * 3600)
    assert first.details["params_total"] == 8e7
    labels = labels_of(found)
    assert labels.params == "with embeddings"
    assert labels.flops_column == "FLOPs as stated in the table"
    assert labels.loss_label == "validation loss (nats per predicted token)"
    # 6ND that a table states is stated; without a column of compute nobody counted.
    assert taken_in(file, "--compute", "six", "--compute-unit", "flops", "--replace").exit_code == 0
    assert without_executed_flops(records(file)) == []
    assert taken_in(file, "--replace").exit_code == 0
    assert without_executed_flops(records(file)) == ["gpt"]
    assert labels_of(records(file)).flops_column == "FLOPs by 6ND"


def test_losses_per_byte_stay_per_byte_and_compare_with_their_like_only(tmp_path: Path) -> None:
    byte = written(tmp_path, runs("byte").assign(loss=lambda frame: frame["loss"] / 3), "byte.csv")
    token = written(tmp_path, runs("token"), "token.csv")
    assert taken_in(byte, "--loss-unit", "bpb", "--text", "c4").exit_code == 0
    assert taken_in(token, "--text", "c4").exit_code == 0
    point = records(byte)[0].curve[-1]
    assert point.bits_per_byte == pytest.approx(point.validation_loss_nats / np.log(2))
    assert labels_of(records(byte)).nats == "nats per byte"
    refused = CliRunner().invoke(compare, ["byte", "token", "--runs", str(tmp_path / "runs")])
    assert "losses in bits per byte, 'token' in nats per token" in str(refused.exception)


def test_two_imports_compare_where_both_name_one_text(tmp_path: Path) -> None:
    first, second = written(tmp_path, runs("a"), "one.csv"), written(tmp_path, runs("b", 0.98), "two.csv")
    for text in ([], ["--text", "c4"]):
        assert taken_in(first, *text).exit_code == 0
        refused = CliRunner().invoke(compare, ["a", "b", "--runs", str(tmp_path / "runs")])
        assert isinstance(refused.exception, SpecError)
        assert taken_in(second, *text).exit_code == 0
        result = CliRunner().invoke(compare, ["a", "b", "--runs", str(tmp_path / "runs")])
        if not text:
            assert "not known to be of the same text" in str(result.exception)
            assert "--text NAME" in str(result.exception)
    assert result.exit_code == 0, result.output


def test_seeds_may_be_any_labels_and_missing_ones_are_numbered(tmp_path: Path) -> None:
    frame = pd.concat([runs(), runs().assign(loss=lambda one: one["loss"] * 1.001)], ignore_index=True)
    file = written(tmp_path, frame.assign(seed=["one"] * 20 + ["two"] * 20))
    for extra in (["--seed", "seed"], []):
        assert taken_in(file, *extra).exit_code == 0
        assert {record.seed for record in records(file)} == {0, 1}
        assert len(records(file)) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "parms=1e9"], "did you mean 'params'?"),
        (["--scale", "params=many"], "expected NAME=FACTOR"),
        (["--log10", "step"], "--log10 step: --step names no column"),
        (["--best-of", "lrr"], "there is no column 'lrr'"),
        (["--where", "arch"], "expected COL=VALUE"),
        (["--params-active", "n"], "both name N"),
        (["--compute", "c"], "--compute-unit"),
        (["--compute", "c", "--compute-unit", "gpu-hours", "--seconds", "hours"], "both are times"),
        (["--text", " "], "got an empty name"),
    ],
)
def test_a_wrong_flag_is_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = taken_in(written(tmp_path, runs()), *arguments)
    assert isinstance(result.exception, SpecError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def swept(arch: str, rates: int) -> pd.DataFrame:
    """Five sizes, `rates` learning rates each; the second one is the best where there are several."""
    n = np.array([1e7, 2e7, 4e7, 8e7, 1.6e8])
    losses = 1.7 + 1.9 * (n / 1e7) ** -0.3
    noise = np.random.default_rng(rates).normal(0, 0.002, (rates, 5))
    worse = np.array([1.03, 1.0, 1.05])[:rates, None]
    return pd.concat(
        [
            pd.DataFrame({"arch": arch, "n": n, "d": 20 * n, "lr": rate, "loss": loss})
            for rate, loss in zip([1e-3, 3e-3, 1e-2], losses * worse * np.exp(noise), strict=False)
        ]
    )


def test_a_best_of_more_settings_than_the_other_is_said_wherever_the_two_are_compared(tmp_path: Path) -> None:
    file = written(tmp_path, pd.concat([swept("gpt", 1), swept("llama", 3)]))
    words = "llama is the best of 3 settings (lr) a size, gpt of 1"
    assert f"warning: {words}" in taken_in(file, "--best-of", "lr", "--baseline", "gpt").output
    store = ["--runs", str(tmp_path / "runs")]
    printed = CliRunner().invoke(compare, ["gpt", "llama", *store]).output
    assert f"- Mind: {words}" in " ".join(printed.split())
    mind = json.loads(CliRunner().invoke(compare, ["gpt", "llama", *store, "--json"]).output)["mind"]
    assert [line.startswith(words) for line in mind] == [True]
    reported = CliRunner().invoke(report, ["theirs", *store, "--reports", str(tmp_path / "reports")])
    assert reported.exit_code == 0, reported.output
    assert words in (tmp_path / "reports" / "theirs" / "report.md").read_text()


def test_nothing_is_said_of_sweeps_that_are_equal(tmp_path: Path) -> None:
    file = written(tmp_path, pd.concat([swept("gpt", 3), swept("llama", 3)]))
    assert "warning" not in taken_in(file, "--best-of", "lr").output
    result = CliRunner().invoke(compare, ["gpt", "llama", "--runs", str(tmp_path / "runs"), "--json"])
    assert json.loads(result.output)["mind"] == []


def test_a_contender_that_is_left_out_altogether_is_said_last_and_not_counted(tmp_path: Path) -> None:
    frame = pd.concat([runs("dense"), runs("moe").assign(all=lambda one: 8 * one["n"])], ignore_index=True)
    file = written(tmp_path, frame)
    result = taken_in(file, "--params-total", "all")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "dense: 0 of 20 rows used: left out altogether" in lines
    assert lines[-2].startswith("warning: dense is left out altogether: no number in column 'all' (--params-total)")
    assert "all parameters of a dense model are its N" in lines[-2]
    assert "20 runs of 1 architecture are now scan" in lines[-1]
    refused = taken_in(file, "--params-total", "all", "--baseline", "dense", "--replace")
    assert "--baseline: 'dense' has no row left" in str(refused.exception)


@pytest.mark.filterwarnings("error")
def test_losses_near_zero_are_refused_or_compared_without_a_warning(tmp_path: Path) -> None:
    none = pd.concat([runs("gpt"), runs("llama")]).assign(loss=1e-300)
    assert "is below 1e-06: as good as 0" in str(taken_in(written(tmp_path, none)).exception)
    small = pd.concat([runs("gpt"), runs("llama", 0.98)]).assign(loss=lambda frame: frame["loss"] * 1e-6)
    assert taken_in(written(tmp_path, small)).exit_code == 0
    result = CliRunner().invoke(compare, ["gpt", "llama", "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output


def test_compare_names_the_form_and_the_sizes_that_it_leaves_out(tmp_path: Path) -> None:
    n = np.array([1e7, 2e7, 4e7, 8e7, 1.6e8])
    good = pd.DataFrame({"arch": "a", "n": n, "d": 20 * n, "loss": 1.7 + 1.9 * (n / 1e7) ** -0.3})
    failed = good.assign(arch="b", loss=np.append(good["loss"][:4], 3.2))
    file = written(tmp_path, pd.concat([good, failed]))
    assert taken_in(file).exit_code == 0
    result = CliRunner().invoke(compare, ["a", "b", "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "Read from: law L(C) above a common floor" in said
    assert "b without size 5, which a cheaper size beats" in said


def test_the_loss_is_found_by_its_usual_name_beside_columns_that_are_named(tmp_path: Path) -> None:
    file = written(tmp_path, runs())
    result = CliRunner().invoke(fit, [str(file), "--params", "n", "--tokens", "d", "--law", "chinchilla", "--no-audit"])
    assert result.exit_code == 0, result.output
    assert "column by its usual name: --loss loss" in result.output


def test_runs_whose_flops_are_6nd_are_compared_on_one_axis_of_flops(tmp_path: Path) -> None:
    file = written(tmp_path, pd.concat([runs("gpt"), runs("mamba", better=0.9)]))
    assert taken_in(file).exit_code == 0
    result = CliRunner().invoke(compare, ["gpt", "mamba", "--runs", str(tmp_path / "runs")])
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if line.startswith(("FLOPs by 6ND", "6ND FLOPs"))]
    assert len(rows) == 1


def test_a_multiplier_that_changes_with_scale_is_said_to_grow_where_it_grows(tmp_path: Path) -> None:
    n = np.array([1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8])
    plain = pd.DataFrame({"arch": "a", "n": n, "d": 20 * n, "loss": 1.7 + 1.9 * (n / 1e7) ** -0.25})
    steep = plain.assign(arch="b", loss=1.7 + 1.8 * (n / 1e7) ** -0.3)
    file = written(tmp_path, pd.concat([plain, steep]))
    assert taken_in(file).exit_code == 0
    result = CliRunner().invoke(compare, ["a", "b", "--runs", str(tmp_path / "runs")])
    said = " ".join(result.output.split())
    found = re.search(
        r"The multiplier grows over its window, from ([\d.]+) at ([\d.]+) to ([\d.]+) at ([\d.]+)\.", said
    )
    assert found is not None, said
    first, high_loss, last, low_loss = map(float, found.groups())
    assert first < last
    assert high_loss > low_loss


def test_what_is_measured_per_byte_is_said_per_byte_by_compare_forecast_and_plan(tmp_path: Path) -> None:
    n = np.array([1e7, 2e7, 4e7, 8e7, 1.6e8])
    good = pd.DataFrame({"arch": "a", "n": n, "d": 20 * n, "loss": 0.6 + 0.5 * (n / 1e7) ** -0.3})
    file = written(tmp_path, pd.concat([good, good.assign(arch="b", loss=0.6 + 0.48 * (n / 1e7) ** -0.3)]))
    assert taken_in(file, "--loss-unit", "nats-per-byte").exit_code == 0
    store = ["--runs", str(tmp_path / "runs")]
    compared = CliRunner().invoke(compare, ["a", "b", *store])
    assert re.search(r"above a common floor of [\d.]+ bits per byte", " ".join(compared.output.split()))
    foretold = CliRunner().invoke(forecast, ["--scan", "theirs", "--budget", "1e18", *store])
    assert re.search(r"1e\+18 FLOPs by 6ND: loss [\d.]+ \([\d.]+ to [\d.]+\) nats per byte by L\(C\)", foretold.output)
    planned = CliRunner().invoke(plan, ["--next", "--scan", "theirs", *store])
    assert "FLOPs by 6ND together" in planned.output
