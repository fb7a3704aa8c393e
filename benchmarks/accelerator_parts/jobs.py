"""What is trained for a figure. Importing this loads no torch."""

from dataclasses import dataclass

from archbench.contracts.architecture import Attention, ModelDims
from archbench.host import default_host


@dataclass(frozen=True)
class Job:
    """A model and how it is trained."""

    architecture: str
    dims: ModelDims
    rows: int
    """Of an optimiser step."""
    micro_rows: int
    precision: str
    device: str


def dims_of(architecture: str, size: float, *, vocab_size: int, seq_len: int) -> ModelDims:
    """The rung nearest to `size` parameters. Raises ValueError where no shape comes near."""
    config = default_host().registry.architectures[architecture].config.model_validate({"kind": architecture})
    return config.sized_for(size, vocab_size=vocab_size, seq_len=seq_len)


def objective_of(architecture: str) -> str:
    """The objective that suits what it attends to."""
    config = default_host().registry.architectures[architecture].config
    return "causal_lm" if Attention.CAUSAL in config.attention_modes else "masked_lm"
