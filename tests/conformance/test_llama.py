"""The conformance suite on Llama, and its logits against the library's own model."""

import pytest
from transformers.models.llama.configuration_llama import LlamaConfig as LibraryConfig
from transformers.models.llama.modeling_llama import LlamaForCausalLM

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import seeded_model
from archbench.testing.reference_logits import assert_reference_logits
from archbench_llama.config import LlamaConfig


class TestLlama(ArchitectureConformance):
    config = LlamaConfig()
    plugin = "archbench_llama.plugin"
    flops_tolerance = 0.0


class TestLlamaWithOneHeadOfKeys(ArchitectureConformance):
    config = LlamaConfig(n_kv_heads=1)
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestLlamaOnCuda(ArchitectureOnCuda):
    config = LlamaConfig()


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_logits_equal_those_of_the_library(n_kv_heads: int) -> None:
    dims = ModelDims(vocab_size=48, seq_len=32, d_model=24, n_layers=2, n_heads=4, d_ff=64)
    ours = seeded_model(LlamaConfig(n_kv_heads=n_kv_heads), dims, Attention.CAUSAL)
    library = LlamaForCausalLM(
        LibraryConfig(
            vocab_size=dims.vocab_size,
            hidden_size=dims.d_model,
            intermediate_size=dims.d_ff,
            num_hidden_layers=dims.n_layers,
            num_attention_heads=dims.n_heads,
            num_key_value_heads=n_kv_heads,
            max_position_embeddings=dims.seq_len,
            rms_norm_eps=1e-5,
            attn_implementation="eager",
        )
    )
    assert_reference_logits(ours, library, dims)


def test_parameters_of_the_published_model_are_6_7_billion() -> None:
    dims = ModelDims(vocab_size=32000, seq_len=2048, d_model=4096, n_layers=32, n_heads=32, d_ff=11008)
    assert LlamaConfig(n_kv_heads=32).num_params(dims).total == 6_738_415_616


def test_heads_of_keys_are_the_largest_number_that_divides_those_of_queries() -> None:
    dims = ModelDims(vocab_size=48, seq_len=32, d_model=72, n_layers=2, n_heads=6, d_ff=192)
    projections = [
        LlamaConfig(n_kv_heads=wanted)
        .forward_flops_per_token(dims, Attention.CAUSAL)
        .components["attention_projections"]
        for wanted in (1, 2, 3, 4, 5, 6, 8)
    ]
    per_layer = [4.0 * 72 * (72 + 12 * heads) for heads in (1, 2, 3, 3, 3, 6, 6)]
    assert projections == [2 * flops for flops in per_layer]


def test_odd_heads_are_refused_with_the_reason() -> None:
    dims = ModelDims(vocab_size=48, seq_len=32, d_model=36, n_layers=2, n_heads=4, d_ff=96)
    assert LlamaConfig().problems(dims) == [
        "heads are 9 wide; rotary positions need an even width: choose another n_heads or d_model"
    ]


def test_bidirectional_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="has causal attention"):
        LlamaConfig().build(TestLlama().shape(), Attention.BIDIRECTIONAL)
