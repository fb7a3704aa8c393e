"""Makes ModernBERT known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_modernbert.config import ModernBertConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """ModernBERT."""
    return [ModernBertConfig]
