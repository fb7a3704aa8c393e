"""Makes BERT known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_bert.config import BertConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """BERT."""
    return [BertConfig]
