"""What is known of a scan while it is trained, and what is told of it."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from view_pages import Folder, begin

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.errors import StoreError
from archbench.results.runs import CostAxis
from archbench.runs.trace import TracePoint, append_to_trace
from archbench.view.followed import Followed
from archbench.view.rows import COLUMNS, TOLD


def unpacked(content: bytes, columns: tuple[str, ...] = COLUMNS) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    length = int(np.frombuffer(content, "<u4", 1)[0])
    head = json.loads(content[4 : 4 + length])
    assert tuple(head["columns"]) == columns
    values = np.frombuffer(content, "<f4", offset=4 + length)
    curves, at = {}, 0
    for name, points in head["points"].items():
        size = points * len(columns)
        curves[name] = dict(zip(columns, values[at : at + size].reshape(len(columns), points), strict=True))
        at += size
    return curves


def followed(folder: Folder, name: str | None = "demo") -> Followed:
    found = Followed(folder.store, name)
    found.look()
    return found


def test_rows_and_curves_are_those_of_the_records(folder: Folder) -> None:
    known = followed(folder)
    records, _ = folder.store.records(folder.store.scan("demo"))
    rows, curves = known.snapshot()["rows"], unpacked(known.curves())
    assert [row["id"] for row in rows] == [record.run_id[:16] for record in records]
    for row, record in zip(rows, records, strict=True):
        assert (row["state"], row["loss"], row["params"]) == (
            "done",
            record.final_loss_nats,
            record.non_embedding_params,
        )
        curve = curves[row["id"]]
        assert curve["step"].tolist() == [point.step for point in record.curve]
        assert curve["validation_loss_nats"] == pytest.approx([point.validation_loss_nats for point in record.curve])
        assert curve["exact"] == pytest.approx([point.exact_flops for point in record.curve])


def test_frontiers_are_those_of_the_report(folder: Folder) -> None:
    records, _ = folder.store.records(folder.store.scan("demo"))
    reported, _ = analyse_scan(records, baseline="gpt2", options=StudyOptions(num_resamples=20, floor="none"))
    shown = followed(folder).snapshot()["summary"]["frontiers"]
    for one in reported:
        if one.cost_axis is not CostAxis.PROCESSOR_SECONDS:
            points = [(point.cost, point.loss_nats) for point in one.points]
            assert shown[one.cost_axis.value][one.contender] == points


def test_settings_are_told_once_for_all_runs_that_share_them(folder: Folder) -> None:
    settings = followed(folder).snapshot()["settings"]
    assert settings["training.batch_tokens"] == {"values": [4096]}
    assert settings["seed"]["values"] == [0, 1]
    assert len(settings["seed"]["of"]) == 8


def test_a_run_that_goes_on_is_shown_by_its_trace_and_nothing_else_is_told_anew(folder: Folder) -> None:
    work = begin(folder.store)
    known = followed(folder)
    before = known.snapshot()
    assert before["summary"]["words"] == "1 running, 8 done"
    work.tell(0, validation_loss_nats=5.5)
    work.tell(61, train_loss_nats=4.0, gradient_norm=0.5, tokens_per_s=1000.0, memory_bytes=2**20)
    known.look()
    _, news = known.news(before["version"], 0.0)
    assert news is not None
    (row,) = news["rows"]
    assert (row["id"], row["state"], row["step"], row["steps"]) == (work.run_id[:16], "running", 61, 976)
    assert (row["loss"], row["tokens_per_s"], row["memory_bytes"]) == (5.5, 1000.0, 2**20)
    (curve,) = unpacked(base64.b64decode(news["curves"])).values()
    assert curve["tokens"].tolist() == [0.0, 61 * 4096.0]
    assert curve["validation_loss_nats"][0] == 5.5
    assert np.isnan(curve["validation_loss_nats"][1])
    assert not news["summary"]["all_ended"]


def test_what_runs_tell_of_gradients_throughput_and_memory_is_laid_over_each_other(folder: Folder) -> None:
    work = begin(folder.store)
    work.tell(0, validation_loss_nats=5.5)
    work.tell(61, gradient_norm=0.5, tokens_per_s=1000.0, memory_bytes=2**29)
    ended = folder.store.scan("demo").runs[0]
    path = folder.store.directory(ended.run_id).trace_file
    append_to_trace(path, TracePoint(1, 10, 2.0, gradient_norm=0.25))
    told = unpacked(followed(folder).told(()), TOLD)
    assert len(told) == 9
    going_on, done = told[work.run_id[:16]], told[ended.run_id[:16]]
    assert (going_on["step"].tolist(), going_on["tokens"].tolist()) == ([61.0], [61 * 4096.0])
    assert [going_on[name].tolist() for name in TOLD[-3:]] == [[0.5], [1000.0], [0.5]]
    assert (done["gradient_norm"].tolist(), done["device_seconds"].tolist()) == ([0.25], [2.0])
    assert done["exact"][0] > 0
    assert np.isnan(done["tokens_per_s"][0])
    assert sum(len(columns["step"]) for columns in told.values()) == 2
    assert unpacked(followed(folder).told([ended.run_id[:16]]), TOLD).keys() == {ended.run_id[:16]}


def test_nothing_is_told_where_nothing_has_changed(folder: Folder) -> None:
    begin(folder.store)
    known = followed(folder)
    version = known.snapshot()["version"]
    known.look()
    assert known.news(version, 0.0) == (version, None)


def test_a_run_whose_process_is_gone_is_not_said_to_go_on(folder: Folder) -> None:
    work = begin(folder.store)
    known = followed(folder)
    version = known.snapshot()["version"]
    work.lease.release()
    known.look()
    _, news = known.news(version, 0.0)
    assert news is not None
    assert [row["state"] for row in news["rows"]] == ["planned"]
    assert news["summary"]["left"] == "nothing is being trained at the moment"


def test_where_runs_have_come_the_page_asks_for_all_of_it(folder: Folder) -> None:
    known = followed(folder)
    version = known.snapshot()["version"]
    begin(folder.store)
    known.look()
    assert known.news(version, 0.0)[1] == {"reload": True}
    assert known.news("another-1", 0.0)[1] == {"reload": True}
    assert known.news("", 0.0)[1] == {"reload": True}


def test_a_damaged_run_is_told_and_told_again_when_it_is_mended(folder: Folder) -> None:
    run = folder.store.scan("demo").runs[0]
    path = folder.store.directory(run.run_id).record_file
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"seed": 0', b'"seed": 3', 1))
    known = followed(folder)
    shown = known.snapshot()
    assert shown["rows"][0]["state"] == "damaged"
    assert "is damaged" in shown["summary"]["problems"][0]
    assert not shown["summary"]["all_ended"]
    path.write_bytes(whole)
    known.look()
    _, news = known.news(shown["version"], 0.0)
    assert news is not None
    assert [row["state"] for row in news["rows"]] == ["done"]
    assert news["summary"]["problems"] == []


def test_a_list_that_is_damaged_while_it_is_followed_is_a_problem_and_no_end(folder: Folder) -> None:
    known = followed(folder)
    (listed,) = folder.store.scans_dir.glob("demo.json")
    kept = listed.with_suffix(".kept")
    listed.rename(kept)
    known.look()
    assert "holds no scan 'demo'" in known.snapshot()["summary"]["problems"][0]
    kept.rename(listed)
    known.look()
    assert known.snapshot()["summary"]["problems"] == []


def test_every_run_of_a_store_is_followed_under_the_name_of_its_architecture(folder: Folder) -> None:
    shown = followed(folder, None).snapshot()
    assert {row["contender"] for row in shown["rows"]} == {"gpt2", "<script>xl</script>"}
    assert shown["summary"]["frontiers"] == {}


def test_a_scan_that_is_not_there_is_refused(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no scan 'demos'; did you mean 'demo'"):
        followed(folder, "demos")
