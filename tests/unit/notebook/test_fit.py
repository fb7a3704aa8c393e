"""`archbench.fit` gives the digits, sentences and refusals of `archbench fit`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import archbench
from archbench.errors import SpecError
from archbench.runs.store import RunStore

COLUMNS = {"params": "N_no_embed", "tokens": "D", "loss": "loss_c4_val", "arch": "train_dataset"}
FLAGS = ("--params", "N_no_embed", "--tokens", "D", "--loss", "loss_c4_val", "--arch", "train_dataset")
FEW: dict[str, Any] = {"law": "chinchilla", "resamples": 50}
"""Resamples: the two are held against each other, so that few show as much as many."""
FEW_FLAGS = ("--law", "chinchilla", "--resamples", "50")


@pytest.fixture(scope="module")
def frame(published: Path) -> pd.DataFrame:
    return pd.read_csv(published)


@pytest.fixture(scope="module")
def of_frame(frame: pd.DataFrame) -> Any:
    """The laws of the frame, audit and back-test included."""
    return archbench.fit(frame, **COLUMNS, **FEW)


@pytest.mark.thorough
def test_a_published_table_gives_every_digit_of_the_command(
    published: Path, of_frame: Any, printed: Callable[..., Any]
) -> None:
    by_command = printed("fit", published, *FLAGS, *FEW_FLAGS)
    assert archbench.fit(published, **COLUMNS, **FEW).to_dict() == by_command
    assert of_frame.to_dict()["file"] == "DataFrame"
    assert of_frame.to_dict()["fits"] == by_command["fits"]


def test_arguments_mean_what_flags_mean(published: Path, printed: Callable[..., Any]) -> None:
    by_command = printed(
        *("fit", published, "--params", "N", "--compute", "C", "--compute-unit", "flops", "--loss", "loss_c4_val"),
        *("--where", "train_dataset=rpj", "--law", "L(C)", "--floor", "1.5", "--scale", "params=2", "--no-audit"),
        *("--param-convention", "total", "--loss-unit", "bits", "--interval", "percentile", "--resamples", "30"),
        *("--random-seed", "3", "--points", "final", "--delta", "0.01"),
    )
    found = archbench.fit(
        published, params="N", compute="C", compute_unit="flops", loss="loss_c4_val", where={"train_dataset": "rpj"},
        law="L(C)", floor=1.5, scale={"params": 2}, audit=False, param_convention="total", loss_unit="bits",
        interval="percentile", resamples=30, random_seed=3, points="final", delta=0.01,
    )  # fmt: skip
    assert found.to_dict() == by_command


def test_usual_names_and_the_choice_of_a_law_are_the_commands(
    frame: pd.DataFrame, tmp_path: Path, printed: Callable[..., Any]
) -> None:
    plain = frame[frame["train_dataset"] == "c4_original"][["N", "D", "loss_c4_val"]]
    plain = plain.rename(columns={"loss_c4_val": "val_loss"})
    plain.to_csv(tmp_path / "plain.csv", index=False)
    by_command = printed("fit", tmp_path / "plain.csv", "--no-audit", "--resamples", 0)
    found = archbench.fit(plain, audit=False, resamples=0)
    assert found.to_dict()["fits"] == by_command["fits"]
    assert "--loss val_loss" in found.told()[0]
    assert found.to_frame("laws")["recommended"].sum() == 1


def test_the_sentences_are_those_that_the_command_prints(published: Path, said: Callable[..., str]) -> None:
    lines = said("fit", published, *FLAGS, *FEW_FLAGS, "--no-audit").splitlines()
    found = archbench.fit(published, **COLUMNS, **FEW, audit=False)
    sentences = str(found).splitlines()
    assert [line for line in lines if line in sentences] == sentences


def test_the_frame_holds_each_parameter_with_its_interval(of_frame: Any) -> None:
    found = of_frame
    table = found.to_frame()
    assert set(table["arch"]) == {"c4_original", "rpj", "rw_original"}
    row = table[(table["arch"] == "rpj") & (table["parameter"] == "alpha")].iloc[0]
    result = found["rpj"]
    assert (row["value"], row["low"], row["high"]) == (
        result.params["alpha"],
        result.intervals["alpha"].low,
        result.intervals["alpha"].high,
    )
    assert "as fitted" in set(found.to_frame("audit")["variant"])
    assert len(found.to_frame("back-test"))
    with pytest.raises(SpecError, match="did you mean 'parameters'"):
        found.to_frame("parameter")


def test_a_law_that_may_not_be_read_is_a_row_with_its_status(frame: pd.DataFrame) -> None:
    one_width = frame.assign(N_no_embed=1e7)
    table = archbench.fit(one_width, **COLUMNS, **FEW).to_frame()
    assert set(table["status"]) == {"too_few_sizes"}
    assert table["value"].isna().all()


def test_the_gate_names_rows_that_it_leaves_out(frame: pd.DataFrame) -> None:
    holed = frame.copy()
    holed.loc[holed.index[4], "loss_c4_val"] = float("nan")
    found = archbench.fit(holed, **COLUMNS, **FEW, audit=False)
    (gate,) = [one["gate"] for one in found.to_dict()["fits"] if one["arch"] == holed["train_dataset"].iloc[4]]
    assert [one["rows"] for one in gate["left_out"]] == [[5]]
    assert "row 5" in str(found)


def test_a_column_in_another_unit_is_refused_in_the_words_of_the_command(
    frame: pd.DataFrame, tmp_path: Path, said: Callable[..., str]
) -> None:
    billions = frame.assign(N_no_embed=frame["N_no_embed"] / 1e9)
    billions.to_csv(tmp_path / "billions.csv", index=False)
    with pytest.raises(SpecError) as by_frame:
        archbench.fit(billions, **COLUMNS)
    with pytest.raises(SpecError) as by_command:
        said("fit", tmp_path / "billions.csv", *FLAGS)
    refused = str(by_frame.value)
    assert "\n" not in refused
    assert "say --scale params=1e9" in refused
    assert refused.replace("DataFrame", str(tmp_path / "billions.csv")) == str(by_command.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "los"}, "--loss: there is no column 'los'"),
        ({"interval": "bayes"}, "--interval: got 'bayes', expected one of auto, percentile, bca, profile"),
        ({"points": "last"}, "--points: got 'last'"),
        ({"resamples": -1}, "--resamples: got -1"),
        ({"delta": 0}, "--delta: got 0"),
        ({"delta": "small"}, "--delta: got 'small'"),
        ({"random_seed": "first"}, "--random-seed: got 'first', expected a whole number"),
        ({"compute_other": ["gpu_s"]}, "--compute-other: got ['gpu_s'], expected a mapping"),
        ({"law": 3}, "'3'"),
        ({"floor": "low"}, "--floor: got 'low'"),
        ({"where": ["a=b"]}, "--where: got ['a=b'], expected a mapping"),
        ({"scale": {"parms": 1e9}}, "did you mean 'params'"),
        ({"law": "chinchila"}, "did you mean 'chinchilla'"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_one_line(
    frame: pd.DataFrame, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as raised:
        archbench.fit(frame, **{**COLUMNS, **arguments})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.DataFrame({"loss": []}), "DataFrame: holds no rows"),
        (pd.DataFrame({"a": [1.0]}), "--loss: name the column of loss"),
        ([1, 2], "got a list, expected a pandas DataFrame"),
        ("nothing.csv", "nothing.csv: no such file"),
        (pd.DataFrame([[1, 2, 3]], columns=["n", "loss", "loss"]), "loss"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("c", "d")])), "several levels"),
    ],
)
def test_data_that_is_no_table_is_one_line(data: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        archbench.fit(data)
    assert "\n" not in str(raised.value)


def test_the_frame_of_the_caller_stays_as_it_is_whatever_its_index_and_its_kinds(frame: pd.DataFrame) -> None:
    mixed = frame.sample(frac=1.0, random_state=0).set_index("name")
    mixed["train_dataset"] = mixed["train_dataset"].astype("category")
    mixed["D"] = mixed["D"].astype("Int64")
    mixed.attrs["mine"] = 1
    before = mixed.copy()
    plain = mixed.reset_index().astype({"train_dataset": str, "D": float})
    one, other = (archbench.fit(table, **COLUMNS, **FEW, audit=False).to_frame() for table in (mixed, plain))
    assert one.equals(other)
    pd.testing.assert_frame_equal(mixed, before)
    assert mixed.attrs == {"mine": 1}


def test_figures_are_drawn_of_one_architecture(frame: pd.DataFrame) -> None:
    found = archbench.fit(frame, **COLUMNS, law="chinchilla", resamples=0, audit=False)
    with pytest.raises(SpecError, match="name it: arch= one of c4_original, rpj, rw_original"):
        found.plot()
    figure = found.plot("rpj")
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]  # what a notebook shows
    with pytest.raises(SpecError, match="did you mean 'rpj'"):
        found.plot("rpi")


def test_html_shows_names_of_others_as_text(frame: pd.DataFrame) -> None:
    name = "<script>alert(1)</script>\x1b[2J&"
    hostile = frame[frame["train_dataset"] == "rpj"].assign(train_dataset=name)
    found = archbench.fit(hostile, **COLUMNS, law="chinchilla", resamples=0, audit=False)
    shown = found._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "\x1b" not in shown + str(found)
    assert "<table" in shown


def test_allocation_is_the_commands(published: Path, printed: Callable[..., Any]) -> None:
    by_command = printed("fit", published, *FLAGS, "--compute", "6ND", "--law", "allocation", "--resamples", "20")
    found = archbench.fit(published, **COLUMNS, compute="6ND", law="allocation", resamples=20)
    assert found.to_dict() == by_command
    assert {"approach", "a", "a_low", "b_high"} <= set(found.to_frame().columns)
    assert "N ~ C^a" in found._repr_html_()
    with pytest.raises(SpecError, match="draws a law"):
        found.plot()


def test_a_scan_is_fitted_by_its_finished_runs_as_its_report_is(store: RunStore) -> None:
    runs = archbench.load(store.root, scan="pair")
    laws = archbench.fit(runs, law="L(C)", floor="none", audit=False)
    with pytest.raises(SpecError, match="--param-convention: scan pair says it: non_embedding"):
        archbench.fit(runs, param_convention="total")
    results = archbench.compare(runs, "gpt2").compared.results
    for name in ("gpt2", "reformer"):
        (stated,) = [one.law for one in results.frontiers if one.contender == name and one.cost_axis.value == "exact"]
        assert laws[name].params["alpha_C"] == stated.params["alpha_C"]
        assert laws[name].intervals["alpha_C"] == stated.intervals["alpha_C"]
