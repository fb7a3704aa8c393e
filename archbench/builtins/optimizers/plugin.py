"""The optimizers that come with archbench."""

from collections.abc import Sequence

from archbench.api import OptimizerConfig, hookimpl
from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.builtins.optimizers.muon import MuonConfig


@hookimpl
def register_optimizers() -> Sequence[type[OptimizerConfig]]:
    """AdamW and Muon."""
    return [AdamWConfig, MuonConfig]
