"""The conformance suite that every optimizer passes, archbench's own and strangers' alike."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from archbench.contracts.optimizer import RATE_FACTOR, OptimizerConfig
from archbench.testing.component import ConfigConformance, OnOneThread
from archbench.testing.torch_free import torch_libraries_loaded_by
from archbench.training.parameters import ModuleParameters


class SmallModel(nn.Module):
    """Every sort of parameter: tables, hidden matrices, vectors, and a kernel with three axes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(24, 8)
        self.mixing = nn.Conv1d(8, 8, 3, padding=1, groups=8)
        self.wide = nn.Linear(8, 12)
        self.narrow = nn.Linear(12, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, [rows, seq_len, 24], by the table that also embeds."""
        hidden = self.table(tokens)
        hidden = hidden + self.mixing(hidden.transpose(1, 2)).transpose(1, 2)
        hidden = hidden + self.narrow(torch.nn.functional.gelu(self.wide(hidden)))
        logits: Tensor = self.norm(hidden) @ self.table.weight.T
        return logits


def seeded_model() -> SmallModel:
    """The model under test, the same each time."""
    torch.manual_seed(0)
    return SmallModel()


class OptimizerConformance(ConfigConformance, OnOneThread):
    """What archbench relies on in an optimizer. Subclass it with a `config`, and pytest runs the whole suite.

    ```python
    from archbench.testing.optimizer import OptimizerConformance
    from my_package.config import MyOptimizerConfig

    class TestMyOptimizer(OptimizerConformance):
        config = MyOptimizerConfig(momentum=0.8)
    ```

    The model has a thousand parameters; the suite takes seconds on a CPU.
    """

    config: ClassVar[OptimizerConfig]
    """The optimizer under test, with its settings."""

    learning_rate: ClassVar[float] = 3e-3
    """A rate at which it trains a small model."""

    def built(self, model: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of `model`."""
        return self.config.build(ModuleParameters(model, lambda: {"table.weight"}))

    def trained(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, rate: float | None = None
    ) -> list[float]:
        """Losses before each of `steps` steps on one batch, taken as archbench takes them."""
        tokens = torch.randint(0, 24, (8, 16), generator=torch.Generator().manual_seed(1))
        losses = []
        for _ in range(steps):
            loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.roll(-1, 1).flatten())
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), self.config.max_grad_norm)
            for group in optimizer.param_groups:
                group["lr"] = (self.learning_rate if rate is None else rate) * group.get(RATE_FACTOR, 1.0)
            optimizer.step()
            losses.append(loss.item())
        return losses

    def test_source_and_needs_are_stated(self) -> None:
        """Listings and plans tell them."""
        assert self.config.source, "`source` is empty"
        assert self.config.summary, "`summary` is empty"
        assert self.config.state_bytes_per_param >= 0
        assert self.config.zero_stages <= {0, 1, 2, 3}, "stages of ZeRO are 0 to 3"
        assert self.config.zero_stages, "an optimizer serves one stage of ZeRO at least"
        assert self.config.forgetting <= type(self.config).model_fields.keys(), "`forgetting` names no setting"

    def test_importing_loads_no_torch(self) -> None:
        """Plans and reports know optimizers without loading torch."""
        loaded = torch_libraries_loaded_by(self.config, "config.zero_stages, config.model_dump()")
        assert loaded == [], f"importing {type(self.config).__module__} loaded {loaded}"

    def test_every_parameter_is_in_one_group(self) -> None:
        """One that is left out is never trained; one that is in two groups is trained twice."""
        model = seeded_model()
        grouped = [id(one) for group in self.built(model).param_groups for one in group["params"]]
        assert sorted(grouped) == sorted(id(one) for one in model.parameters())

    def test_every_parameter_is_trained(self) -> None:
        """A step moves each of them."""
        model, before = seeded_model(), seeded_model()
        self.trained(model, self.built(model), 3)
        still = [
            name
            for (name, one), old in zip(model.named_parameters(), before.parameters(), strict=True)
            if torch.equal(one, old)
        ]
        assert not still, f"{still} did not move in three steps"

    def test_a_rate_of_zero_changes_nothing(self) -> None:
        """All that an update does is in proportion to the rate: a schedule that ends at 0 ends there."""
        model, before = seeded_model(), seeded_model()
        self.trained(model, self.built(model), 2, rate=0.0)
        assert all(torch.equal(one, old) for one, old in zip(model.parameters(), before.parameters(), strict=True))

    def test_a_batch_is_learnt(self) -> None:
        """The loss of one batch falls by a third within two hundred steps."""
        model = seeded_model()
        losses = self.trained(model, self.built(model), 200)
        assert losses[-1] < 0.67 * losses[0], f"from {losses[0]:.3f} to {losses[-1]:.3f} nats"

    def test_it_goes_on_from_stored_tensors_with_the_same_bits(self) -> None:
        """A checkpoint holds the parameters and the tensors in `state`, and no more."""
        model, other = seeded_model(), seeded_model()
        optimizer, resumed = self.built(model), self.built(other)
        self.trained(model, optimizer, 3)
        with torch.no_grad():
            for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
                theirs.copy_(mine)
                kept = optimizer.state.get(mine, {})
                foreign = {name: value for name, value in kept.items() if not isinstance(value, Tensor)}
                assert not foreign, f"state holds {foreign}, which a checkpoint does not store; make tensors of it"
                resumed.state[theirs] = {name: value.clone() for name, value in kept.items()}
        self.trained(model, optimizer, 3)
        self.trained(other, resumed, 3)
        assert all(
            torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), other.parameters(), strict=True)
        )

    def test_state_takes_no_more_memory_than_stated(self) -> None:
        """`state_bytes_per_param` is what plans count with; single numbers, such as a step's, are left out."""
        model = seeded_model()
        optimizer = self.built(model)
        self.trained(model, optimizer, 1)
        tensors = [value for kept in optimizer.state.values() for value in kept.values() if value.numel() > 1]
        taken = sum(one.numel() * one.element_size() for one in tensors)
        params = sum(one.numel() for one in model.parameters())
        assert taken <= self.config.state_bytes_per_param * params, f"{taken / params:.2f} bytes a parameter"
