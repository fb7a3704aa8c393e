"""The settings of executor `ray`. Nothing here imports Ray."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from archbench.api import ExecutorConfig, PluginError
from archbench.builtins.ray_execution.executor import RayExecutor
from archbench.builtins.ray_execution.messages import Settings

REMEDY = "pip install 'archbench[ray]'"


class RayExecutorConfig(ExecutorConfig):
    """Executor `ray`."""

    starts_groups: ClassVar[bool] = True

    kind: Literal["ray"] = "ray"
    summary: ClassVar[str] = "workers on the nodes of a Ray cluster, which shares the store with this machine"

    address: Annotated[str, Field(pattern=r"^(auto|local|ray://.+|[^/:\s]+:\d+)$")] = "auto"
    """`auto`: the cluster that RAY_ADDRESS names or that runs on this machine; `local`: one on this machine, for this
    command alone; `ray://HOST:10001`: one that is reached by Ray's client; HOST:PORT: one that this machine is part
    of."""
    cpus_per_run: PositiveFloat | Literal["auto"] = "auto"
    """Cores that each process of a run asks for, and holds while its worker lives; `auto`: one for each thread."""
    gpus_per_run: Annotated[float, Field(ge=0.0)] | Literal["auto"] = "auto"
    """Devices that each process of a run asks for; less than one shares a device. `auto`: one, where the cluster has
    any and `execution.device` is not cpu."""
    max_runs: PositiveInt | None = None
    """Most runs at once. None: twice as many as there is room for, eight at least, so that a cluster which grows by
    itself is asked to."""
    labels: Mapping[str, str] = {}
    """Labels that a node must have to train, such as `ray.io/accelerator-type: H100`."""
    worker_memory_gib: PositiveFloat | None = None
    """Most memory (2^30 bytes) of one worker process; see executor `local`."""
    dashboard: bool = False
    """Whether a cluster that archbench starts (`address: local`) has Ray's dashboard."""

    def expected_capacity(self) -> int | None:
        """`max_runs`."""
        return self.max_runs

    def open(self, *, num_jobs: int, log_dir: Path, plugin_files: Sequence[Path] = (), nproc: int = 1) -> RayExecutor:
        """Connects to the cluster, compares its nodes and tries the store from each; worker i logs to `log_dir/ray-i`.

        Raises PluginError where Ray is not installed, the cluster is not reached, or a node would train with other
        versions; StoreError where a node cannot use the store.
        """
        if not _has_ray():
            raise PluginError(f"executor 'ray' needs Ray, which is not installed: {REMEDY}")
        return RayExecutor(
            Settings(
                address=self.address,
                cpus=None if self.cpus_per_run == "auto" else self.cpus_per_run,
                gpus=None if self.gpus_per_run == "auto" else self.gpus_per_run,
                max_runs=self.max_runs,
                labels=dict(self.labels),
                worker_memory_bytes=None if self.worker_memory_gib is None else int(self.worker_memory_gib * 2**30),
                dashboard=self.dashboard,
                num_jobs=num_jobs,
                nproc=nproc,
                log_dir=str(log_dir.resolve()),
                plugin_files=tuple(str(path.resolve()) for path in plugin_files),
            )
        )


def _has_ray() -> bool:
    return importlib.util.find_spec("ray") is not None
