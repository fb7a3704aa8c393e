"""The conformance suite on Mamba-2, and its mixer against that of transformers."""

import pytest
import torch
from transformers.models.mamba2.configuration_mamba2 import Mamba2Config as LibraryConfig
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench_mamba2.config import Mamba2Config
from archbench_mamba2.model import StateSpaceMixer

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=20, n_layers=4, n_heads=4, d_ff=40)


class TestMamba2(ArchitectureConformance):
    config = Mamba2Config()
    plugin = "archbench_mamba2.plugin"
    dims = DIMS
    flops_tolerance = 0.0


class TestMamba2InShortChunks(ArchitectureConformance):
    config = Mamba2Config(d_state=16, chunk_size=12)
    dims = DIMS
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestMamba2OnCuda(ArchitectureOnCuda):
    config = Mamba2Config()


def pair(chunk_size: int, library_chunk: int) -> tuple[StateSpaceMixer, Mamba2Mixer]:
    """The mixer and the library's, with the same weights."""
    torch.manual_seed(0)
    ours = StateSpaceMixer(DIMS, d_state=6, d_conv=4, chunk_size=chunk_size)
    library = Mamba2Mixer(
        LibraryConfig(
            num_heads=4, head_dim=10, hidden_size=20, state_size=6, n_groups=1, chunk_size=library_chunk,
            num_hidden_layers=2, layer_norm_epsilon=1e-5,
        ),
        layer_idx=0,
    )  # fmt: skip
    names = {
        "to_parts.weight": "in_proj.weight",
        "convolution.weight": "conv1d.weight",
        "convolution.bias": "conv1d.bias",
        "decay.log_rate": "A_log",
        "decay.step_bias": "dt_bias",
        "skip": "D",
        "norm.weight": "norm.weight",
        "to_out.weight": "out_proj.weight",
    }
    with torch.no_grad():
        ours.skip.copy_(torch.randn(4))
        ours.convolution.bias.copy_(torch.randn(52) * 0.1)
    library.load_state_dict({names[name]: value for name, value in ours.state_dict().items()})
    return ours, library


@pytest.mark.parametrize(("length", "chunk_size"), [(32, 8), (32, 64), (27, 8)])
def test_the_mixer_and_its_gradients_are_those_of_the_library(length: int, chunk_size: int) -> None:
    ours, library = pair(chunk_size, library_chunk=16)
    x = torch.randn(2, length, 20, generator=torch.Generator().manual_seed(1)).requires_grad_()
    mine, theirs = ours(x), library(x)
    # Sums in another order: rounding of fp32.
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    above = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        torch.autograd.grad(mine, x, above)[0], torch.autograd.grad(theirs, x, above)[0], rtol=1e-3, atol=1e-4
    )


def test_parameters_of_the_published_small_model() -> None:
    """state-spaces/mamba2-130m: 24 layers of width 768, a state of 128, 24 heads, 50,288 rows of embeddings."""
    dims = ModelDims(vocab_size=50288, seq_len=2048, d_model=768, n_layers=24, n_heads=24, d_ff=1536)
    assert Mamba2Config().num_params(dims).total == 128_989_632


def test_rates_and_steps_start_where_the_paper_has_them() -> None:
    torch.manual_seed(0)
    model = Mamba2Config().build(DIMS, Attention.CAUSAL)
    for mixer in (module for module in model.modules() if isinstance(module, StateSpaceMixer)):
        rates = mixer.decay.log_rate.exp()
        _, steps = mixer.decay(torch.zeros(4))
        assert bool(((rates >= 1.0) & (rates <= 16.0)).all())
        assert bool(((steps > 0.9e-3) & (steps < 1.1e-1)).all())


def test_heads_divide_the_inner_width() -> None:
    assert Mamba2Config().problems(DIMS.model_copy(update={"n_heads": 3})) == [
        "d_ff 40, the inner width, is not divisible by n_heads 3; choose a divisor"
    ]


def test_bidirectional_attention_is_refused() -> None:
    with pytest.raises(ValueError, match="mamba2 has causal attention"):
        Mamba2Config().build(DIMS, Attention.BIDIRECTIONAL)
