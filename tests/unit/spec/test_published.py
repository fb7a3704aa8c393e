"""Contenders that are published entries, as a spec names them: what goes with one, and what cannot be asked of it."""

from pathlib import Path

import pytest

from archbench.errors import SpecError
from archbench.host import default_host
from archbench.scans.planner import plan_scan
from archbench.spec.load import spec_from_yaml
from archbench.spec.models import Spec
from archbench.spec.yaml_loader import parse_yaml
from archbench.spec.yaml_writer import to_yaml

TEXT = """\
name: trial
baseline: gpt2
contenders:
  gpt2: {entry: standard--gpt2}
  llama: {architecture: {kind: llama}}
data:
  dataset: {kind: text_files, paths: [a.txt]}
  tokenizer: {kind: bytes}
scan: {sizes: [1e4, 2e4, 4e4], tokens: 1.5e6}
training: {seq_len: 128, batch_tokens: 4096, learning_rate: 3e-3}
"""


def spec_of(*replaced: tuple[str, str], folder: str = "specs") -> Spec:
    text = TEXT
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return spec_from_yaml(parse_yaml(text, Path(folder) / "s.yaml"), default_host().registry)


def test_a_published_contender_is_none_of_those_that_are_trained() -> None:
    spec = spec_of()
    assert [one.name for one in spec.contenders] == ["llama"]
    assert (spec.names, spec.baseline) == (("gpt2", "llama"), "gpt2")
    assert not spec.published["gpt2"].is_file


def test_a_file_is_looked_for_from_the_folder_of_the_spec() -> None:
    spec = spec_of(("standard--gpt2", "entries/standard--gpt2.json"))
    assert (spec.published["gpt2"].is_file, spec.published["gpt2"].entry) == (True, "specs/entries/standard--gpt2.json")


@pytest.mark.parametrize("entry", ["standard--gpt2", "entries/standard--gpt2.json"])
def test_a_resolved_spec_names_the_entry_in_its_place_and_is_read_again(entry: str) -> None:
    resolved = spec_of(("standard--gpt2", entry)).resolved()
    assert list(resolved["contenders"]) == ["gpt2", "llama"]
    again = spec_from_yaml(parse_yaml(to_yaml(resolved), Path("r.yaml")), default_host().registry)
    assert again.resolved() == resolved


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (
            ("standard--gpt2}", "standard--gpt2, architecture: {kind: gpt2}}"),
            "specs/s.yaml:4: contenders.gpt2: is a published entry, of which nothing is trained here; "
            "leave architecture out",
        ),
        (
            ("standard--gpt2}", "x, objective: {kind: causal_lm}, training: {learning_rate: 1e-3}, start: [a]}"),
            "leave objective, training, start out",
        ),
        (("standard--gpt2}", "standard--gpt2, as_published: true}"), "leave as_published out"),
        (("{entry: standard--gpt2}", "{}"), "contenders.gpt2: give an architecture, which is trained, or a published"),
        (("{architecture: {kind: llama}}", "{entry: a--llama}"), "contenders: are published entries, all of them"),
        ((", tokens: 1.5e6", ""), "contenders.gpt2.entry: is compared by the scan of sizes: give scan.tokens"),
        (
            ("1.5e6}", "1.5e6, match: exact_flops}"),
            "scan.match: got exact_flops, but the baseline 'gpt2' is a published",
        ),
        (
            ("scan:", "question: {controls: [baseline_again]}\nscan:"),
            "question.controls: are trained ladders of the baseline, and 'gpt2' is a published entry",
        ),
        (
            ("scan:", "question: {controls: [shuffled_targets]}\nscan:"),
            "question.controls: are trained ladders of the baseline, and 'gpt2' is a published entry",
        ),
    ],
)
def test_what_cannot_be_asked_of_one_is_refused_in_a_line(replaced: tuple[str, str], message: str) -> None:
    # A spec without a scan of sizes has studies, or is refused for that.
    studies = ("scan:", "studies: {few: {kind: learning_curves, tokens: 1e6}}\nscan:")
    with pytest.raises(SpecError, match=r"^specs/s\.yaml") as caught:
        spec_of(replaced, *([studies] if "compared by" in message else []))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_baseline_that_is_trained_may_be_matched_and_controlled_beside_one() -> None:
    spec = spec_of(
        ("baseline: gpt2", "baseline: llama\nquestion: {controls: [baseline_again]}"),
        ("1.5e6}", "1.5e6, match: exact_flops}"),
    )
    assert [one.name for one in spec.controls] == ["baseline_again"]


def test_a_study_trains_no_published_contender() -> None:
    study = "studies: {few: {kind: learning_curves, tokens: 1e6, contenders: [gpt2]}}\nscan:"
    with pytest.raises(SpecError, match=r"studies.few.contenders\[0\]: 'gpt2' is a published entry; studies train"):
        plan_scan(spec_of(("scan:", study)), default_host(), cache_dir=Path("nowhere"))
