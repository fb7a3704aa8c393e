"""AdamW."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from archbench.api import OptimizerConfig, TrainedParameters

if TYPE_CHECKING:
    import torch


class AdamWConfig(OptimizerConfig):
    """Optimizer `adamw` (Loshchilov and Hutter 2019). Weight decay spares vectors: norms, biases."""

    kind: Literal["adamw"] = "adamw"
    summary: ClassVar[str] = "AdamW; weight decay spares norms and biases"
    source: ClassVar[str] = "Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization; torch.optim.AdamW"
    zero_stages: ClassVar[frozenset[int]] = frozenset({0, 1, 2, 3})
    state_bytes_per_param: ClassVar[int] = 8
    forgetting: ClassVar[frozenset[str]] = frozenset({"beta2"})

    beta1: float = Field(0.9, ge=0.0, lt=1.0)
    """Decay of the mean gradient."""
    beta2: float = Field(0.95, ge=0.0, lt=1.0)
    """Decay of the mean square; or a power law of the batch in tokens that gives 1 - beta2."""
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    """Times the rate, of parameters with two axes or more."""

    def build(self, parameters: TrainedParameters) -> "torch.optim.AdamW":
        """See `OptimizerConfig.build`; two groups, with and without decay."""
        import torch

        trained = list(parameters.all.values())
        groups = [
            {"params": [one for one in trained if one.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=0.0,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            fused=True,
        )
