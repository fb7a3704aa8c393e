"""The page as files, and the command that writes it or serves it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from view_pages import HOSTILE, Folder, begin

from archbench.cli.main import cli
from archbench.errors import StoreError
from archbench.view.catalogue import MODULES, PAGE, page_file
from archbench.view.export import bundled, export


def exported(folder: Folder, target: Path) -> dict[str, Any]:
    """What the index of an exported page says."""
    catalogue = folder.catalogue("scan=demo")
    try:
        export(catalogue, target, ["demo"], lambda line: None)
    finally:
        catalogue.answers.close()
    text = (target / "data" / "index.js").read_text()
    content: dict[str, Any] = json.loads(text.removeprefix("globalThis.archbenchData = ").removesuffix(";\n"))
    return content


def test_all_that_the_page_asks_for_lies_beside_it(folder: Folder, tmp_path: Path) -> None:
    begin(folder.store)  # a scan that goes on has no verdict, which takes seconds
    target = tmp_path / "page"
    content = exported(folder, target)
    runs = [run.run_id[:16] for run in folder.store.scan("demo").runs]
    assert content["files"].keys() == {
        "scan/demo",
        "curves/demo",
        "told/demo",
        "verdict/demo",
        *(f"run/{one}" for one in runs),
    }
    for key, place in content["files"].items():
        said = re.fullmatch(r"archbenchData\.content\[(.*?)\] = (.*);\n", (target / place).read_text())
        assert said is not None
        assert json.loads(said[1]) == key
        json.loads(said[2])
    assert content["scans"]["reports"] == {"demo": "demo/report.html"}
    assert sorted(path.name for path in (target / "reports" / "demo").rglob("*.*")) == ["report.html", "runs.csv"]
    assert all(HOSTILE not in path.read_text() for path in target.rglob("*.js"))
    index = (target / "index.html").read_text()
    assert "default-src 'none'; script-src 'self'" in index
    assert not re.search(r"(src|href)=\"(https?:|//)", index)


def test_an_export_takes_the_place_of_an_older_one_and_of_nothing_else(folder: Folder, tmp_path: Path) -> None:
    begin(folder.store)
    target = tmp_path / "page"
    exported(folder, target)
    stale = target / "data" / "run-0000000000000000.js"
    stale.write_text("")
    exported(folder, target)
    assert not stale.exists()
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="holds something else than an exported page"):
        exported(folder, other)
    assert [path.name for path in other.iterdir()] == ["thesis.tex"]


def test_the_modules_make_one_script_in_which_no_name_is_defined_twice() -> None:
    script = bundled()
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+|\{[^}]*\})", script, re.MULTILINE)
    assert len(names) == len(set(names)), sorted(name for name in names if names.count(name) > 1)
    for name in MODULES:
        imported = re.findall(r'from "\./(\w+\.js)"', (page_file(name) or b"").decode())
        assert all(MODULES.index(one) < MODULES.index(name) for one in imported), name


def test_the_charts_library_comes_with_its_licence() -> None:
    files = {name: page_file(name) or b"" for name in PAGE}
    assert all(files.values())
    assert b"The MIT License" in files["uPlot.LICENSE.txt"]
    assert b"uPlot (v1.6.32)" in files["uPlot.iife.min.js"][:100]


def test_the_page_writes_no_markup_from_text() -> None:
    for name in MODULES:
        text = (page_file(name) or b"").decode()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            name
        )


def run_command(folder: Folder, *words: str) -> Result:
    return CliRunner().invoke(cli, ["view", *words, "--runs", str(folder.runs), "--reports", str(folder.reports)])


@pytest.mark.parametrize("words", [["demos"], ["ffff"], ["abc"]])
def test_a_word_that_means_nothing_is_said_in_a_line(folder: Folder, words: list[str]) -> None:
    result = run_command(folder, *words)
    assert result.exception is not None
    assert f"{words[0]!r}: is no scan of" in str(result.exception)
    assert "archbench runs list" in str(result.exception)


def test_an_empty_store_is_said_in_a_line(tmp_path: Path) -> None:
    result = run_command(Folder(tmp_path / "runs", tmp_path / "reports"))
    assert str(result.exception).endswith("holds no run; `archbench run SPEC` or `archbench import` makes some")


def test_scans_reports_and_runs_are_known_by_their_words(folder: Folder, tmp_path: Path) -> None:
    begin(folder.store)
    one, two = (run.run_id[:16] for run in folder.store.scan("demo").runs[:2])
    for words, start in (
        (["demo"], "scan=demo"),
        ([one[:6]], f"scan=demo&run={one}"),
        ([one[:6], two], f"scan=demo&only={one},{two}"),
        ([str(folder.reports / "demo")], "scan=demo"),
        ([str(folder.reports / "demo" / "report.html")], "scan=demo"),
    ):
        result = run_command(folder, *words, "--export", str(tmp_path / "page"))
        assert result.exit_code == 0, result.output
        assert f'"start":"{start}"' in (tmp_path / "page" / "data" / "index.js").read_text()


def test_a_browser_is_opened_without_the_token_among_the_words_of_its_command(folder: Folder, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    opener = tmp_path / "xdg-open"
    opener.write_text(
        f'#!/bin/sh\nls -ld "$(dirname "$1")" > {heard}.new; cat "$1" >> {heard}.new; mv {heard}.new {heard}\n'
    )
    opener.chmod(0o755)
    command = [sys.executable, "-m", "archbench.cli.main", "view", "demo", "--runs", str(folder.runs), "--open"]
    surroundings = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        while not heard.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    mode, page = heard.read_text().splitlines()
    assert mode.startswith("drwx------")
    assert f"url={address}" in page
    assert not list(tmp_path.glob("archbench-view-*"))


def test_the_command_serves_until_it_is_interrupted(folder: Folder) -> None:
    command = [sys.executable, "-m", "archbench.cli.main", "view", "demo", "--runs", str(folder.runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.splitlines()[-1] == "the page is closed; the runs go on as they were"
    assert "Traceback" not in said
