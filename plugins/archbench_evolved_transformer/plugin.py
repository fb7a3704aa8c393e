"""Makes the Evolved Transformer known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_evolved_transformer.config import EvolvedTransformerConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """The Evolved Transformer's decoder."""
    return [EvolvedTransformerConfig]
