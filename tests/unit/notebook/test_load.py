"""`archbench.load` reads stores, entries of the leaderboard and tables; nothing of it needs torch."""

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from matplotlib.figure import Figure

import archbench
from archbench.cli.main import cli
from archbench.errors import SpecError, StoreError
from archbench.leaderboard.entry_files import read_entry
from archbench.runs.store import RunStore

ROOT = Path(__file__).parents[3]
ENTRY = ROOT / "tests" / "golden" / "byte_level" / "reformer--gpt2.json"


def test_a_store_is_a_frame_of_runs_and_of_points(store: RunStore) -> None:
    runs = archbench.load(store.root)
    frame = runs.to_frame()
    assert set(frame["scan"]) == {"pair", "three"}
    assert len(frame) == len(runs.records) == 45
    assert len(runs.to_frame("curves")) == sum(len(run.curve) for run in runs.records)
    one = archbench.load(str(store.root), scan="pair")
    assert one.contenders == ["gpt2", "reformer"]
    assert str(one) == f"{store.root}: scan pair: 18 runs, 18 done, of gpt2, reformer"
    assert isinstance(one.plot(), Figure)
    assert len(one.to_dict()["rows"]) == 18
    with pytest.raises(SpecError, match="several scans: pair, three"):
        runs.plot()


def test_an_entry_holds_the_runs_that_were_published() -> None:
    runs = archbench.load(ENTRY)
    assert list(runs.to_frame()["run_id"]) == [run.run_id for run in read_entry(ENTRY).runs]
    law = archbench.fit(runs, law="L(C)", floor="none", audit=False, resamples=0)["gpt2"]
    assert law.status.value == "ok"
    with pytest.raises(SpecError, match="nothing to compare it with"):
        archbench.compare(runs, "gpt2")


def test_a_damaged_entry_is_refused(tmp_path: Path) -> None:
    content = json.loads(ENTRY.read_text())
    content["runs"][0]["seed"] += 1
    (tmp_path / "entry.json").write_text(json.dumps(content))
    with pytest.raises((SpecError, StoreError), match=r"entry\.json"):
        archbench.load(tmp_path / "entry.json")


def test_a_table_is_read_as_the_command_reads_it(published: Path, tmp_path: Path) -> None:
    (tmp_path / "semicolons.csv").write_text("N;D;loss\n1e6;1e7;4.0\n")
    runs = archbench.load(tmp_path / "semicolons.csv")
    assert runs.to_frame().to_dict("list") == {"N": [1e6], "D": [1e7], "loss": [4.0]}
    (tmp_path / "rows.json").write_text('[{"n": 1, "loss": 2.5}]')
    assert archbench.load(tmp_path / "rows.json").to_frame()["loss"].tolist() == [2.5]
    assert str(archbench.load(published)) == f"{published}: 104 rows of 14 columns"
    with pytest.raises(SpecError, match="draw its law"):
        archbench.load(published).plot()
    with pytest.raises(SpecError, match="has no scan 'x'"):
        archbench.load(published, scan="x")
    with pytest.raises(SpecError, match="no such file"):
        archbench.load(tmp_path / "missing.csv")


def test_what_damage_hides_is_told(store: RunStore, tmp_path: Path) -> None:
    copy = tmp_path / "runs"
    shutil.copytree(store.root, copy)
    next((copy / "runs").glob("*/record.json"), next(copy.rglob("record.json"))).write_text("{")
    runs = archbench.load(copy)
    assert any("damaged" in line for line in runs.told())
    assert "damaged" in runs._repr_html_()


PROBE = """
import sys
import archbench
heavy = ["torch", "pandas", "numpy", "scipy", "matplotlib", "pydantic", "click"]
assert not [name for name in heavy if name in sys.modules], "import archbench is not cheap"
assert {"fit", "compare", "forecast", "load"} <= set(dir(archbench))
import pandas as pd
frame = pd.read_csv(sys.argv[1])
frame = frame[frame["train_dataset"] == "rpj"]
columns = dict(params="N_no_embed", tokens="D", loss="loss_c4_val", arch="train_dataset")
found = archbench.fit(frame, **columns, law="chinchilla", resamples=20)
found.plot("rpj"); found._repr_html_(); found.to_dict()
archbench.forecast(frame, 1e22, **columns, law="chinchilla", resamples=100).plot()
runs = archbench.load(sys.argv[2], scan="pair")
runs.plot()
archbench.compare(runs, "gpt2").plot()
archbench.load(sys.argv[3]).to_frame()
assert "matplotlib.pyplot" not in sys.modules, "a figure of ours is in nobody's list"
libraries = ("torch", "transformers", "deepspeed", "x_transformers", "reformer_pytorch", "datasets")
print([name for name in libraries if name in sys.modules])
"""


def test_nothing_of_it_loads_torch_and_the_package_loads_nothing(published: Path, store: RunStore) -> None:
    command = [sys.executable, "-c", PROBE, str(published), str(store.root), str(ENTRY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        archbench.fitt  # type: ignore[attr-defined]  # noqa: B018


RENAMED = {
    "file": "data", "law_name": "law", "scales": "scale", "log10s": "log10", "compute_others": "compute_other",
    "budgets": "budget", "places": "at", "a": "baseline", "b": "contender",
}  # fmt: skip
"""Parameter of a command -> the argument that stands for it."""
OF_COMMANDS = {"as_json", "plot", "runs_dir"}
"""Where to print, draw and read; in a notebook these are methods and the data."""
LATER = {"forecast": {"scan", "transfer", "target_tokens", "direction"}}
"""`load(..., scan=)` names the scan; transfer is asked for on the command line."""


@pytest.mark.parametrize(
    ("name", "function"),
    [("fit", archbench.fit), ("compare", archbench.compare), ("forecast", archbench.forecast)],
)
def test_every_flag_is_an_argument_of_the_same_default(name: str, function: Callable[..., Any]) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    arguments = inspect.signature(function).parameters
    for parameter in command.params:
        flag = str(parameter.name)
        if flag in OF_COMMANDS | LATER.get(name, set()):
            continue
        argument = arguments[RENAMED.get(flag, flag)]
        default = None if argument.default in (inspect.Parameter.empty, ()) else argument.default
        assert parameter.to_info_dict().get("default") == default, flag


def test_a_frame_of_a_report_is_fitted_as_it_is(store: RunStore) -> None:
    frame = archbench.load(store.root, scan="pair").to_frame()
    assert isinstance(frame, pd.DataFrame)
    columns = {"params": "non_embedding_params", "tokens": "tokens", "loss": "final_loss_nats", "arch": "contender"}
    found = archbench.fit(frame[[*columns.values()]], **columns, law="L(D)", resamples=0, audit=False)
    assert set(found.to_frame()["arch"]) == {"gpt2", "reformer"}
