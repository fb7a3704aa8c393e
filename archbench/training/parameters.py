"""The parameters of a run, sorted for its optimizer: hidden matrices, tables, and the others."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from archbench.contracts.architecture import ArchitectureConfig, ModelDims
from archbench.contracts.objective import ObjectiveConfig
from archbench.flops.embeddings import embedding_names, larger_tables
from archbench.training.engine import TrainedModule


class ModuleParameters:
    """`archbench.contracts.optimizer.TrainedParameters` of a module; which are tables is found out when it is asked."""

    def __init__(self, module: nn.Module, find_tables: Callable[[], Collection[str]]) -> None:
        """find_tables: gives the names of embeddings and output matrix among the parameters of `module`."""
        self._module = module
        self._find_tables = find_tables

    @cached_property
    def all(self) -> Mapping[str, nn.Parameter]:
        """See `TrainedParameters`; of tied parameters the first name."""
        return {name: one for name, one in self._module.named_parameters() if one.requires_grad}

    @property
    def matrices(self) -> Mapping[str, nn.Parameter]:
        """See `TrainedParameters`."""
        return {name: one for name, one in self.all.items() if one.ndim == 2 and name not in self._tables}

    @property
    def tables(self) -> Mapping[str, nn.Parameter]:
        """See `TrainedParameters`."""
        return {name: one for name, one in self.all.items() if name in self._tables}

    @property
    def others(self) -> Mapping[str, nn.Parameter]:
        """See `TrainedParameters`."""
        return {name: one for name, one in self.all.items() if one.ndim != 2 and name not in self._tables}

    @cached_property
    def _tables(self) -> frozenset[str]:
        return frozenset(self._find_tables())


def table_names(
    module: TrainedModule, architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims
) -> set[str]:
    """Names of the embeddings and the output matrix in `module`, built by these at `dims`; the head's among them.

    Found by building the same with larger tables, on tensors without data; no random number is drawn.
    """
    larger = larger_tables(dims)
    with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
        model = architecture.build(larger, objective.attention)
        head = objective.build_head(larger)
    names = {f"model.{name}" for name in embedding_names(module.model, model, dims)}
    if module.head is not None and head is not None:
        names |= {f"head.{name}" for name in embedding_names(module.head, head, dims)}
    return names
