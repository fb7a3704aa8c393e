"""What a site's Slurm needs, in a file of the user's: no part of a spec, and of no run's identity."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from archbench.api import SpecError
from archbench.spec.yaml_loader import load_yaml
from archbench.user_folders import config_folder

DEFAULT = "default"
"""The profile that is used where a spec names none; it need not be there."""

LEAST_POLL_SECONDS = 30.0
"""Between two questions to the controller, which serves a whole site."""


class SlurmProfile(BaseModel):
    """Settings of a pilot's job; the names are submitit's, the defaults Slurm's where none is said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodes: PositiveInt = 1
    """Of one pilot: above 1 the ranks of a run (`execution.nproc`) are started over all of them by srun."""
    tasks_per_node: PositiveInt | None = None
    """Ranks on each node; None: `execution.nproc` shared out evenly."""
    gpus_per_node: str | NonNegativeInt | None = None
    """A number, or a kind with one (`a100:4`). None: as many as the runs say that they need."""
    cpus_per_task: PositiveInt | None = None
    """None: `execution.threads` for each rank."""
    mem_gb: PositiveFloat | None = None
    """Memory of each node in units of 2^30 bytes, as Slurm counts. None: what the site gives."""
    timeout_min: PositiveInt = 60
    """Time limit of a pilot, minutes; it goes on in the queue's next turn."""
    array_parallelism: PositiveInt = 8
    """Pilots at once, at most; each trains one run after another."""
    setup: tuple[str, ...] = ()
    """Lines of shell before the worker: modules, a virtual environment."""
    command: tuple[str, ...] = ()
    """How archbench is called there, such as `[apptainer, exec, --nv, image.sif, archbench]`. Empty: by the Python
    that this command runs in."""
    additional_parameters: dict[str, str | int | float | bool] = {}
    """Further options of sbatch by their long names; `true` for one without a value."""
    max_num_timeout: NonNegativeInt = 3
    """Times that a pilot whose time was up puts itself into the queue again."""
    signal_delay_s: PositiveInt = Field(90, le=65535)
    """Seconds before the limit at which a pilot is told to store a checkpoint and leave."""
    poll_seconds: float = Field(LEAST_POLL_SECONDS, ge=LEAST_POLL_SECONDS)
    """Between two questions to Slurm; how runs get on is read from the store."""


def profile_file(name: str) -> Path:
    """Where the profile `name` stands: a path if it is one, else a file in the user's folder of settings."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name).expanduser()
    return config_folder() / "slurm" / f"{name}.yaml"


def read_profile(name: str) -> SlurmProfile:
    """The profile `name`. Raises SpecError, with the line, where it is not there or not one."""
    path = profile_file(name)
    if not path.is_file():
        if name == DEFAULT:
            return SlurmProfile()
        raise SpecError(
            f"execution.executor.profile: there is no {path}; write it (`partition: gpu`, ...), or leave profile out"
        )
    file = load_yaml(path)
    try:
        return SlurmProfile.model_validate(file.data)
    except ValidationError as error:
        problem = error.errors()[0]
        allowed = f"; there are {', '.join(SlurmProfile.model_fields)}" if problem["type"] == "extra_forbidden" else ""
        raise file.error(tuple(problem["loc"]), f"{problem['msg']}{allowed}") from error
