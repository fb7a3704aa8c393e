"""A stranger's study that asks for what cannot be is named in one line."""

from dataclasses import replace
from pathlib import Path

import pytest

from archbench.errors import PluginError
from archbench.host import default_host, load_host
from archbench.scans.planner import plan_scan
from archbench.spec.load import spec_from_yaml
from archbench.spec.yaml_loader import parse_yaml

SPEC = """\
name: trial
contenders:
  gpt2: {architecture: {kind: gpt2}}
data:
  dataset: {kind: text_files, paths: ["FOLDER/*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.2
scan: {sizes: [1e4, 2e4, 4e4]}
studies: {a: {kind: hostile, how: HOW}}
training: {seq_len: 64, batch_tokens: 512, learning_rate: 3e-3, schedule: {warmup_steps: 5}}
"""

HOSTILE = """
from typing import Literal
from dataclasses import replace
from archbench.api import StudyAnalysis, StudyConfig, hookimpl

class Hostile(StudyConfig):
    kind: Literal["hostile"] = "hostile"
    how: str
    def requests(self, ladder):
        one = ladder.request(ladder.rungs()[0], 0, 40000.0)
        if self.how == "raises":
            raise RuntimeError("no such luck")
        if self.how == "nothing asked":
            yield 3
        if self.how == "start":
            yield replace(one, start=replace(one, seed=1))
        yield replace(one, text="poems")
    def analyse(self, runs):
        return StudyAnalysis(())

@hookimpl
def register_studies():
    return [Hostile]
"""


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "RuntimeError: no such luck"),
        ("nothing asked", "AttributeError: 'int' object has no attribute 'text'"),
        ("start", "ValueError: asks for a run that begins from one that was not asked for before it"),
        ("text", "ValueError: asks for the text 'poems', which its named_texts do not name and the spec has not"),
    ],
)
def test_a_study_that_asks_for_what_cannot_be_is_named_in_one_line(
    text_folder: Path, tmp_path: Path, how: str, words: str
) -> None:
    plugin = tmp_path / "hostile.py"
    plugin.write_text(HOSTILE)
    host = load_host((), [plugin])
    bundled = default_host().registry
    host = replace(host, registry=replace(bundled, studies=host.registry.studies))
    text = SPEC.replace("FOLDER", str(text_folder)).replace("HOW", how)
    spec = spec_from_yaml(parse_yaml(text, Path("s.yaml")), host.registry)
    with pytest.raises(PluginError) as caught:
        plan_scan(spec, host, cache_dir=text_folder / "cache")
    assert str(caught.value) == f"plug-in '{plugin}' failed on study a, kind 'hostile': {words}"
