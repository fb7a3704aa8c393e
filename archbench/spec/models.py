"""A spec with its components looked up: what to compare, on which text, at which sizes, trained how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.tracker import TrackerConfig
from archbench.errors import ArchbenchError, PluginError, nearest
from archbench.registry import Catalog, Registered, Registry, plugin_versions
from archbench.spec.controls import control_contenders
from archbench.spec.document import SpecDocument
from archbench.spec.identity import EvaluationSettings
from archbench.spec.layers import read_spec
from archbench.spec.problems import refuse_flags, spec_error
from archbench.spec.question import QuestionSection, asked_baseline
from archbench.spec.settings import (
    DataSection,
    ExecutionSection,
    ScanSection,
    StatedSection,
    TrainingSection,
    Unresolved,
)
from archbench.spec.studies import Study
from archbench.spec.yaml_loader import Loc, YamlFile

T = TypeVar("T", bound=ComponentConfig)


@dataclass(frozen=True, slots=True)
class Contender:
    """One architecture under one objective, under the name that results are grouped by."""

    name: str
    architecture: ArchitectureConfig
    objective: ObjectiveConfig
    plugin_versions: Mapping[str, str]
    """Distribution -> version, of the plug-ins that both come from."""
    start: tuple[Path, ...] = ()
    """Folders of models that runs begin from; none: runs begin freshly initialised."""
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
    order: Literal["stream", "shuffled"]
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
    data: DataChoice
    scan: ScanSection
    studies: Mapping[str, Study]
    decompose: tuple[str, ...]
    """Contenders, each of which differs from the one before in one thing; none: no such account is asked for."""
    question: QuestionSection | None
    controls: tuple[Contender, ...]
    """What the question's answers are checked by, trained on the ladder beside the contenders and never ranked."""
    training: TrainingSection
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
            "contenders": {
                contender.name: {
                    "architecture": dump(contender.architecture),
                    "objective": dump(contender.objective),
                    **({"start": [str(folder) for folder in contender.start]} if contender.start else {}),
                }
                for contender in self.contenders
            },
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
            "training": dump(self.training),
            "evaluation": dump(self.evaluation),
            "execution": {
                **dump(self.execution),
                "executor": "auto" if self.executor is None else dump(self.executor),
                "trackers": [dump(tracker) for tracker in self.trackers],
            },
        }

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
    resolve = _Resolver(file)
    execution = document.execution
    executor = None
    if isinstance(execution.executor, Unresolved):
        executor = resolve(registry.executors, execution.executor, ("execution", "executor"))
    contenders = tuple(_contender(name, document, registry, resolve) for name in document.contenders)
    return Spec(
        name=document.name,
        description=document.description,
        baseline=baseline,
        contenders=contenders,
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
        studies=document.studies,
        decompose=_chain(file, document),
        question=document.question,
        controls=control_contenders(file, document, baseline, contenders),
        training=document.training,
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


def _contender(name: str, document: SpecDocument, registry: Registry, resolve: "_Resolver") -> Contender:
    section = document.contenders[name]
    loc = ("contenders", name)
    architecture = resolve(registry.architectures, section.architecture, (*loc, "architecture"))
    objective = section.objective or document.objective
    objective_loc: Loc = (*loc, "objective") if section.objective else ("objective",)
    resolved_objective = resolve(registry.objectives, objective, objective_loc)
    origins: tuple[Registered[Any], ...] = (
        registry.architectures[architecture.kind],
        registry.objectives[resolved_objective.kind],
    )
    return Contender(
        name=name,
        architecture=architecture,
        objective=resolved_objective,
        plugin_versions=plugin_versions(origins),
        start=tuple(resolve.file.place((*loc, "start")).folder / folder for folder in section.start),
    )


@dataclass(frozen=True, slots=True)
class _Resolver:
    """Builds components, and turns what their classes refuse into errors of the spec."""

    file: YamlFile

    def __call__(self, catalog: Catalog[T], written: Unresolved, loc: Loc) -> T:
        try:
            registered = catalog[written.kind]
        except PluginError as error:
            raise PluginError(f"{self.file.where((*loc, 'kind'))}: {'.'.join(map(str, loc))}.kind: {error}") from error
        content = written.model_dump()
        nested = self._nested(catalog, content, loc)
        try:
            config = registered.config.model_validate(nested)
        except ValidationError as error:
            raise spec_error(self.file, error, registered.config, loc) from error
        except (Exception, SystemExit) as error:  # the validators of a plug-in are its own code
            raise PluginError(
                f"{self.file.where(loc)}: plug-in {registered.plugin!r} failed on {catalog.noun} {written.kind!r}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        refuse_flags(self.file, content, config, loc)
        config.stands_in(self.file.place((*loc, "kind")).folder)
        return config

    def _nested(self, catalog: Catalog[T], content: Any, loc: Loc) -> Any:
        """`content` of a component, in which each mapping under a key `dataset` of a dataset has become a dataset."""
        if catalog.noun != "dataset":
            return content
        if isinstance(content, list):
            return [self._nested(catalog, value, (*loc, index)) for index, value in enumerate(content)]
        if not isinstance(content, Mapping):
            return content
        return {
            key: self._dataset(catalog, value, (*loc, key))
            if key == "dataset" and isinstance(value, Mapping)
            else self._nested(catalog, value, (*loc, key))
            for key, value in content.items()
        }

    def _dataset(self, catalog: Catalog[T], content: Mapping[str, Any], loc: Loc) -> T:
        try:
            written = Unresolved.model_validate(content)
        except ValidationError as error:
            raise spec_error(self.file, error, Unresolved, loc) from error
        return self(catalog, written, loc)
