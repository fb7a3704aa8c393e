from dataclasses import replace

from archbench.contracts.report import ScanResults
from archbench.report.verdict import reservations
from archbench.results.arithmetic import arithmetic_of, mixed_arithmetic
from archbench.results.runs import RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

HERE = {"processor": "one", "kernels": "kernels-1", "torch": "2.13.0", "threads": 1}


def computed_by(record: RunRecord, **other: object) -> RunRecord:
    return replace(record, details={"arithmetic": {**HERE, **other}})


def three() -> list[RunRecord]:
    records = synthetic_records("gpt2", SyntheticLaw(), SyntheticScan(sizes=(1, 2, 3), seeds=(1, 1, 1), points=3))
    return [computed_by(record) for record in records]


def test_runs_of_one_arithmetic_are_not_mixed() -> None:
    assert mixed_arithmetic(three()) is None


def test_what_differs_is_said_with_how_many_runs_have_it() -> None:
    first, *others = three()
    words = mixed_arithmetic([computed_by(first, kernels="torch", threads=2), *others])
    assert words == (
        "runs were computed by different arithmetic: kernels kernels-1 (2), torch (1); threads 1 (2), 2 (1): their last"
        " digits do not compare bit for bit"
    )


def test_a_run_that_enters_no_fit_mixes_nothing() -> None:
    first, *others = three()
    failed = replace(computed_by(first, kernels="torch"), state=RunState.FAILED)
    assert mixed_arithmetic([failed, *others]) is None


def test_older_runs_say_it_by_their_timings() -> None:
    first, *others = three()
    timings = {"kernels": "torch", "hardware": {"cpu": "one", "device": "cpu"}, "versions": {"torch": "2.13.0"}}
    old = replace(first, details={"timings": timings})
    assert arithmetic_of(old) == {"processor": "one", "device": "cpu", "kernels": "torch", "torch": "2.13.0"}
    assert "kernels kernels-1 (2), torch (1)" in str(mixed_arithmetic([old, *others]))


def test_a_run_without_kernels_differs_from_one_that_had_some() -> None:
    first, *others = three()
    late = replace(first, details={"arithmetic": {name: HERE[name] for name in HERE if name != "kernels"}})
    assert "kernels kernels-1 (2), torch (1):" in str(mixed_arithmetic([late, *others]))
    assert mixed_arithmetic([late, computed_by(first, kernels="torch")]) is None


def test_an_imported_run_that_says_nothing_differs_from_none() -> None:
    first, *others = three()
    assert mixed_arithmetic([replace(first, details={}), *others]) is None


def test_a_report_on_a_mixed_store_says_so() -> None:
    first, *others = three()
    records = (computed_by(first, processor="two"), *others)
    results = ScanResults("mixed", "", None, records, (), (), {}, {})
    assert any("different arithmetic: processor one (2), two (1)" in line for line in reservations(results))
