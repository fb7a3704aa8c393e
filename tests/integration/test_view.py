"""The page of a scan that `archbench run` carries out: from its first step to its verdict, through a kill."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SMALL_SCAN, write_texts
from view_pages import Client, serving

from archbench.view.catalogue import catalogue_of

SPEC = f"""\
name: watched
baseline: gpt2
contenders:
  gpt2: {{architecture: {{kind: gpt2}}}}
  llama: {{architecture: {{kind: llama}}}}
scan: {{sizes: [5e3, 1e4, 2e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 1e4}}
{SMALL_SCAN}"""


def start(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "archbench.cli.main", "run", "watched.yaml"]
    environment = {**os.environ, "ARCHBENCH_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def until(client: Client, since: str, enough: Any) -> tuple[str, Any]:
    """The first of what is told for which `enough` holds, and the version then."""
    return next((version, news) for version, news in client.events("watched", since) if enough(news))


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_scan_is_followed_through_a_kill_to_its_verdict_and_its_report(tmp_path: Path) -> None:
    write_texts(tmp_path, 30)
    (tmp_path / "watched.yaml").write_text(SPEC)
    process = start(tmp_path)
    listed = tmp_path / "runs" / "scans" / "watched.json"
    while not listed.exists():
        assert process.poll() is None, process.communicate()[0]
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    with serving(catalogue_of(tmp_path / "runs", tmp_path / "reports")) as client:
        version = client.enter().json("api/scan?name=watched")["version"]
        version, _ = until(client, version, lambda news: any(row["loss"] for row in news.get("rows", ())))
        process.kill()
        process.communicate()
        version, told = until(client, version, lambda news: "running" not in news["summary"]["counts"])
        assert told["summary"]["left"] == "nothing is being trained at the moment"
        assert client.json("api/verdict?name=watched") == {}
        process = start(tmp_path)
        version, told = until(client, version, lambda news: news.get("summary", {}).get("all_ended"))
        assert told["summary"]["words"] == "6 done"
        _, told = until(client, version, lambda news: "watched" in news.get("reports", {}))
        output, _ = process.communicate(timeout=250)
        assert process.returncode == 0, output
        verdict: dict[str, Any] = {}
        while not verdict:
            verdict = client.json("api/verdict?name=watched")
        said = " ".join(output.split())
        assert all(
            " ".join(line.split()) in said for line in (verdict["sentence"], verdict["basis"], *verdict["detail"])
        )
        assert client.ask(client.server.shelf + told["reports"]["watched"])[0] == 200
