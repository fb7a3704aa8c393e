"""The check of entries on real ones: those that the repository publishes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_boards import LAW, identified, scan

from archbench.cli.leaderboard import leaderboard
from archbench.host import default_host
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import read_entry, write_entry
from archbench.leaderboard.entry_run import EntryCurve
from archbench.leaderboard.forgery import upgraded
from archbench.leaderboard.submission import check_submission
from archbench.results.runs import RunState
from archbench.runs.sealed import seal
from archbench.spec.identity import RunIdentity
from archbench.testing.synthetic import SyntheticScan, synthetic_records

PUBLISHED = Path(__file__).parents[3] / "leaderboard" / "entries"
RETIRED = Path(__file__).parents[2] / "golden" / "byte_level"
"""Entries of runs that do not say what computed them (docs/retired_entries.md)."""
NAME = "reformer--reformer.json"

Content = dict[str, Any]


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    written = write_entry(tmp_path, upgraded(read_entry(RETIRED / NAME)))
    return Path(shutil.copy(written, tmp_path / NAME))


def forge(path: Path, change: Callable[[Content], None], *, rehash: str = "") -> tuple[str, ...]:
    """The problems that are found after `change`; what `rehash` names is made to fit, as a forger would."""
    content = json.loads(path.read_text())
    change(content)
    for run in content["runs"]:
        if "curve" in rehash:
            run["curve_sha256"] = EntryCurve.model_validate(run["curve"]).sha256
        if "identity" in rehash:
            run["run_id"] = RunIdentity.model_validate(run["identity"]).run_id
    content.pop("digest", None)
    path.write_bytes(seal(content, content["format"]))
    return check_submission(path, default_host()).problems


def test_every_published_entry_may_be_taken_in() -> None:
    for path in sorted(PUBLISHED.glob("*.json")):
        checked = check_submission(path, default_host())
        assert (checked.problems, checked.unchecked) == ((), ()), path.name


def test_of_a_retired_entry_is_said_what_nobody_can_check() -> None:
    for path in sorted(RETIRED.glob("*.json")):
        checked = check_submission(path, default_host())
        assert checked.problems == (), path.name
        assert all("older version's" in words for words in checked.unchecked), path.name


def test_every_published_entry_states_the_hashes_of_its_curves() -> None:
    for path in sorted(PUBLISHED.glob("*.json")):
        assert all(run.curve_sha256 for run in read_entry(path).runs), path.name


def test_one_changed_figure_is_named(entry: Path) -> None:
    def change(content: Content) -> None:
        content["figures"]["exact"]["alpha"] = 0.09

    (problem,) = forge(entry, change)
    assert problem.startswith("exact: alpha is stated as 0.09, its curves give 0.02")


def test_one_changed_value_of_a_curve_is_named_even_where_no_figure_hangs_on_it(entry: Path) -> None:
    def change(content: Content) -> None:
        content["runs"][4]["curve"]["train_loss_nats"][7] = 1.0

    (problem,) = forge(entry, change)
    run_id = json.loads(entry.read_text())["runs"][4]["run_id"]
    assert problem.startswith(f"run {run_id[:12]}: its curve is not the one whose hash it states")


def test_a_lower_loss_with_a_new_hash_is_named_by_the_figures(entry: Path) -> None:
    def change(content: Content) -> None:
        for name in ("validation_loss_nats", "bits_per_byte"):
            column = content["runs"][-1]["curve"][name]
            column[:] = [value * 0.8 for value in column]

    problems = forge(entry, change, rehash="curve")
    assert any("exact: alpha is stated as" in problem for problem in problems)


def test_one_changed_hash_is_named(entry: Path) -> None:
    def change(content: Content) -> None:
        content["runs"][0]["run_id"] = "0" * 64

    (problem,) = forge(entry, change)
    assert "its id is not the hash of its identity" in problem


def test_runs_at_another_rate_than_the_specs_are_named(entry: Path) -> None:
    def change(content: Content) -> None:
        content["runs"][0]["identity"]["training"]["peak_learning_rate"] = 0.005

    problems = forge(entry, change, rehash="identity")
    assert "the spec gives training.peak_learning_rate 0.0095" in problems[0]
    assert "the run states 0.005" in problems[0]
    assert "1 of 9 runs that its spec plans are missing" in problems[1]


def test_cheaper_flops_with_a_new_hash_are_named_by_the_shape(entry: Path) -> None:
    def change(content: Content) -> None:
        column = content["runs"][3]["curve"]["exact_flops"]
        column[:] = [value / 2 for value in column]

    problems = forge(entry, change, rehash="curve")
    assert any("exact_flops is stated as" in problem and "its shape gives" in problem for problem in problems)


def test_a_smaller_model_than_the_shape_has_is_named(entry: Path) -> None:
    def change(content: Content) -> None:
        content["runs"][-1]["non_embedding_params"] = 100_000

    problems = forge(entry, change)
    assert any("non_embedding_params is stated as 100,000, its shape has 163,940" in problem for problem in problems)


def test_a_run_that_was_left_out_is_missed(entry: Path) -> None:
    def change(content: Content) -> None:
        del content["runs"][1]

    problems = forge(entry, change)
    assert any("1 of 9 runs that its spec plans are missing" in problem for problem in problems)


def asks_for_controls(content: Content) -> None:
    content["spec"]["question"] = {"baseline": "gpt2", "controls": ["baseline_again", "shuffled_targets"]}


def test_an_outcome_of_a_control_that_was_left_out_is_missed(entry: Path) -> None:
    def change(content: Content) -> None:
        asks_for_controls(content)
        content["environment"]["controls"] = {"baseline_again": True}

    (problem,) = forge(entry, change)
    assert problem == "its spec asks for the control shuffled_targets, and it states no outcome of it"


@pytest.mark.parametrize("outcome", [0, "failed"])
def test_an_outcome_that_is_none_is_named(entry: Path, outcome: object) -> None:
    def change(content: Content) -> None:
        asks_for_controls(content)
        content["environment"]["controls"] = {"baseline_again": outcome, "shuffled_targets": None}

    (problem,) = forge(entry, change)
    assert problem == f"controls: baseline_again is {outcome!r}, expected true, false or null"


def test_controls_that_all_have_an_outcome_are_taken_in_though_one_failed(entry: Path) -> None:
    def change(content: Content) -> None:
        asks_for_controls(content)
        content["environment"]["controls"] = {"baseline_again": False, "shuffled_targets": None}

    assert forge(entry, change) == ()


@pytest.mark.parametrize(("objective", "shed"), [("causal_lm", True), ("span_corruption", False)])
def test_reference_lines_of_a_finished_run_that_were_left_out_are_missed(
    tmp_path: Path, objective: str, shed: bool
) -> None:
    lines = {"unigram": 5.0, "bigram": 4.0, "trigram": 3.5}
    records = [
        identified(replace(record, reference_lines=lines), objective=objective)
        for record in synthetic_records("gpt2", LAW, SyntheticScan(seeds=(1, 1, 1, 1, 1)))
    ]
    stopped = replace(records[1], state=RunState.DIVERGED, reference_lines={})
    (entry,) = make_entries(scan("demo", [replace(records[0], reference_lines={}), stopped, *records[2:]]))
    problems = check_submission(write_entry(tmp_path, entry), default_host()).problems
    missed = [problem for problem in problems if "reference lines" in problem]
    expected = (
        f"run {records[0].run_id[:12]} states no reference lines, which every finished run of its objective notes"
    )
    assert missed == ([expected] if shed else [])


def test_an_entry_under_another_entrys_name_is_refused(entry: Path) -> None:
    moved = entry.rename(entry.with_name("gpt2--gpt2.json"))
    assert "the file must be called reformer--reformer.json" in check_submission(moved, default_host()).problems


def test_an_unknown_architecture_is_said_to_be_unchecked(entry: Path) -> None:
    content = json.loads(entry.read_text())
    content["spec"]["contenders"]["reformer"]["architecture"] = {"kind": "strange"}
    content.pop("digest", None)
    entry.write_bytes(seal(content, content["format"]))
    checked = check_submission(entry, default_host())
    assert checked.problems == ()
    assert "its spec needs a plug-in that is not here" in checked.unchecked[0]


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"format": 3}', '{"format": "three"}', "not json"])
def test_what_is_no_entry_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(content)
    (problem,) = check_submission(path, default_host()).problems
    assert "\n" not in problem


def test_the_command_says_what_is_good_and_what_is_refused(entry: Path, tmp_path: Path) -> None:
    good = Path(shutil.copy(RETIRED / "reformer--gpt2.json", tmp_path))
    forge(entry, lambda content: content["figures"]["kaplan"].update(alpha=0.5))
    result = CliRunner().invoke(leaderboard, ["check", str(entry), str(good)])
    assert result.exit_code == 1
    assert f"{entry}: refused\n    kaplan: alpha is stated as 0.5, its curves give" in result.output
    assert f"{good}: good" in result.output
    as_json = CliRunner().invoke(leaderboard, ["check", str(good), "--json"])
    assert as_json.exit_code == 0
    assert json.loads(as_json.output)["entries"][0]["problems"] == []


def test_the_controlled_family_says_that_it_is_one() -> None:
    architectures = default_host().registry.architectures.entries
    families = {kind: registered.config.family for kind, registered in architectures.items()}
    assert {kind for kind, family in families.items() if family} == {"controlled"}
    assert families["controlled"] == "controlled"
