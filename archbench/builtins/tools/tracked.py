"""What trackers are given about a run, under names that say unit and convention."""

from collections.abc import Mapping

from archbench.api import CurvePoint, RunRecord
from archbench.names import file_stem

Value = str | int | float


def run_name(record: RunRecord) -> str:
    """The run's name, unique in a store, readable, and fit for a folder."""
    return f"{file_stem(record.contender)}-n{record.non_embedding_params}-seed{record.seed}-{record.run_id[:8]}"


def hyperparameters(record: RunRecord) -> dict[str, Value]:
    """What tells runs apart, each a plain value; architecture and training settings under dotted names."""
    identity = record.details.get("identity", {})
    settings: dict[str, Value] = {
        "contender": record.contender,
        "architecture": record.architecture,
        "objective": record.objective,
        "track": record.track,
        "run_id": record.run_id,
        "state": record.state.value,
        "seed": record.seed,
        "non_embedding_params": record.non_embedding_params,
        "embedding_params": record.embedding_params,
        "batch_tokens": record.batch_tokens,
        "planned_tokens": record.planned_tokens,
        "unique_tokens": record.unique_tokens,
    }
    if record.reason:
        settings["reason"] = record.reason
    for section in ("architecture", "dims", "training"):
        settings |= _flat(section, identity.get(section, {}))
    return settings


def point_values(point: CurvePoint) -> dict[str, float]:
    """The figures of one point of the learning curve; those that are not known are left out."""
    values = {
        "loss/validation_nats": point.validation_loss_nats,
        "loss/train_nats": point.train_loss_nats,
        "loss/bits_per_byte": point.bits_per_byte,
        "cost/tokens": point.tokens,
        "cost/kaplan_flops": point.kaplan_flops,
        "cost/exact_flops": point.exact_flops,
        "cost/device_seconds": point.device_seconds,
        "cost/processor_seconds": point.processor_seconds,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def measured_values(record: RunRecord) -> dict[str, float]:
    """Plain figures of a run that has ended: rates, memory, energy, and its loss on all held-out text."""
    timings = record.details.get("timings", {})
    names = ("tokens_per_second", "peak_memory_bytes", "energy_joules", "model_flop_utilisation")
    found = {f"measured/{name}": float(timings[name]) for name in names if timings.get(name) is not None}
    if record.final is not None:
        found["loss/final_nats"] = record.final.loss_nats
        if record.final.bits_per_byte is not None:
            found["loss/final_bits_per_byte"] = record.final.bits_per_byte
    return found


def _flat(prefix: str, content: Mapping[str, object]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= _flat(f"{prefix}.{name}", value)
        elif isinstance(value, str | int | float):
            found[f"{prefix}.{name}"] = value
    return found
