"""Makes the decoders and encoders of x-transformers known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_x_transformers.config import XTransformersConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """A decoder or encoder of x-transformers with any of its keywords."""
    return [XTransformersConfig]
