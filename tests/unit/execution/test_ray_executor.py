"""What of executor `ray` needs no Ray: its settings, what is told between its processes, and how nodes are compared."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from archbench.api import Ended, ExecutorEvent, Job, Lost, PluginError, Progress, RunState
from archbench.builtins.ray_execution import config as config_module
from archbench.builtins.ray_execution.config import RayExecutorConfig
from archbench.builtins.ray_execution.messages import (
    Settings,
    event_content,
    event_of,
    job_content,
    job_of,
    settings_of,
    to_line,
)
from archbench.builtins.ray_execution.node import Place, free_port
from archbench.builtins.ray_execution.slots import SlotMaker
from archbench.host import load_host
from archbench.scans.nodes import difference, node_versions


def test_it_is_registered_and_ray_is_not_imported_for_it() -> None:
    assert load_host().registry.executors["ray"].config is RayExecutorConfig
    code = "import sys; from archbench.host import load_host; load_host().registry; print('ray' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_without_ray_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config_module, "_has_ray", lambda: False)
    with pytest.raises(PluginError, match=r"which is not installed: pip install 'archbench\[ray\]'$"):
        RayExecutorConfig().open(num_jobs=1, log_dir=tmp_path)


@pytest.mark.parametrize("address", ["auto", "local", "ray://head:10001", "10.0.0.1:6379"])
def test_addresses_are_those_that_ray_knows(address: str) -> None:
    assert RayExecutorConfig(address=address).address == address


@pytest.mark.parametrize(
    "given",
    [{"address": "head"}, {"address": "http://head:8265"}, {"gpus_per_run": -1}, {"cpus_per_run": 0}, {"max_runs": 0}],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RayExecutorConfig.model_validate(given)


EVENTS: list[ExecutorEvent] = [
    Progress("a", 3, 10, 2.5, None, "told"),
    Ended("b", RunState.DIVERGED, "why"),
    Lost("c", "gone", preempted=True),
]


@pytest.mark.parametrize("event", EVENTS)
def test_events_arrive_as_they_were_sent(event: ExecutorEvent) -> None:
    assert event_of(json.loads(to_line(event_content(event)))) == event


def test_jobs_and_settings_arrive_as_they_were_sent() -> None:
    job = Job("a", Path("/runs/a"), 1e9, nproc=2, cores=4, devices=None, name="gpt2", seconds=12.5)
    assert job_of(json.loads(to_line(job_content(job)))) == job
    settings = Settings("auto", None, 0.5, None, {"zone": "a"}, None, False, 3, 1, "/runs/logs", ("/a.py",))
    assert settings_of(json.loads(to_line(asdict(settings)))) == settings


def test_a_group_of_several_nodes_is_started_by_its_first_ones_address() -> None:
    place = Place(2, 1, "127.0.0.1", free_port("127.0.0.1"), "127.0.0.1")
    assert place.launcher[-6:] == ["--nodes", "2", "--node-rank", "1", "--first", f"127.0.0.1:{place.port}"]
    assert place.environment == {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


class Cluster:
    """So many cores on each node, as the admission of nodes tells it."""

    def __init__(self, *cores: float) -> None:
        self.cores = cores

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Resources": {"CPU": cores}} for cores in self.cores]


def test_a_group_whose_node_has_gone_waits_for_as_many_nodes_as_it_had() -> None:
    """Asked for on one node instead, its ranks would wait for a node that is large enough and never comes."""
    cluster: Any = Cluster(1.0, 1.0)
    settings = Settings("auto", 1.0, 0.0, None, {}, None, False, 1, 2, "/runs/logs", ())
    maker = SlotMaker(None, settings, cluster, is_wanted=lambda: True)
    assert maker.nodes_needed() == 2
    cluster.cores = (1.0,)
    assert maker.nodes_needed() == 2
    cluster.cores = (1.0, 2.0)
    assert maker.nodes_needed() == 1


def test_nodes_that_would_train_otherwise_are_told_apart(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("x = 1\n")
    here = node_versions([plugin])
    assert {"python", "torch", "source of archbench", "source of archbench_gpt2", f"plug-in {plugin}"} <= here.keys()
    assert "+" not in here["torch"], "a build for another device is no other version"
    assert difference(here, node_versions([plugin]), "two") is None
    plugin.write_text("x = 2\n")
    line = difference(here, node_versions([plugin]), "two")
    assert line is not None
    assert line.startswith(f"node two would train with plug-in {plugin} ")
    assert line.endswith("; install the same on all nodes, or leave it out")
    other = difference(here, here | {"torch": "2.9.0", "source of archbench": "0" * 12}, "two")
    assert other is not None
    assert "source of archbench 000000000000, here " in other
    assert f"torch 2.9.0, here {here['torch']}" in other
    plugin.unlink()
    gone = difference(here, node_versions([plugin]), "two")
    assert gone is not None
    assert "not readable (FileNotFoundError" in gone


def test_the_source_of_a_plugin_in_a_folder_is_hashed_without_importing_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "mine"\n[project.entry-points.archbench]\nmine = "mine_plugin.plugin"\n'
    )
    package = tmp_path / "mine_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit\n")
    (package / "plugin.py").write_text("x = 1\n")
    before = node_versions([tmp_path])[f"plug-in {tmp_path}"]
    (package / "plugin.py").write_text("x = 2\n")
    assert node_versions([tmp_path])[f"plug-in {tmp_path}"] != before
    assert importlib.util.find_spec("mine_plugin") is None


def test_the_files_of_kuberay_and_skypilot_ask_for_what_the_page_says() -> None:
    folder = Path(__file__).parents[3] / "docs" / "cluster"
    cluster, claim = yaml.safe_load_all((folder / "kuberay.yaml").read_text())
    assert (cluster["kind"], claim["kind"]) == ("RayCluster", "PersistentVolumeClaim")
    assert cluster["spec"]["authOptions"] == {"mode": "token"}
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    claimed = {group["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] for group in groups}
    assert claimed == {claim["metadata"]["name"]}, "the store is one volume of all"
    task = yaml.safe_load((folder / "skypilot.yaml").read_text())
    assert "archbench run gpt2 --runs /runs/store -o execution.executor.kind=ray" in task["run"]
    assert "/runs" in task["volumes"]
