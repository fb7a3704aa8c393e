"""Readers of others' runs: what `archbench import` offers."""

from archbench.api import RunReader, hookimpl
from archbench.builtins.readers.hf_trainer import HfTrainer
from archbench.builtins.readers.mlflow import MlFlow
from archbench.builtins.readers.nanochat import NanoChat
from archbench.builtins.readers.table import Table
from archbench.builtins.readers.tensorboard import TensorBoard
from archbench.builtins.readers.trackio import Trackio
from archbench.builtins.readers.wandb import Wandb


@hookimpl
def register_run_readers() -> list[type[RunReader]]:
    """W&B, transformers' Trainer, TensorBoard, MLflow, Trackio, nanochat and its kin, tables."""
    return [Wandb, HfTrainer, TensorBoard, MlFlow, Trackio, NanoChat, Table]
