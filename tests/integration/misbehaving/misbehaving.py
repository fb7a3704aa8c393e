"""A plug-in whose models do, one way or another, what no plug-in should; `how` says what."""

import ctypes
import os
import random
import sys
import threading
import time
from typing import Literal

from archbench.api import ArchitectureConfig, ForwardFlops, ParamCount, hookimpl
from archbench_controlled.config import ControlledConfig

AT_STEP = 8


class Sabotage(BaseException):
    """Not an Exception, so that `except Exception` does not hold it."""


def fill_memory():
    """2 GB, a hundredth at a time: more than the test allows, less than would hurt the machine."""
    held = []
    for _ in range(100):
        held.append(b"\1" * 20_000_000)
        time.sleep(0.05)
    time.sleep(60)
    return held


def change_generators():
    import numpy
    import torch

    random.seed(1)
    numpy.random.seed(1)
    torch.manual_seed(1)


def change_dtype():
    import torch

    torch.set_default_dtype(torch.float64)


def replace_function():
    import torch

    sound = torch.nn.functional.gelu
    torch.nn.functional.gelu = lambda *arguments, **more: 1.01 * sound(*arguments, **more)


def raise_plainly():
    raise RuntimeError("no\nsuch   luck")


def raise_sabotage():
    raise Sabotage("not to be held")


IN_STEP = {
    "raises": raise_plainly,
    "raises_base_exception": raise_sabotage,
    "interrupts": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    "exits": lambda: sys.exit("enough"),
    "dies": lambda: os._exit(7),
    "crashes": lambda: ctypes.string_at(0),
    "hangs": lambda: time.sleep(1e6),
    "fills_memory": fill_memory,
    "prints": lambda: [print("x" * 1_000_000) for _ in range(100)],
    "changes_generators": change_generators,
}
"""What happens in the forward pass of one training step."""

AFTER_BUILD = {
    "changes_dtype": change_dtype,
    "changes_environment": lambda: os.environ.update(OMP_SCHEDULE="dynamic"),
    "changes_folder": lambda: os.chdir("/"),
    "replaces_a_function": replace_function,
    "leaves_a_thread": lambda: threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start(),
}
"""What happens as soon as the model is there."""


class Misbehaving(ControlledConfig):
    """A decoder, but."""

    kind: Literal["misbehaving"] = "misbehaving"
    how: str

    def num_params(self, dims):
        """Those of the decoder, or a tenth moved to the embeddings, which nobody pays for."""
        sound = super().num_params(dims)
        moved = sound.non_embedding // 10 if self.how == "hides_parameters" else 0
        dropped = 100 if self.how == "drops_parameters" else 0
        return ParamCount(embedding=sound.embedding + moved, non_embedding=sound.non_embedding - moved - dropped)

    def forward_flops_per_token(self, dims, attention):
        """Those of the decoder, or half."""
        sound = super().forward_flops_per_token(dims, attention)
        if self.how != "hides_flops":
            return sound
        return ForwardFlops({name: count / 2 for name, count in sound.components.items()})

    def build(self, dims, attention):
        """The decoder with another `encode` or `logits`."""
        import torch

        if self.how == "raises_in_build":
            raise_plainly()
        model = super().build(dims, attention)
        encode, logits, taken = model.encode, model.logits, 0

        def stepping(tokens, **more):
            nonlocal taken
            taken += model.training
            if self.how == "hangs" and model.training:
                time.sleep(0.15)  # so that the run has reported steps when it hangs
            if model.training and taken == AT_STEP:
                IN_STEP[self.how]()
            return encode(tokens, **more)

        def leaking(tokens, **more):
            encoded = encode(tokens, **more)
            # The output matrix is the embeddings': this raises the logit of the token to be predicted.
            return encoded._replace(hidden=encoded.hidden + 300.0 * table(tokens.roll(-1, dims=1)).detach())

        def widening(hidden):
            found = logits(hidden)
            return torch.cat([found, found[..., :1]], dim=-1)

        if self.how in IN_STEP:
            model.encode = stepping
        elif self.how in AFTER_BUILD:
            AFTER_BUILD[self.how]()
        elif self.how == "leaks":
            tables = (module for module in model.modules() if isinstance(module, torch.nn.Embedding))
            table = next(one for one in tables if one.num_embeddings == dims.vocab_size)
            model.encode = leaking
        elif self.how == "adds_columns":
            model.logits = widening
        elif self.how == "drops_a_position":
            model.encode = lambda tokens, **more: encode(tokens[:, :-1], **more)
        elif self.how == "returns_a_tensor":
            model.encode = lambda tokens, **more: encode(tokens, **more).hidden
        elif self.how == "returns_nan":
            model.logits = lambda hidden: logits(hidden) * float("nan")
        return model


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """The one that misbehaves."""
    return [Misbehaving]


@hookimpl
def run_finished(record) -> None:
    """Raises, prints and meddles in the process that drives the scan."""
    os.chdir("/")
    os.environ["ARCHBENCH_CACHE"] = "/nowhere"
    raise Sabotage("in a hook")
