"""A spec with its components looked up: what to compare, on which text, at which sizes, trained how."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.common_settings import CommonSettings
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.study import StudyConfig
from archbench.contracts.tracker import TrackerConfig
from archbench.contracts.values import Loc
from archbench.errors import ArchbenchError
from archbench.spec.identity import ComponentIdentity, EvaluationSettings, Role, TokenOrder
from archbench.spec.published import PublishedContender
from archbench.spec.question import QuestionSection
from archbench.spec.recipe import Recipe
from archbench.spec.settings import ExecutionSection, ScanSection, StatedSection, TrainingSection
from archbench.spec.yaml_loader import YamlFile


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
