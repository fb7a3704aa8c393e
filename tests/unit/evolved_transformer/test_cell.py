"""The Evolved Transformer's cell: what its blocks see, and their sizes."""

import pytest
import torch

from archbench.api import Attention, ModelDims
from archbench_evolved_transformer.config import EvolvedTransformerConfig, many_heads
from archbench_evolved_transformer.model import ConvolutionBranches, EvolvedTransformer, SwishLayer

DIMS = ModelDims(vocab_size=48, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64)


@pytest.mark.parametrize(
    ("d_model", "n_heads", "expected"),
    [
        (512, 8, 16),  # the paper's base model
        (1024, 16, 16),  # the paper's big model
        (640, 10, 16),
        (1248, 26, 26),
        (46, 2, 2),  # 4 heads do not divide the width
        (66, 3, 6),
    ],
)
def test_first_attention_has_twice_the_heads_up_to_sixteen(d_model: int, n_heads: int, expected: int) -> None:
    assert many_heads(DIMS.model_copy(update={"d_model": d_model, "n_heads": n_heads})) == expected


def test_branches_see_seventeen_positions_and_no_later_one() -> None:
    torch.manual_seed(0)
    branches = ConvolutionBranches(16, wide_kernel=11, narrow_kernel=7).double()
    x = torch.randn(1, 40, 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(branches(x)[0, 30].square().sum(), x)
    seen = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
    # The widest of the branches sees 11 positions, the convolution behind them 7 of those.
    assert seen == list(range(30 - (11 - 1) - (7 - 1), 31))


def test_narrow_branch_reaches_only_the_first_features_of_the_wide_one() -> None:
    torch.manual_seed(0)
    branches = ConvolutionBranches(16, wide_kernel=11, narrow_kernel=7)
    joined: list[torch.Tensor] = []
    branches.norm.register_forward_hook(lambda module, inputs, output: joined.append(inputs[0]))
    x = torch.randn(1, 8, 16)
    branches(x)
    with torch.no_grad():
        branches.right.pointwise.bias.add_(1.0)
    branches(x)
    changed = (joined[1] - joined[0])[0, 0]
    torch.testing.assert_close(changed, torch.cat([torch.ones(8), torch.zeros(24)]))


def test_swish_layer_is_that_of_the_authors_code() -> None:
    torch.manual_seed(0)
    layer, x = SwishLayer(6, 10), torch.randn(3, 6)
    inner = x @ layer.inner.weight.T + layer.inner.bias
    activated = inner * torch.sigmoid(inner)
    normed = (activated - activated.mean(-1, keepdim=True)) / (
        activated.var(-1, correction=0, keepdim=True) + 1e-5
    ) ** 0.5
    torch.testing.assert_close(layer(x), normed @ layer.output.weight.T + layer.output.bias)


def test_matrices_hold_twenty_and_a_half_squares_of_the_width_a_cell() -> None:
    dims = DIMS.model_copy(update={"d_model": 512, "n_heads": 8, "d_ff": 2048, "n_layers": 4})
    model = EvolvedTransformerConfig().build(dims, Attention.CAUSAL)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embedding" not in name]
    assert sum(matrix.numel() for matrix in matrices) == 4 * 20.5 * 512**2


def test_output_matrix_is_that_of_the_embeddings() -> None:
    model = EvolvedTransformerConfig().build(DIMS, Attention.CAUSAL)
    assert isinstance(model, EvolvedTransformer)
    hidden = torch.randn(2, 16)
    torch.testing.assert_close(model.logits(hidden), hidden @ model.token_embedding.weight.T)


def test_sinusoids_have_an_amplitude_of_one() -> None:
    model = EvolvedTransformerConfig().build(DIMS, Attention.CAUSAL)
    assert isinstance(model, EvolvedTransformer)
    table = model.positions(torch.arange(5))
    torch.testing.assert_close(table[:, 0], torch.arange(5.0).sin())
    torch.testing.assert_close(table[:, 1], torch.arange(5.0).cos())


def test_a_shorter_context_gives_the_same_logits() -> None:
    torch.manual_seed(0)
    model = EvolvedTransformerConfig().build(DIMS, Attention.CAUSAL)
    tokens = torch.randint(48, (2, 32))
    # Other shapes sum in another order: rounding of fp32.
    torch.testing.assert_close(model(tokens[:, :20]), model(tokens)[:, :20], atol=1e-5, rtol=1e-4)


def test_odd_width_and_bidirectional_attention_are_refused() -> None:
    odd = DIMS.model_copy(update={"d_model": 15, "n_heads": 3})
    assert EvolvedTransformerConfig().problems(odd) == [
        "d_model 15 is odd; one convolution is half as wide: choose an even width"
    ]
    with pytest.raises(ValueError, match="evolved_transformer has causal attention"):
        EvolvedTransformerConfig().build(DIMS, Attention.BIDIRECTIONAL)
