"""The conformance suite on layers of x-transformers, and what the bridge makes of their keywords."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from x_transformers import Decoder, TransformerWrapper

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.probes import random_tokens, seeded_model
from archbench_x_transformers.config import XTransformersConfig
from archbench_x_transformers.trial import trial

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=32, n_layers=2, n_heads=4, d_ff=128)
MODERN = {"rotary_pos_emb": True, "ff_glu": True, "ff_swish": True, "use_rmsnorm": True, "attn_qk_norm": True}


class OfXTransformers(ArchitectureConformance):
    plugin = "archbench_x_transformers.plugin"
    dims = DIMS
    ladder_vocab_sizes = (264,)
    ladder_targets = (1e4, 4e4, 1.6e5)
    # The library starts embeddings with 1 / 50 and its own output matrix as torch does.
    initial_loss_tolerance_nats = 0.5


@pytest.mark.thorough
class TestModernDecoder(OfXTransformers):
    config = XTransformersConfig(decoder=MODERN, wrapper={"use_abs_pos_emb": False})


@pytest.mark.thorough
class TestEncoder(OfXTransformers):
    config = XTransformersConfig(encoder={})


@pytest.mark.thorough
class TestDecoderWithMemory(OfXTransformers):
    config = XTransformersConfig(decoder={"rel_pos_bias": True}, wrapper={"max_mem_len": 32, "use_abs_pos_emb": False})


def test_logits_are_the_librarys() -> None:
    config = XTransformersConfig(decoder=MODERN)
    dims = config.adapted(DIMS)
    ours = seeded_model(config, dims, Attention.CAUSAL).eval()
    library = TransformerWrapper(
        num_tokens=48,
        max_seq_len=32,
        attn_layers=Decoder(
            dim=32, depth=2, heads=4, attn_dim_head=8, ff_mult=(dims.d_ff + 0.5) / 32, verbose=False, **MODERN
        ),
    ).eval()
    library.load_state_dict(
        {**ours.trunk.state_dict(), "to_logits.weight": ours.output_weights().weight.detach()}, strict=True
    )
    tokens = random_tokens(2, dims)
    torch.testing.assert_close(ours(tokens), library(tokens), atol=1e-6, rtol=1e-5)


def test_a_gated_layer_has_the_parameters_of_a_plain_one_and_keywords_go_before_the_ladder() -> None:
    plain, gated = XTransformersConfig(decoder={}), XTransformersConfig(decoder={"ff_glu": True})
    sizes = [config.num_params(config.adapted(DIMS)).non_embedding for config in (plain, gated)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)
    wide = XTransformersConfig(decoder={"ff_mult": 8, "attn_dim_head": 16})
    assert wide.num_params(DIMS).non_embedding == pytest.approx(2 * sizes[0], rel=0.05)


def test_a_memory_is_carried_where_the_wrapper_has_one() -> None:
    assert XTransformersConfig(decoder={}, wrapper={"max_mem_len": 8}).carries_state
    assert not XTransformersConfig(decoder={}).carries_state


IMPOSSIBLE = [
    ({"decoder": {"rotary_pos_em": True}}, r"decoder.rotary_pos_em: .* no such keyword; did you mean 'rotary_pos_emb'"),
    ({"encoder": {"attn_qk_nrm": True}}, r"encoder.attn_qk_nrm: .* did you mean 'attn_qk_norm'"),
    ({"decoder": {"ff_glue": True}}, r"decoder.ff_glue: .* did you mean 'ff_glu'"),
    ({"decoder": {"dim": 64}}, r"decoder.dim: is not set here: scan.sizes"),
    ({"decoder": {"causal": False}}, r"decoder.causal: is not set here: write decoder or encoder"),
    ({"decoder": {"heads": 4}}, r"decoder.heads: is not set here: the ladder"),
    ({"decoder": {}, "wrapper": {"max_mem_length": 8}}, r"wrapper.max_mem_length: .* did you mean 'max_mem_len'"),
    ({"decoder": {}, "wrapper": {"num_output_heads": 2}}, r"wrapper.num_output_heads: is not set here"),
    ({"decoder": {}, "wrapper": {"tie_embedding": True}}, r"wrapper.tie_embedding: .* write tie_output"),
    ({"encoder": {"rotary_pos_emb": True, "rotary_xpos": True}}, r"cannot be built: AssertionError"),
    ({"decoder": {"attn_kv_heads": 3}}, r"cannot be (built|run): "),
    ({"decoder": {"sandwich_coef": "much"}}, r"cannot be built: "),
]


@pytest.mark.parametrize(("settings", "told"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_in_one_line(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        trial(XTransformersConfig(**settings))
    assert "\n" not in str(refused.value)


def test_one_of_decoder_and_encoder_is_expected() -> None:
    for settings in ({}, {"decoder": {}, "encoder": {}}):
        with pytest.raises(ValidationError, match="expected one of decoder and encoder"):
            XTransformersConfig(**settings)
    told = XTransformersConfig(encoder={}).unsupported(Attention.CAUSAL)
    assert told == "its layers attend bidirectional, the objective needs causal; write decoder: {...}"
