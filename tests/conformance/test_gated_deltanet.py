"""The conformance suite on Gated DeltaNet, and its mixer against that of transformers' Qwen3-Next."""

import pytest
import torch
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench_gated_deltanet.config import GatedDeltaNetConfig
from archbench_gated_deltanet.model import DeltaRuleMixer
from archbench_gated_deltanet.widths import Widths

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=20, n_layers=2, n_heads=2, d_ff=54)


class TestGatedDeltaNet(ArchitectureConformance):
    config = GatedDeltaNetConfig()
    plugin = "archbench_gated_deltanet.plugin"
    flops_tolerance = 0.0


class TestGatedDeltaNetInShortChunks(ArchitectureConformance):
    config = GatedDeltaNetConfig(chunk_size=12)
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestGatedDeltaNetOnCuda(ArchitectureOnCuda):
    config = GatedDeltaNetConfig()


def library_weights(ours: DeltaRuleMixer, widths: Widths, heads: int) -> dict[str, torch.Tensor]:
    """Our weights under the library's names; it has the parts of a head side by side."""
    mixed, gate, steps, write = ours.to_parts.weight.split(ours.parts)
    queries, keys, values = mixed.split([widths.keys, widths.keys, widths.values])
    by_head = [part.unflatten(0, (heads, -1)) for part in (queries, keys, values, gate)]
    return {
        "in_proj_qkvz.weight": torch.cat(by_head, dim=1).flatten(0, 1),
        "in_proj_ba.weight": torch.stack([write, steps], dim=1).flatten(0, 1),
        "conv1d.weight": ours.convolution.weight,
        "A_log": ours.decay.log_rate,
        "dt_bias": ours.decay.step_bias,
        "norm.weight": ours.norm.weight,
        "out_proj.weight": ours.to_out.weight,
    }


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (27, 64)])
def test_the_mixer_and_its_gradients_are_those_of_the_library(length: int, chunk_size: int) -> None:
    torch.manual_seed(0)
    widths = GatedDeltaNetConfig().widths(DIMS)
    ours = DeltaRuleMixer(DIMS, widths, conv_size=4, chunk_size=chunk_size)
    library = Qwen3NextGatedDeltaNet(
        Qwen3NextConfig(
            hidden_size=20, linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=widths.key,
            linear_value_head_dim=widths.value, num_hidden_layers=2, rms_norm_eps=1e-5,
        ),
        layer_idx=0,
    )  # fmt: skip
    library.load_state_dict(library_weights(ours, widths, heads=2))
    x = torch.randn(2, length, 20, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mine, theirs = ours(x), library(x)
    # Sums in another order: rounding of fp32.
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    above = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        torch.autograd.grad(mine, x, above)[0], torch.autograd.grad(theirs, x, above)[0], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    ("d_model", "n_heads", "expected"), [(20, 2, (8, 15, 16, 30)), (1024, 16, (48, 96, 768, 1536))]
)
def test_keys_are_three_quarters_and_values_one_and_a_half_times_as_wide(
    d_model: int, n_heads: int, expected: tuple[int, ...]
) -> None:
    dims = DIMS.model_copy(update={"d_model": d_model, "n_heads": n_heads})
    assert GatedDeltaNetConfig().widths(dims) == expected


def test_bidirectional_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="gated_deltanet has causal attention"):
        GatedDeltaNetConfig().build(DIMS, Attention.BIDIRECTIONAL)
