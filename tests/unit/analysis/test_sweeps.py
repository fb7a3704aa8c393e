"""Settings that were swept: refused with the remedy, reduced to the best, never taken for seeds."""

import numpy as np
import pandas as pd
import pytest
from made_tables import grid, reasons, suspicions, swept, table

from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.run_table import Columns
from archbench.errors import SpecError


@pytest.mark.parametrize("name", ["lr", "learning_rate", "batch_size", "wd", "optimizer", "n_layers", "variant"])
def test_a_sweep_is_no_set_of_seeds(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        table(swept().rename(columns={"lr": name}))
    message = str(caught.value)
    assert message.startswith("runs.csv: rows 1, 31, 61 are of one size and length and differ in column")
    assert f"--best-of {name}" in message
    assert f"--seed {name}" in message
    assert "\n" not in message


def test_a_sweep_around_a_rate_that_falls_with_size_is_seen_by_its_ratios() -> None:
    frame = swept()
    with pytest.raises(SpecError, match="--best-of 'peak value'"):
        table(frame.assign(lr=frame["lr"] * frame["N"] ** -0.3).rename(columns={"lr": "peak value"}))


def test_the_best_of_a_sweep_is_kept_and_said() -> None:
    found = table(swept(), treatment=Treatment(best_of=("lr",)))
    assert found.rows is not None
    assert found.rows.tolist() == list(range(1, 31))
    assert reasons(found) == {"not_best": tuple(range(31, 91))}
    assert "sweep_reduced" in suspicions(found)


def test_the_best_setting_is_that_of_the_mean_over_seeds() -> None:
    one = pd.DataFrame({"N": 1e8, "D": 2e9, "lr": [1e-3, 1e-3, 3e-3, 3e-3], "seed": [0, 1, 0, 1]})
    frame = pd.concat([one.assign(loss=[3.0, 3.4, 3.1, 3.1]), one.assign(N=2e8, loss=[2.9, 2.8, 3.0, 3.0])])
    columns = Columns(loss="loss", params="N", tokens="D", seed="seed")
    found = table(frame.reset_index(drop=True), columns, Treatment(best_of=("lr",)))
    assert found.rows is not None
    assert found.rows.tolist() == [3, 4, 5, 6]


def test_a_sweep_that_is_said_to_be_seeds_is_taken_as_such() -> None:
    found = table(swept(), Columns(loss="loss", params="N", tokens="D", seed="lr"))
    assert len(found) == 90
    assert len(set(found.values["seed"])) == 3


def test_other_losses_times_and_names_are_no_settings() -> None:
    generator = np.random.default_rng(1)
    frame = pd.concat([grid(0.01)] * 2, ignore_index=True)
    frame["loss"] *= np.exp(generator.normal(0, 0.01, 60))
    frame = frame.assign(
        val_acc=generator.uniform(0.3, 0.6, 60).round(2),
        hours=generator.uniform(1, 9, 60).round(1),
        run_id=[f"r{number}" for number in range(60)],
        ppl_c4=np.exp(frame["loss"]),
        host=generator.choice(["a", "b"], 60),
    )
    found = table(frame)
    assert len(found) == 60
    assert len(suspicions(found)["taken_as_seeds"]) == 60


def test_an_isoflop_grid_read_by_compute_alone_is_no_sweep() -> None:
    frame = grid().assign(C=np.tile([1e18, 2e18, 4e18, 8e18, 1.6e19, 3.2e19], 5))
    assert len(table(frame, Columns(loss="loss", compute="C"))) == 30
    with pytest.raises(SpecError, match="differ in column 'lr'"):
        table(swept(), Columns(loss="loss", compute="C"))


def test_settings_that_diverged_or_failed_were_tried_too() -> None:
    frame = swept()
    frame.loc[[60, 61], "loss"] = [np.nan, 25.0]
    found = table(frame, treatment=Treatment(best_of=("lr",)))
    assert found.values["settings_tried"].tolist() == [3.0] * 30
    assert table(grid()).values["settings_tried"].tolist() == [1.0] * 30
