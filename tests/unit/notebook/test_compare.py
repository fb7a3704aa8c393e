"""`archbench.compare` gives the digits, sentences and refusals of `archbench import` and `archbench compare`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

import archbench
from archbench.errors import SpecError, StoreError
from archbench.runs.store import RunStore

COLUMNS = {"params": "N_no_embed", "tokens": "D", "loss": "loss_c4_val", "arch": "train_dataset"}
MEANT = {**COLUMNS, "track": "causal", "param_convention": "non_embedding"}


@pytest.fixture(scope="module")
def imported(published: Path, tmp_path_factory: pytest.TempPathFactory, said: Callable[..., str]) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "runs"
    flags = [word for name, value in MEANT.items() for word in (f"--{name.replace('_', '-')}", value)]
    said("import", published, *flags, "--name", "published", "--runs", folder)
    return folder


def without_scans(output: dict[str, Any]) -> dict[str, Any]:
    """What is compared, without where it is stored."""
    return {name: value for name, value in output.items() if name != "scans"}


def test_a_store_gives_every_digit_of_the_command(store: RunStore, printed: Callable[..., Any]) -> None:
    places = ("--at-cost", "1e13", "--at-loss", "3.6", "--window", "3.9", "3.5")
    by_command = printed("compare", "gpt2", "reformer", "--runs", store.root, *places)
    runs = archbench.load(store.root)
    found = archbench.compare(runs, "gpt2", "reformer", at_cost=1e13, at_loss=3.6, window=(3.9, 3.5))
    assert found.to_dict() == by_command
    by_default = printed("compare", "gpt2", "reformer", "--runs", store.root)
    assert archbench.compare(store.root, "gpt2", "reformer").to_dict() == by_default
    assert archbench.compare(archbench.load(store.root, scan="pair"), "gpt2").to_dict() == by_default


def test_the_sentences_are_those_that_the_command_prints(store: RunStore, said: Callable[..., str]) -> None:
    lines = said("compare", "base", "left", "--runs", store.root).splitlines()
    sentences = str(archbench.compare(store.root, "base", "left")).splitlines()
    assert [line for line in lines if line in sentences] == sentences
    assert "One pair of 3 contenders" in sentences[-1]


def test_several_contenders_are_corrected_over_all_as_in_the_report(store: RunStore) -> None:
    found = archbench.compare(archbench.load(store.root, scan="three"), "base")
    (left, right) = [one for one in found.compared.comparisons if one.cost_axis.value == "exact"]
    assert [left.contender, right.contender] == ["left", "right"]
    assert left.headline is not None
    assert left.headline.p_value is not None
    assert left.headline.holm_p_value == pytest.approx(min(1.0, 2 * left.headline.p_value))
    with pytest.raises(SpecError, match="name a contender: left, right"):
        archbench.compare(archbench.load(store.root, scan="three"), "base", at_loss=3.6)
    assert set(found.to_frame("rungs")["contender"]) == {"left", "right"}
    about_exponents = [line for line in str(found).splitlines() if "exponent" in line and "serve both" in line]
    assert all(line.startswith(("- left: ", "- right: ")) for line in about_exponents)
    assert about_exponents


def test_a_published_table_gives_every_digit_of_import_and_compare(
    published: Path, imported: Path, printed: Callable[..., Any]
) -> None:
    by_command = printed("compare", "c4_original", "rpj", "--runs", imported)
    found = archbench.compare(published, "c4_original", "rpj", **MEANT)
    assert without_scans(found.to_dict()) == without_scans(by_command)
    # A frame has no file's name, which the ids of runs hash.
    of_frame = archbench.compare(pd.read_csv(published), "c4_original", "rpj", **MEANT).to_dict()
    assert of_frame["comparisons"] == by_command["comparisons"]


def test_the_gate_of_an_import_stands_before_a_comparison(published: Path) -> None:
    frame = pd.read_csv(published)
    frame.loc[0, "loss_c4_val"] = -1.0
    found = archbench.compare(frame, "c4_original", "rpj", **MEANT)
    assert any("row 1" in line for line in found.told())
    assert "row 1" in found._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"track": None}, "--track: got None, expected one of causal, masked"),
        ({"param_convention": "all"}, "--param-convention: got 'all'"),
        ({"contender": "rpi"}, "did you mean 'rpj'"),
        ({"contender": "c4_original"}, "name two contenders"),
        ({"compute": "C"}, "--compute-unit: say flops"),
        ({"arch": None}, "--arch: DataFrame: name its column of arch"),
        ({"window": (2.0, 3.0)}, "--window: got 2 3"),
        ({"window": 3.0}, "--window: got 3.0, expected two losses"),
        ({"at_cost": -1.0}, "--at-cost: got -1"),
        ({"where": {"train_dataset": "rpj"}}, "has no contender 'c4_original' with a run"),
    ],
)
def test_what_cannot_be_compared_is_one_line(published: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        archbench.compare(pd.read_csv(published), **{"baseline": "c4_original", **MEANT, **arguments})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_store_that_cannot_answer_says_so_in_one_line(store: RunStore, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="did you mean 'reformer'"):
        archbench.compare(store.root, "gpt2", "reformr")
    with pytest.raises(SpecError, match="several scans: pair, three"):
        archbench.compare(store.root, "gpt2")
    with pytest.raises(SpecError, match="--track: is read of a table only"):
        archbench.compare(store.root, "gpt2", "reformer", track="causal")
    with pytest.raises(SpecError, match="has no scan 'thre'; did you mean 'three'"):
        archbench.compare(store.root, "base", scan="thre")
    with pytest.raises(SpecError, match="different text"):
        archbench.compare(store.root, "gpt2", "left")
    with pytest.raises(StoreError, match="holds no scan"):
        archbench.compare(tmp_path, "a", "b")
    with pytest.raises(StoreError, match="did you mean 'pair'"):
        archbench.load(store.root, scan="pear")


def test_figures_frames_and_html(store: RunStore) -> None:
    found = archbench.compare(store.root, "gpt2", "reformer")
    assert isinstance(found.plot(), Figure)
    assert isinstance(found.plot("overview"), Figure)
    frame = found.to_frame()
    row = frame[frame["cost_axis"] == "exact"].iloc[0]
    (pair,) = [one for one in found.compared.comparisons if one.cost_axis.value == "exact"]
    assert pair.headline is not None
    assert pair.headline.multiplier is not None
    assert row["multiplier"] == pair.headline.multiplier.value
    assert "multiplier" in frame.attrs["columns"]
    assert "<table" in found._repr_html_()


def test_html_shows_names_of_others_as_text(published: Path) -> None:
    frame = pd.read_csv(published)
    frame["train_dataset"] = frame["train_dataset"].replace("rpj", "<img src=x onerror=alert(1)>")
    shown = archbench.compare(frame, "c4_original", "<img src=x onerror=alert(1)>", **MEANT)._repr_html_()
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
