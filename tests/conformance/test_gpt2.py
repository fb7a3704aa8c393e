"""The conformance suite on GPT-2, and its logits against the library's own model."""

import math

import pytest
from transformers.models.gpt2.configuration_gpt2 import GPT2Config as LibraryConfig
from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import seeded_model
from archbench.testing.reference_logits import assert_reference_logits
from archbench_gpt2.config import Gpt2Config


class TestGpt2(ArchitectureConformance):
    config = Gpt2Config()
    plugin = "archbench_gpt2.plugin"


@pytest.mark.gpu
class TestGpt2OnCuda(ArchitectureOnCuda):
    config = Gpt2Config()


def test_logits_equal_those_of_the_library() -> None:
    dims = TestGpt2().shape()
    ours = seeded_model(Gpt2Config(), dims, Attention.CAUSAL)
    library = GPT2LMHeadModel(
        LibraryConfig(
            vocab_size=dims.vocab_size,
            n_positions=dims.seq_len,
            n_embd=dims.d_model,
            n_layer=dims.n_layers,
            n_head=dims.n_heads,
            n_inner=dims.d_ff,
            attn_implementation="eager",
        )
    )
    assert_reference_logits(ours, library, dims)


def test_projections_into_the_residual_stream_start_smaller() -> None:
    dims = Gpt2Config().sized_for(1e6, vocab_size=264, seq_len=64)
    model = seeded_model(Gpt2Config(), dims, Attention.CAUSAL)
    weights = [p for name, p in model.named_parameters() if name.endswith("c_proj.weight")]
    assert len(weights) == 2 * dims.n_layers
    for weight in weights:
        # Tens of thousands of draws: their standard deviation is within 2 % of the true one.
        assert weight.std().item() == pytest.approx(0.02 / math.sqrt(2 * dims.n_layers), rel=0.02)


def test_flops_are_the_published_formula() -> None:
    dims = ModelDims(vocab_size=50257, seq_len=1024, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    per_token = 24 * 12 * 768**2 + 4 * 12 * 768 * 1024 + 2 * 768 * 50257
    assert Gpt2Config().forward_flops_per_token(dims, Attention.CAUSAL).train() == 3 * per_token


def test_parameters_of_the_published_small_model_are_124_million() -> None:
    dims = ModelDims(vocab_size=50257, seq_len=1024, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    assert Gpt2Config().num_params(dims).total == 124_439_808


def test_bidirectional_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="has causal or prefix attention"):
        Gpt2Config().build(TestGpt2().shape(), Attention.BIDIRECTIONAL)
