"""The gate before a fit: what enters, what is left out and why, what is suspicious, what is refused with a remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_tables import COLUMNS, TRUTH, curves, grid, reasons, suspicions, swept, table

from archbench.analysis.fitting.fit import fit_law
from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.tables.curves import restarts
from archbench.analysis.tables.divergence import far_above_others, rose_again
from archbench.analysis.tables.files import read_table
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.read import PLAIN, run_tables
from archbench.analysis.tables.run_table import Columns
from archbench.errors import SpecError
from archbench.results.admission import Admission, LeftOut, place_text


def test_a_clean_table_enters_whole_and_nothing_is_said() -> None:
    found = table(grid(noise=0.005))
    assert len(found) == 30
    assert found.gate.lines() == ("30 of 30 rows used",)


@pytest.mark.parametrize(
    ("column", "value", "kind", "words"),
    [
        ("loss", np.nan, "no_number", "no number in column 'loss' (--loss)"),
        ("loss", np.inf, "no_number", "column 'loss' (--loss) is infinite, or above 1e+40"),
        ("loss", -1.0, "not_positive", "column 'loss' (--loss) is not positive"),
        ("loss", 1e-300, "not_positive", "column 'loss' (--loss) is below 1e-06: as good as 0"),
        ("D", 0.0, "not_positive", "column 'D' (--tokens) is 0: before training"),
        ("N", 1e19, "other_unit", "column 'N' (--params) is above 1e+18, which is no count"),
        ("D", 1e30, "other_unit", "column 'D' (--tokens) is above 1e+18, which is no count"),
        ("N", 0.19, "other_unit", "column 'N' (--params) is below 1"),
        ("N", 40.0, "other_unit", "less than a millionth of the median"),
        ("C", np.nan, "no_number", "no number in column 'C' (--compute)"),
        ("loss", 1e4, "diverged", "its last loss is 1e+04"),
        ("loss", 11.2, "diverged", "its last loss is 11.2"),
    ],
)
def test_a_row_that_cannot_be_meant_is_left_out_and_named(column: str, value: float, kind: str, words: str) -> None:
    frame = grid()
    frame.loc[6, column] = value
    found = table(frame, Columns(loss="loss", params="N", tokens="D", compute="C"))
    assert reasons(found) == {kind: (7,)}
    assert words in found.gate.left_out[0].reason
    assert any(line.startswith("left out: row 7: ") for line in found.gate.lines())
    assert len(found) == 29


def test_a_diverged_run_moves_no_exponent() -> None:
    frame = grid()
    clean = fit_law(Chinchilla(), {"N": frame["N"], "D": frame["D"]}, frame["loss"]).result
    frame.loc[29, "loss"] = 10.39
    variables, loss = table(frame).inputs(Chinchilla())
    # Noise-free points on an exact law, with one run fewer: both end at the law, to the minimiser's tolerance.
    assert fit_law(Chinchilla(), variables, loss).result.params["alpha"] == pytest.approx(
        clean.params["alpha"], rel=1e-5
    )


def test_healthy_runs_over_many_decades_are_not_called_diverged() -> None:
    generator = np.random.default_rng(0)
    called = 0
    for _ in range(30):
        count = int(generator.integers(12, 60))
        N, D = np.exp(generator.uniform([[14.0], [18.5]], [[23.0], [27.5]], (2, count)))
        loss = Chinchilla().predict(TRUTH, N=N, D=D) * np.exp(generator.normal(0, 0.01, count))
        called += len(far_above_others(np.log([N, D]), loss))
    assert called <= 1


def test_several_diverged_runs_do_not_hide_each_other() -> None:
    frame = grid(noise=0.005)
    bad = [0, 7, 12, 29]
    frame.loc[bad, "loss"] = [9.0, 7.5, 8.2, 6.9]
    left_out = table(frame).gate.left_out
    assert {one.kind for one in left_out} == {"diverged"}
    assert sorted(row for one in left_out for row in one.rows) == [row + 1 for row in bad]


def test_a_curve_that_gives_back_what_it_learnt_has_diverged() -> None:
    frame = curves()
    frame.loc[20:29, "loss"] = [9.0, 6.0, 4.0, 3.5, 3.3, 3.2, 5.0, 7.0, 7.5, 8.0]
    found = table(frame, Columns(loss="loss", params="N", tokens="D", step="step", run="run"))
    (one,) = found.gate.left_out
    assert (one.kind, one.runs, one.rows) == ("diverged", ("m2",), tuple(range(21, 31)))
    assert not rose_again(np.array([3.001, 3.002]))
    assert not rose_again(np.array([9.0, 3.0, 3.2]))


def test_rows_given_several_times_count_once() -> None:
    frame = pd.concat([grid(0.01)] * 3, ignore_index=True)
    found = table(frame)
    assert len(found) == 30
    assert reasons(found) == {"repeated": tuple(range(31, 91))}
    # An index column that only counts rows makes no two rows different.
    assert len(table(frame.reset_index())) == 30


@pytest.mark.parametrize(
    ("change", "treatment", "words"),
    [
        (lambda f: f.assign(N=f["N"] / 1e9, D=f["D"] / 1e9), PLAIN, "--scale params=1e9,tokens=1e9"),
        (lambda f: f.assign(N=f["N"] / 1e6), PLAIN, "--params N: values 40 to 1200"),
        (lambda f: f.assign(N=np.log10(f["N"]), D=np.log10(f["D"])), PLAIN, "--log10 params,tokens"),
        (lambda f: f.assign(loss=np.exp(f["loss"])), PLAIN, "--loss-unit ppl"),
    ],
)
def test_columns_in_another_unit_are_one_line_with_the_remedy(
    change: Callable[[pd.DataFrame], pd.DataFrame], treatment: Treatment, words: str
) -> None:
    with pytest.raises(SpecError) as caught:
        table(change(grid()), treatment=treatment)
    assert words in str(caught.value)
    assert str(caught.value).startswith("runs.csv: --")


@pytest.mark.parametrize(("name", "unit"), [("val_bpb", "bpb"), ("test_ppl", "ppl"), ("bits_per_token", "bits")])
def test_a_loss_named_for_another_unit_is_not_read_as_nats(name: str, unit: str) -> None:
    with pytest.raises(SpecError, match=f"--loss-unit {unit}"):
        table(grid().rename(columns={"loss": name}), Columns(loss=name, params="N", tokens="D"))


def test_units_that_are_stated_are_converted_exactly() -> None:
    frame, plain = grid(), table(grid())
    logs = frame.assign(N=frame["N"] / 1e9, D=np.log10(frame["D"]))
    found = table(logs, treatment=Treatment(scale={"params": 1e9}, log10=frozenset({"tokens"})))
    for letter in ("N", "D", "L"):
        np.testing.assert_allclose(found.values[letter], plain.values[letter], rtol=1e-12)
    bits = table(frame.assign(loss=frame["loss"] / np.log(2)), treatment=Treatment(loss_unit="bits"))
    perplexity = table(frame.assign(loss=np.exp(frame["loss"])), treatment=Treatment(loss_unit="ppl"))
    np.testing.assert_allclose(bits.values["L"], plain.values["L"], rtol=1e-14)
    np.testing.assert_allclose(perplexity.values["L"], plain.values["L"], rtol=1e-14)
    per_byte = table(frame.assign(loss=frame["loss"] / 4), treatment=Treatment(loss_unit="bpb"))
    assert per_byte.gate.loss_unit == "bits per byte"
    np.testing.assert_array_equal(per_byte.values["L"], frame["loss"] / 4)
    assert "loss in bits per byte" in per_byte.gate.lines()[0]


@pytest.mark.parametrize("empty", ["arch", "seed", "run"])
def test_an_empty_label_costs_its_row_only(empty: str) -> None:
    frame = grid().assign(seed=0.0, run=[f"r{number}" for number in range(30)])
    frame[empty] = frame[empty].astype(object)
    frame.loc[2, empty] = None
    found = table(frame, Columns(loss="loss", params="N", tokens="D", arch="arch", seed="seed", run="run"))
    assert reasons(found) == {"no_label": (3,)}
    assert f"no value in column '{empty}' (--{empty})" in found.gate.left_out[0].reason


def test_a_named_run_that_restarts_keeps_its_last_part() -> None:
    frame = curves()
    lower = frame.iloc[2:6].assign(loss=frame["loss"].iloc[2:6] * 0.99)
    frame = pd.concat([frame.iloc[:10], lower, frame.iloc[10:]], ignore_index=True)
    found = table(frame, Columns(loss="loss", params="N", tokens="D", step="step", run="run"))
    assert reasons(found) == {"superseded": tuple(range(3, 11))}
    own = found.clusters == "m0"
    assert found.values["S"][own].tolist() == [100, 200, 300, 400, 500, 600]
    assert found.values["S"][own & found.finished].tolist() == [600]


def test_a_part_that_a_second_restart_replays_to_the_digit_counts_in_place_of_the_one_between() -> None:
    frame = curves()
    bad = frame.iloc[5:8].assign(loss=frame["loss"].iloc[5:8] + 0.4)
    frame = pd.concat([frame.iloc[:8], bad, frame.iloc[5:8], frame.iloc[8:]], ignore_index=True)
    found = table(frame, Columns(loss="loss", params="N", tokens="D", step="step", run="run"))
    assert reasons(found) == {"repeated": (6, 7, 8), "superseded": (9, 10, 11)}
    np.testing.assert_array_equal(found.values["L"], curves()["loss"])


def test_a_whole_file_of_curves_given_twice_makes_no_seeds() -> None:
    both = pd.concat([curves().drop(columns="run")] * 2, ignore_index=True)
    found = table(both, Columns(loss="loss", params="N", tokens="D", step="step"))
    assert reasons(found) == {"repeated": tuple(range(1, 61))}
    assert len(set(found.clusters)) == 6
    assert not found.gate.suspicions


@pytest.mark.parametrize("given", ["params", "tokens"])
def test_runs_of_one_size_or_length_at_another_compute_are_no_seeds(given: str) -> None:
    frame = grid(0.005).assign(**{"N" if given == "params" else "D": 1e8})
    frame["C"] = np.geomspace(1e18, 1e21, 30)
    columns = Columns(**{"loss": "loss", "compute": "C", given: "N" if given == "params" else "D"})
    found = table(frame, columns)
    assert not found.gate.suspicions
    assert set(found.values["seed"]) == {0.0}
    again = pd.concat([frame, frame.iloc[[3]].assign(loss=frame["loss"].iloc[3] * 1.001)], ignore_index=True)
    assert suspicions(table(again, columns)) == {"taken_as_seeds": (4, 31)}


def test_a_curve_that_starts_again_unnamed_is_another_run() -> None:
    first = curves().drop(columns="run")
    second = first.assign(loss=first["loss"] * 1.001)
    both = pd.concat([first, second], ignore_index=True).sort_values("N", kind="stable")
    columns = Columns(loss="loss", params="N", tokens="D", step="step")
    for frame in (both, both.sort_values(["N", "step"], kind="stable")):
        found = table(frame.reset_index(drop=True), columns)
        assert len(set(found.clusters)) == 12
        assert found.finished.sum() == 12
        assert not found.gate.left_out


def test_steps_in_another_order_are_put_in_order() -> None:
    found = restarts(np.array([300.0, 100, 200]), named=True)
    assert found.unordered
    assert not found.superseded.any()
    frame = curves().sample(frac=1, random_state=0).reset_index(drop=True)
    shuffled = table(frame, Columns(loss="loss", params="N", tokens="D", step="step", run="run"))
    assert "steps_go_back" in suspicions(shuffled)
    assert shuffled.finished.sum() == 6


def test_rows_of_training_and_evaluation_are_joined_by_run_and_step() -> None:
    frame = curves()
    history = pd.concat([frame.assign(loss=np.nan), frame.assign(D=np.nan)]).sort_values(["run", "step"], kind="stable")
    columns = Columns(loss="loss", params="N", tokens="D", step="step", run="run")
    found = table(history.reset_index(drop=True), columns)
    assert len(found) == 60
    assert len(suspicions(found)["joined"]) == 60
    np.testing.assert_array_equal(np.sort(found.values["L"]), np.sort(frame["loss"]))


def test_rows_that_were_not_asked_for_are_named() -> None:
    frame = pd.concat([grid().assign(text="c4"), grid(0.01).assign(text="rpj")], ignore_index=True)
    with pytest.raises(SpecError, match="--where text=VALUE"):
        table(frame)
    found = table(frame, treatment=Treatment(where=(("text", "rpj"),)))
    assert reasons(found) == {"not_asked": tuple(range(1, 31))}
    assert len(table(swept(), treatment=Treatment(where=(("lr", "1e-3"),)))) == 30
    with pytest.raises(SpecError, match="column 'text' holds c4, rpj"):
        table(frame, treatment=Treatment(where=(("text", "pile"),)))


def test_rows_left_out_count_to_the_contender_whose_they_are() -> None:
    one = grid(0.01).iloc[:6].assign(lr=0.001)
    frame = pd.concat([one, one.assign(lr=0.003), one.assign(arch="X")], ignore_index=True)
    frame.loc[17, "arch"] = None
    columns = Columns(loss="loss", params="N", tokens="D", arch="arch")
    own, other = run_tables(frame, columns, source="runs.csv", treatment=Treatment(where=(("lr", "0.003"),)))
    # Rows without a name may be anybody's: each contender hears of them.
    assert [(found.arch, found.gate.rows_used, found.gate.rows_read) for found in (own, other)] == [
        ("X", 0, 6),
        ("gpt", 6, 13),
    ]
    assert own.gate.lines()[0] == "0 of 6 rows used: left out altogether"
    assert reasons(other) == {"not_asked": (1, 2, 3, 4, 5, 6, 18)}
    (alone,) = run_tables(frame, columns, source="runs.csv", treatment=Treatment(where=(("arch", "X"),)))
    assert (alone.arch, alone.gate.rows_used) == ("X", 5)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "N,D,loss,loss\n1e8,2e9,3.1,3.2\n", "several columns are called 'loss'"),
        ("a.csv", "N,D,loss\n1e8,2e9,3.1,7\n1e8,4e9,3.0,8\n", "row 1: 4 cells, expected 3 as in the first line"),
        ("a.jsonl", '{"N": 1e8, "D": 2e9, "loss": 3.1, "loss": 3.0}\n', "several columns are called 'loss'"),
        ("a.csv", "N,D,loss\n1e8,2e9,3.1\n1e8,4e9,three\n", "row 2: got 'three', expected a number"),
        ("a.jsonl", '{"N": [1, 2], "D": 2e9, "loss": 3.1}\n', "row 1: got '[1, 2]', expected a number"),
    ],
)
def test_a_table_that_cannot_be_read_as_meant_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        run_tables(read_table(file), COLUMNS, source=str(file))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_separator_at_the_end_of_every_row_shifts_no_column(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("N,D,loss\n1e8,2e9,3.1,\n2e8,4e9,3.0,\n")
    assert table(read_table(file)).values["N"].tolist() == [1e8, 2e8]


def test_places_are_spans_and_long_lists_are_counted() -> None:
    assert place_text([7]) == "row 7"
    assert place_text([9, 3, 8, 7], ["a"]) == "rows 3, 7-9 (run a)"
    assert place_text(range(1, 60, 2)).endswith("... (30 rows)")
    assert Admission().lines() == ()
    gate = Admission("x.csv", 3, 2, left_out=(LeftOut("no_number", (2,), (), "no number in column 'loss' (--loss)"),))
    assert gate.left_out_counts() == {"no_number": 1}
