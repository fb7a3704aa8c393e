"""From a run's plan to the things that train: components by name, corpus, module and engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.config import ComponentConfig
from archbench.contracts.objective import ObjectiveConfig, model_vocab_size
from archbench.data.batches import TrainingBatches
from archbench.data.corpus import Corpus, open_corpus
from archbench.errors import DataError, PluginError, SpecError
from archbench.hookspecs import PROJECT_NAME
from archbench.numerics import NUMERICS
from archbench.registry import Catalog, Registered, Registry
from archbench.runs.directory import RunDirectory
from archbench.spec.identity import ORDERS_WITH_MEMORY, Role, RunIdentity, RunPlan
from archbench.spec.versions import component_identity, installed_libraries, required
from archbench.training.declared_costs import check_declared_costs
from archbench.training.engine import EngineSettings, TrainedModule, TrainingEngine, engine_settings
from archbench.training.evaluation import DocumentSet, EvaluationSet, load_document_set, load_evaluation_set
from archbench.training.noise_scale import NoiseMeter
from archbench.training.parameters import ModuleParameters, table_names
from archbench.training.randomness import Purpose, seed_generators
from archbench.training.ranks import ALONE, Ranks
from archbench.training.starting_weights import load_starting_weights

T = TypeVar("T", bound=ComponentConfig)

_REMEDY = "run the scan's command again, it plans anew"


@dataclass(frozen=True, slots=True)
class Assembly:
    """All that a run trains with."""

    plan: RunPlan
    architecture: ArchitectureConfig
    objective: ObjectiveConfig
    batches: TrainingBatches
    evaluation_set: EvaluationSet
    other_evaluation_sets: Mapping[str, EvaluationSet]
    """Of other corpora, by hash: what else the final model is evaluated on, where it is not document by document."""
    document_sets: Mapping[str, DocumentSet]
    """Of the run's own corpus and of others, by hash: what the final model is evaluated on document by document."""
    engine: TrainingEngine
    settings: EngineSettings
    device: torch.device
    ranks: Ranks
    noise_meter: NoiseMeter | None
    """Where the run measures its gradient noise."""
    remark: str | None = None
    """What could not be checked, in one line."""


def assemble(plan: RunPlan, registry: Registry, directory: RunDirectory, ranks: Ranks = ALONE) -> Assembly:
    """Everything that `plan` names, freshly initialised from its seed, or with the weights that the run begins from.

    Raises PluginError, SpecError or DataError where the installed components or the corpus are not those planned for.
    """
    identity, execution = plan.identity, plan.execution
    _check_versions(identity, registry)
    architecture = _component(registry.architectures, identity.architecture)
    objective = _component(registry.objectives, identity.objective)
    optimizer = _component(registry.optimizers, identity.training.optimizer)
    _check_libraries(identity, (architecture, objective, optimizer))
    _check_pair(architecture, objective, identity)
    if execution.nproc != ranks.size:
        raise SpecError(
            f"execution.nproc: the run was planned for {execution.nproc} ranks, this group has {ranks.size}; "
            f"start it by `archbench run`, or by torchrun with that many"
        )
    device = choose_device(execution.device)
    settings = engine_settings(
        identity.training,
        optimizer,
        seq_len=identity.dims.seq_len,
        micro_batch_rows=execution.micro_batch_rows,
        zero_stage=execution.zero_stage,
        nproc=execution.nproc,
    )
    corpus = _open_planned_corpus(plan, objective, identity.data.corpus_hash, execution.corpus_dir)
    others = {
        name: _open_planned_corpus(plan, objective, name, execution.other_corpora[name])
        for name in identity.data.also_validated
    }
    remark = None
    if _from_strangers(identity, registry) and not architecture.costs_are_counted:
        # archbench's own are held to the same by its tests; what was counted declares nothing.
        remark = check_declared_costs(architecture, objective, identity.dims, plan.facts, settings.micro_batch_rows)
    module = _build(plan, architecture, objective)
    if identity.start is not None:
        load_starting_weights(module, architecture, plan, directory)

    parameters = ModuleParameters(module, partial(table_names, module, architecture, objective, identity.dims))

    # A copy from before the engine wraps the module.
    measured = identity.evaluation.noise_scale_every > 0
    noise_meter = NoiseMeter(module, settings.rows, device) if measured else None

    layout: dict[str, Any] = {
        "seq_len": identity.dims.seq_len,
        "rows": settings.rows,
        "rows_per_pass": settings.micro_batch_rows,
        "carries_state": architecture.carries_state,
    }

    def evaluation_set(corpus: Corpus) -> EvaluationSet:
        return load_evaluation_set(corpus, objective, identity.evaluation, **layout, device=device)

    by_document = identity.evaluation.final_tokens is not None
    return Assembly(
        plan=plan,
        architecture=architecture,
        objective=objective,
        batches=TrainingBatches(
            corpus,
            objective,
            seq_len=identity.dims.seq_len,
            rows=settings.rows,
            order=identity.data.order,
            seed=identity.seed,
            subset_tokens=identity.data.subset_tokens,
        ),
        evaluation_set=evaluation_set(corpus),
        other_evaluation_sets={} if by_document else {name: evaluation_set(one) for name, one in others.items()},
        document_sets={
            one.corpus_hash: load_document_set(one, objective, identity.evaluation, **layout)
            for one in ((corpus, *others.values()) if by_document else ())
        },
        engine=TrainingEngine(module, partial(optimizer.build, parameters), settings, device),
        settings=settings,
        device=device,
        ranks=ranks,
        noise_meter=noise_meter,
        remark=remark,
    )


def choose_device(wanted: str) -> torch.device:
    """The device named `auto`, `cpu` or `cuda`. Raises SpecError where it is not there."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SpecError("execution.device: got cuda, but torch sees no CUDA device; use cpu or auto")
    return torch.device("cuda", torch.cuda.current_device())


def _component(catalog: Catalog[T], content: Mapping[str, Any]) -> T:
    config = catalog[str(content.get("kind"))].config
    try:
        return config.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise PluginError(
            f"{catalog.noun} {content.get('kind')!r}: {where}: {problem['msg']}; plan the run again with this version"
        ) from error


def components_of(identity: RunIdentity, registry: Registry) -> dict[Role, Registered[Any]]:
    """What computes in the run, by its role. Raises PluginError where a component is not registered."""
    return {
        "architecture": registry.architectures[str(identity.architecture["kind"])],
        "objective": registry.objectives[str(identity.objective["kind"])],
        # Identities of format 1 do not say which optimizer: they had one.
        "optimizer": registry.optimizers[str(identity.training.optimizer.get("kind", "adamw"))],
    }


def _from_strangers(identity: RunIdentity, registry: Registry) -> bool:
    components = components_of(identity, registry)
    return any(components[role].distribution != PROJECT_NAME for role in ("architecture", "objective"))


def _check_versions(identity: RunIdentity, registry: Registry) -> None:
    """Raises PluginError where what is installed would compute other numbers than the run was planned with."""
    if identity.format == 1:
        raise PluginError(
            "its identity is of format 1, of archbench 0.1.0, which does not say what computes its numbers; " + _REMEDY
        )
    if identity.numerics != NUMERICS:
        raise PluginError(f"the run was planned for numerics {identity.numerics}, here are {NUMERICS}; {_REMEDY}")
    components = components_of(identity, registry)
    for role, entry in components.items():
        planned, here = identity.components.get(role), component_identity(entry)
        if planned != here:
            was = "none" if planned is None else planned.in_words()
            raise PluginError(
                f"{role} {entry.config.kind_name()!r}: the run was planned with {was}, installed is "
                f"{here.in_words()}; {_REMEDY}"
            )


def _check_libraries(identity: RunIdentity, components: tuple[ComponentConfig, ...]) -> None:
    """Raises PluginError where `components` compute with another version of a library than the run was planned with."""
    installed = required(installed_libraries(components))
    for name in sorted(installed.keys() | identity.libraries.keys()):
        was, now = identity.libraries.get(name, "none"), installed.get(name, "none")
        if was != now:
            raise PluginError(f"{name}: the run was planned with version {was}, installed is {now}; {_REMEDY}")


def _check_pair(architecture: ArchitectureConfig, objective: ObjectiveConfig, identity: RunIdentity) -> None:
    try:
        architecture.require_buildable(identity.dims, objective.attention)
    except ValueError as error:
        raise SpecError(f"architecture {architecture.kind!r}: {error}") from error
    if architecture.carries_state and identity.data.order not in ORDERS_WITH_MEMORY:
        raise SpecError(
            f"data.order: got {identity.data.order!r}, but {architecture.kind!r} carries memory; use passages or stream"
        )


def _open_planned_corpus(plan: RunPlan, objective: ObjectiveConfig, planned: str, folder: str) -> Corpus:
    corpus = open_corpus(Path(folder))
    if corpus.corpus_hash != planned:
        raise DataError(
            f"{corpus.directory}: holds corpus {corpus.corpus_hash[:12]}, the run was planned with {planned[:12]}; "
            "run the scan's command again, it plans anew"
        )
    needed = model_vocab_size(corpus.text_vocab_size, objective)
    if plan.identity.dims.vocab_size < needed:
        raise SpecError(f"dims.vocab_size: got {plan.identity.dims.vocab_size}, tokenizer and objective need {needed}")
    return corpus


def _build(plan: RunPlan, architecture: ArchitectureConfig, objective: ObjectiveConfig) -> TrainedModule:
    identity = plan.identity
    seed_generators(identity.seed, Purpose.INITIALISATION)
    model = architecture.build(identity.dims, objective.attention)
    head: nn.Module | None = objective.build_head(identity.dims)
    built = sum(parameter.numel() for parameter in model.parameters())
    planned = plan.facts.non_embedding_params + plan.facts.embedding_params
    if planned not in (built, built + objective.num_head_params(identity.dims)):
        raise PluginError(
            f"architecture {architecture.kind!r}: builds {built} parameters where its num_params says {planned}; "
            "the plug-in must be mended"
        )
    return TrainedModule(model, head, objective)
