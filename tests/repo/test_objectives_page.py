"""The complete objective of docs/objectives.md passes the suite as it is printed there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from archbench.host import default_host

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "objectives.md").read_text()


def test_the_example_of_the_page_is_a_plugin_that_passes_the_suite(tmp_path: Path) -> None:
    module, test, plugin = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    package = tmp_path / "my_objectives"
    package.mkdir()
    (package / "fill_in_the_middle.py").write_text(module)
    (package / "plugin.py").write_text(plugin)
    check = "\n\ndef test_the_hook_returns_it():\n    assert plugin.register_objectives() == [FillInTheMiddleConfig]\n"
    (tmp_path / "test_example.py").write_text("from my_objectives import plugin\n" + test + check)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout)


def test_the_page_lists_every_bundled_objective() -> None:
    catalog = default_host().registry.objectives
    for kind, entry in catalog.entries.items():
        config = entry.config
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |")), None)
        assert row is not None, f"docs/objectives.md has no line for {kind}"
        assert f"| {config.attention.value} | {config.track} |" in row
