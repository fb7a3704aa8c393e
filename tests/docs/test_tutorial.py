"""The tutorial's lines, put into a new package, make the architecture that the tutorial speaks of."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archbench.cli.plugins_new import render

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial_plugin.md").read_text()
MAX_LINES = 10

PROBE = """
import torch
from archbench.api import Attention
from squared_relu.config import SquaredReluConfig
config = SquaredReluConfig()
dims = config.sized_for(2e4, vocab_size=48, seq_len=32)
feed_forward = config.build(dims, Attention.CAUSAL).blocks[0].feed_forward
x = torch.randn(2, 32, dims.d_model)
torch.testing.assert_close(feed_forward(x), feed_forward.down(torch.clamp(feed_forward.up(x), min=0) ** 2))
print(config.source.paper)
"""


(DIFF,) = re.findall(r"```diff\n(.*?)```", PAGE, flags=re.DOTALL)


def test_at_most_ten_lines_are_written_by_hand() -> None:
    assert 0 < len(re.findall(r"^\+(?!\+\+)", DIFF, flags=re.MULTILINE)) <= MAX_LINES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the change")
def test_the_lines_of_the_tutorial_make_a_squared_relu(tmp_path: Path) -> None:
    folder = tmp_path / "squared-relu"
    render("squared_relu", folder)
    subprocess.run(["git", "apply", "-"], cwd=folder, input=DIFF, text=True, check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=folder / "src", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("So et al. 2021")
