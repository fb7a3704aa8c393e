"""What `compare` minds: ladders that are no like for like, floors that differ, losses that are never reached."""

from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from archbench.cli.compare import compare
from archbench.cli.import_runs import import_runs

COLUMNS = ("--params", "n", "--tokens", "d", "--loss", "loss", "--arch", "arch", "--param-convention", "total")


def ladder(arch: str, *, per_param: float = 20.0, floor: float = 1.7, sizes: int = 6) -> pd.DataFrame:
    n = np.geomspace(1e7, 1e9, sizes).round()
    d = per_param * n
    loss = np.maximum(1.7 + 400.0 * n**-0.34 + 410.0 * d**-0.28, floor)
    return pd.DataFrame({"arch": arch, "n": n, "d": d, "loss": loss})


def said(folder: Path, frame: pd.DataFrame, *arguments: str) -> str:
    file, store = folder / "theirs.csv", ("--runs", str(folder / "runs"))
    frame.to_csv(file, index=False)
    taken = CliRunner().invoke(import_runs, [str(file), *COLUMNS, "--track", "causal", *store])
    assert taken.exit_code == 0, taken.output
    compared = CliRunner().invoke(compare, ["a", "b", *store, *arguments])
    assert compared.exit_code == 0, compared.output
    return " ".join(compared.output.split())


def test_ladders_of_unlike_tokens_a_parameter_are_no_comparison_of_architectures(tmp_path: Path) -> None:
    text = said(tmp_path, pd.concat([ladder("a"), ladder("b", per_param=100.0)]))
    assert "Mind: tokens a parameter are unlike at one cost (a 20, b 100)" in text


def test_nothing_is_minded_where_ladders_are_alike(tmp_path: Path) -> None:
    fewer = ladder("b").iloc[2:]
    assert "tokens a parameter" not in said(tmp_path, pd.concat([ladder("a"), fewer]))


def test_a_contender_that_levels_off_is_not_called_steeper(tmp_path: Path) -> None:
    text = said(tmp_path, pd.concat([ladder("a", sizes=9), ladder("b", sizes=9, floor=3.0)]), "--at-cost", "1e20")
    assert "Each levels off at a floor of its own, a at" in text
    assert "steeper" not in text
    assert "no_common_range: b never reaches" in text


def test_one_pair_of_several_says_that_nothing_was_corrected(tmp_path: Path) -> None:
    frame = pd.concat([ladder("a"), ladder("b", per_param=22.0), ladder("c", per_param=21.0)])
    text = said(tmp_path, frame)
    assert "Holm" not in text
    assert "One pair of 3 contenders" in text
