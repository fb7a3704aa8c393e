"""Whether an architecture costs what it declares: parameters and FLOPs, counted before its run is trained."""

import logging
from collections.abc import Hashable

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from archbench.contracts.architecture import ArchitectureConfig, ModelDims
from archbench.contracts.objective import ObjectiveConfig
from archbench.errors import PluginError
from archbench.flops.dry_run import CountedStep, counted_step
from archbench.flops.embeddings import embedding_names, larger_tables
from archbench.spec.identity import RunFacts

log = logging.getLogger(__name__)

TOLERANCE = 0.05
"""Largest relative difference of FLOPs: products of the order of d_model a token, not a forgotten component."""

_counted: dict[Hashable, tuple[int, CountedStep]] = {}
"""Seeds of one size are counted once in a process."""


def check_declared_costs(
    architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims, facts: RunFacts, rows: int
) -> str | None:
    """Raises PluginError, with both figures, where N or the FLOPs of a training step are not those of the module.

    All of it happens on fake tensors, without data. Returns why nothing could be counted, in one line, where torch
    cannot follow the module in that way; None where all is well. FLOPs that torch's counter does not see may be
    declared beyond what it counts, if the architecture names them (`ForwardFlops.uncounted`).
    """
    kind = architecture.kind
    try:
        non_embedding, step = _count(architecture, objective, dims)
    except Exception as error:  # a plug-in's module, in a mode that it may not know
        log.warning("architecture %r: its costs could not be counted", kind, exc_info=True)
        return f"its parameters and FLOPs could not be counted ({type(error).__name__})"
    head_params = objective.num_head_params(dims) - objective.num_head_embedding_params(dims)
    declared_params = facts.non_embedding_params - head_params
    if non_embedding != declared_params:
        raise PluginError(
            f"architecture {kind!r}: num_params says {declared_params:,} non-embedding parameters, the module has "
            f"{non_embedding:,}; the plug-in must be mended"
        )
    counted, declared = step.train.at(rows, dims.seq_len), facts.exact_flops_per_token
    unseen = architecture.forward_flops_per_token(dims, objective.attention).uncounted
    if declared < (1.0 - TOLERANCE) * counted or (declared > (1.0 + TOLERANCE) * counted and not unseen):
        raise PluginError(
            f"architecture {kind!r}: forward_flops_per_token says {declared:,.0f} FLOPs per token of a training step, "
            f"torch counts {counted:,.0f}; the plug-in must be mended"
        )
    return None


def _count(architecture: ArchitectureConfig, objective: ObjectiveConfig, dims: ModelDims) -> tuple[int, CountedStep]:
    """Non-embedding parameters, and a training step as torch's counter sees it."""
    key = (architecture.model_dump_json(), objective.model_dump_json(), dims)
    if key not in _counted:
        with torch.random.fork_rng(devices=[]), FakeTensorMode(allow_non_fake_inputs=True):
            model, larger = (architecture.build(one, objective.attention) for one in (dims, larger_tables(dims)))
        embeddings = embedding_names(model, larger, dims)
        numbers = (p.numel() for name, p in model.named_parameters() if name not in embeddings)
        _counted[key] = sum(numbers), counted_step(architecture, dims, objective)
    return _counted[key]
