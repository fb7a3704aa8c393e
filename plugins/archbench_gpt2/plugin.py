"""Makes GPT-2 known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_gpt2.config import Gpt2Config


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """GPT-2."""
    return [Gpt2Config]
