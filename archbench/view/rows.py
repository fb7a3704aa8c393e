"""What the page says of one run: its row, its settings by name, and the points of its curve."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from archbench.cli.scan_view import row_name
from archbench.results.published import publication_of
from archbench.results.runs import CostAxis, RunRecord, size_number
from archbench.runs.directory import ID_DIGITS
from archbench.runs.trace import TracePoint

COLUMNS = ("step", "tokens", CostAxis.EXACT.value, CostAxis.KAPLAN.value, CostAxis.DEVICE_SECONDS.value,
           "validation_loss_nats", "train_loss_nats", "bits_per_byte")  # fmt: skip
"""Columns of a curve as the page has it."""
TOLD = ("step", "tokens", CostAxis.EXACT.value, CostAxis.KAPLAN.value, CostAxis.DEVICE_SECONDS.value,
        "gradient_norm", "tokens_per_s", "memory_gib")  # fmt: skip
"""Columns of what a run told on the way, as the page has it."""

Row = dict[str, Any]


def row_of(record: RunRecord, trace: Sequence[TracePoint]) -> Row:
    """The row of `record`; what a run that goes on has not told in its lease is taken from its `trace`."""
    timings = record.details.get("timings") or {}
    training = (record.details.get("identity") or {}).get("training") or {}
    last = trace[-1] if trace else None
    ended = record.state.ended
    step = record.curve[-1].step if record.curve else record.details.get("step")
    if not ended and last is not None:
        step = max(step or 0, last.step)
    seconds = record.curve[-1].device_seconds if record.curve else last and last.device_seconds
    return {
        "id": record.run_id[:ID_DIGITS],
        "contender": row_name(record),
        "size": size_number(record.size_index),
        "params": record.non_embedding_params,
        "seed": record.seed,
        "state": record.state.value,
        "reason": record.reason,
        "step": step,
        "steps": training.get("total_steps") or (step if ended else None),
        "loss": record.final_loss_nats if record.curve or ended else _last(trace, "validation_loss_nats"),
        "bits_per_byte": record.final_bits_per_byte if record.curve or ended else _last(trace, "bits_per_byte"),
        "tokens_per_s": timings.get("tokens_per_second") if ended else _last(trace, "tokens_per_s"),
        "device_seconds": seconds,
        "memory_bytes": timings.get("peak_memory_bytes") or _last(trace, "memory_bytes"),
        "problem": record.details.get("problem"),
    }


def unread_row(run_id: str, contender: str, size_index: int, seed: int | None, state: str, reason: str | None) -> Row:
    """The row of a run that has left nothing yet, or nothing that can be read."""
    empty = dict.fromkeys(
        ("params", "step", "steps", "loss", "bits_per_byte", "tokens_per_s", "device_seconds", "memory_bytes")
    )
    return {
        "id": run_id[:ID_DIGITS],
        "contender": contender,
        "size": size_number(size_index),
        "seed": seed,
        "state": state,
        "reason": reason,
        "problem": None,
        **empty,
    }


def settings_of(record: RunRecord) -> dict[str, Any]:
    """All that the run was configured by, one value under each name: `training.batch_tokens`."""
    published = publication_of(record)
    own = {
        "contender": record.contender,
        "study": record.study,
        "role": record.role,
        **{f"labels.{name}": value for name, value in record.labels.items()},
        "size": size_number(record.size_index),
        "non_embedding_params": record.non_embedding_params,
        "embedding_params": record.embedding_params,
        "track": record.track,
        "tokens": record.planned_tokens,
        "unique_tokens": record.unique_tokens,
        "origin": f"entry {published.entry}" if published else record.origin,
    }
    identity = dict(flat(record.details.get("identity") or {}))
    return {**own, "architecture.kind": record.architecture, "objective.kind": record.objective,
            "seed": record.seed, "training.batch_tokens": record.batch_tokens, **identity}  # fmt: skip


def flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested objects under dotted names; a list is one value, in JSON."""
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", json.dumps(value) if isinstance(value, list | tuple) else value


def curve_of(record: RunRecord, trace: Sequence[TracePoint]) -> bytes:
    """The points of a run by column (`COLUMNS`) as float32, little-endian; not a number where nothing is known.

    Those of its record; of its `trace` while it has none.
    """
    rows: list[tuple[float | None, ...]]
    if record.curve:
        rows = [
            (
                point.step,
                point.tokens,
                point.exact_flops,
                point.kaplan_flops,
                point.device_seconds,
                point.validation_loss_nats,
                point.train_loss_nats,
                point.bits_per_byte,
            )
            for point in record.curve
        ]
    else:
        rows = [
            (*place, point.validation_loss_nats, point.train_loss_nats, point.bits_per_byte)
            for place, point in _placed(record, trace)
        ]
    return _by_column(rows, COLUMNS)


def told_of(record: RunRecord, trace: Sequence[TracePoint]) -> bytes:
    """What the run told on the way, by column (`TOLD`) as `curve_of`; points that say nothing of it are left out."""
    rows = [
        (*place, point.gradient_norm, point.tokens_per_s, point.memory_bytes and point.memory_bytes / 2**30)
        for place, point in _placed(record, trace)
        if (point.gradient_norm, point.tokens_per_s, point.memory_bytes) != (None, None, None)
    ]
    return _by_column(rows, TOLD)


def _placed(record: RunRecord, trace: Sequence[TracePoint]) -> Iterator[tuple[tuple[float, ...], TracePoint]]:
    """Each point with its steps, tokens, FLOPs executed and by 6ND, and seconds in steps."""
    facts = record.details.get("facts") or {}
    exact, kaplan = (float(facts.get(f"{axis}_flops_per_token") or np.nan) for axis in ("exact", "kaplan"))
    for point in trace:
        tokens = point.step * record.batch_tokens
        yield (point.step, tokens, exact * tokens, kaplan * tokens, point.device_seconds), point


def _by_column(rows: Sequence[tuple[float | None, ...]], columns: Sequence[str]) -> bytes:
    return np.array(rows, dtype="<f4").reshape(-1, len(columns)).T.tobytes()


def _last(trace: Sequence[TracePoint], name: str) -> Any:
    """What was said last of `name`; None where it never was."""
    return next((value for point in reversed(trace) if (value := getattr(point, name)) is not None), None)
