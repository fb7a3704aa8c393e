"""Makes RoBERTa known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_roberta.config import RobertaConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """RoBERTa."""
    return [RobertaConfig]
