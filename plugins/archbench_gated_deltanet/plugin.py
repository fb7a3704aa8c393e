"""Makes Gated DeltaNet known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_gated_deltanet.config import GatedDeltaNetConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """Gated DeltaNet."""
    return [GatedDeltaNetConfig]
