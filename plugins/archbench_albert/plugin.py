"""Makes ALBERT known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_albert.config import AlbertConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """ALBERT."""
    return [AlbertConfig]
