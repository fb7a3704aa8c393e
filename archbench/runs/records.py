"""What a run leaves behind: `record.json`, the same bytes whenever the run is repeated, and `timings.json`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from archbench.errors import StoreError
from archbench.results.runs import CurvePoint, NoiseMeasurement, PrefixAudit, RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile, read_json, to_json, write_atomically
from archbench.runs.imported import read_imported
from archbench.runs.lease import LeaseInfo, read_lease
from archbench.spec.identity import RunFacts, RunIdentity, RunPlan

RECORD_FORMAT = 1
ENDED = (RunState.DONE, RunState.FAILED, RunState.DIVERGED)
"""States that a record can hold."""

_MEASURED = "device_seconds"
"""The one field of a curve point that is measured, hence kept out of the record."""

_POINT_SORTS: Mapping[str, tuple[type, ...]] = {
    "step": (int,),
    "tokens": (int,),
    "train_loss_nats": (int, float, NoneType),
    "bits_per_byte": (int, float, NoneType),
    "device_seconds": (int, float, NoneType),
    "in_warmup": (bool,),
    "finished": (bool,),
}
"""Types of a stored curve point's fields; all others are numbers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, without anything that was measured rather than computed."""

    state: RunState
    curve: tuple[CurvePoint, ...] = ()
    prefix_audit: PrefixAudit | None = None
    reason: str | None = None
    """Why it failed or diverged, in one line."""
    other_losses_nats: Mapping[str, float] = field(default_factory=dict)
    """Hash of another corpus -> validation loss on it at the end."""
    noise_scale: tuple[NoiseMeasurement, ...] = ()


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
        # Written where it was asked for; a record without it has the bytes that it always had.
        **({"noise_scale": [asdict(one) for one in outcome.noise_scale]} if outcome.noise_scale else {}),
        **({"other_losses_nats": dict(outcome.other_losses_nats)} if outcome.other_losses_nats else {}),
    }
    write_atomically(directory.record_file, to_json(content))


def write_timings(directory: RunDirectory, curve: Sequence[CurvePoint], measured: Mapping[str, Any]) -> None:
    """Stores `timings.json`: device seconds of each curve point, and `measured`: hardware, versions, memory, rates."""
    seconds = [[point.step, point.device_seconds] for point in curve if point.device_seconds is not None]
    write_atomically(directory.timings_file, to_json({**measured, "device_seconds_by_step": seconds}))


def read_record(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """The run in `directory` as analysis sees it; None where nothing was planned there.

    Without a record the run is `running` if a living process holds its lease, otherwise `planned`; its curve is then
    empty. `contender` and `size_index` come from the scan: a run id knows no names. Raises StoreError for a file that
    cannot be read, DamagedFile for a malformed one. Damaged timings only cost the device seconds: `details["problem"]`
    tells it.
    """
    if not directory.record_file.exists():
        if not directory.plan_file.exists():
            return read_imported(directory, contender=contender, size_index=size_index)
        plan = directory.read_plan()
        lease = _lease_or_none(directory)
        state = RunState.RUNNING if lease is not None and lease.alive else RunState.PLANNED
        progress = {} if lease is None else {"step": lease.step, "total_steps": plan.identity.training.total_steps}
        holder = f"held by {lease.holder}" if lease is not None and state is RunState.RUNNING else None
        return _join(plan.identity, plan.facts, Outcome(state, reason=holder), contender, size_index, progress)
    identity, facts, outcome = _parse_record(directory.record_file)
    details: dict[str, Any] = {"timings": {}}
    try:
        timings = _read_timings(directory.timings_file)
        outcome = _with_device_seconds(outcome, timings, directory.timings_file)
        details["timings"] = timings
    except StoreError as error:
        details["problem"] = str(error)
    return _join(identity, facts, outcome, contender, size_index, details)


def _lease_or_none(directory: RunDirectory) -> LeaseInfo | None:
    """A damaged lease counts as none: whoever takes the run up writes a new one."""
    try:
        return read_lease(directory)
    except DamagedFile:
        return None


def read_outcome(directory: RunDirectory) -> Outcome | None:
    """How the run in `directory` ended; None while it has not. Raises DamagedFile for a malformed record."""
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
        other_losses_nats=outcome.other_losses_nats,
        noise_scale=outcome.noise_scale,
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
            prefix_audit=None if audit is None else _prefix_audit(audit),
            reason=content["reason"],
            other_losses_nats=_other_losses(content.get("other_losses_nats", {})),
            noise_scale=tuple(noise_measurement(one) for one in content.get("noise_scale", [])),
        )
        if not isinstance(outcome.reason, str | None):
            raise TypeError(f"its reason is {outcome.reason!r}")
        if outcome.state not in ENDED:
            raise ValueError(f"state {outcome.state.value!r} is not an end")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = _first_line(error)
        raise DamagedFile(
            f"{path}: is damaged: {problem}; `archbench run` trains the run again (it ends in the same bits)"
        ) from error
    return identity, facts, outcome


def curve_point(content: Mapping[str, Any]) -> CurvePoint:
    """A stored curve point. Raises KeyError, TypeError or ValueError for fields that are missing or of a wrong type."""
    known = {one.name for one in fields(CurvePoint)}
    if unknown := set(content) - known:
        raise ValueError(f"unknown field {min(unknown)!r} in a curve point")
    for name, value in content.items():
        if type(value) not in _POINT_SORTS.get(name, (int, float)):
            raise TypeError(f"field {name!r} of a curve point is {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"field {name!r} of a curve point is {value!r}")
    return CurvePoint(**content)


def noise_measurement(content: Mapping[str, Any]) -> NoiseMeasurement:
    """A stored measurement. Raises TypeError or ValueError for fields that are missing, unknown or not finite."""
    for name, value in content.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"field {name!r} of a noise measurement is {value!r}")
    return NoiseMeasurement(**content)


def _prefix_audit(content: Mapping[str, Any]) -> PrefixAudit:
    for name, value in content.items():
        if type(value) not in (int, float):
            raise TypeError(f"field {name!r} of the prefix audit is {value!r}")
    return PrefixAudit(**content)


def _other_losses(content: Mapping[str, Any]) -> dict[str, float]:
    for name, value in content.items():
        if type(value) not in (int, float):
            raise TypeError(f"the loss on corpus {name[:12]!r} is {value!r}")
    return dict(content)


def _read_timings(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise DamagedFile(f"{path}: is damaged: expected an object; delete the file, device seconds are then missing")
    return content


def _with_device_seconds(outcome: Outcome, timings: Mapping[str, Any], path: Path) -> Outcome:
    try:
        seconds = {int(step): float(value) for step, value in timings.get("device_seconds_by_step", [])}
    except (TypeError, ValueError) as error:
        raise DamagedFile(
            f"{path}: is damaged: device_seconds_by_step: {_first_line(error)}; delete the file, device seconds are "
            "then missing"
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
