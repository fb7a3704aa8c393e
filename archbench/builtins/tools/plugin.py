"""Trackers."""

from archbench.api import TrackerConfig, hookimpl
from archbench.builtins.tools.tensorboard import TensorBoardConfig
from archbench.builtins.tools.wandb import WandbConfig


@hookimpl
def register_trackers() -> list[type[TrackerConfig]]:
    """TensorBoard, and Weights & Biases."""
    return [TensorBoardConfig, WandbConfig]
