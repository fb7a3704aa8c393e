"""Contenders of one table held against each other: one of them in another unit, or with another's losses."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.read import PLAIN, run_tables
from archbench.analysis.tables.run_table import Columns, RunTable
from archbench.errors import SpecError

TRUTH = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.34, "beta": 0.28}
COLUMNS = Columns(loss="loss", params="N", tokens="D", arch="arch")
WITH_COMPUTE = Columns(loss="loss", params="N", tokens="D", compute="C", arch="arch")


def ladder(arch: str, better: float = 1.0, sizes: int = 5) -> pd.DataFrame:
    """One run a size; better: a loss that A reaches takes so many times less compute."""
    n = np.geomspace(2e7, 7e8, sizes).round()
    d = 20 * n
    loss = Chinchilla().predict(TRUTH, N=n * better**0.5, D=d * better**0.5)
    noise = np.exp(np.random.default_rng(len(arch) + sizes).normal(0, 0.003, sizes))
    return pd.DataFrame({"arch": arch, "N": n, "D": d, "C": 6 * n * d, "loss": loss * noise})


def two(change: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """A, and X that is half as good again, in the units of `change`."""
    return pd.concat([ladder("A"), change(ladder("X", 1.5))], ignore_index=True)


def tables(frame: pd.DataFrame, columns: Columns = COLUMNS, unit: str | None = None) -> list[RunTable]:
    return run_tables(frame, columns, source="runs.csv", compute_unit=unit)


def refusal(frame: pd.DataFrame, columns: Columns, unit: str | None = None, treatment: Treatment = PLAIN) -> str:
    with pytest.raises(SpecError) as caught:
        run_tables(frame, columns, source="runs.csv", compute_unit=unit, treatment=treatment)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def kinds(found: RunTable) -> dict[str, tuple[int, ...]]:
    return {one.kind: one.rows for one in found.gate.suspicions}


@pytest.mark.parametrize(
    ("change", "flag", "remedy"),
    [
        (lambda x: x.assign(N=x["N"] / 1e6), "--params N: values 20 to 700", "in millions, 1e6"),
        (lambda x: x.assign(D=x["D"] / 1e9), "--tokens D: values 0.4 to 14", "--scale tokens=1e9"),
        (lambda x: x.assign(loss=np.exp(x["loss"])), "--loss loss: half of the values", "--loss-unit ppl"),
    ],
)
@pytest.mark.parametrize("others", [1, 3])
def test_another_unit_of_one_contender_is_refused_by_its_name(
    change: Callable[[pd.DataFrame], pd.DataFrame], flag: str, remedy: str, others: int
) -> None:
    frame = pd.concat([two(change), *(ladder(f"B{number}") for number in range(1, others))], ignore_index=True)
    message = refusal(frame, COLUMNS)
    assert message.startswith(f"runs.csv: X: {flag}")
    assert remedy in message
    assert "--where arch=X" in message


def test_the_remedy_reads_the_contender_alone_and_right() -> None:
    frame = two(lambda x: x.assign(N=x["N"] / 1e6))
    treatment = Treatment(scale={"params": 1e6}, where=(("arch", "X"),))
    (found,) = run_tables(frame, COLUMNS, source="runs.csv", treatment=treatment)
    np.testing.assert_allclose(found.values["N"], ladder("X")["N"], rtol=1e-12)


def test_units_that_differ_are_refused_where_each_alone_could_be_meant() -> None:
    # Thousands: 20,000 to 700,000, which would be parameters of a small model.
    thousands = two(lambda x: x.assign(N=x["N"] / 1e3, D=x["D"] / 1e3))
    assert len(tables(thousands)) == 2
    message = refusal(two(lambda x: x.assign(D=x["D"] / 1e5)), COLUMNS)
    assert message.startswith("runs.csv: --tokens D: X has 4e+03 to 1.4e+05, A 4e+08 to 1.4e+10 at like losses")
    assert "--where arch=X" in message
    # A factor that was meant for X alone puts A out of range instead.
    scaled = two(lambda x: x.assign(N=x["N"] / 1e6))
    message = refusal(scaled, COLUMNS, treatment=Treatment(scale={"params": 1e6}))
    assert "X has 2e+07 to 7e+08, A 2e+13 to 7e+14" in message
    assert "--scale params=FACTOR" in message


def test_contenders_of_other_sizes_at_other_losses_are_let_in() -> None:
    large = ladder("X").assign(N=lambda x: x["N"] * 1e5, D=lambda x: x["D"] * 1e5, loss=lambda x: x["loss"] / 3)
    assert len(tables(pd.concat([ladder("A"), large], ignore_index=True))) == 2


@pytest.mark.parametrize(
    ("unit", "factor", "remedy"),
    [("flops", 8.64e19, "--compute-unit pf-days"), ("flops", 1e18, "--scale compute=1e+18")],
)
def test_compute_of_one_contender_in_another_unit_is_refused(unit: str, factor: float, remedy: str) -> None:
    message = refusal(two(lambda x: x.assign(C=x["C"] / factor)), WITH_COMPUTE, unit)
    assert message.startswith(f"runs.csv: X: --compute C: 6ND is {factor:.3g} times what it says, read as flops")
    assert f"{remedy}, of X alone with --where arch=X" in message


def test_compute_of_all_contenders_in_another_unit_is_refused_without_a_name() -> None:
    pf_days = two(lambda x: x).assign(C=lambda frame: frame["C"] / 8.64e19)
    message = refusal(pf_days, WITH_COMPUTE, "flops")
    assert message.startswith("runs.csv: --compute C: 6ND is 8.64e+19 times")
    assert "say --compute-unit pf-days; as it is" in message
    assert len(tables(pf_days, WITH_COMPUTE, "pf-days")) == 2
    assert "say --compute-unit flops; as it is" in refusal(two(lambda x: x), WITH_COMPUTE, "pf-days")
    # Half or ten times of 6ND is embeddings, attention or experts.
    assert len(tables(two(lambda x: x.assign(C=x["C"] * 10)), WITH_COMPUTE, "flops")) == 2


def test_compute_alone_is_held_against_the_others() -> None:
    frame = two(lambda x: x.assign(C=x["C"] / 8.64e19))
    columns = Columns(loss="loss", compute="C", arch="arch")
    assert "--where arch=X with --compute-unit pf-days" in refusal(frame, columns, "flops")
    assert "--where arch=X with --scale compute=1e21" in refusal(frame, columns)


def test_one_contender_in_the_right_unit_among_many_in_another_is_named() -> None:
    others = pd.concat([ladder(f"B{number}") for number in range(5)]).assign(C=lambda frame: frame["C"] / 8.64e19)
    message = refusal(pd.concat([others, ladder("X")]), Columns(loss="loss", compute="C", arch="arch"), "flops")
    assert "X has 4.8e+16 to 5.88e+19, the others 0.000556 to 0.681 at like losses" in message
    assert "--where arch=X with --scale compute=FACTOR" in message


def test_bits_of_one_contender_beside_nats_are_suspicious() -> None:
    nats, bits = tables(two(lambda x: x.assign(loss=x["loss"] / np.log(2))))
    assert kinds(nats) == {}
    assert kinds(bits) == {"bits_beside_nats": (6, 7, 8, 9, 10)}
    assert "times those of A at equal N and D" in bits.gate.lines()[-1]
    # As much worse, but not at every size alike.
    slopes = two(lambda x: x.assign(loss=x["loss"] * np.linspace(1.37, 1.52, 5)))
    assert [kinds(found) for found in tables(slopes)] == [{}, {}]


def test_losses_of_another_contender_to_the_digit_are_suspicious() -> None:
    copied = pd.concat([ladder("A"), ladder("A").assign(arch="X"), ladder("B", 1.2, 6)], ignore_index=True)
    found = {one.arch: kinds(one) for one in tables(copied)}
    assert found == {"A": {}, "B": {}, "X": {"losses_of_another": (6, 7, 8, 9, 10)}}
    rounded = copied.assign(loss=copied["loss"].round(1))
    assert all(not kinds(one) for one in tables(rounded))
