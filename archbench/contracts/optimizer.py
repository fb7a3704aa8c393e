"""What an optimizer offers: a torch optimizer over a run's parameters. Importing this loads no torch.

archbench sets the rate of each step, clips the gradient, and stores what the optimizer keeps: all else is its own.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import PositiveFloat

from archbench.contracts.config import ComponentConfig

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

RATE_FACTOR = "rate_factor"
"""Key of a parameter group: what the step's learning rate is multiplied by there; 1 where a group has none."""


class TrainedParameters(Protocol):
    """The parameters of a run that have gradients, by name, sorted by what they are; each is in one sort."""

    @property
    def all(self) -> "Mapping[str, nn.Parameter]":
        """All of them, in the order of the module."""
        ...

    @property
    def matrices(self) -> "Mapping[str, nn.Parameter]":
        """Those with two axes between hidden layers: neither tables nor vectors."""
        ...

    @property
    def tables(self) -> "Mapping[str, nn.Parameter]":
        """Embeddings, and the output matrix with its bias: what N leaves out."""
        ...

    @property
    def others(self) -> "Mapping[str, nn.Parameter]":
        """Gains, biases, kernels of convolutions: any number of axes but two."""
        ...


class OptimizerConfig(ComponentConfig):
    """Hyperparameters of one optimizer, apart from the learning rate, which the run's schedule gives.

    Subclasses are torch-free at import: `build` imports torch inside.
    """

    source: ClassVar[str]
    """Paper or page, and where the implementation departs from it."""
    zero_stages: ClassVar[frozenset[int]] = frozenset({0})
    """Stages of ZeRO that it can serve. From 1 on it is given this rank's part of all parameters as one flat vector,
    so that only element-wise optimizers can. bf16 runs at stage 1 or higher."""
    state_bytes_per_param: ClassVar[int]
    """Bytes of memory that it keeps for a parameter, at most: 8 for two moments in fp32."""
    forgetting: ClassVar[frozenset[str]] = frozenset()
    """Settings that are the decay of a moving average over steps. For one of them a spec may give a power law of the
    batch in tokens: what a step forgets, one minus the setting."""

    max_grad_norm: PositiveFloat = 1.0
    """The gradient of a step is scaled down to this norm; before the optimizer sees it."""

    @abstractmethod
    def build(self, parameters: TrainedParameters) -> "Optimizer":
        """The optimizer over all of `parameters`, at whatever rate: archbench sets `lr` of each group before each step.

        It sets it to the step's rate times the group's `RATE_FACTOR`. All that the optimizer remembers from step to
        step is tensors in `state`, by parameter, so that a run goes on from a checkpoint with the same bits.
        """
