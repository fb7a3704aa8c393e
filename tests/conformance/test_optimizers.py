"""The conformance suite on the bundled optimizers, and what is particular to each."""

import copy

import pytest
import torch
from torch import nn

from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.builtins.optimizers.muon import MuonConfig
from archbench.contracts.architecture import ArchitectureConfig, Attention
from archbench.contracts.objective import ObjectiveConfig
from archbench.host import default_host
from archbench.testing.optimizer import OptimizerConformance, seeded_model
from archbench.training.engine import TrainedModule
from archbench.training.parameters import ModuleParameters, table_names


class TestAdamW(OptimizerConformance):
    config = AdamWConfig()


class TestMuon(OptimizerConformance):
    config = MuonConfig()


class TestMuonWithoutDecay(OptimizerConformance):
    config = MuonConfig(weight_decay=0.0, adamw_rate_factor=0.3, newton_schulz_steps=3)


def stepped(config: MuonConfig, gradient: torch.Tensor) -> torch.Tensor:
    """By how much one step at rate 1 moves a matrix of that gradient."""
    module = nn.Linear(gradient.shape[1], gradient.shape[0], bias=False)
    before = module.weight.detach().clone()
    optimizer = config.build(ModuleParameters(module, set))
    module.weight.grad = gradient
    for group in optimizer.param_groups:
        group["lr"] = 1.0
    optimizer.step()
    return before - module.weight.detach()


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (32, 32)])
def test_an_update_of_muon_is_orthogonal_at_the_scale_of_adamw(shape: tuple[int, int]) -> None:
    """Singular values of the quintic iteration end between 0.68 and 1.13 (Jordan et al. 2024), bf16 adds about 1 %."""
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    moved = stepped(MuonConfig(weight_decay=0.0), gradient)
    singular = torch.linalg.svdvals(moved / (0.2 * max(shape) ** 0.5))
    assert singular.min() > 0.65
    assert singular.max() < 1.2
    # Of the size of AdamW's, whose entries move by 0.2 to 0.4 of the rate (Liu et al. 2025, section 2.2).
    assert 0.1 < moved.square().mean().sqrt() < 0.3


def test_a_matrix_and_its_transpose_move_alike() -> None:
    gradient = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    config = MuonConfig(weight_decay=0.0)
    # The same products in bf16, whichever way round the library stores the matrix.
    torch.testing.assert_close(
        stepped(config, gradient).T, stepped(config, gradient.T.contiguous()), rtol=0.02, atol=0.02
    )


def test_muon_goes_on_as_it_was_from_what_torch_saves() -> None:
    """By torch's own `load_state_dict`, which puts new objects in the place of groups and state."""
    torch.manual_seed(0)
    model = seeded_model()
    suite = TestMuon()
    optimizer = suite.built(model)
    suite.trained(model, optimizer, 3)
    weights, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    suite.trained(model, optimizer, 2)
    other = seeded_model()
    other.load_state_dict(weights)
    loaded = suite.built(other)
    loaded.load_state_dict(state)
    suite.trained(other, loaded, 2)
    for mine, its in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, its)
    assert any(not torch.equal(now, weights[name]) for name, now in other.state_dict().items())


def test_muon_leaves_tables_vectors_and_kernels_to_adamw() -> None:
    model = seeded_model()
    optimizer = MuonConfig(adamw_rate_factor=0.5).build(ModuleParameters(model, lambda: {"table.weight"}))
    names = {id(one): name for name, one in model.named_parameters()}
    groups = [
        ({names[id(one)] for one in group["params"]}, group.get("rate_factor")) for group in optimizer.param_groups
    ]
    assert groups == [
        ({"wide.weight", "narrow.weight"}, None),
        ({"table.weight", "mixing.weight"}, 0.5),
        ({"wide.bias", "narrow.bias", "norm.weight", "norm.bias", "mixing.bias"}, 0.5),
    ]


REGISTRY = default_host().registry


@pytest.mark.parametrize("kind", sorted(REGISTRY.architectures.entries.keys() - {"transformers", "x_transformers"}))
def test_tables_of_every_architecture_are_what_n_leaves_out(kind: str) -> None:
    """Muon trains no embedding and no output matrix, whatever library made the model."""
    architecture: ArchitectureConfig = REGISTRY.architectures[kind].config()
    causal = Attention.CAUSAL in architecture.attention_modes
    objective: ObjectiveConfig = REGISTRY.objectives["causal_lm" if causal else "masked_lm"].config()
    dims = architecture.sized_for(2e4, vocab_size=48, seq_len=64)
    module = TrainedModule(architecture.build(dims, objective.attention), None, objective)
    parameters = ModuleParameters(module, lambda: table_names(module, architecture, objective, dims))
    assert sum(one.numel() for one in parameters.tables.values()) == architecture.num_params(dims).embedding
    assert len(parameters.matrices) >= 2 * dims.n_layers
    sorts = [parameters.matrices, parameters.tables, parameters.others]
    assert sorted(name for sort in sorts for name in sort) == sorted(parameters.all)
