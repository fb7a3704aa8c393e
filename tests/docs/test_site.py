"""The site of the documentation is built without a warning, and holds every page."""

import re
import subprocess
import sys
from pathlib import Path

import yaml
from doc_blocks import ROOT


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "tutorial.html").is_file()


def test_every_page_is_in_the_navigation_and_on_the_first_page() -> None:
    listed = set(
        re.findall(r": ([\w/]+\.md)", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    )
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert pages - listed == set()
    linked = set(re.findall(r"\]\(([\w/]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert listed - linked - {"index.md"} == set()
