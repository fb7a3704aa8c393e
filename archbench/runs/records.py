"""What a run leaves behind: `record.json`, the same bytes whenever the run is repeated, and `timings.json`.

Both hold a digest of themselves (`archbench.runs.sealed`): a record is believed if it is what was written. Of a record
that version 0.1.0 wrote, which has none, more is held against each other than is stored twice: run id and identity,
tokens and steps, FLOPs and tokens, bits per byte and nats.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any

from pydantic import ValidationError

from archbench.errors import StoreError
from archbench.results.arithmetic import ARITHMETIC
from archbench.results.consistency import belied_point, near
from archbench.results.reference_lines import lines_problem
from archbench.results.runs import CurvePoint, FinalEvaluation, NoiseMeasurement, PrefixAudit, RunRecord, RunState
from archbench.runs.directory import ID_DIGITS, RunDirectory
from archbench.runs.files import DamagedFile
from archbench.runs.imported import read_imported
from archbench.runs.lease import LeaseInfo, read_lease
from archbench.runs.queue import read_mark
from archbench.runs.sealed import FORMAT, Sealed, read_sealed, refuse_newer, write_sealed
from archbench.spec.identity import IDENTITY_FORMAT, RunFacts, RunIdentity, RunPlan, canonical_id

ENDED = (RunState.DONE, RunState.FAILED, RunState.DIVERGED)
"""States that a record can hold."""

_RECORD_REMEDY = (
    "`archbench run` trains the run again (it ends in the same bits); with --leave-out-damaged it goes on without it"
)
_TIMINGS_REMEDY = (
    "delete the file, device seconds are then missing; `archbench runs rerun --damaged` measures them again"
)

_MEASURED = ("device_seconds", "processor_seconds")
"""Fields of a curve point that are measured, hence kept out of the record: by step, they stand in the timings."""

Measured = Mapping[int, Mapping[str, float]]
"""Step -> field of a curve point -> seconds."""

_NOT_MEASURED: Measured = MappingProxyType({})
_NOTHING_TIMED = (Sealed({}, FORMAT, protected=True), _NOT_MEASURED)

_ALWAYS = ("run_id", "state", "reason", "curve", "prefix_audit", "identity", "facts")
_KEYS = frozenset({*_ALWAYS, "arithmetic", "final", "noise_scale", "other_losses_nats", "reference_lines"})
"""Keys of a record, beside format and digest."""

_TIMED_OBJECTS = ("hardware", "versions", "plugins")
"""Keys of the timings under which others look for more."""

_POINT_SORTS: Mapping[str, tuple[type, ...]] = {
    "step": (int,),
    "tokens": (int,),
    "train_loss_nats": (int, float, NoneType),
    "bits_per_byte": (int, float, NoneType),
    "device_seconds": (int, float, NoneType),
    "processor_seconds": (int, float, NoneType),
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
    final: FinalEvaluation | None = None
    """On all held-out text, where that was asked for."""
    arithmetic: Mapping[str, Any] | None = None
    """What computed it (`archbench.results.arithmetic`); None where no step was taken, or nobody noted it."""
    reference_lines: Mapping[str, float] = field(default_factory=dict)
    """Losses of n-gram models of its training text, in nats per predicted token; empty where they are not known."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A record as it is stored."""

    run_id: str
    identity: RunIdentity
    facts: RunFacts
    written_identity: Mapping[str, Any]
    written_facts: Mapping[str, Any]
    outcome: Outcome
    protected: bool


def write_record(directory: RunDirectory, plan: RunPlan, outcome: Outcome) -> None:
    """Stores `record.json`; nothing in it depends on when, where or in how many attempts the run was carried out."""
    if outcome.state not in ENDED:
        raise ValueError(f"a record holds the end of a run, not the state {outcome.state.value!r}")
    curve = [asdict(point) for point in outcome.curve]
    for point in curve:
        for name in _MEASURED:
            del point[name]
    content = {
        "run_id": plan.identity.run_id,
        "state": outcome.state.value,
        "reason": outcome.reason,
        "curve": curve,
        "prefix_audit": None if outcome.prefix_audit is None else asdict(outcome.prefix_audit),
        "identity": plan.identity.model_dump(mode="json"),
        "facts": plan.facts.model_dump(mode="json"),
        "arithmetic": None if outcome.arithmetic is None else dict(outcome.arithmetic),
        # Written where it was asked for; a record without it has the bytes that it always had.
        **({"noise_scale": [asdict(one) for one in outcome.noise_scale]} if outcome.noise_scale else {}),
        **({"other_losses_nats": dict(outcome.other_losses_nats)} if outcome.other_losses_nats else {}),
        **({} if outcome.final is None else {"final": _final_content(outcome.final)}),
        **({"reference_lines": dict(outcome.reference_lines)} if outcome.reference_lines else {}),
    }
    write_sealed(directory.record_file, content)


def write_timings(directory: RunDirectory, curve: Sequence[CurvePoint], measured: Mapping[str, Any]) -> None:
    """Stores `timings.json`: the seconds of each curve point, and `measured`: hardware, versions, memory, rates."""
    by_step = {
        f"{name}_by_step": [[point.step, seconds] for point in curve if (seconds := getattr(point, name)) is not None]
        for name in _MEASURED
    }
    # Device seconds are always there; processor seconds only where they were counted.
    written = {name: pairs for name, pairs in by_step.items() if pairs or name == "device_seconds_by_step"}
    write_sealed(directory.timings_file, {**measured, **written})


def read_record(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """The run in `directory` as analysis sees it; None where nothing was planned there.

    Without a record the run is `running` if a living process holds its lease, otherwise `planned`; its curve is then
    empty. `contender` and `size_index` come from the scan: a run id knows no names. Raises StoreError for a file that
    cannot be read, NewerFormat for one of a later version, DamagedFile for one that is not what was written. Timings
    that cannot be read only cost the device seconds: `details["problem"]` tells it. `details["protected"]` says whether
    digests vouch for what was read.
    """
    return _read(directory, contender, size_index, last_alone=False)


def read_last(directory: RunDirectory, *, contender: str, size_index: int) -> RunRecord | None:
    """As `read_record`, with the last point of its curve alone: enough to tell where thousands of runs stand."""
    return _read(directory, contender, size_index, last_alone=True)


def read_end(directory: RunDirectory) -> RunRecord | None:
    """The run in `directory` without names, timings and what it did on the way: of its curve the last point alone.

    What a list of thousands of runs shows. Raises as `read_record`.
    """
    if not directory.record_file.exists():
        return _without_end(directory, "", 0)
    stored = _parse_record(directory, last_alone=True)
    return _join(stored, "", 0, {"protected": stored.protected})


def _read(directory: RunDirectory, contender: str, size_index: int, *, last_alone: bool) -> RunRecord | None:
    if not directory.record_file.exists():
        return _without_end(directory, contender, size_index)
    told = {}
    try:
        timings, seconds = read_timings(directory.timings_file)
    except StoreError as error:
        timings, seconds = _NOTHING_TIMED
        told["problem"] = str(error)
    stored = _parse_record(directory, seconds, last_alone=last_alone)
    details = {"timings": timings.content, "protected": stored.protected and timings.protected, **told}
    return _join(stored, contender, size_index, details)


def _without_end(directory: RunDirectory, contender: str, size_index: int) -> RunRecord | None:
    """The run in `directory` where that holds no record."""
    if not directory.plan_file.exists():
        return read_imported(directory, contender=contender, size_index=size_index)
    plan = directory.read_plan()
    lease = _lease_or_none(directory)
    mark = read_mark(directory)
    waits = RunState.PLANNED if mark is None else mark.state
    state = RunState.RUNNING if lease is not None and lease.alive else waits
    progress = {} if lease is None else {"step": lease.step, "total_steps": plan.identity.training.total_steps}
    why = None if mark is None else mark.words
    holder = f"held by {lease.holder}" if lease is not None and state is RunState.RUNNING else why
    identity, facts = plan.identity.model_dump(mode="json"), plan.facts.model_dump(mode="json")
    outcome = Outcome(state, reason=holder)
    planned = _Stored(plan.identity.run_id, plan.identity, plan.facts, identity, facts, outcome, protected=True)
    return _join(planned, contender, size_index, progress)


def _lease_or_none(directory: RunDirectory) -> LeaseInfo | None:
    """A damaged lease counts as none: whoever takes the run up writes a new one."""
    try:
        return read_lease(directory)
    except DamagedFile:
        return None


def read_outcome(directory: RunDirectory) -> Outcome | None:
    """How the run in `directory` ended; None while it has not. Raises DamagedFile for a malformed record."""
    return _parse_record(directory).outcome if directory.record_file.exists() else None


def _join(stored: _Stored, contender: str, size_index: int, details: Mapping[str, Any]) -> RunRecord:
    identity, facts, outcome = stored.identity, stored.facts, stored.outcome
    training = identity.training
    return RunRecord(
        run_id=stored.run_id,
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
        final=outcome.final,
        reference_lines=outcome.reference_lines,
        details={
            "identity": stored.written_identity,
            "facts": stored.written_facts,
            **({} if outcome.arithmetic is None else {ARITHMETIC: outcome.arithmetic}),
            **details,
        },
    )


def _parse_record(directory: RunDirectory, seconds: Measured = _NOT_MEASURED, *, last_alone: bool = False) -> _Stored:
    """The record in `directory` with measured `seconds` by step; `last_alone`: of its curve the last point.

    Where no digest vouches for it the whole curve is read even so, since its points are held against each other.
    """
    path = directory.record_file
    sealed = read_sealed(path, _RECORD_REMEDY)
    content = sealed.content
    try:
        if unknown := content.keys() - _KEYS:
            raise ValueError(f"unknown key {min(unknown)!r}")
        refuse_newer(f"{path}: its identity", content["identity"].get("format"), IDENTITY_FORMAT)
        identity = RunIdentity.model_validate(content["identity"])
        facts = RunFacts.model_validate(content["facts"])
        if canonical_id(content["identity"]) != content["run_id"]:
            raise ValueError("its run id does not belong to its identity")
        if not directory.may_hold(content["run_id"]):
            raise ValueError(f"it is the run {content['run_id'][:ID_DIGITS]}")
        audit = content["prefix_audit"]
        points = content["curve"][-1:] if last_alone and sealed.protected else content["curve"]
        outcome = Outcome(
            state=RunState(content["state"]),
            curve=tuple(curve_point(point, seconds) for point in points),
            prefix_audit=None if audit is None else _prefix_audit(audit),
            reason=content["reason"],
            other_losses_nats=_other_losses(content.get("other_losses_nats", {})),
            noise_scale=tuple(noise_measurement(one) for one in content.get("noise_scale", [])),
            final=_final_evaluation(content["final"]) if "final" in content else None,
            arithmetic=_arithmetic(content.get("arithmetic")),
            reference_lines=_reference_lines(content.get("reference_lines", {})),
        )
        if not isinstance(outcome.reason, str | None):
            raise TypeError(f"its reason is {outcome.reason!r}")
        if outcome.state not in ENDED:
            raise ValueError(f"state {outcome.state.value!r} is not an end")
        if not sealed.protected and (problem := inconsistency(identity, facts, outcome.curve)) is not None:
            raise ValueError(problem)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path}: is damaged: {_first_line(error)}; {_RECORD_REMEDY}") from error
    return _Stored(content["run_id"], identity, facts, content["identity"], content["facts"], outcome, sealed.protected)


def inconsistency(identity: RunIdentity, facts: RunFacts, curve: Sequence[CurvePoint]) -> str | None:
    """Where a curve contradicts itself or its run's plan, in words; None where it does not.

    A record states several things twice: what holds them against each other finds most changes of a figure without a
    digest. Tokens are steps times the batch, FLOPs are tokens times what a token costs, and bits per byte of one
    evaluation set are its nats per token times one factor.
    """
    training = identity.training
    for index, point in enumerate(curve):
        if point.tokens != point.step * training.batch_tokens or point.step > training.total_steps:
            return f"curve[{index}]: {point.tokens:,} tokens at step {point.step:,} are not those of its plan"
        if index and point.step <= curve[index - 1].step:
            return f"curve[{index}]: step {point.step:,} comes after {curve[index - 1].step:,}"
        if not near(point.kaplan_flops, facts.kaplan_flops_per_token * point.tokens):
            return f"curve[{index}]: kaplan_flops {point.kaplan_flops:g} are not those of its tokens"
        if not near(point.exact_flops, facts.exact_flops_per_token * point.tokens):
            return f"curve[{index}]: exact_flops {point.exact_flops:g} are not those of its tokens"
        if point.validation_loss_nats <= 0.0:
            return f"curve[{index}]: validation_loss_nats is {point.validation_loss_nats:g}"
    belied = belied_point([one.validation_loss_nats for one in curve], [one.bits_per_byte for one in curve])
    if belied is not None:
        one = curve[belied]
        return (
            f"curve[{belied}]: validation_loss_nats {one.validation_loss_nats:g} and bits_per_byte"
            f" {one.bits_per_byte:g} belie each other"
        )
    return None


def _arithmetic(content: object) -> Mapping[str, Any] | None:
    if content is None:
        return None
    if not isinstance(content, dict) or not all(isinstance(value, str | int) for value in content.values()):
        raise TypeError(f"its arithmetic is {content!r}")
    return content


def curve_point(content: Mapping[str, Any], seconds: Measured = _NOT_MEASURED) -> CurvePoint:
    """A stored curve point, with measured `seconds` by step where there are any.

    Raises KeyError, TypeError or ValueError for fields that are missing or of a wrong type.
    """
    if problem := _sort_problem(tuple(content), tuple(map(type, content.values()))):
        name, what = problem
        raise TypeError(f"{what} {name!r} of a curve point" + (f" is {content[name]!r}" if what == "field" else ""))
    return CurvePoint(**{**content, **seconds.get(content["step"], {})} if seconds else content)


@lru_cache(maxsize=256)
def _sort_problem(names: tuple[str, ...], sorts: tuple[type, ...]) -> tuple[str, str] | None:
    """The first field that a curve point does not have or that is of a wrong type, and which of the two it is.

    Points of all runs are of few sorts, so that it is looked at once for each.
    """
    known = {one.name for one in fields(CurvePoint)}
    if unknown := set(names) - known:
        return min(unknown), "unknown field"
    wrong = (name for name, sort in zip(names, sorts, strict=True) if sort not in _POINT_SORTS.get(name, (int, float)))
    return next(((name, "field") for name in wrong), None)


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


def _final_content(final: FinalEvaluation) -> dict[str, Any]:
    """The stored form: columns over groups, and what follows from them for whoever reads the file alone."""
    return {"loss_nats": final.loss_nats, "bits_per_byte": final.bits_per_byte, **asdict(final)}


def _final_evaluation(content: Mapping[str, Any]) -> FinalEvaluation:
    """A stored final evaluation. Raises KeyError, TypeError or ValueError for one that belies itself."""
    columns = {one.name: content[one.name] for one in fields(FinalEvaluation)}
    if unknown := content.keys() - columns.keys() - {"loss_nats", "bits_per_byte"}:
        raise ValueError(f"unknown field {min(unknown)!r} of the final evaluation")
    given = {name: column for name, column in columns.items() if column is not None or name != "utf8_bytes"}
    for name, column in given.items():
        sorts = (int, float) if name == "nats" else (int,)
        if not isinstance(column, list) or not all(type(value) in sorts and value >= 0 for value in column):
            raise TypeError(f"column {name!r} of the final evaluation is not one of numbers from 0 on")
    if len({len(column) for column in given.values()}) != 1 or not sum(given["predictions"]):
        raise ValueError("the final evaluation predicts nothing, or its columns differ in length")
    values: dict[str, Any] = {name: None if column is None else tuple(column) for name, column in columns.items()}
    final = FinalEvaluation(**values)
    if not near(final.loss_nats, content["loss_nats"]):
        raise ValueError(f"the final loss is {content['loss_nats']:g} nats, its groups give {final.loss_nats:g}")
    return final


def _reference_lines(content: object) -> dict[str, float]:
    if not isinstance(content, dict) or (problem := lines_problem(content)):
        raise ValueError(f"its reference lines are {content!r}" if not isinstance(content, dict) else problem)
    return dict(content)


def read_timings(path: Path) -> tuple[Sealed, Measured]:
    """What was measured of a run, if anything, and of it the seconds by step. Raises as `read_record`."""
    if not path.exists():
        return _NOTHING_TIMED
    timings = read_sealed(path, _TIMINGS_REMEDY)
    seconds: dict[int, dict[str, float]] = {}
    try:
        for name in _MEASURED:
            pairs = [(int(step), float(value)) for step, value in timings.content.get(f"{name}_by_step", [])]
            _require_rising(name, pairs)
            for step, value in pairs:
                seconds.setdefault(step, {})[name] = value
        _require_sound(timings.content)
    except (TypeError, ValueError) as error:
        raise DamagedFile(f"{path}: is damaged: {_first_line(error)}; {_TIMINGS_REMEDY}") from error
    return timings, seconds


def _require_rising(name: str, pairs: Sequence[tuple[int, float]]) -> None:
    known = [value for _, value in sorted(pairs)]
    if known != sorted(known) or (known and known[0] < 0.0):
        raise ValueError(f"{name}_by_step: seconds fall while steps rise")


def _require_sound(timings: Mapping[str, Any]) -> None:
    """Raises ValueError where timings are not what others expect who look into them."""
    for name in _TIMED_OBJECTS:
        if not isinstance(timings.get(name, {}), dict):
            raise ValueError(f"{name}: expected an object")
    for what, origin in timings.get("plugins", {}).items():
        if not isinstance(origin, dict):
            raise ValueError(f"plugins.{what}: expected an object")
    if not isinstance(timings.get("hardware", {}).get("memory_bytes", 0), int | float | None):
        raise ValueError("hardware.memory_bytes: expected a number")


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors()[0]
        return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    if isinstance(error, KeyError):
        return f"field {error.args[0]!r} is missing"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
