"""A finished run's model as a folder that others load: by transformers where its architecture is theirs.

Whether it is theirs is what `ArchitectureConfig.saved_model` says of the config: the same table by which runs begin
from models of transformers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from archbench.contracts.architecture import ArchitectureConfig, Attention, ModelDims
from archbench.contracts.objective import ObjectiveConfig
from archbench.errors import PluginError, SpecError
from archbench.nn.language_model import LanguageModel
from archbench.registry import Registry
from archbench.runs.directory import RunDirectory
from archbench.runs.files import to_json, write_atomically
from archbench.spec.identity import RunPlan
from archbench.training.engine import TrainedModule
from archbench.training.starting_weights import copy_weights
from archbench.training.weights import read_weights

FORMAT = 1
CONFIG = "archbench.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What was written."""

    model_class: str | None
    """The class of transformers that loads it; None where only `load_model` does."""
    positions_given: bool
    """Whether that class must be told the positions, since the model has no padding token to count them from."""
    special_tokens: tuple[str, ...]
    """Of the objective, behind the tokenizer's own."""


def export_model(directory: RunDirectory, registry: Registry, folder: Path) -> ExportedModel:
    """Writes the model of the run in `directory` into `folder`, which is there: weights and configuration.

    Raises StoreError where its weights are missing or damaged, PluginError where its architecture is not installed.
    """
    plan = directory.read_plan()
    architecture, objective = _components(plan, registry)
    module = TrainedModule(
        architecture.build(plan.identity.dims, objective.attention),
        objective.build_head(plan.identity.dims),
        objective,
    )
    run_id = plan.identity.run_id
    copy_weights(module, read_weights(directory.weights_dir, run_id), f"run {run_id[:12]}")
    model = module.model.eval()
    content = {
        "format": FORMAT,
        "run_id": run_id,
        "architecture": dict(plan.identity.architecture),
        "dims": plan.identity.dims.model_dump(),
        "attention": objective.attention.value,
        "objective": dict(plan.identity.objective),
        "plugin_versions": plan.identity.distributions,
    }
    write_atomically(folder / CONFIG, to_json(content))
    theirs = _of_transformers(model, architecture, plan.identity.dims)
    if theirs is not None:
        disable_progress_bar()
        theirs.save_pretrained(folder)
        positions_given = theirs.config.model_type == "roberta" and theirs.config.pad_token_id is None
        return ExportedModel(type(theirs).__name__, positions_given, objective.special_tokens)
    # Tied matrices are written once under each of their names: whoever reads the file needs no list of ties.
    tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(folder / WEIGHTS, safetensors.torch.save(tensors, metadata={"format": "pt"}))
    return ExportedModel(None, False, objective.special_tokens)


def load_model(folder: Path, registry: Registry) -> LanguageModel:
    """The model in a folder that `export_model` wrote, in evaluation mode, whichever architecture it is.

    Raises SpecError where the folder holds none, PluginError where its architecture is not installed.
    """
    try:
        content = json.loads((folder / CONFIG).read_bytes())
        dims = ModelDims.model_validate(content["dims"])
        attention = Attention(content["attention"])
        architecture = _architecture(content["architecture"], registry)
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except OSError as error:
        raise SpecError(f"{folder}: holds no exported model ({error}); `archbench export` writes one") from error
    except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise SpecError(f"{folder}: is no exported model ({error}); export the run again") from error
    model = architecture.build(dims, attention)
    theirs = _of_transformers(model, architecture, dims)
    target = model if theirs is None else theirs
    own = target.state_dict(keep_vars=True)
    filled = {id(own[name]) for name in tensors if name in own}
    if unknown := tensors.keys() - own.keys():
        raise SpecError(f"{folder}: holds {min(unknown)!r}, which {architecture.kind!r} lacks; export the run again")
    # A tied matrix stands in a file of transformers under one of its names.
    if missing := [name for name, tensor in own.items() if id(tensor) not in filled]:
        raise SpecError(f"{folder}: lacks {missing[0]!r}; export the run again")
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    return model.eval()


def _components(plan: RunPlan, registry: Registry) -> tuple[ArchitectureConfig, ObjectiveConfig]:
    architecture = _architecture(plan.identity.architecture, registry)
    kind = str(plan.identity.objective["kind"])
    return architecture, registry.objectives[kind].config.model_validate(dict(plan.identity.objective))


def _architecture(content: Any, registry: Registry) -> ArchitectureConfig:
    kind = str(content["kind"])
    try:
        return registry.architectures[kind].config.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise PluginError(
            f"architecture {kind!r}: {where}: {problem['msg']}; install the version that the run was trained with"
        ) from error


def _of_transformers(model: LanguageModel, architecture: ArchitectureConfig, dims: ModelDims) -> PreTrainedModel | None:
    """The model of transformers that `model` is made of; None where it is another network than its config says."""
    inner = next((child for child in model.children() if isinstance(child, PreTrainedModel)), None)
    if inner is None or len(list(inner.parameters())) != len(list(model.parameters())):
        return None
    try:
        saved = architecture.saved_model(json.loads(inner.config.to_json_string(use_diff=False)))
    except ValueError:
        return None
    return inner if saved.dims == dims else None
