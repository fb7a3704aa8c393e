"""A spec with its components looked up: what to compare, on which text, at which sizes, trained how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.common_settings import CommonSettings
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.study import StudyConfig
from archbench.contracts.tracker import TrackerConfig
from archbench.errors import ArchbenchError, PluginError, in_one_line, nearest
from archbench.registry import Registered, Registry
from archbench.spec.controls import control_contenders
from archbench.spec.document import SpecDocument
from archbench.spec.identity import ComponentIdentity, EvaluationSettings, Role, TokenOrder
from archbench.spec.layers import read_spec
from archbench.spec.problems import refuse_flags, spec_error
from archbench.spec.published import PublishedContender, published_contenders
from archbench.spec.question import QuestionSection, asked_baseline
from archbench.spec.recipe import Recipe, own_recipe, shared_recipe
from archbench.spec.resolve import Resolver
from archbench.spec.settings import (
    DataSection,
    ExecutionSection,
    ScanSection,
    StatedSection,
    TrainingSection,
    Unresolved,
)
from archbench.spec.versions import component_identity, installed_libraries
from archbench.spec.yaml_loader import Loc, YamlFile


@dataclass(frozen=True, slots=True)
class Contender:
    """One architecture under one objective, under the name that results are grouped by."""

    name: str
    architecture: ArchitectureConfig
    objective: ObjectiveConfig
    recipe: Recipe
    """How it is trained."""
    components: Mapping[Role, ComponentIdentity]
    """Versions of what computes, by its role."""
    libraries: Mapping[str, str | None]
    """What these compute with: distribution -> installed version, None where it is not there."""
    start: tuple[Path, ...] = ()
    """Folders of models that runs begin from; none: runs begin freshly initialised."""
    as_published: bool = False
    """Whether its authors' settings stay where the spec's `common` has others."""
    not_kept: tuple[str, ...] = ()
    """Settings of `common` that the architecture cannot have."""
    first_seed: int = 0
    """Seed of its first run at each size; a control may have seeds of its own."""


@dataclass(frozen=True, slots=True)
class DataChoice:
    """The text, its tokenizer, and how it is read."""

    dataset: DatasetConfig
    name: str
    """What studies call the text in `dataset`."""
    texts: Mapping[str, DatasetConfig]
    """Other texts, by name, under the same tokenizer."""
    tokenizer: TokenizerConfig
    order: TokenOrder
    validation_fraction: float
    max_epochs: float
    stated: StatedSection | None = None
    """What is known of the texts before they are read."""

    @property
    def all_texts(self) -> dict[str, DatasetConfig]:
        """Every text by its name, that of `dataset` first."""
        return {self.name: self.dataset, **self.texts}


@dataclass(frozen=True, slots=True)
class Spec:
    """A valid spec."""

    name: str
    description: str
    baseline: str | None
    contenders: tuple[Contender, ...]
    """Those that are trained."""
    published: Mapping[str, PublishedContender]
    """Those that are entries of a leaderboard, by name."""
    names: tuple[str, ...]
    """Of all contenders, in the order of the spec."""
    data: DataChoice
    scan: ScanSection
    studies: Mapping[str, StudyConfig]
    decompose: tuple[str, ...]
    """Contenders, each of which differs from the one before in one thing; none: no such account is asked for."""
    question: QuestionSection | None
    controls: tuple[Contender, ...]
    """What the question's answers are checked by, trained on the ladder beside the contenders and never ranked."""
    training: TrainingSection
    """What all contenders share. Rate, schedule and optimizer are each contender's own: see `Contender.recipe`."""
    recipe: Recipe
    """That of contenders that have none of their own."""
    common: CommonSettings
    evaluation: EvaluationSettings
    execution: ExecutionSection
    executor: ExecutorConfig | None
    """None where the choice is left to plug-ins (`executor: auto`)."""
    trackers: tuple[TrackerConfig, ...]
    file: YamlFile
    """Where it was written, so that the planner can name lines as well."""

    def with_nproc(self, nproc: int | None) -> "Spec":
        """The same with runs trained by `nproc` processes each; None leaves the spec's own number."""
        if nproc is None:
            return self
        return replace(self, execution=self.execution.model_copy(update={"nproc": nproc}))

    def matched_to(self, contender: Contender) -> Contender | None:
        """The contender whose cost the models of `contender` have at each size; None where sizes are parameters."""
        if self.scan.match == "parameters" or contender.name == self.baseline or contender in self.controls:
            return None
        return next((one for one in self.contenders if one.name == self.baseline), None)

    def error(self, loc: Loc, problem: str) -> ArchbenchError:
        """An error about the place `loc` of the spec."""
        return self.file.error(loc, problem)

    def resolved(self) -> dict[str, Any]:
        """The spec as plain data, with every default filled in."""
        return {
            "name": self.name,
            "description": self.description,
            "baseline": self.baseline,
            "contenders": self._resolved_contenders(),
            **({"common": common} if (common := self.common.model_dump(exclude_none=True)) else {}),
            "data": {
                "dataset": dump(self.data.dataset),
                **({"name": self.data.name} if self.data.texts else {}),
                **self._named("texts", self.data.texts),
                "tokenizer": dump(self.data.tokenizer),
                "order": self.data.order,
                "validation_fraction": self.data.validation_fraction,
                "max_epochs": self.data.max_epochs,
                **({"stated": dump(self.data.stated)} if self.data.stated else {}),
            },
            "scan": dump(self.scan),
            **self._named("studies", self.studies),
            **({"decompose": list(self.decompose)} if self.decompose else {}),
            **({"question": dump(self.question)} if self.question else {}),
            "training": self.recipe.shared(),
            "evaluation": dump(self.evaluation),
            "execution": {
                **dump(self.execution),
                "executor": "auto" if self.executor is None else dump(self.executor),
                "trackers": [dump(tracker) for tracker in self.trackers],
            },
        }

    def _resolved_contenders(self) -> dict[str, Any]:
        trained = {
            contender.name: {
                "architecture": dump(contender.architecture),
                "objective": dump(contender.objective),
                **({"training": own} if (own := contender.recipe.own_settings()) else {}),
                **({"as_published": True} if contender.as_published else {}),
                **({"start": [str(folder) for folder in contender.start]} if contender.start else {}),
            }
            for contender in self.contenders
        }
        published = {name: {"entry": one.entry} for name, one in self.published.items()}
        return {name: trained[name] if name in trained else published[name] for name in self.names}

    @staticmethod
    def _named(key: str, models: Mapping[str, BaseModel]) -> dict[str, Any]:
        """What a spec without it does not mention, as it was before there was such a thing."""
        return {key: {name: dump(model) for name, model in models.items()}} if models else {}


def dump(model: BaseModel) -> dict[str, Any]:
    """`model` as JSON data. A component dumps by its own class, whatever class a field would declare."""
    return model.model_dump(mode="json")


def load_spec(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> Spec:
    """The spec in `path`, with what it extends and the `overrides` of a command line, each KEY=VALUE.

    Raises SpecError with file and line, or PluginError where a component is not to be had.
    """
    return spec_from_yaml(read_spec(path, overrides), registry)


def spec_from_yaml(file: YamlFile, registry: Registry) -> Spec:
    """The spec that `file` holds; errors as `load_spec`."""
    try:
        document = SpecDocument.model_validate(file.data)
    except ValidationError as error:
        raise spec_error(file, error, SpecDocument) from error
    refuse_flags(file, file.data, document, ())
    baseline = asked_baseline(file, document)
    if not document.scan.trained and not document.studies:
        raise file.error(("scan",), "give either tokens or tokens_per_param; only a spec with studies needs neither")
    data = document.data
    if data.name in data.texts:
        raise file.error(("data", "texts", data.name), "is the name of the text in data.dataset; choose another")
    resolve = Resolver(file)
    recipe = shared_recipe(document.training, registry.optimizers, resolve)
    execution = document.execution
    executor = None
    if isinstance(execution.executor, Unresolved):
        executor = resolve(registry.executors, execution.executor, ("execution", "executor"))
    published = published_contenders(file, document, baseline)
    trained = [name for name in document.contenders if name not in published]
    contenders = tuple(_contender(name, document, registry, resolve, recipe) for name in trained)
    return Spec(
        name=document.name,
        description=document.description,
        baseline=baseline,
        contenders=contenders,
        published=published,
        names=tuple(document.contenders),
        data=DataChoice(
            dataset=resolve(registry.datasets, data.dataset, ("data", "dataset")),
            name=data.name,
            texts={
                name: resolve(registry.datasets, text, ("data", "texts", name)) for name, text in data.texts.items()
            },
            tokenizer=resolve(registry.tokenizers, data.tokenizer, ("data", "tokenizer")),
            order=data.order,
            validation_fraction=data.validation_fraction,
            max_epochs=data.max_epochs,
            stated=_stated(file, data),
        ),
        scan=document.scan,
        studies={name: resolve(registry.studies, study, ("studies", name)) for name, study in document.studies.items()},
        decompose=_chain(file, document),
        question=document.question,
        controls=control_contenders(file, document, baseline, contenders),
        training=document.training,
        recipe=recipe,
        common=document.common,
        evaluation=document.evaluation,
        execution=execution,
        executor=executor,
        trackers=tuple(
            resolve(registry.trackers, tracker, ("execution", "trackers", index))
            for index, tracker in enumerate(execution.trackers)
        ),
        file=file,
    )


def _stated(file: YamlFile, data: DataSection) -> StatedSection | None:
    """`data.stated`. Raises SpecError where it does not name the spec's texts and no others."""
    if data.stated is None:
        return None
    names, loc = [data.name, *data.texts], ("data", "stated", "tokens")
    for name in data.stated.tokens:
        if name not in names:
            raise file.error((*loc, name), f"there is no text {name!r}{nearest(name, names)}")
    for name in names:
        if name not in data.stated.tokens:
            raise file.error(loc, f"gives no tokens of the text {name!r}; state them for every text")
    return data.stated


def _chain(file: YamlFile, document: SpecDocument) -> tuple[str, ...]:
    """The names under `decompose`. Raises SpecError for one that is no contender, or stands there twice."""
    chain = tuple(document.decompose or ())
    for index, name in enumerate(chain):
        loc = ("decompose", index)
        if name not in document.contenders:
            raise file.error(loc, f"there is no contender {name!r}{nearest(name, document.contenders)}")
        if name in chain[:index]:
            raise file.error(loc, f"{name!r} stands there twice; each step leads to another contender")
    if chain and not document.scan.trained:
        raise file.error(("decompose",), "needs the scan of sizes: give scan.tokens or scan.tokens_per_param")
    return chain


def _contender(name: str, document: SpecDocument, registry: Registry, resolve: Resolver, shared: Recipe) -> Contender:
    section = document.contenders[name]
    assert section.architecture is not None, "it is no published entry"
    loc = ("contenders", name)
    architecture = resolve(registry.architectures, section.architecture, (*loc, "architecture"))
    not_kept: tuple[str, ...] = ()
    if not section.as_published:
        architecture, not_kept = _with_common(architecture, document.common, registry, resolve, loc)
    objective = section.objective or document.objective
    objective_loc: Loc = (*loc, "objective") if section.objective else ("objective",)
    resolved_objective = resolve(registry.objectives, objective, objective_loc)
    recipe = own_recipe(shared, section.training, registry.optimizers, resolve, (*loc, "training"))
    entries: dict[Role, Registered[Any]] = {
        "architecture": registry.architectures[architecture.kind],
        "objective": registry.objectives[resolved_objective.kind],
        "optimizer": registry.optimizers[recipe.optimizer.config.kind],
    }
    return Contender(
        name=name,
        architecture=architecture,
        objective=resolved_objective,
        recipe=recipe,
        components={role: component_identity(entry) for role, entry in entries.items()},
        libraries=installed_libraries(entries.values()),
        start=tuple(resolve.file.place((*loc, "start")).folder / folder for folder in section.start),
        as_published=section.as_published,
        not_kept=not_kept,
    )


def _with_common(
    architecture: ArchitectureConfig, common: CommonSettings, registry: Registry, resolve: Resolver, loc: Loc
) -> tuple[ArchitectureConfig, tuple[str, ...]]:
    """`architecture` with what all contenders have alike, and what of it it cannot have. Raises PluginError."""
    if common == CommonSettings():
        return architecture, ()
    place = (*loc, "architecture")
    try:
        changed, not_kept = architecture.with_common(common)
    except (Exception, SystemExit) as error:  # the plug-in's own code
        plugin = registry.architectures[architecture.kind].plugin
        raise PluginError(
            f"{resolve.file.where(place)}: plug-in {plugin!r} failed on the settings under `common`: "
            f"{in_one_line(error)}"
        ) from error
    changed.stands_in(resolve.file.place((*place, "kind")).folder)
    return changed, not_kept
