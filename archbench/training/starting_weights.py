"""The weights that a run begins from, loaded into its freshly built module with every name and shape checked."""

import re
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from archbench.contracts.architecture import ArchitectureConfig, SavedModel
from archbench.errors import SpecError
from archbench.runs.directory import RunDirectory
from archbench.runs.model_folder import ModelFolder, read_model_folder
from archbench.spec.identity import RunPlan
from archbench.training.engine import TrainedModule
from archbench.training.weights import read_weights

_ANOTHER = "start from a model of the same architecture, size and vocabulary"


def load_starting_weights(
    module: TrainedModule, architecture: ArchitectureConfig, plan: RunPlan, directory: RunDirectory
) -> None:
    """Fills `module` with the weights that `plan` starts from: those of another run, or of a model folder.

    Raises StoreError where they are missing or damaged, SpecError where they belong to another model.
    """
    start = plan.identity.start
    assert start is not None
    if start.run_id is not None:
        weights = read_weights(directory.sibling(start.run_id).weights_dir, start.run_id)
        copy_weights(module, weights, f"run {start.run_id[:12]}")
        return
    folder = read_model_folder(Path(plan.execution.start_dir or ""))
    if folder.weights_sha256 != start.weights_sha256:
        raise SpecError(
            f"{folder.path}: holds a model with SHA-256 {folder.weights_sha256[:12]}, the run was planned with "
            f"{str(start.weights_sha256)[:12]}; run the scan's command again, it plans anew"
        )
    try:
        saved = architecture.saved_model(folder.config)
    except ValueError as error:
        raise SpecError(f"{folder.path}: {error}; {_ANOTHER}") from error
    copy_saved_model(module, folder, saved)


def copy_saved_model(module: TrainedModule, folder: ModelFolder, saved: SavedModel) -> None:
    """Copies the tensors in `folder` into `module`.

    Of a table of positions the first rows are taken, as many as the context needs. Ids that the saved model lacks
    (special tokens, and those that round the vocabulary up) get the mean of its rows: their logits are then the mean
    of all logits, and by Jensen's inequality k of them raise the loss of V ids by at most ln(1 + k/V). The objective's
    own head stays as it was initialised. Raises SpecError for a tensor that is missing, unknown or of another shape.
    """
    prefix = f"model.{saved.module_prefix}"
    own = {
        name.removeprefix(prefix): tensor
        for name, tensor in module.state_dict(keep_vars=True).items()
        if name.startswith(prefix)
    }
    filled: set[int] = set()
    with torch.no_grad():
        for name, source in _named_as(own, _tensors(folder), folder, saved).items():
            _fill(own[name], source, name, folder, saved)
            filled.add(id(own[name]))
    # A tied matrix is saved under one of its names.
    missing = [name for name, tensor in own.items() if id(tensor) not in filled]
    if missing:
        raise SpecError(f"{folder.path}: has no weights {missing[0]!r}, which the model to train needs; {_ANOTHER}")


def _tensors(folder: ModelFolder) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in folder.weight_files:
        try:
            tensors.update(safetensors.torch.load_file(file))
        except (OSError, safetensors.SafetensorError) as error:
            raise SpecError(f"{file}: cannot be read as safetensors: {error}; download the model again") from error
    return tensors


def _named_as(
    own: dict[str, Tensor], tensors: dict[str, Tensor], folder: ModelFolder, saved: SavedModel
) -> dict[str, Tensor]:
    """The tensors of a file under the names that the module has for them."""
    named = {}
    for name, tensor in tensors.items():
        # As the library renames what was saved with the names of TensorFlow.
        modern = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        candidates = (modern, f"{saved.base_prefix}{modern}")
        known = next((candidate for candidate in candidates if candidate in own), None)
        if known is not None:
            named[known] = tensor
        elif not any(re.fullmatch(pattern, candidate) for pattern in saved.unused for candidate in candidates):
            raise SpecError(f"{folder.path}: holds {name!r}, which the model to train lacks; {_ANOTHER}")
    return named


def _fill(target: Tensor, source: Tensor, name: str, folder: ModelFolder, saved: SavedModel) -> None:
    """Copies `source` into `target`; of positions as many rows as needed, of the vocabulary as many as there are."""
    rows = source
    if name in saved.position_tables:
        first = saved.position_tables[name]
        rows = source[first : first + target.shape[0]]
    known = min(len(rows), len(target)) if name in saved.vocabulary_tables else len(target)
    if rows.shape != target[:known].shape:
        raise _other_shape(str(folder.path), name, source, target)
    target[:known] = rows
    if known < len(target):
        target[known:] = rows.mean(dim=0)


def copy_weights(module: TrainedModule, weights: dict[str, Tensor], origin: str) -> None:
    """Fills `module` with `weights`, by name. Raises SpecError that names `origin` where they are another model's."""
    own = module.state_dict(keep_vars=True)
    for name, tensor in own.items():
        if name not in weights:
            raise SpecError(f"{origin}: has no weights {name!r}, which the model to train needs; start from its like")
        if weights[name].shape != tensor.shape:
            raise _other_shape(origin, name, weights[name], tensor)
    if unknown := weights.keys() - own.keys():
        raise SpecError(f"{origin}: holds {min(unknown)!r}, which the model to train lacks; start from its like")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(weights[name])


def _other_shape(origin: str, name: str, source: Tensor, target: Tensor) -> SpecError:
    shapes = f"has shape {tuple(source.shape)}, the model to train needs {tuple(target.shape)}"
    return SpecError(f"{origin}: {name!r} {shapes}; {_ANOTHER}")
