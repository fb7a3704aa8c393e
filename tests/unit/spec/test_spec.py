"""Specs under the components that are really installed; whatever is wrong names its line."""

from importlib.metadata import version
from typing import Any

import pytest
from made_specs import changed, message_of, spec_of

from archbench.errors import ArchbenchError, PluginError, SpecError
from archbench.host import default_host
from archbench.spec.schema import json_schema

TEXT = """\
name: trial
baseline: gpt2
contenders:
  gpt2: {architecture: {kind: gpt2}}
  masked:
    architecture: {kind: bert}
    objective: {kind: masked_lm, masking: dynamic}
data:
  dataset: {kind: text_files, paths: [a.txt]}
  tokenizer: {kind: bytes}
scan:
  sizes: [1e4, 2e4, 4e4]
  seeds: {default: 1, smallest_two: 3}
  tokens: 1.5e6
training:
  seq_len: 128
  batch_tokens: 4096
  learning_rate: 3e-3
  schedule: {kind: cosine, warmup_steps: 50}
"""


def test_a_spec_resolves_its_components_by_kind() -> None:
    spec = spec_of(TEXT)
    gpt2, masked = spec.contenders
    assert gpt2.objective.kind == "causal_lm"
    assert masked.objective.model_dump()["masking"] == "dynamic"
    assert {role: one.model_dump() for role, one in masked.components.items()} == {
        "architecture": {"numerics": 1},
        "objective": {"numerics": 1},
        "optimizer": {"numerics": 1},
    }
    assert masked.libraries == {"transformers": version("transformers")}
    assert [spec.scan.seeds.count(index) for index in range(3)] == [3, 3, 1]
    assert spec.executor is None


def test_the_resolved_spec_holds_every_hyperparameter_of_its_components() -> None:
    """A field typed with a base class would dump its subclass as an empty mapping."""
    resolved = spec_of(TEXT.replace("{kind: gpt2}", "{kind: reformer, bucket_size: 16}")).resolved()
    architecture = resolved["contenders"]["gpt2"]["architecture"]
    assert architecture["kind"] == "reformer"
    assert architecture["bucket_size"] == 16
    assert "n_hashes" in architecture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[1e4, 2e4, 4e4]",
            "[1e4, 2e4, 1e18x]",
            's.yaml:12: scan.sizes[2]: got "1e18x", expected a number such as 1e6',
        ),
        ("learning_rate: 3e-3", "lerning_rate: 3e-3", "s.yaml:18: training.lerning_rate: unknown key; did you mean"),
        ("warmup_steps: 50", "warmup: 50", "training.schedule.warmup: unknown key; did you mean 'warmup_steps'?"),
        ("masking: dynamic", "maskin: dynamic", "s.yaml:7: contenders.masked.objective.maskin: unknown key; did you"),
        (
            "masking: dynamic",
            "masking: dynamik",
            "got \"dynamik\", expected 'static' or 'dynamic'; did you mean 'dynamic'?",
        ),
        ("{kind: cosine,", "{kind: cosinus,", "did you mean 'cosine'?"),
        ("baseline: gpt2", "baseline: gtp2", "s.yaml:2: baseline: there is no contender 'gtp2'; did you mean 'gpt2'?"),
        ("learning_rate: 3e-3", "learning_rate: kaplann", "training.learning_rate: got \"kaplann\", expected 'kaplan'"),
        ("learning_rate: 3e-3", "learning_rate: [1e-3, x]", 'training.learning_rate[1]: got "x", expected a number'),
        ("learning_rate: 3e-3", "learning_rate: -1", "training.learning_rate: got -1, which should be greater than 0"),
        ("learning_rate: 3e-3", "learning_rate: {power_law: {coefficient: 1}}", "power_law.exponent: is missing"),
        ("  tokens: 1.5e6\n", "", "s.yaml:11: scan: give either tokens or tokens_per_param"),
        ("tokens: 1.5e6", "tokens: 1.5e6\n  tokens_per_param: 20", "and not both"),
        ("tokens: 1.5e6", "tokens: many", 's.yaml:14: scan.tokens: got "many", expected a number such as 1e6'),
        ("seq_len: 128", "seq_len: 12.5", "training.seq_len: got 12.5, expected a whole number"),
        ("  seq_len: 128\n", "", "s.yaml:15: training.seq_len: is missing"),
        ("name: trial", "name: ../../etc/x", "s.yaml:1: name: the name '../../etc/x' reads as a path"),
        (
            "contenders:\n  gpt2: {architecture: {kind: gpt2}}",
            "contenders:\n  gpt2: x",
            "s.yaml:4: contenders.gpt2: got",
        ),
        ("{kind: bytes}", "bytes", 's.yaml:10: data.tokenizer: got "bytes", expected a mapping'),
        ("{kind: bytes}", "{}", "s.yaml:10: data.tokenizer.kind: is missing"),
        ("paths: [a.txt]", "", "s.yaml:9: data.dataset.paths: is missing"),
        ("sizes: [1e4, 2e4, 4e4]", "sizes: []", "s.yaml:12: scan.sizes: got []"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(old: str, new: str, message: str) -> None:
    assert old in TEXT
    assert message in message_of(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "{kind: gpt2}",
            "{kind: gtp2}",
            "s.yaml:4: contenders.gpt2.architecture.kind: architecture 'gtp2' is not registered",
        ),
        ("kind: masked_lm", "kind: maskedlm", "objective 'maskedlm' is not registered; did you mean 'masked_lm'?"),
        ("kind: text_files", "kind: text_file", "dataset 'text_file' is not registered; did you mean 'text_files'?"),
        ("{kind: bytes}", "{kind: byte}", "did you mean 'bytes'?"),
    ],
)
def test_an_unknown_component_is_told_with_the_nearest_one(old: str, new: str, message: str) -> None:
    assert message in message_of(TEXT.replace(old, new), PluginError)


def problems_of(text: str, sort: type[ArchbenchError] = SpecError) -> list[str]:
    with pytest.raises(sort) as caught:
        spec_of(text)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_every_problem_is_told_in_the_order_of_the_file_and_unknown_keys_before_what_is_missing_beside_them() -> None:
    text = changed(
        TEXT,
        ("seq_len: 128", "seq_len: x"),
        ("batch_tokens: 4096", "rows: 32"),
        ("learning_rate: 3e-3", "lerning_rate: 3e-3"),
        ("[1e4, 2e4, 4e4]", "[1e4, 1e18x, y]"),
    )
    assert [problem.split(", expected")[0].split(";")[0] for problem in problems_of(text)] == [
        's.yaml:12: scan.sizes[1]: got "1e18x"',
        's.yaml:12: scan.sizes[2]: got "y"',
        's.yaml:16: training.seq_len: got "x"',
        "s.yaml:17: training.rows: unknown key",
        "s.yaml:18: training.lerning_rate: unknown key",
        "s.yaml:15: training.batch_tokens: is missing",
    ]


def test_problems_of_sections_of_components_and_between_sections_are_told_together() -> None:
    text = changed(
        TEXT,
        ("{kind: gpt2}", "{kind: gtp2}"),
        ("masking: dynamic", "maskin: dynamic"),
        ("{kind: bytes}", "{kind: byte}"),
        ("baseline: gpt2", "baseline: other"),
    )
    places = [problem.split(": ")[:2] for problem in problems_of(text)]
    assert places == [
        ["s.yaml:2", "baseline"],
        ["s.yaml:4", "contenders.gpt2.architecture.kind"],
        ["s.yaml:7", "contenders.masked.objective.maskin"],
        ["s.yaml:10", "data.tokenizer.kind"],
    ]
    with_section = problems_of(changed(text, ("seq_len: 128", "seq_len: x")))
    assert [problem.split(": ")[1] for problem in with_section] == [
        "training.seq_len",
        "contenders.gpt2.architecture.kind",
        "contenders.masked.objective.maskin",
        "data.tokenizer.kind",
    ]


def test_plugins_alone_that_are_missing_stay_a_problem_of_plugins() -> None:
    text = changed(TEXT, ("{kind: gpt2}", "{kind: gtp2}"), ("{kind: bytes}", "{kind: byte}"))
    assert len(problems_of(text, PluginError)) == 2


def test_of_very_many_problems_the_number_of_those_after_the_twentieth_is_told() -> None:
    problems = problems_of(changed(TEXT, ("[1e4, 2e4, 4e4]", str(["x"] * 31).replace("'", ""))))
    assert len(problems) == 21
    assert problems[-1] == "s.yaml: 11 further problems"


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def test_the_json_schema_knows_every_installed_component() -> None:
    registry = default_host().registry
    definitions = _definitions(json_schema(registry))
    for attribute in ("architectures", "objectives", "datasets", "tokenizers", "executors"):
        kinds = set(definitions[attribute]["discriminator"]["mapping"])
        assert kinds == set(getattr(registry, attribute).entries)
    assert {"$ref": "#/$defs/architectures"} in definitions["ContenderSection"]["properties"]["architecture"]["anyOf"]
    assert "bucket_size" in definitions["architecture:reformer"]["properties"]


def test_every_reference_of_the_json_schema_leads_somewhere() -> None:
    schema = json_schema(default_host().registry)
    references: list[str] = []

    def collect(part: Any) -> None:
        if isinstance(part, dict):
            references.extend(value for key, value in part.items() if key == "$ref")
            for value in part.values():
                collect(value)
        elif isinstance(part, list):
            for value in part:
                collect(value)

    collect(schema)
    assert references
    missing = {reference for reference in references if reference.removeprefix("#/$defs/") not in schema["$defs"]}
    assert not missing


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (
            "learning_rate: 3e-3",
            "learning_rate: true",
            "s.yaml:18: training.learning_rate: got true, expected a number",
        ),
        ("default: 1", "default: true", "s.yaml:13: scan.seeds.default: got true, expected a number"),
        ("{kind: gpt2}", "{kind: reformer, n_hashes: true}", "contenders.gpt2.architecture.n_hashes: got true"),
        ("warmup_steps: 50", "warmup_steps: false", "training.schedule.warmup_steps: got false, expected a number"),
        ("[1e4, 2e4, 4e4]", "[1e4, 2e4, yes]", 'scan.sizes[2]: got "yes"'),
    ],
)
def test_a_truth_value_is_not_taken_for_a_number(old: str, new: str, place: str) -> None:
    """Python's True is 1, and pydantic takes it so."""
    assert place in message_of(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[1e4, 2e4, 4e4]", "[]", "got [], which should have at least 1 item"),
        ("name: trial", 'name: "a\\tb"', "the name 'a\\tb' holds a control character, U+0009; leave it out"),
        ("scan:\n", "execution: {zero_stage: 4}\nscan:\n", "less than or equal to 3"),
        ("scan:\n", "evaluation: {points: 100000000000}\nscan:\n", "less than or equal to 10000"),
    ],
)
def test_what_is_allowed_is_said_in_words(old: str, new: str, said: str) -> None:
    assert said in message_of(TEXT.replace(old, new))


def test_trackers_and_micro_batches_are_chosen_in_the_execution_section() -> None:
    def execution(written: str) -> str:
        return TEXT.replace("scan:\n", f"execution: {written}\nscan:\n")

    spec = spec_of(execution("{trackers: [{kind: tensorboard, dir: events}, {kind: wandb, init: {mode: offline}}]}"))
    assert [tracker.kind for tracker in spec.trackers] == ["tensorboard", "wandb"]
    assert spec.resolved()["execution"]["trackers"][1]["init"] == {"mode": "offline"}
    assert (spec.execution.micro_batch_rows, spec.execution.fixed_micro_batch_rows) == ("auto", None)
    assert spec_of(execution("{micro_batch_rows: 4}")).execution.fixed_micro_batch_rows == 4
    assert "execution.trackers[0].dirr" in message_of(execution("{trackers: [{kind: tensorboard, dirr: x}]}"))
    assert "did you mean 'wandb'?" in message_of(execution("{trackers: [{kind: wanb}]}"), PluginError)
    said = message_of(execution("{micro_batch_rows: few}"))
    assert 'execution.micro_batch_rows: got "few"' in said
    assert "auto" in said
    assert "execution.micro_batch_rows" in message_of(execution("{micro_batch_rows: 0}"))
