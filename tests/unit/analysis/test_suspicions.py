"""What enters a fit and yet looks wrong."""

import numpy as np
import pandas as pd
from made_tables import COLUMNS, curves, grid, suspicions, table

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.fitting.outliers import flag_outliers
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.tables.run_table import Columns


def test_equal_losses_of_rows_that_differ_elsewhere_are_flagged() -> None:
    frame = grid(0.01).assign(file="a.json")
    again = pd.concat([frame, frame.iloc[[4]].assign(file="b.json")], ignore_index=True)
    found = table(again)
    assert len(found) == 31
    assert suspicions(found)["equal_losses"] == (5, 31)


def test_compute_in_another_unit_in_one_row_is_flagged() -> None:
    frame = grid()
    frame.loc[3, "C"] /= 1e9
    found = table(frame, Columns(loss="loss", params="N", tokens="D", compute="C"))
    assert suspicions(found) == {"compute_unit": (4,)}


def test_a_curve_whose_last_steps_have_no_loss_is_flagged() -> None:
    frame = curves()
    frame.loc[[18, 19], "loss"] = np.nan
    found = table(frame, Columns(loss="loss", params="N", tokens="D", step="step", run="run"))
    (one,) = found.gate.suspicions
    assert (one.kind, one.runs) == ("ends_without_loss", ("m1",))


def test_a_column_of_runs_that_nobody_named_is_pointed_out() -> None:
    found = table(curves().drop(columns="step"), COLUMNS)
    (one,) = found.gate.suspicions
    assert one.kind == "several_points_a_run"
    assert "--run run" in one.words


def test_known_outliers_are_flagged_and_the_others_are_not() -> None:
    frame = grid(noise=0.004)
    frame.loc[[3, 17], "loss"] *= [1.06, 0.93]
    found = table(frame)
    fit = fit_law(Chinchilla(), {"N": found.values["N"], "D": found.values["D"]}, found.values["L"])
    flagged_table, flagged = flag_outliers(fit, found)
    assert np.flatnonzero(flagged).tolist() == [3, 17]
    (one,) = flagged_table.gate.suspicions
    assert (one.kind, one.rows) == ("outlier", (4, 18))
    assert "outlier of L(N,D)" in one.words


def test_normal_noise_and_exact_laws_have_no_outliers() -> None:
    called = 0
    for seed in range(3):
        frame = grid()
        frame["loss"] *= np.exp(np.random.default_rng(seed).normal(0, 0.01 if seed else 0, 30))
        fit = fit_law(Chinchilla(), {"N": frame["N"], "D": frame["D"]}, frame["loss"])
        called += int(flag_outliers(fit, table(frame))[1].sum())
    # 90 runs; at five robust deviations of 30 residuals about one in a thousand is called.
    assert called == 0


def test_runs_that_were_cut_short_are_flagged() -> None:
    frame = grid(0.01).assign(state="finished", max_steps=1000)
    assert "cut_short" not in suspicions(table(frame))
    frame.loc[4, "state"] = "crashed"
    assert suspicions(table(frame))["cut_short"] == (5,)


def test_a_seed_far_from_its_like_is_flagged() -> None:
    frame = pd.concat([grid()] * 3, ignore_index=True)
    frame["loss"] *= np.exp(np.random.default_rng(8).normal(0, 0.002, len(frame)))
    assert "odd_seed" not in suspicions(table(frame))
    frame.loc[7, "loss"] *= 1.1
    assert suspicions(table(frame))["odd_seed"] == (8,)
