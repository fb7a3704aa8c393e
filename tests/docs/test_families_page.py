"""The page of families is what its command makes, and holds the families that the project promises."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from archbench.testing.families import OBJECTIVES, Trial, main, page, tried

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
CAUSAL = {
    "qwen3", "olmo2", "gemma3_text", "mistral", "phi3", "gpt_neox", "opt", "bloom", "falcon", "mamba", "mamba2",
    "recurrent_gemma", "jamba", "falcon_h1", "xlstm", "rwkv", "deepseek_v3", "mixtral", "qwen3_moe", "olmoe", "gpt_oss",
}  # fmt: skip
MASKED = {"deberta-v2", "electra", "mpnet", "bert", "modernbert"}


def passing(track: str) -> dict[str, str]:
    """Family -> its row, of those that pass."""
    (part,) = re.findall(rf"^## {track.capitalize()}: .*?(?=^### |^## |\Z)", PAGE.read_text(), flags=re.DOTALL | re.M)
    rows = [line for line in part.splitlines() if re.match(r"\| [\w-]+ \| [\d,]+ \|", line)]
    return {row.split("|")[1].strip(): row for row in rows}


def test_sixty_causal_and_fifteen_masked_families_pass_and_the_promised_ones_among_them() -> None:
    causal, masked = passing("causal"), passing("masked")
    assert len(causal) >= 60
    assert len(masked) >= 15
    assert causal.keys() >= CAUSAL
    assert masked.keys() >= MASKED
    for track, rows in (("Causal", causal), ("Masked", masked)):
        assert f"## {track}: {len(rows)} of" in PAGE.read_text()


@pytest.mark.parametrize(
    ("model_type", "track"),
    [
        ("gpt2", "causal"),
        pytest.param("bert", "masked", marks=pytest.mark.thorough),
        *(pytest.param(name, "causal", marks=pytest.mark.thorough) for name in ("olmoe", "falcon_h1", "gpt_oss")),
    ],
)
def test_a_row_of_the_page_is_what_is_found_now(model_type: str, track: str) -> None:
    trial = tried(model_type, track)
    assert trial.learns, trial.outcome
    shown = passing(track)[model_type]
    (now,) = [line for line in page([trial]).splitlines() if line.startswith(f"| {model_type} |")]
    # Losses of ten steps hang on the processor in the last digits: a tenth is what tells a model that learns.
    assert now.split("|")[:5] == shown.split("|")[:5]
    for mine, theirs in zip(now.split("|")[5:7], shown.split("|")[5:7], strict=True):
        assert float(mine) == pytest.approx(float(theirs), abs=0.1)


def test_what_cannot_serve_stands_with_its_reason_and_what_does_not_learn_is_told() -> None:
    assert tried("vit", "causal").outcome.startswith("transformers has no causal language model")
    still = Trial("stone", "causal", None, 1000, 1000, 1.0, (5.0, 5.0))
    text = page([still, tried("t5", "causal")])
    assert "## Causal: 0 of 2 pass" in text
    assert "| stone | 10 steps do not lower its loss |" in text
    assert "| t5 | model_type 't5' is an encoder with a decoder" in text
    assert set(OBJECTIVES) == {"causal", "masked"}


def test_a_family_that_is_not_listed_is_refused_in_one_line() -> None:
    result = CliRunner().invoke(main, ["no_such_family"])
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == "Error: transformers lists no causal or masked model of no_such_family"
