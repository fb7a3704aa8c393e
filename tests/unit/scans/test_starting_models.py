"""Scans whose runs begin from saved models: shapes come from the models, mistakes are named with their place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from archbench.errors import SpecError
from archbench.runs.model_folder import read_model_folder
from archbench.scans.planner import ScanPlan

Planned = Callable[..., ScanPlan]


def saved(folder: Path, d_model: int, *, vocab_size: int = 257, positions: int = 128) -> Path:
    config = GPT2Config(vocab_size=vocab_size, n_positions=positions, n_embd=d_model, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def started(planned: Planned, *folders: Path, sizes: str = "[10048, 25248]") -> ScanPlan:
    listed = ", ".join(str(folder) for folder in folders)
    return planned(
        ("{architecture: {kind: gpt2}}", f"{{architecture: {{kind: gpt2}}, start: [{listed}]}}"),
        ("[1e4, 2e4, 4e4]", sizes),
    )


def test_each_size_begins_from_the_model_of_that_size(planned: Planned, tmp_path: Path) -> None:
    small, large = saved(tmp_path / "small", 20), saved(tmp_path / "large", 32)
    plan = started(planned, large, small)
    expected = {0: (small, 20), 1: (large, 32)}
    for run in plan.runs:
        folder, d_model = expected[run.size_index]
        identity = run.plan.identity
        assert identity.dims.d_model == d_model
        assert (identity.dims.seq_len, identity.dims.vocab_size) == (64, 264)
        assert identity.start is not None
        assert identity.start.weights_sha256 == read_model_folder(folder).weights_sha256
        assert run.plan.execution.start_dir == str(folder)
    fresh = planned(("[1e4, 2e4, 4e4]", "[10048, 25248]"))
    assert not {run.run_id for run in fresh.runs} & {run.run_id for run in plan.runs}


def test_the_same_weights_in_another_folder_are_the_same_runs(planned: Planned, tmp_path: Path) -> None:
    import shutil

    small, large = saved(tmp_path / "small", 20), saved(tmp_path / "large", 32)
    shutil.copytree(small, tmp_path / "copy")
    ids = [{run.run_id for run in started(planned, one, large).runs} for one in (small, tmp_path / "copy")]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("options", "sizes", "message"),
    [
        (
            {"d_model": 20},
            "[2e4, 4e4]",
            r"no model to start from has 20000 parameters .*model has 10\.\d*k? .*write these",
        ),
        ({"d_model": 20, "positions": 32}, "[10048]", r"has a context of 32 tokens; lower training\.seq_len"),
        ({"d_model": 20, "vocab_size": 300}, "[10048]", r"has a vocabulary of 300 ids, the tokenizer 'bytes' of the"),
    ],
)
def test_a_model_that_does_not_fit_is_one_line(
    planned: Planned, tmp_path: Path, options: dict[str, Any], sizes: str, message: str
) -> None:
    folder = saved(tmp_path / "model", **options)
    with pytest.raises(SpecError, match=rf"s\.yaml:4: contenders\.gpt2\.start: gpt2: .*{message}") as raised:
        started(planned, folder, sizes=sizes)
    assert "\n" not in str(raised.value)


def test_a_model_with_another_tokenizer_is_refused(planned: Planned, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", 20)
    (folder / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}, "merges": []}}')
    with pytest.raises(SpecError, match=r"its tokenizer\.json is not the tokenizer of the text, which is 'bytes'"):
        started(planned, folder, sizes="[10048]")


def test_a_model_with_its_own_tokenizer_is_accepted(planned: Planned, tmp_path: Path) -> None:
    from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig, LibraryTokenizer

    tokenizer = BpeTokenizerConfig(vocab_size=300).prepare(["what is to be planned is planned here"] * 9)
    assert isinstance(tokenizer, LibraryTokenizer)
    # End-of-text is added behind the tokenizer's own ids, and the model was trained with it.
    folder = saved(tmp_path / "model", 20, vocab_size=tokenizer.vocab_size)
    (folder / "tokenizer.json").write_text(tokenizer.to_json())
    plan = planned(
        ("{architecture: {kind: gpt2}}", f"{{architecture: {{kind: gpt2}}, start: [{folder}]}}"),
        ("[1e4, 2e4, 4e4]", "[10048]"),
        ("tokenizer: {kind: bytes}", f"tokenizer: {{kind: pretrained, path: {folder}}}"),
    )
    assert plan.runs[0].plan.identity.start is not None


def test_in_a_transfer_study_pre_training_goes_on_from_the_model_and_scratch_runs_are_fresh(
    planned: Planned, tmp_path: Path
) -> None:
    folder = saved(tmp_path / "model", 20)
    study = """
studies:
  to_code:
    kind: transfer
    directions: [{source: main, target: code}]
    pretraining_tokens: 8192
    finetune_tokens: [1000]
    scratch_tokens: [1000, 4000]
"""
    plan = planned(
        ("{architecture: {kind: gpt2}}", f"{{architecture: {{kind: gpt2}}, start: [{folder}]}}"),
        ("[1e4, 2e4, 4e4]", "[10048]"),
        (
            "  tokenizer: {kind: bytes}",
            '  texts: {code: {kind: text_files, paths: ["FOLDER/1*.txt"]}}\n  tokenizer: {kind: bytes}',
        ),
        ("evaluation:", f"{study}evaluation:"),
    )
    by_role: dict[str, list[Any]] = {}
    for run in plan.runs:
        if run.study == "to_code":
            by_role.setdefault(run.role, []).append(run)
    assert set(by_role) == {"pretraining", "scratch", "finetune"}
    sha256 = read_model_folder(folder).weights_sha256
    (pretraining,) = by_role["pretraining"]
    assert pretraining.plan.identity.start.weights_sha256 == sha256
    assert {run.plan.identity.start for run in by_role["scratch"]} == {None}
    assert {run.plan.execution.start_dir for run in by_role["scratch"]} == {None}
    assert {run.plan.identity.start.run_id for run in by_role["finetune"]} == {pretraining.run_id}
    assert len({run.plan.identity.dims for runs in by_role.values() for run in runs}) == 1
