import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archbench.cli.compare import compare
from archbench.cli.finish import finish_scan
from archbench.cli.import_runs import import_runs
from archbench.cli.leaderboard import leaderboard
from archbench.cli.report import report
from archbench.errors import SpecError, StoreError
from archbench.host import default_host
from archbench.results.runs import CONTROL, RunRecord
from archbench.runs.store import RunStore
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records
from archbench.testing.synthetic_store import TIMED

LAW = SyntheticLaw(noise_std=0.003)
Fill = Callable[..., None]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, fill: Fill) -> RunStore:
    store = RunStore(tmp_path_factory.mktemp("runs"))
    fill(store, "demo", synthetic_records("gpt2", LAW) + synthetic_records("reformer", SyntheticLaw(A=13), seed=1))
    fill(store, "alone", synthetic_records("xl", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)), seed=2))
    fill(store, "elsewhere", synthetic_records("bert", LAW, seed=3), corpus="d" * 64)
    again = [replace(run, role=CONTROL) for run in synthetic_records("baseline_again", LAW, seed=4)]
    pair = synthetic_records("llama", LAW, seed=5) + synthetic_records("mamba2", LAW, seed=6)
    fill(store, "controlled", pair + again)
    fill(store, "axes", synthetic_records("albert", LAW, seed=7) + dearer(synthetic_records("roberta", LAW, seed=8)))
    return store


def dearer(records: list[RunRecord]) -> list[RunRecord]:
    """The runs with executed FLOPs that grow faster than 6ND: on that axis alone their loss falls less steeply."""
    return [
        replace(run, curve=tuple(replace(point, exact_flops=point.kaplan_flops**1.6) for point in run.curve))
        for run in records
    ]


def invoke(command: Any, *arguments: str) -> Any:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=True)


def test_report_writes_the_report_of_a_scan_by_its_name(store: RunStore, tmp_path: Path) -> None:
    result = invoke(report, "demo", "--runs", str(store.root), "--reports", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "reformer needs" in result.output
    text = (tmp_path / "demo" / "report.md").read_text()
    assert "## Exponents side by side" in text


def test_report_of_an_unknown_scan_names_the_nearest(store: RunStore, tmp_path: Path) -> None:
    result = invoke(report, "demon", "--runs", str(store.root), "--reports", str(tmp_path))
    assert isinstance(result.exception, StoreError)
    assert "did you mean 'demo'" in str(result.exception)


def test_compare_prints_exponents_multiplier_and_crossover(store: RunStore) -> None:
    result = invoke(compare, "gpt2", "reformer", "--runs", str(store.root))
    assert result.exit_code == 0, result.output
    assert "reformer needs" in result.output
    assert "device seconds" in result.output
    assert "none within 10x of the data" in result.output


def test_compare_takes_contenders_of_two_scans_on_the_same_text(store: RunStore) -> None:
    result = invoke(compare, "gpt2", "xl", "--runs", str(store.root), "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert content["scans"] == ["alone", "demo"]
    assert [pair["cost_axis"] for pair in content["comparisons"]] == ["kaplan", "exact", "device_seconds"]
    assert content["comparisons"][0]["alpha_difference"]["low"] < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpt2", "bert"), "different text or tokenizers"),
        (("gpt2", "reformr"), "did you mean 'reformer'"),
        (("gpt2", "gpt2"), "name two contenders"),
        (("gpt2", "xl", "--scan", "demo"), "no scan in .* has a contender 'xl'"),
        (("llama", "baseline_again"), "no scan in .* has a contender 'baseline_again'"),
    ],
)
def test_compare_refuses_what_cannot_be_compared(store: RunStore, arguments: tuple[str, ...], message: str) -> None:
    result = invoke(compare, *arguments, "--runs", str(store.root))
    assert isinstance(result.exception, SpecError)
    assert result.exception.exit_code == 2
    assert re.search(message, str(result.exception))


def test_compare_says_of_exponents_what_its_verdict_says(store: RunStore) -> None:
    """On 6ND one exponent may serve both; the verdict is on executed FLOPs, where their exponents differ."""
    result = invoke(compare, "albert", "roberta", "--runs", str(store.root))
    assert result.exit_code == 0, result.output
    assert "Their exponents differ, so the multiplier changes with scale." in result.output
    assert "One exponent" not in result.output


def test_controls_are_no_further_contenders_of_a_pair(store: RunStore) -> None:
    result = invoke(compare, "llama", "mamba2", "--runs", str(store.root))
    assert result.exit_code == 0, result.output
    assert "One pair of" not in result.output


def test_leaderboard_adds_a_scan_renders_checks_and_notices_an_edit(store: RunStore, tmp_path: Path) -> None:
    where = ("--leaderboard", str(tmp_path))
    assert invoke(leaderboard, *where, "add", "demo", "--runs", str(store.root)).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "entries").iterdir()) == ["demo--gpt2.json", "demo--reformer.json"]
    assert invoke(leaderboard, *where, "--check").exit_code == 0
    assert "nothing has changed" in invoke(leaderboard, *where).output
    (tmp_path / "README.md").write_text("edited")
    result = invoke(leaderboard, *where, "--check")
    assert result.exit_code == 1
    assert "differs from what the entries give" in result.output


def test_leaderboard_entries_name_the_hardware_that_the_runs_used(store: RunStore, tmp_path: Path) -> None:
    invoke(leaderboard, "--leaderboard", str(tmp_path), "add", "demo", "--runs", str(store.root))
    entry = json.loads((tmp_path / "entries" / "demo--gpt2.json").read_text())
    assert entry["runs"][0]["hardware"] == {key: TIMED[key] for key in ("hardware", "versions")}


def test_a_damaged_entry_on_the_leaderboard_does_not_hide_the_verdict(
    store: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "old--damaged.json").write_text("{}")
    finish_scan(store.scan("alone"), store, default_host(), reports_dir=tmp_path / "reports", leaderboard_dir=tmp_path)
    told, noted = capsys.readouterr()
    assert "old--damaged.json" in noted
    assert "xl: whether sizes form tiers is not resolved" in told
    assert "Mind: xl: one seed at each size" in told
    assert "report.md" in told


def test_imported_runs_stand_on_the_leaderboard_with_their_origin(tmp_path: Path) -> None:
    law = SyntheticLaw(noise_std=0.003)
    rows = ["arch,seed,N,D,loss"]
    for name, seed in (("ours", 0), ("theirs", 1)):
        for record in synthetic_records(name, law, seed=seed):
            end = record.curve[-1]
            rows.append(f"{name},{record.seed},{record.non_embedding_params},{end.tokens},{end.validation_loss_nats}")
    table = tmp_path / "published.csv"
    table.write_text("\n".join(rows))
    stored = ("--runs", str(tmp_path / "runs"))
    columns = ("--arch", "arch", "--seed", "seed", "--params", "N", "--tokens", "D", "--loss", "loss")
    words = ("--param-convention", "non_embedding", "--track", "causal", "--baseline", "ours")
    result = invoke(import_runs, str(table), *columns, *words, *stored)
    assert result.exit_code == 0, result.output
    board = tmp_path / "board"
    result = invoke(leaderboard, "--leaderboard", str(board), "add", "published", *stored)
    assert result.exit_code == 0, (result.output, result.exception)
    page = (board / "README.md").read_text()
    assert "theirs from published.csv (N non_embedding)" in page
    assert re.search(r"6ND stands in for them: (ours, theirs|theirs, ours)\.", page)
    assert "[theirs](evidence/published--theirs.md)" in page
    assert invoke(leaderboard, "--leaderboard", str(board), "--check").exit_code == 0
