"""Muon for the matrices of hidden layers, AdamW for all else."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from archbench.api import RATE_FACTOR, OptimizerConfig, TrainedParameters

if TYPE_CHECKING:
    import torch


class MuonConfig(OptimizerConfig):
    """Optimizer `muon` (Jordan et al. 2024): the momentum of each hidden matrix, orthogonalised, is its update.

    A matrix of A by B moves by rate·0.2·sqrt(max(A, B)) times the orthogonal matrix (Liu et al. 2025, section 2.2):
    its entries then move as far as AdamW's, so that one learning rate serves both. The rule is the same for a matrix
    and its transpose, as libraries store either. Orthogonalisation is five steps of a quintic Newton-Schulz iteration
    in bf16, as published: singular values come out between about 0.7 and 1.2.
    """

    kind: Literal["muon"] = "muon"
    summary: ClassVar[str] = "Muon on hidden matrices, AdamW on embeddings, output matrix, norms and biases"
    source: ClassVar[str] = (
        "Jordan et al. 2024, Muon (kellerjordan.github.io/posts/muon); updates scaled as by Liu et al. 2025"
        " (arXiv 2502.16982), not by sqrt(max(1, A/B)); torch.optim.Muon. A matrix that a library stores for queries,"
        " keys and values together is orthogonalised as one"
    )
    state_bytes_per_param: ClassVar[int] = 8
    forgetting: ClassVar[frozenset[str]] = frozenset({"beta2"})

    momentum: float = Field(0.95, ge=0.0, lt=1.0)
    """Decay of the mean gradient of a matrix; Nesterov's form of it is orthogonalised."""
    newton_schulz_steps: PositiveInt = Field(5, le=20)
    weight_decay: NonNegativeFloat = 0.1
    """Times the rate, of parameters with two axes or more, tables included."""
    adamw_rate_factor: PositiveFloat = Field(1.0, le=1000.0)
    """Rate of the parameters that AdamW trains, over that of the matrices."""
    beta1: float = Field(0.9, ge=0.0, lt=1.0)
    """AdamW's decay of the mean gradient."""
    beta2: float = Field(0.95, ge=0.0, lt=1.0)
    """AdamW's decay of the mean square; or a power law of the batch in tokens that gives 1 - beta2."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's."""

    def build(self, parameters: TrainedParameters) -> "torch.optim.Optimizer":
        """See `OptimizerConfig.build`; one optimizer object over a `torch.optim.Muon` and a `torch.optim.AdamW`."""
        import torch

        from archbench.builtins.optimizers.joined import JoinedOptimizer

        rest = [*parameters.tables.values(), *parameters.others.values()]
        groups = [
            {"params": [one for one in rest if one.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [one for one in rest if one.ndim < 2], "weight_decay": 0.0},
        ]
        parts: list[torch.optim.Optimizer] = []
        if parameters.matrices:
            parts.append(
                torch.optim.Muon(
                    list(parameters.matrices.values()),
                    lr=0.0,
                    weight_decay=self.weight_decay,
                    momentum=self.momentum,
                    ns_steps=self.newton_schulz_steps,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if rest:
            parts.append(
                torch.optim.AdamW(
                    [{**group, RATE_FACTOR: self.adamw_rate_factor} for group in groups if group["params"]],
                    lr=0.0,
                    betas=(self.beta1, self.beta2),
                    eps=self.epsilon,
                    fused=True,
                )
            )
        return JoinedOptimizer(parts)
