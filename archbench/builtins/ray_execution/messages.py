"""What the executor and the process that speaks to Ray tell each other, as JSON lines. Nothing here imports Ray."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from archbench.api import Ended, ExecutorEvent, Job, Lost, Progress, RunState

_EVENTS: Mapping[str, type[ExecutorEvent]] = {one.__name__: one for one in (Progress, Ended, Lost)}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a gateway is started with."""

    address: str
    cpus: float | None
    """Cores of each process of a run; None: as many as it has threads."""
    gpus: float | None
    """Devices of each; None: one where the cluster has any and the run takes one."""
    max_runs: int | None
    labels: Mapping[str, str]
    worker_memory_bytes: int | None
    dashboard: bool
    num_jobs: int
    nproc: int
    log_dir: str
    plugin_files: tuple[str, ...]
    patience_seconds: float = 0.0
    """How long a cluster that is not reached is waited for: it may come back."""


def to_line(content: Mapping[str, Any]) -> bytes:
    """`content` as a line."""
    return json.dumps(content).encode() + b"\n"


def settings_of(content: Mapping[str, Any]) -> Settings:
    """The settings that `asdict` gave."""
    return Settings(**{**content, "plugin_files": tuple(content["plugin_files"])})


def job_content(job: Job) -> dict[str, Any]:
    """`job` as plain data."""
    return {**asdict(job), "run_dir": str(job.run_dir)}


def job_of(content: Mapping[str, Any]) -> Job:
    """The job that `job_content` gave."""
    known = {one.name for one in fields(Job)}
    return Job(
        **{name: value for name, value in content.items() if name in known} | {"run_dir": Path(content["run_dir"])}
    )


def event_content(event: ExecutorEvent) -> dict[str, Any]:
    """`event` as plain data."""
    return {"event": type(event).__name__, **asdict(event)}


def event_of(content: Mapping[str, Any]) -> ExecutorEvent:
    """The event that `event_content` gave."""
    values = dict(content)
    sort = _EVENTS[values.pop("event")]
    if "state" in values:
        values["state"] = RunState(values["state"])
    return sort(**values)
