"""The text that sbatch is given: an array of pilots, each of which is a worker on the store."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.api import SpecError
from archbench.builtins.execution.slurm.profile import SlurmProfile

TEMPLATE = """\
#!/bin/bash
@directives@

@setup@
# Slurm signals this shell alone (B:): the worker stores a checkpoint and ends with exit code 75 where more is left.
told= time_is_up=
@worker@ &
worker=$!
trap 'told=1 time_is_up=1; kill -USR1 "$worker"' USR1
trap 'told=1; kill -TERM "$worker"' TERM
wait "$worker"
code=$?
# A signal ends the shell's waiting, not the worker.
while [ -n "$told" ] && [ "$code" -gt 128 ]; do
    told=
    wait "$worker"
    code=$?
done
if [ -n "$time_is_up" ] && [ "$code" -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt @max_num_timeout@ ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
"""What `script:` may replace. Of the words between `@` only `@worker@` is needed."""

_WORKER = "@worker@"


@dataclass(frozen=True, slots=True)
class Needs:
    """What the runs of an array need."""

    scan: str
    runs_dir: str
    """The store as workers are given it: a folder, or a URL."""
    log_dir: Path
    num_pilots: int
    nproc: int = 1
    cores: int = 1
    """Threads of each rank."""
    devices: int = 0
    """CUDA devices of one run; 0 where it needs none or nobody knows."""
    plugin_files: Sequence[Path] = ()


def batch_text(profile: SlurmProfile, needs: Needs, template: str = TEMPLATE) -> str:
    """The script of `needs.num_pilots` pilots. Raises SpecError where ranks cannot be shared out over the nodes."""
    words = {
        "@directives@": "\n".join(f"#SBATCH {line}" for line in directives(profile, needs)),
        "@setup@": "".join(f"{line}\n" for line in profile.setup),
        _WORKER: shlex.join(worker_command(profile, needs)),
        "@max_num_timeout@": str(profile.max_num_timeout),
    }
    text = template
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def read_template(path: Path) -> str:
    """The text of a template of one's own. Raises SpecError where it cannot be read or starts no worker."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"execution.executor.script: {path}: cannot be read: {error}") from error
    if _WORKER not in text:
        raise SpecError(
            f"execution.executor.script: {path}: has no {_WORKER}, which stands for the command that trains; "
            "also known are @directives@, @setup@ and @max_num_timeout@"
        )
    return text


def worker_command(profile: SlurmProfile, needs: Needs) -> list[str]:
    """The command of one pilot."""
    called = list(profile.command) or [sys.executable, "-m", "archbench.cli.main"]
    command = [*called, "worker", "--runs", needs.runs_dir, "--until-empty"]
    if needs.scan:
        command += ["--scan", needs.scan]
    if profile.nodes > 1:
        command += ["--ranks", "srun"]
    for path in needs.plugin_files:
        command += ["--plugin", str(path)]
    return command


def directives(profile: SlurmProfile, needs: Needs) -> list[str]:
    """Options of sbatch, one each."""
    tasks = _tasks_per_node(profile, needs)
    cpus = profile.cpus_per_task or needs.cores
    one_task = profile.nodes == 1
    gpus = profile.gpus_per_node or (-(-needs.devices // profile.nodes) if needs.devices else None)
    options: dict[str, str | int | float | bool | None] = {
        "job-name": f"archbench:{needs.scan}" if needs.scan else "archbench",
        "array": f"0-{needs.num_pilots - 1}",
        "output": str(needs.log_dir / "slurm-%A_%a.log"),
        "open-mode": "append",
        "requeue": True,
        "signal": f"B:USR1@{profile.signal_delay_s}",
        "time": profile.timeout_min,
        "partition": profile.partition,
        "account": profile.account,
        "qos": profile.qos,
        "constraint": profile.constraint,
        "exclude": profile.exclude,
        "nodes": profile.nodes,
        # On one node the worker starts the ranks: they are processes of one task.
        "ntasks-per-node": 1 if one_task else tasks,
        "cpus-per-task": cpus * tasks if one_task else cpus,
        "gpus-per-node": gpus,
        "mem": None if profile.mem_gb is None else f"{round(profile.mem_gb * 1024)}M",
        **{name.lstrip("-").replace("_", "-"): value for name, value in profile.additional_parameters.items()},
    }
    said = ((name, value) for name, value in options.items() if value is not None and value is not False)
    return [f"--{name}" if value is True else f"--{name}={_quoted(value)}" for name, value in said]


def _tasks_per_node(profile: SlurmProfile, needs: Needs) -> int:
    tasks = profile.tasks_per_node or -(-needs.nproc // profile.nodes)
    if needs.nproc > 1 and tasks * profile.nodes != needs.nproc:
        raise SpecError(
            f"execution.nproc: got {needs.nproc}, but the Slurm profile has nodes: {profile.nodes} with {tasks} tasks "
            f"each; make it {tasks * profile.nodes}, or change nodes and tasks_per_node"
        )
    if needs.nproc == 1 and profile.nodes > 1:
        raise SpecError(
            f"execution.nproc: got 1, but the Slurm profile has nodes: {profile.nodes}; say --nproc {profile.nodes} or "
            "more, or nodes: 1"
        )
    return tasks


def _quoted(value: str | float) -> str:
    text = str(value)
    return shlex.quote(text) if any(letter.isspace() for letter in text) else text
