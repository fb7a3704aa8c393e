"""Specs that extend others, and values from the command line: what comes out, and where errors point."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archbench.errors import SpecError
from archbench.host import default_host
from archbench.spec.layers import MAX_FILES, read_spec
from archbench.spec.load import load_spec
from archbench.spec.schema import json_schema
from archbench.spec.yaml_loader import parse_yaml
from archbench.spec.yaml_writer import to_yaml

BASE = """\
name: base
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  reformer: {architecture: {kind: reformer, bucket_size: 16}}
data:
  dataset: {kind: text_files, paths: [texts]}
  tokenizer: {kind: bpe, vocab_size: 4096}
scan:
  sizes: [1e4, 2e4, 4e4]
  tokens: 2e5
training:
  seq_len: 64
  batch_tokens: 1024
  learning_rate: 3e-3
  schedule: {kind: cosine, warmup_steps: 20}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def top(folder: Path, text: str) -> Path:
    path = folder / "top.yaml"
    path.write_text("extends: shared/base.yaml\n" + text)
    return path


def message(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(path, default_host().registry, overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_mappings_are_merged_and_all_else_is_replaced(folder: Path) -> None:
    path = top(folder, "name: top\nscan: {sizes: [1e5]}\ntraining: {schedule: {warmup_steps: 7}}\n")
    data = read_spec(path).data
    assert data["name"] == "top"
    assert data["scan"] == {"sizes": [1e5], "tokens": 2e5}
    assert data["training"]["schedule"] == {"kind": "cosine", "warmup_steps": 7}
    assert data["baseline"] == "gpt2"
    assert "extends" not in data


def test_another_component_replaces_the_one_below_with_its_hyperparameters(folder: Path) -> None:
    path = top(folder, "contenders: {reformer: {architecture: {kind: gpt2}}}\ndata: {tokenizer: {kind: bytes}}\n")
    data = read_spec(path).data
    assert data["contenders"]["reformer"] == {"architecture": {"kind": "gpt2"}}
    assert data["data"]["tokenizer"] == {"kind": "bytes"}
    same_kind = top(folder, "contenders: {reformer: {architecture: {n_hashes: 2}}}\n")
    architecture = read_spec(same_kind).data["contenders"]["reformer"]["architecture"]
    assert architecture == {"kind": "reformer", "bucket_size": 16, "n_hashes": 2}


def test_a_value_of_another_form_replaces_the_one_below(folder: Path) -> None:
    law = "{power_law: {coefficient: 0.5, exponent: -0.4}}"
    (folder / "shared" / "law.yaml").write_text(BASE.replace("learning_rate: 3e-3", f"learning_rate: {law}"))
    path = folder / "top.yaml"
    path.write_text(f"extends: shared/law.yaml\ntraining: {{learning_rate: {{tune: {{around: {law}}}}}}}\n")
    assert read_spec(path).data["training"]["learning_rate"].keys() == {"tune"}
    path.write_text("extends: shared/law.yaml\ntraining: {learning_rate: {power_law: {coefficient: 0.2}}}\n")
    assert read_spec(path).data["training"]["learning_rate"] == {"power_law": {"coefficient": 0.2, "exponent": -0.4}}


def test_null_takes_away_what_the_file_below_says(folder: Path) -> None:
    data = read_spec(top(folder, "contenders: {reformer: null}\nbaseline: null\n")).data
    assert list(data["contenders"]) == ["gpt2"]
    assert "baseline" not in data


def test_the_spec_that_comes_out_is_the_one_written_in_full(folder: Path) -> None:
    registry = default_host().registry
    path = top(folder, "training: {batch_tokens: 2048}\n")
    full = folder / "shared" / "full.yaml"
    full.write_text(BASE.replace("1024", "2048"))
    assert load_spec(path, registry).resolved() == load_spec(full, registry).resolved()


def test_errors_point_to_the_file_and_line_where_the_value_stands(folder: Path) -> None:
    assert message(top(folder, "training: {seq_len: x}\n")).startswith(f"{folder}/top.yaml:2: training.seq_len: got")
    (folder / "shared" / "base.yaml").write_text(BASE.replace("batch_tokens: 1024", "batch_tokens: true"))
    assert message(top(folder, "name: top\n")).startswith(f"{folder}/shared/base.yaml:14: training.batch_tokens: got")
    assert message(top(folder, "trainin: {}\n")).startswith(f"{folder}/top.yaml:2: trainin: unknown key; did you mean")


def test_relative_paths_start_at_the_file_in_which_the_component_stands(folder: Path) -> None:
    registry = default_host().registry
    inherited = load_spec(top(folder, "name: top\n"), registry)
    assert inherited.data.dataset.located("texts") == folder / "shared" / "texts"
    own = load_spec(top(folder, "data: {dataset: {kind: text_files, paths: [texts]}}\n"), registry)
    assert own.data.dataset.located("texts") == folder / "texts"


def test_a_chain_of_specs_ends_and_does_not_go_round(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: b.yaml\n")
    (folder / "b.yaml").write_text("name: b\nextends: a.yaml\n")
    assert message(folder / "a.yaml") == (
        f"{folder}/b.yaml:2: extends: goes round in a circle: a.yaml -> b.yaml -> a.yaml; leave one of them out"
    )
    (folder / "self.yaml").write_text("extends: self.yaml\n")
    assert "self.yaml -> self.yaml" in message(folder / "self.yaml")
    for number in range(MAX_FILES + 1):
        (folder / f"{number}.yaml").write_text(f"extends: {number + 1}.yaml\n")
    assert f"is the {MAX_FILES}th in a chain" in message(folder / "0.yaml")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("extends: none.yaml", "top.yaml:1: extends: there is no file"),
        ("extends: [a, b]", 'top.yaml:1: extends: got ["a", "b"], expected the path of a spec'),
        ("extends: ''", 'top.yaml:1: extends: got "", expected the path'),
        ("extends: shared", "top.yaml:1: extends: there is no file"),
    ],
)
def test_what_cannot_be_extended_is_told_with_its_line(folder: Path, written: str, problem: str) -> None:
    (folder / "top.yaml").write_text(written + "\n")
    assert problem in message(folder / "top.yaml")


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("training.batch_tokens=8192", ("training", "batch_tokens"), 8192),
        ("training.learning_rate=1e-4", ("training", "learning_rate"), 1e-4),
        ("name=1e4", ("name",), 1e4),
        ("name='1e4'", ("name",), "1e4"),
        ("scan.sizes=[1e4, 5e4]", ("scan", "sizes"), [1e4, 5e4]),
        ("scan.sizes[2]=8e4", ("scan", "sizes", 2), 8e4),
        ("data.dataset.paths[0]=other", ("data", "dataset", "paths", 0), "other"),
        ("data.tokenizer={kind: bytes}", ("data", "tokenizer"), {"kind": "bytes"}),
        ("evaluation.points=5", ("evaluation", "points"), 5),
        ("training.schedule.kind=linear", ("training", "schedule"), {"kind": "linear", "warmup_steps": 20}),
    ],
)
def test_a_value_of_the_command_line_is_read_by_the_rules_of_the_file(
    folder: Path, override: str, place: tuple[str | int, ...], value: Any
) -> None:
    found: Any = read_spec(folder / "shared" / "base.yaml", [override]).data
    for part in place:
        found = found[part]
    assert found == value
    assert type(found) is type(value)


def test_names_that_hold_dots_are_known_by_the_spec(folder: Path) -> None:
    path = folder / "dots.yaml"
    path.write_text("contenders:\n  gpt2: {a: 1}\n  gpt2.v2: {a: 1}\n")
    data = read_spec(path, ["contenders.gpt2.v2.a=3", "contenders.gpt2.a=2"]).data
    assert data["contenders"] == {"gpt2": {"a": 2}, "gpt2.v2": {"a": 3}}


def test_an_empty_value_takes_a_key_away_and_later_overrides_win(folder: Path) -> None:
    base = folder / "shared" / "base.yaml"
    assert "baseline" not in read_spec(base, ["baseline="]).data
    assert "reformer" not in read_spec(base, ["contenders.reformer=null"]).data["contenders"]
    assert read_spec(base, ["name=a", "name=b"]).data["name"] == "b"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.seq_len=x", '-o training.seq_len=x: training.seq_len: got "x", expected a whole number'),
        ("training.seq_len=[1", "-o training.seq_len=[1: is not YAML"),
        ("trainin.seq_len=1", "-o trainin.seq_len=1: trainin: unknown key; did you mean 'training'?"),
        ("training.seqlen=1", "-o training.seqlen=1: training.seqlen: unknown key; did you mean 'seq_len'?"),
        ("execution.kernels=torch", "-o execution.kernels=torch: execution.kernels: is gone: torch's kernels compute"),
        ("training.seq_len.deep=1", "-o training.seq_len.deep=1: training.seq_len is 64, which holds nothing"),
        ("scan.sizes[9]=1", "-o scan.sizes[9]=1: scan.sizes is a list of 3"),
        ("scan.sizes.first=1", "-o scan.sizes.first=1: scan.sizes is a list of 3"),
        ("training", "-o training: expected KEY=VALUE, for example -o training.batch_tokens=8192"),
        ("=3", "-o =3: expected KEY=VALUE"),
        ("a..b=3", "-o a..b=3: expected a key"),
        ("name={a: 1, a: 2}", "-o name={a: 1, a: 2}: name.a: is given twice"),
        ("name=!!python/object:os.system x", "is not allowed in a spec"),
        ("training.batch_tokens=", "training.batch_tokens: is missing"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_it(folder: Path, override: str, problem: str) -> None:
    assert problem in message(folder / "shared" / "base.yaml", override)


def test_overrides_reach_what_an_extended_file_says(folder: Path) -> None:
    path = top(folder, "name: top\n")
    assert load_spec(path, default_host().registry, ["training.batch_tokens=512"]).training.batch_tokens == 512


def test_the_resolved_spec_as_yaml_is_the_same_spec(folder: Path) -> None:
    registry = default_host().registry
    spec = load_spec(top(folder, "name: top\n"), registry, ["scan.sizes[0]=1.5e4"])
    again = folder / "shared" / "again.yaml"
    again.write_text(to_yaml(spec.resolved()))
    assert load_spec(again, registry).resolved() == spec.resolved()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc=.:#'\"-", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["a", "1e4", "true", "null", "yes", "~", "0x1"]), VALUES, min_size=1))
def test_what_is_written_as_yaml_is_read_back_with_its_types(data: dict[str, Any]) -> None:
    assert parse_yaml(to_yaml(data), Path("s.yaml")).data == data


def test_the_schema_of_specs_lets_an_extending_spec_leave_things_out() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(default_host().registry)
    validator = jsonschema.Draft202012Validator(schema)
    whole = yaml.safe_load(BASE.replace("1e4", "1.0e+4").replace("2e4", "2.0e+4").replace("4e4", "4.0e+4"))
    whole["scan"]["tokens"], whole["training"]["learning_rate"] = 2e5, 3e-3
    assert validator.is_valid(whole)
    assert validator.is_valid({"extends": "base.yaml", "training": {"seq_len": 32}})
    assert validator.is_valid({"extends": "base.yaml", "contenders": {"reformer": {"architecture": {"n_hashes": 2}}}})
    assert not validator.is_valid({"training": {"seq_len": 32}})
    assert not validator.is_valid({"extends": "base.yaml", "trainin": {"seq_len": 32}})
    assert not validator.is_valid({"extends": "base.yaml", "training": {"seq_len": "x"}})


@pytest.mark.parametrize("name", ["shadow", "key.pem", "linked.yaml"])
def test_nothing_of_a_file_that_is_no_spec_is_shown(folder: Path, name: str) -> None:
    (folder / "shadow").write_text("root:secret:20000:0:99999:7:::\n")
    (folder / "key.pem").write_text("secret: 1\nsecret: 2\n")
    (folder / "linked.yaml").symlink_to(folder / "shadow")
    path = folder / "top.yaml"
    path.write_text(f"extends: {name}\nname: top\n")
    text = message(path)
    assert "is not named as a spec is; expected .json, .yaml, .yml" in text
    assert "secret" not in text


def test_stated_counts_name_the_texts_of_the_spec(folder: Path) -> None:
    wrong = "{vocab_size: 300, tokens: {man: 1e6}}"
    assert "data.stated.tokens.man: there is no text 'man'; did you mean 'main'?" in message(
        top(folder, f"data: {{stated: {wrong}}}\n")
    )
    texts = "texts: {other: {kind: text_files, paths: [b]}}"
    assert "data.stated.tokens: gives no tokens of the text 'other'" in message(
        top(folder, f"data: {{{texts}, stated: {{vocab_size: 300, tokens: {{main: 1e6}}}}}}\n")
    )
    stated = top(folder, "data: {stated: {vocab_size: 300, tokens: {main: 1e6}}}\n")
    resolved = load_spec(stated, default_host().registry).resolved()
    assert resolved["data"]["stated"] == {"vocab_size": 300, "tokens": {"main": 1e6}}


EXECUTOR = "execution: {executor: {kind: local, workers: 3}, threads: 2}\n"


@pytest.mark.parametrize(
    ("written", "overrides", "executor"),
    [
        (EXECUTOR, ["execution.executor.kind=slurm"], {"kind": "slurm"}),
        (EXECUTOR, ["execution.executor.kind=local"], {"kind": "local", "workers": 3}),
        (
            EXECUTOR,
            ["execution.executor.profile=mine", "execution.executor.kind=slurm"],
            {"kind": "slurm", "profile": "mine"},
        ),
        (
            EXECUTOR,
            ["execution.executor.kind=slurm", "execution.executor.kind=local", "execution.executor.workers=1"],
            {"kind": "local", "workers": 1},
        ),
        ("execution: {executor: auto}\n", ["execution.executor.kind=slurm"], {"kind": "slurm"}),
        ("", ["execution.executor.kind=slurm"], {"kind": "slurm"}),
    ],
)
def test_a_spec_moves_to_another_executor_by_its_kind_alone(
    folder: Path, written: str, overrides: list[str], executor: dict[str, Any]
) -> None:
    (folder / "base.yaml").write_text(BASE + written)
    file = read_spec(folder / "base.yaml", overrides)
    assert file.data["execution"]["executor"] == executor
    assert file.data["execution"].get("threads") == (2 if written == EXECUTOR else None)
