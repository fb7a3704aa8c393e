"""What a run leaves behind: `record.json`, the same bytes whenever the run is repeated, and `timings.json`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archbench.errors import StoreError
from archbench.results.runs import CurvePoint, PrefixAudit, RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import read_json, to_json, write_atomically
from archbench.runs.imported import read_imported
from archbench.runs.lease import read_lease
from archbench.spec.identity import RunFacts, RunIdentity, RunPlan

RECORD_FORMAT = 1
ENDED = (RunState.DONE, RunState.FAILED, RunState.DIVERGED)
"""States that a record can hold."""

_MEASURED = "device_seconds"
"""The one field of a curve point that is measured, hence kept out of the record."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, without anything that was measured rather than computed."""

    state: RunState
    curve: tuple[CurvePoint, ...] = ()
    prefix_audit: PrefixAudit | None = None
    reason: str | None = None
    """Why it failed or diverged, in one line."""


def write_record(directory: RunDirectory, plan: RunPlan, outcome: Outcome) -> None:
    """Stores `record.json`; nothing in it depends on when, where or in how many attempts the run was carried out."""
    if outcome.state not in ENDED:
        raise ValueError(f"a record holds the end of a run, not the state {outcome.state.value!r}")
    curve = [asdict(point) for point in outcome.curve]
    for point in curve:
        del point[_MEASURED]
    content = {
        "format": RECORD_FORMAT,
        "run_id": plan.identity.run_id,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "curve": curve,
        "prefix_audit": None if outcome.prefix_audit is None else asdict(outcome.prefix_audit),
        "identity": plan.identity.model_dump(mode="json"),
        "facts": plan.facts.model_dump(mode="json"),
    }
    write_atomically(directory.record_file, to_json(content))


def write_timings(directory: RunDirectory, curve: Sequence[CurvePoint], measured: Mapping[str, Any]) -> None:
    """Stores `timings.json`: device seconds of each curve point, and `measured`: hardware, versions, memory, rates."""
    seconds = [[point.step, point.device_seconds] for point in curve if point.device_seconds is not None]
    write_atomically(directory.timings_file, to_json({**measured, "device_seconds_by_step": seconds}))


def read_record(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """The run in `directory` as analysis sees it; None where nothing was planned there.

    Without a record the run is `running` if a living process holds its lease, otherwise `planned`; its curve is then
    empty. `contender` and `size_index` come from the scan: a run id knows no names. Raises StoreError for a malformed
    file.
    """
    if not directory.record_file.exists():
        if not directory.plan_file.exists():
            return read_imported(directory, contender=contender, size_index=size_index)
        plan = directory.read_plan()
        lease = read_lease(directory)
        state = RunState.RUNNING if lease is not None and lease.alive else RunState.PLANNED
        details = {} if lease is None else {"step": lease.step, "total_steps": plan.identity.training.total_steps}
        return _join(plan.identity, plan.facts, Outcome(state), contender, size_index, details)
    identity, facts, outcome = _parse_record(directory.record_file)
    timings = _read_timings(directory.timings_file)
    outcome = _with_device_seconds(outcome, timings, directory.timings_file)
    return _join(identity, facts, outcome, contender, size_index, {"timings": timings})


def read_outcome(directory: RunDirectory) -> Outcome | None:
    """How the run in `directory` ended; None while it has not."""
    return _parse_record(directory.record_file)[2] if directory.record_file.exists() else None


def _join(
    identity: RunIdentity,
    facts: RunFacts,
    outcome: Outcome,
    contender: str,
    size_index: int,
    details: Mapping[str, Any],
) -> RunRecord:
    training = identity.training
    return RunRecord(
        run_id=identity.run_id,
        contender=contender,
        architecture=str(identity.architecture["kind"]),
        objective=str(identity.objective["kind"]),
        track=facts.track,
        size_index=size_index,
        non_embedding_params=facts.non_embedding_params,
        embedding_params=facts.embedding_params,
        seed=identity.seed,
        batch_tokens=training.batch_tokens,
        planned_tokens=training.total_tokens,
        unique_tokens=facts.unique_tokens,
        state=outcome.state,
        curve=outcome.curve,
        prefix_audit=outcome.prefix_audit,
        reason=outcome.reason,
        details={"identity": identity.model_dump(mode="json"), "facts": facts.model_dump(mode="json"), **details},
    )


def _parse_record(path: Path) -> tuple[RunIdentity, RunFacts, Outcome]:
    content = read_json(path)
    try:
        if content["format"] != RECORD_FORMAT:
            raise StoreError(f"{path}: has format {content['format']!r}, this version reads {RECORD_FORMAT}")
        identity = RunIdentity.model_validate(content["identity"])
        facts = RunFacts.model_validate(content["facts"])
        if identity.run_id != content["run_id"]:
            raise ValueError("its run id does not belong to its identity")
        audit = content["prefix_audit"]
        outcome = Outcome(
            state=RunState(content["state"]),
            curve=tuple(curve_point(point) for point in content["curve"]),
            prefix_audit=None if audit is None else PrefixAudit(**audit),
            reason=content["reason"],
        )
        if outcome.state not in ENDED:
            raise ValueError(f"state {outcome.state.value!r} is not an end")
    except (KeyError, TypeError, ValueError) as error:
        problem = _first_line(error)
        raise StoreError(f"{path}: is malformed: {problem}; delete the file, the run is then trained again") from error
    return identity, facts, outcome


def curve_point(content: Mapping[str, Any]) -> CurvePoint:
    """A stored curve point. Raises KeyError, TypeError or ValueError for fields that are missing or of a wrong type."""
    known = {field.name for field in fields(CurvePoint)}
    if unknown := set(content) - known:
        raise ValueError(f"unknown field {min(unknown)!r} in a curve point")
    for name, value in content.items():
        flag = name in {"in_warmup", "finished"}
        if flag != isinstance(value, bool) or not isinstance(value, int | float | None):
            raise TypeError(f"field {name!r} of a curve point is {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"field {name!r} of a curve point is {value!r}")
    return CurvePoint(**content)


def _read_timings(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise StoreError(f"{path}: is malformed: expected an object; delete the file, device seconds are then missing")
    return content


def _with_device_seconds(outcome: Outcome, timings: Mapping[str, Any], path: Path) -> Outcome:
    try:
        seconds = {int(step): float(value) for step, value in timings.get("device_seconds_by_step", [])}
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"{path}: device_seconds_by_step is malformed: {_first_line(error)}; delete the file"
        ) from error
    curve = tuple(replace(point, device_seconds=seconds.get(point.step)) for point in outcome.curve)
    return replace(outcome, curve=curve)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
