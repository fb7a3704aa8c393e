"""Makes the models of transformers known to archbench."""

from archbench.api import ArchitectureConfig, hookimpl
from archbench_transformers.config import TransformersConfig


@hookimpl
def register_architectures() -> list[type[ArchitectureConfig]]:
    """Any causal or masked model of transformers, by its `model_type`."""
    return [TransformersConfig]
