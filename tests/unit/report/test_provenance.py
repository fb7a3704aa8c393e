"""Where runs were carried out, as reports print it."""

from dataclasses import replace

from archbench.report.provenance import hardware_table
from archbench.results.runs import RunRecord
from archbench.testing.synthetic import SyntheticLaw, synthetic_records


def made_on(cpu: str, record: RunRecord, seconds: float | None) -> RunRecord:
    curve = tuple(replace(point, device_seconds=seconds) for point in record.curve)
    return replace(record, curve=curve, details={"timings": {"hardware": {"cpu": cpu, "cpu_cores": 2}}})


def test_machines_have_their_runs_and_time_and_a_dash_where_no_time_is_known() -> None:
    first, second, third, *_ = synthetic_records("gpt2", SyntheticLaw())
    table = hardware_table([made_on("A", first, 60.0), made_on("A", second, 30.0), made_on("B", third, None)])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [(row[1], *row[5:]) for row in rows] == [("A", "2", "1 min 30 s"), ("B", "1", "-")]
