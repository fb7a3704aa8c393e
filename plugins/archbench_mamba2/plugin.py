"""Makes Mamba-2 known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_mamba2.config import Mamba2Config


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """Mamba-2."""
    return [Mamba2Config]
