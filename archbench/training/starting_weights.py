"""The weights that a run begins from, loaded into its freshly built module with every name and shape checked."""

import torch
from torch import Tensor

from archbench.errors import SpecError
from archbench.runs.directory import RunDirectory
from archbench.spec.identity import RunPlan
from archbench.training.engine import TrainedModule
from archbench.training.weights import read_weights


def load_starting_weights(module: TrainedModule, plan: RunPlan, directory: RunDirectory) -> None:
    """Fills `module` with the weights that `plan` starts from.

    Raises StoreError where they are missing or damaged, SpecError where they belong to another model.
    """
    start = plan.identity.start
    assert start is not None
    if start.run_id is None:
        raise SpecError("start: models that were trained elsewhere cannot be started from yet")
    weights = read_weights(directory.sibling(start.run_id).weights_dir, start.run_id)
    _copy(module, weights, f"run {start.run_id[:12]}")


def _copy(module: TrainedModule, weights: dict[str, Tensor], origin: str) -> None:
    own = module.state_dict(keep_vars=True)
    for name, tensor in own.items():
        if name not in weights:
            raise SpecError(f"{origin}: has no weights {name!r}, which the model to train needs; start from its like")
        if weights[name].shape != tensor.shape:
            raise SpecError(
                f"{origin}: {name!r} has shape {tuple(weights[name].shape)}, the model to train needs "
                f"{tuple(tensor.shape)}; start from a model of the same architecture, size and vocabulary"
            )
    if unknown := weights.keys() - own.keys():
        raise SpecError(f"{origin}: holds {min(unknown)!r}, which the model to train lacks; start from its like")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])
