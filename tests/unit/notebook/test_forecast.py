"""`archbench.forecast` gives the digits and sentences of `archbench forecast`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import archbench
from archbench.errors import SpecError
from archbench.runs.store import RunStore

COLUMNS: dict[str, Any] = {"params": "N_no_embed", "tokens": "D", "loss": "loss_c4_val", "arch": "train_dataset"}
FLAGS = ("--params", "N_no_embed", "--tokens", "D", "--loss", "loss_c4_val", "--arch", "train_dataset")


@pytest.mark.thorough
def test_a_table_gives_every_digit_and_sentence_of_the_command(
    published: Path, printed: Callable[..., Any], said: Callable[..., str]
) -> None:
    flags = (*FLAGS, "--law", "chinchilla", "--resamples", 100, "--budget", 1e21, "--budget", 1e22)
    flags = (*flags, "--at", "N=1e9,D=2e10")
    by_command = printed("forecast", published, *flags)
    found = archbench.forecast(
        published, [1e21, np.float64(1e22)], at={"N": 1e9, "D": np.int64(20_000_000_000)}, **COLUMNS,
        law="chinchilla", resamples=100,
    )  # fmt: skip
    assert found.to_dict() == by_command
    lines = said("forecast", published, *flags).splitlines()
    sentences = str(found).splitlines()
    assert [line for line in lines if line in sentences] == sentences
    (axes,) = found.plot().axes
    assert "FLOPs" in axes.get_xlabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["c4_original", "rpj", "rw_original"]
    frame = found.to_frame()
    assert len(frame) == 9
    assert (frame["loss_low"] < frame["loss"]).all()


@pytest.mark.thorough
def test_a_scan_gives_every_digit_and_sentence_of_the_command(
    store: RunStore, printed: Callable[..., Any], said: Callable[..., str]
) -> None:
    flags = ("--scan", "pair", "--runs", store.root, "--budget", 1e14, "--at", "N=1e6,D=1e7", "--resamples", 100)
    runs = archbench.load(store.root, scan="pair")
    found = archbench.forecast(runs, 1e14, at="N=1e6,D=1e7", resamples=100)
    assert found.to_dict() == printed("forecast", *flags)
    assert str(found).splitlines() == said("forecast", *flags).splitlines()
    assert isinstance(found.plot(), Figure)
    assert set(found.to_frame()["contender"]) == {"gpt2", "reformer"}
    with pytest.raises(SpecError, match="--law: is read of a table only"):
        archbench.forecast(runs, 1e14, law="L(C)")
    one = archbench.forecast(runs, 1e14, contender="gpt2", axis="kaplan", resamples=100)
    assert one.to_dict() == printed(
        *("forecast", "--scan", "pair", "--runs", store.root, "--budget", 1e14, "--contender", "gpt2"),
        *("--axis", "kaplan", "--resamples", 100),
    )


def test_a_figure_of_points_in_an_unstated_unit_of_compute_names_none(published: Path) -> None:
    columns = {"compute": "C", "loss": "loss_c4_val", "arch": "train_dataset"}
    found = archbench.forecast(published, at={"C": 1e22}, **columns, law="L(C)", floor="none", resamples=100)
    assert found.plot().axes[0].get_xlabel() == "compute C, in the column's unit"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "--budget: say at how many FLOPs"),
        ({"budget": -1.0}, "positive number of FLOPs"),
        ({"budget": "much"}, "--budget: got 'much'"),
        ({"at": {"N": 1e9, "X": 1.0}}, "--at: got 'X=1.0'"),
        ({"budget": 1e21, "law": "kaplan-ns"}, "ask for a point by --at"),
        ({"budget": 1e21, "contender": "rpj"}, "--contender: is read with --scan only"),
        ({"budget": 1e21, "axis": "seconds"}, "--axis: got 'seconds'"),
    ],
)
def test_what_cannot_be_foretold_is_one_line(published: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        archbench.forecast(pd.read_csv(published), **{**COLUMNS, **arguments})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_law_that_may_not_be_read_foretells_nothing_and_draws_nothing(published: Path) -> None:
    one_width = pd.read_csv(published).assign(N_no_embed=1e7)
    found = archbench.forecast(one_width, 1e21, **COLUMNS, law="chinchilla", resamples=100)
    assert "no forecast: too_few_sizes" in str(found)
    assert found.to_frame()["loss"].isna().all()
    with pytest.raises(SpecError, match="nothing to draw"):
        found.plot()
