"""What sbatch is given, by a profile and the runs' needs; what is refused with which words."""

import subprocess
from pathlib import Path

import pytest

from archbench.api import Job, PluginError, SpecError
from archbench.builtins.execution.slurm import commands
from archbench.builtins.execution.slurm.batch import Needs, batch_text, directives
from archbench.builtins.execution.slurm.executor import SlurmExecutorConfig, needs_of
from archbench.builtins.execution.slurm.profile import SlurmProfile, read_profile
from archbench.runs.remote.working_folder import bind

PAGE = Path(__file__).parents[3] / "docs" / "cluster.md"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "archbench" / "slurm"
    folder.mkdir(parents=True)
    return folder


def needs(tmp_path: Path, **said: int) -> Needs:
    return Needs(scan="my scan", runs_dir=str(tmp_path / "runs"), log_dir=tmp_path / "logs", num_pilots=3, **said)


def test_without_a_profile_there_are_slurms_own_defaults() -> None:
    assert read_profile("default") == SlurmProfile()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partion: gpu\n", r"mine.yaml:1: partion: Extra inputs are not permitted; there are partition, account"),
        ("account: a\ntimeout_min: 0\n", r"mine.yaml:2: timeout_min: Input should be greater than 0"),
        ("poll_seconds: 5\n", r"mine.yaml:1: poll_seconds: Input should be greater than or equal to 30"),
        ("- a\n", r"mine.yaml"),
    ],
)
def test_a_profile_that_is_none_is_told_with_its_line(settings: Path, text: str, said: str) -> None:
    (settings / "mine.yaml").write_text(text)
    with pytest.raises(SpecError, match=said):
        read_profile("mine")


def test_a_profile_that_is_not_there_is_named_with_its_path(settings: Path) -> None:
    with pytest.raises(SpecError, match=rf"there is no {settings}/mycluster.yaml; write it"):
        read_profile("mycluster")


def test_the_profile_of_the_page_is_one(settings: Path) -> None:
    (block,) = (part for part in PAGE.read_text().split("```text\n") if part.startswith("# ~/.config"))
    (settings / "mycluster.yaml").write_text(block.partition("```")[0])
    profile = read_profile("mycluster")
    assert (profile.partition, profile.timeout_min, profile.additional_parameters["exclusive"]) == ("gpu", 240, True)


def test_a_profile_says_what_sbatch_is_asked_for(tmp_path: Path) -> None:
    profile = SlurmProfile(
        partition="gpu",
        gpus_per_node="a100:1",
        mem_gb=1.5,
        timeout_min=90,
        signal_delay_s=120,
        additional_parameters={"exclusive": True, "mail_type": "END", "comment": "two words", "hold": False},
    )
    said = directives(profile, needs(tmp_path, cores=2))
    assert said == [
        "--job-name='archbench:my scan'",
        "--array=0-2",
        f"--output={tmp_path}/logs/slurm-%A_%a.log",
        "--open-mode=append",
        "--requeue",
        "--signal=B:USR1@120",
        "--time=90",
        "--partition=gpu",
        "--nodes=1",
        "--ntasks-per-node=1",
        "--cpus-per-task=2",
        "--gpus-per-node=a100:1",
        "--mem=1536M",
        "--exclusive",
        "--mail-type=END",
        "--comment='two words'",
    ]


def test_ranks_are_shared_out_over_nodes_or_refused(tmp_path: Path) -> None:
    two = SlurmProfile(nodes=2)
    text = batch_text(two, needs(tmp_path, nproc=4, cores=3, devices=4))
    assert "#SBATCH --ntasks-per-node=2\n#SBATCH --cpus-per-task=3\n#SBATCH --gpus-per-node=2\n" in text
    assert "--ranks srun" in text
    one = batch_text(SlurmProfile(), needs(tmp_path, nproc=4, cores=3))
    assert "#SBATCH --ntasks-per-node=1\n#SBATCH --cpus-per-task=12\n" in one
    assert "--ranks" not in one
    with pytest.raises(
        SpecError, match=r"execution.nproc: got 3, but the Slurm profile has nodes: 2 with 2 tasks each"
    ):
        batch_text(two, needs(tmp_path, nproc=3))
    with pytest.raises(SpecError, match=r"execution.nproc: got 1, but the Slurm profile has nodes: 2"):
        batch_text(two, needs(tmp_path))


def test_the_script_is_one_that_a_shell_reads(tmp_path: Path) -> None:
    profile = SlurmProfile(
        setup=("module load cuda", "echo 'it is'"), command=("apptainer", "exec", "a b.sif", "archbench")
    )
    text = batch_text(profile, needs(tmp_path))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "\nmodule load cuda\necho 'it is'\n" in text
    assert f"apptainer exec 'a b.sif' archbench worker --runs {tmp_path}/runs --until-empty --scan 'my scan' &" in text


def test_a_script_of_ones_own_takes_the_place_of_the_text(tmp_path: Path) -> None:
    mine = tmp_path / "mine.sh"
    mine.write_text("#!/bin/sh\n@directives@\nexec @worker@\n")
    config = SlurmExecutorConfig(script=str(mine))
    job = Job("id", tmp_path / "runs" / "id", 1.0, scan="s")
    text = config.submission(jobs=[job, job], runs_dir=tmp_path / "runs")
    assert text.startswith("#!/bin/sh\n#SBATCH --job-name=archbench:s\n#SBATCH --array=0-1\n")
    assert text.endswith(" --until-empty --scan s\n")
    mine.write_text("exit 0\n")
    with pytest.raises(SpecError, match=r"mine.sh: has no @worker@"):
        config.submission(jobs=[job], runs_dir=tmp_path)
    with pytest.raises(SpecError, match=r"gone.sh: cannot be read"):
        SlurmExecutorConfig(script=str(tmp_path / "gone.sh")).submission(jobs=[job], runs_dir=tmp_path)


def test_an_array_has_no_more_pilots_than_runs_and_asks_for_what_the_largest_needs(tmp_path: Path) -> None:
    jobs = [Job(str(n), tmp_path / str(n), 1.0, cores=n, devices=None if n == 1 else n) for n in (1, 2, 3)]
    found = needs_of(jobs, SlurmProfile(array_parallelism=2), tmp_path, tmp_path, ())
    assert (found.num_pilots, found.cores, found.devices) == (2, 3, 3)
    assert needs_of(jobs[:1], SlurmProfile(), tmp_path, tmp_path, ()).num_pilots == 1


def test_without_sbatch_nothing_is_begun_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PluginError, match=r"executor slurm: there is no sbatch on PATH"):
        SlurmExecutorConfig().open(num_jobs=1, log_dir=tmp_path / "logs")
    with pytest.raises(PluginError, match=r"there is no sbatch on PATH"):
        SlurmExecutorConfig().withdraw(["1"])
    assert commands.states() is None


@pytest.mark.parametrize(
    ("states", "living"),
    [({"PENDING"}, True), ({"COMPLETED", "RUNNING"}, True), ({"COMPLETED", "NODE_FAIL"}, False), (set(), False)],
)
def test_a_job_array_lives_while_one_of_its_tasks_does(states: set[str], living: bool) -> None:
    assert commands.is_living(frozenset(states)) is living


def test_pilots_of_a_store_without_a_shared_folder_are_given_its_url(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    folder = tmp_path / "runs"
    bind(folder, f"file://{tmp_path / 'store'}")
    job = Job("0" * 64, folder / ("0" * 16), 1.0, scan="quickstart")
    text = SlurmExecutorConfig().submission(jobs=[job], runs_dir=folder)
    assert f"worker --runs file://{tmp_path}/store --until-empty --scan quickstart" in text
    assert "#SBATCH --output=/tmp/slurm-%A_%a.log" in text
