"""Costs that an architecture says are held against its module before a run is trained."""

from typing import Literal

import pytest

from archbench.api import Attention, ForwardFlops, ModelDims, ParamCount
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.errors import PluginError
from archbench.nn.language_model import LanguageModel
from archbench.spec.identity import RunFacts
from archbench.training.declared_costs import check_declared_costs
from archbench_gpt2.config import Gpt2Config

DIMS = ModelDims(vocab_size=56, seq_len=16, d_model=16, n_layers=2, n_heads=2, d_ff=64)


class Dishonest(Gpt2Config):
    kind: Literal["dishonest"] = "dishonest"
    moved_params: int = 0
    flops_factor: float = 1.0
    uncounted: bool = False
    countable: bool = True

    def num_params(self, dims: ModelDims) -> ParamCount:
        sound = super().num_params(dims)
        return ParamCount(sound.embedding + self.moved_params, sound.non_embedding - self.moved_params)

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        sound = super().forward_flops_per_token(dims, attention)
        components = {name: self.flops_factor * flops for name, flops in sound.components.items()}
        return ForwardFlops(components, uncounted={"hashing": "of order one"} if self.uncounted else {})

    def build(self, dims: ModelDims, attention: Attention) -> LanguageModel:
        model = super().build(dims, attention)
        if not self.countable:
            float(next(model.parameters()).detach().sum())
        return model


def check(config: Dishonest) -> str | None:
    params, objective = config.num_params(DIMS), CausalLmConfig()
    flops = config.forward_flops_per_token(DIMS, objective.attention)
    facts = RunFacts(
        track="causal",
        non_embedding_params=params.non_embedding,
        embedding_params=params.embedding,
        kaplan_flops_per_token=1.0,
        exact_flops_per_token=flops.train(),
        exact_flops_by_component={},
        unique_tokens=1,
    )
    return check_declared_costs(config, objective, DIMS, facts, rows=4)


def test_honest_costs_pass() -> None:
    assert check(Dishonest()) is None
    assert check(Dishonest(flops_factor=1.04)) is None


def test_parameters_moved_to_the_embeddings_are_told_with_both_figures() -> None:
    with pytest.raises(PluginError, match="says 6,562 non-embedding parameters, the module has 6,592"):
        check(Dishonest(moved_params=30))


@pytest.mark.parametrize("factor", [0.5, 0.94, 1.06, 2.0])
def test_flops_that_torch_does_not_count_are_told_with_both_figures(factor: float) -> None:
    with pytest.raises(PluginError, match=r"says [\d,]+ FLOPs per token of a training step, torch counts [\d,]+"):
        check(Dishonest(flops_factor=factor))


def test_work_that_torch_cannot_see_may_be_said_if_it_is_named() -> None:
    assert check(Dishonest(flops_factor=2.0, uncounted=True)) is None
    with pytest.raises(PluginError):
        check(Dishonest(flops_factor=0.5, uncounted=True))


def test_module_that_cannot_be_counted_is_let_through_with_a_remark() -> None:
    remark = check(Dishonest(countable=False))
    assert remark is not None
    assert remark.startswith("its parameters and FLOPs could not be counted")
