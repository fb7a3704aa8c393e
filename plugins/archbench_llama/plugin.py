"""Makes Llama known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_llama.config import LlamaConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """Llama."""
    return [LlamaConfig]
