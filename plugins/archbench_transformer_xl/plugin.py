"""Registers Transformer-XL."""

from collections.abc import Sequence

from archbench.api import ArchitectureConfig, hookimpl
from archbench_transformer_xl.config import TransformerXLConfig


@hookimpl
def register_architectures() -> Sequence[type[ArchitectureConfig]]:
    """Transformer-XL of Dai et al. 2019."""
    return [TransformerXLConfig]
