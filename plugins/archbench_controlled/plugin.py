"""Makes the controlled family known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_controlled.config import ControlledConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """The controlled family."""
    return [ControlledConfig]
