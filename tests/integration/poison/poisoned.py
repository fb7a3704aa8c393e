"""A plug-in whose model works until a given step, and then makes one number that is none."""

from typing import Literal

from archbench.api import ArchitectureConfig, hookimpl
from archbench_controlled.config import ControlledConfig


class Poisoned(ControlledConfig):
    """A decoder with a poison."""

    kind: Literal["poisoned"] = "poisoned"
    where: Literal["loss", "gradient", "weight", "evaluation"]
    in_step: int

    def build(self, dims, attention):
        """The decoder whose `encode` counts its training passes in a buffer, which checkpoints hold."""
        import torch

        class PoisonGradient(torch.autograd.Function):
            @staticmethod
            def forward(ctx, hidden, poison):
                ctx.save_for_backward(poison)
                return hidden.view_as(hidden)

            @staticmethod
            def backward(ctx, gradient):
                (poison,) = ctx.saved_tensors
                return gradient * poison, None

        model = super().build(dims, attention)
        model.register_buffer("passes", torch.zeros((), dtype=torch.float32))
        sound = model.encode
        nan = float("nan")

        def encode(tokens, **arguments):
            if model.training:
                model.passes += 1
            if self.where == "weight" and not model.training and model.passes >= self.in_step:
                with torch.no_grad():
                    next(model.parameters())[0] = nan
            encoded = sound(tokens, **arguments)
            struck = model.passes == self.in_step if model.training else model.passes >= self.in_step
            poison = torch.where(struck, nan, 1.0).to(encoded.hidden)
            if self.where == "loss" and model.training:
                return encoded._replace(hidden=encoded.hidden * poison)
            if self.where == "evaluation" and not model.training:
                return encoded._replace(hidden=encoded.hidden * poison)
            if self.where == "gradient" and model.training:
                return encoded._replace(hidden=PoisonGradient.apply(encoded.hidden, poison))
            return encoded

        model.encode = encode
        return model


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """The poisoned one."""
    return [Poisoned]
