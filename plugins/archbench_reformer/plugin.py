"""Registers Reformer."""

from collections.abc import Sequence

from archbench.api import ArchitectureConfig, hookimpl
from archbench_reformer.config import ReformerConfig


@hookimpl
def register_architectures() -> Sequence[type[ArchitectureConfig]]:
    """Reformer of Kitaev et al. 2020."""
    return [ReformerConfig]
