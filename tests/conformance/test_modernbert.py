"""The conformance suite on ModernBERT, its logits against the library's own model, windows and rotary angles."""

import pytest
import torch
from transformers.models.modernbert.configuration_modernbert import ModernBertConfig as LibraryConfig
from transformers.models.modernbert.modeling_modernbert import ModernBertForMaskedLM

from archbench.api import Attention, ModelDims
from archbench.builtins.objectives.masked_lm import MaskedLmConfig
from archbench.flops.dry_run import counted_step
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import input_gradients, random_tokens, seeded_model
from archbench.testing.reference_logits import assert_reference_logits
from archbench_modernbert.config import ModernBertConfig

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=24, n_layers=4, n_heads=3, d_ff=36)


class TestModernBert(ArchitectureConformance):
    config = ModernBertConfig()
    plugin = "archbench_modernbert.plugin"


class TestModernBertWithNarrowWindows(ArchitectureConformance):
    config = ModernBertConfig(local_attention=8)


@pytest.mark.gpu
class TestModernBertOnCuda(ArchitectureOnCuda):
    config = ModernBertConfig()


@pytest.mark.parametrize("local_attention", [8, 128])
def test_logits_equal_those_of_the_library(local_attention: int) -> None:
    ours = seeded_model(ModernBertConfig(local_attention=local_attention), DIMS, Attention.BIDIRECTIONAL)
    library = ModernBertForMaskedLM(
        LibraryConfig(
            vocab_size=DIMS.vocab_size,
            max_position_embeddings=DIMS.seq_len,
            hidden_size=DIMS.d_model,
            num_hidden_layers=DIMS.n_layers,
            num_attention_heads=DIMS.n_heads,
            intermediate_size=DIMS.d_ff,
            local_attention=local_attention,
            pad_token_id=None,
            attn_implementation="eager",
        )
    )
    assert_reference_logits(ours, library, DIMS)


def test_parameters_of_the_published_base_model_are_150_million() -> None:
    # ModernBERT-base has 149,655,232 parameters with its masked-LM head.
    dims = ModelDims(vocab_size=50368, seq_len=8192, d_model=768, n_layers=22, n_heads=12, d_ff=1152)
    assert ModernBertConfig().num_params(dims).total == 149_655_232


def test_matrices_begin_cut_off_at_two_deviations_and_smaller_into_the_residual_stream() -> None:
    dims = DIMS.model_copy(update={"d_model": 120, "d_ff": 180, "n_layers": 2})
    model = seeded_model(ModernBertConfig(), dims, Attention.BIDIRECTIONAL)
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            assert set(parameter.unique().tolist()) == {0.0 if name.endswith("bias") else 1.0}
            continue
        std = 0.01 if name.endswith(("Wo.weight", "head.dense.weight")) else 0.02
        assert parameter.abs().max().item() <= 2.0 * std * 1.0001
        # A normal variable cut off at two deviations has 0.8796 of them; thousands of draws are within 3 % of it.
        assert parameter.std().item() == pytest.approx(0.8796 * std, rel=0.03), name


def test_flops_can_be_counted_without_data() -> None:
    counted = counted_step(ModernBertConfig(), DIMS, MaskedLmConfig())
    flops = ModernBertConfig().forward_flops_per_token(DIMS, Attention.BIDIRECTIONAL)
    fraction = MaskedLmConfig().predicted_fraction(DIMS.seq_len)
    assert flops.train(fraction) == pytest.approx(counted.train.per_token, rel=1e-9)


def test_local_layers_see_half_a_window_to_each_side() -> None:
    # Three local layers of a window of 4 (2 to each side) behind one global layer would see all of it.
    config = ModernBertConfig(local_attention=4)
    model = seeded_model(config, DIMS, Attention.BIDIRECTIONAL)
    for layer in model.model.model.layers:
        layer.attention_type = "sliding_attention"
    gradients = input_gradients(model, random_tokens(1, DIMS), 16)
    assert gradients is not None
    seen = (gradients[0] > 0).nonzero().flatten().tolist()
    assert seen == list(range(16 - 2 * DIMS.n_layers, 16 + 2 * DIMS.n_layers + 1))


def test_rotary_angles_are_the_same_in_bf16() -> None:
    model = seeded_model(ModernBertConfig(), DIMS, Attention.BIDIRECTIONAL)
    positions = torch.arange(2000)[None]
    hidden = torch.zeros(1, 2000, DIMS.d_model)
    rotary = model.model.model.rotary_emb
    exact = rotary(hidden, positions, "full_attention")
    cast = model.bfloat16().model.model.rotary_emb(hidden.bfloat16(), positions, "full_attention")
    for ours, reference in zip(cast, exact, strict=True):
        torch.testing.assert_close(ours.float(), reference, atol=4e-3, rtol=0)  # rounding of a cosine to eight bits


def test_every_rung_has_heads_of_an_even_width_and_the_papers_feed_forward() -> None:
    for step in range(60):
        dims = ModernBertConfig().sized_for(1e4 * 1.2**step, vocab_size=264, seq_len=128)
        assert dims.d_model // dims.n_heads % 2 == 0
        assert 1.2 <= dims.d_ff / dims.d_model <= 1.7


def test_odd_heads_are_named() -> None:
    odd = DIMS.model_copy(update={"n_heads": 8})
    assert ModernBertConfig().problems(odd) == [
        "heads are 3 wide; rotary positions need an even width: choose another n_heads or d_model"
    ]
    with pytest.raises(ValueError, match="heads are 3 wide"):
        ModernBertConfig().build(odd, Attention.BIDIRECTIONAL)


def test_attention_to_one_side_is_refused() -> None:
    with pytest.raises(ValueError, match="has bidirectional attention"):
        ModernBertConfig().build(DIMS, Attention.CAUSAL)
