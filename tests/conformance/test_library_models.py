"""What the wrappers of transformers' models have in common."""

import pytest
import torch

from archbench.api import ArchitectureConfig, Attention
from archbench.testing.probes import random_tokens, seeded_model
from archbench_albert.config import AlbertConfig
from archbench_bert.config import BertConfig
from archbench_gpt2.config import Gpt2Config
from archbench_llama.config import LlamaConfig
from archbench_modernbert.config import ModernBertConfig
from archbench_roberta.config import RobertaConfig

CAUSAL = (Gpt2Config, BertConfig, RobertaConfig)
ARCHITECTURES = (*CAUSAL, AlbertConfig, ModernBertConfig)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_acts_in_training_and_not_in_evaluation(architecture: type[ArchitectureConfig]) -> None:
    config, without = architecture.model_validate({"dropout": 0.5}), architecture.model_validate({})
    dims = config.sized_for(1e4, vocab_size=48, seq_len=32)
    tokens = random_tokens(2, dims)
    attention = min(config.attention_modes)
    model, reference = (seeded_model(each, dims, attention) for each in (config, without))
    assert not torch.allclose(model(tokens), reference(tokens), atol=1e-3)
    # Two models, of which one may take another path through the library's layers: rounding of fp32.
    torch.testing.assert_close(model.eval()(tokens), reference(tokens), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", [BertConfig, RobertaConfig])
def test_all_attention_modes_start_from_the_same_parameters(architecture: type[ArchitectureConfig]) -> None:
    config = architecture.model_validate({})
    dims = config.sized_for(1e4, vocab_size=48, seq_len=32)
    first, *others = (seeded_model(config, dims, mode).state_dict() for mode in Attention)
    for other in others:
        assert list(first) == list(other)
        assert all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, LlamaConfig])
def test_building_and_running_say_nothing(
    architecture: type[ArchitectureConfig],
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    config = architecture.model_validate({})
    dims = config.sized_for(1e4, vocab_size=48, seq_len=32)
    for mode in config.attention_modes:
        seeded_model(config, dims, mode)(random_tokens(2, dims))
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("architecture", CAUSAL)
def test_a_context_shorter_than_the_longest_gives_the_same_causal_logits(
    architecture: type[ArchitectureConfig],
) -> None:
    config = architecture.model_validate({})
    dims = config.sized_for(1e4, vocab_size=48, seq_len=32)
    model, tokens = seeded_model(config, dims, Attention.CAUSAL), random_tokens(2, dims)
    # Other shapes sum in another order: rounding of fp32.
    torch.testing.assert_close(model(tokens[:, :20]), model(tokens)[:, :20], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("architecture", CAUSAL)
def test_a_prefix_of_the_whole_context_is_attention_to_both_sides(architecture: type[ArchitectureConfig]) -> None:
    config = architecture.model_validate({})
    dims = config.sized_for(1e4, vocab_size=48, seq_len=32)
    model, tokens = seeded_model(config, dims, Attention.PREFIX), random_tokens(2, dims)
    whole = torch.full((2,), dims.seq_len)
    reversed_prefix = torch.tensor([dims.seq_len, 5])
    hidden = model.encode_prefixed(tokens, whole).hidden
    # The second row has another prefix, the first one the same.
    mixed = model.encode_prefixed(tokens, reversed_prefix).hidden
    torch.testing.assert_close(mixed[0], hidden[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(mixed[1], hidden[1], atol=1e-4)
    if Attention.BIDIRECTIONAL in config.attention_modes:
        both_sides = seeded_model(config, dims, Attention.BIDIRECTIONAL)
        # Another kernel sums in another order: rounding of fp32.
        torch.testing.assert_close(hidden, both_sides.encode(tokens).hidden, atol=1e-5, rtol=1e-4)
