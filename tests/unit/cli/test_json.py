"""What commands print with `--json` is what their schemas in the docs say."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from archbench.cli import common
from archbench.cli.json_schemas import output_schema, schema_files
from archbench.cli.main import cli
from archbench.cli.outputs import OUTPUTS
from archbench.results.runs import RunState
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "docs" / "schemas"

SPEC = """\
name: trial
contenders: {gpt2: {architecture: {kind: gpt2}}}
data:
  dataset: {kind: text_files, paths: ["texts/*.txt"]}
  tokenizer: {kind: bytes}
  validation_fraction: 0.3
scan: {sizes: [1e4, 2e4], seeds: {smallest_two: 1}, tokens: 4000}
training: {seq_len: 32, batch_tokens: 64, learning_rate: 1e-3, schedule: {warmup_steps: 2}}
evaluation: {tokens: 500, points: 3}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fill: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("json")
    law = SyntheticLaw(noise_std=0.003)
    store = RunStore(folder / "runs")
    records = synthetic_records("gpt2", law) + synthetic_records("reformer", SyntheticLaw(A=13), seed=1)
    fill(store, "demo", records)
    failed = [record for record in synthetic_records("xl", law, seed=2) if record.size_index == 0][:1]
    one = type(failed[0])(
        **{
            **{name: getattr(failed[0], name) for name in failed[0].__dataclass_fields__},
            "state": RunState.FAILED,
            "curve": (),
            "reason": "made up",
        }
    )
    fill(store, "lost", [one])
    damaged = next(iter(store.directories()))
    copy = damaged.path.with_name("f" * 16)
    copy.mkdir()
    (copy / "record.json").write_text("{")
    rows = ["arch,N,D,C,loss"]
    for record in records:
        end = record.curve[-1]
        cost = 6 * record.non_embedding_params * end.tokens
        rows.append(f"{record.contender},{record.non_embedding_params},{end.tokens},{cost},{end.validation_loss_nats}")
    (folder / "table.csv").write_text("\n".join(rows))
    (folder / "texts").mkdir()
    for number in range(8):
        (folder / "texts" / f"{number}.txt").write_text(f"document {number} " + "of some length, to be read. " * 40)
    (folder / "trial.yaml").write_text(SPEC)
    (folder / "empty.py").write_text("")
    board = ("--leaderboard", str(folder / "leaderboard"), "add", "demo", "--runs", str(store.root))
    assert CliRunner().invoke(cli, ["leaderboard", *board]).exit_code == 0
    return folder


def printed(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """What the command prints, parsed by a reader that knows no NaN."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(folder / "cache"))
    result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(result.stdout, parse_constant=refuse)


TABLE = ("table.csv", "--params", "N", "--tokens", "D", "--compute", "C", "--loss", "loss", "--arch", "arch")
UNITS = ("--compute-unit", "flops", "--param-convention", "non_embedding", "--resamples", "100")

CASES = {
    "status": ("status",),
    "runs-list": ("runs", "list"),
    "runs-prune": ("runs", "prune", "--dry-run", "--logs"),
    "plan": ("plan", "trial.yaml"),
    "plan-next": ("plan", "trial.yaml", "-o", "name=demo", "--next", "--contender", "gpt2"),
    "data": ("data", "trial.yaml"),
    "compare": ("compare", "gpt2", "reformer"),
    "fit": ("fit", *TABLE, *UNITS, "--law", "L(C)"),
    "fit-allocation": ("fit", *TABLE, *UNITS, "--law", "allocation"),
    "forecast": ("forecast", *TABLE, *UNITS, "--law", "chinchilla", "--budget", "1e15"),
    "forecast-scan": ("forecast", "--scan", "demo", "--budget", "1e15", "--contender", "gpt2", "--resamples", "100"),
    "report": ("report", "demo"),
    "leaderboard": ("leaderboard",),
    "leaderboard-check": ("leaderboard", "check"),
    "specs-list": ("specs", "list"),
    "text-list": ("text", "list"),
    "plugins-list": ("plugins", "list"),
    "plugins-show": ("plugins", "show", "gpt2"),
    "plugins-check": ("plugins", "check", "./empty.py", "--no-train"),
    "doctor": ("doctor", "--no-smoke"),
}
"""Export and transfer are printed by tests that train; see the tests of both."""


@pytest.mark.parametrize("name", CASES)
def test_what_a_command_prints_is_what_its_schema_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = printed(folder, monkeypatch, *CASES[name])
    assert content
    jsonschema.validate(content, output_schema(name), cls=jsonschema.Draft202012Validator)


def test_a_run_is_shown_as_its_schema_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = printed(folder, monkeypatch, "runs", "list")[0]
    shown = printed(folder, monkeypatch, "runs", "show", run["run_id"])
    jsonschema.validate(shown, output_schema("runs-show"))
    assert shown["curve"]
    assert {key: shown[key] for key in run} == run


def test_every_output_has_a_case() -> None:
    elsewhere = {"runs-show", "export", "forecast-transfer"}
    assert set(OUTPUTS) == set(CASES) | elsewhere


def test_schemas_refuse_what_no_class_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = printed(folder, monkeypatch, "status")
    content[0]["runs"][0]["loss"] = 1.0
    with pytest.raises(jsonschema.ValidationError, match="loss"):
        jsonschema.validate(content, output_schema("status"))


def test_the_schemas_in_the_docs_are_those_of_the_classes() -> None:
    files = schema_files(SCHEMAS)
    assert sorted(files) == sorted(SCHEMAS.glob("*.json"))
    for path, content in files.items():
        assert path.read_bytes() == content, "write them anew: archbench schema --write docs/schemas"
        jsonschema.Draft202012Validator.check_schema(json.loads(content))
        assert path.name in (ROOT / "docs" / "json.md").read_text()


def test_a_figure_that_is_no_number_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    common.print_json({"a": [math.nan, math.inf, 1.0], "b": (1, None)})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.0], "b": [1, None]}
