"""How a contender is trained: the spec's section `training`, with what the contender says for itself in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from archbench.contracts.optimizer import OptimizerConfig
from archbench.contracts.schedule import ScheduleSettings
from archbench.contracts.values import Law, Loc
from archbench.errors import in_one_line
from archbench.registry import Catalog
from archbench.spec.problems import describe, refuse_flags, spec_error
from archbench.spec.resolve import Resolver
from archbench.spec.settings import ContenderTraining, TrainingSection, UnresolvedOptimizer

SHARED: Loc = ("training",)


@dataclass(frozen=True, slots=True)
class OptimizerRecipe:
    """An optimizer, of which some settings are laws of the batch."""

    config: OptimizerConfig
    """Settings that are laws have their class's default here."""
    laws: Mapping[str, Law]
    """Setting -> what a step forgets, one minus the setting, as a power of the batch in tokens."""

    def at(self, batch_tokens: int) -> OptimizerConfig:
        """The optimizer of runs of that batch.

        Raises ValueError, in one line, as `remembered`, and where the optimizer refuses what a law gives.
        """
        if not self.laws:
            return self.config
        found = {name: remembered(law, batch_tokens) for name, law in self.laws.items()}
        try:
            config = type(self.config).model_validate({**self.config.model_dump(), **found})
        except ValidationError as error:
            (details, *_) = error.errors(include_url=False, include_input=True)
            raise ValueError(f"{'.'.join(map(str, details['loc']))}: {describe(details)}") from error
        except Exception as error:  # the validators of a plug-in are its own code
            raise ValueError(in_one_line(error)) from error
        config.stands_in(self.config.paths_start_at)
        return config

    def dump(self) -> dict[str, Any]:
        """As a spec writes it, every default filled in."""
        return {
            **self.config.model_dump(mode="json"),
            **{name: law.model_dump(mode="json") for name, law in self.laws.items()},
        }


def remembered(law: Law, batch_tokens: int) -> float:
    """One minus the law at the batch, in [0, 1). Raises ValueError, in words, where it is not."""
    forgotten = law.power_law.at(batch_tokens)
    if not 0.0 <= 1.0 - forgotten < 1.0:
        raise ValueError(
            f"the law gives {forgotten:.3g} to forget in a step of {batch_tokens:,} tokens, expected more than 0 and "
            "at most 1 (it is of one minus the setting); choose another coefficient or exponent"
        )
    return 1.0 - forgotten


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one contender is trained."""

    section: TrainingSection
    """Its `optimizer` is as written: see `optimizer`."""
    optimizer: OptimizerRecipe
    own: frozenset[Loc] = frozenset()
    """What of `training` the contender says for itself: ("learning_rate",), ("schedule", "kind")."""
    own_loc: Loc = SHARED
    """Where it says that."""

    def loc(self, *keys: str | int) -> Loc:
        """The place of the spec at which this contender's `training.<keys>` is written."""
        return (*(self.own_loc if any(keys[: len(one)] == one for one in self.own) else SHARED), *keys)

    def schedule_loc(self) -> Loc:
        """The place at which the length of its warm-up is written."""
        return self.loc("schedule", self.section.schedule.warmup_key)

    def schedule_at(self, size: float, batch_tokens: int) -> ScheduleSettings:
        """Its schedule for runs of that target size and batch. Raises ValueError as `ScheduleSection.at`."""
        return self.section.schedule.at(size, batch_tokens)

    def shared(self) -> dict[str, Any]:
        """The section as plain data, every default filled in."""
        return {**self.section.model_dump(mode="json"), "optimizer": self.optimizer.dump()}

    def own_settings(self) -> dict[str, Any]:
        """What the contender has for itself, each of these keys whole; empty where it has nothing."""
        whole = self.shared()
        return {name: whole[name] for name in ContenderTraining.model_fields if any(one[0] == name for one in self.own)}


def shared_recipe(section: TrainingSection, catalog: Catalog[OptimizerConfig], resolver: Resolver) -> Recipe:
    """The recipe of contenders that say nothing of it. Raises SpecError or PluginError."""
    return Recipe(section, _optimizer(section.optimizer, catalog, resolver, (*SHARED, "optimizer")))


def own_recipe(
    shared: Recipe,
    training: ContenderTraining | None,
    catalog: Catalog[OptimizerConfig],
    resolver: Resolver,
    loc: Loc,
) -> Recipe:
    """`shared` with what stands at `loc` of the spec in its place. Raises SpecError or PluginError."""
    if training is None or not training.model_fields_set:
        return shared
    own: set[Loc] = set()
    changes: dict[str, Any] = {}
    if training.learning_rate is not None:
        changes["learning_rate"] = training.learning_rate
        own.add(("learning_rate",))
    if training.schedule is not None:
        changes["schedule"] = shared.section.schedule.changed(training.schedule)
        own |= {("schedule", name) for name in training.schedule.model_fields_set}
    optimizer = shared.optimizer
    if training.optimizer is not None:
        changes["optimizer"], said = _merged(shared.section.optimizer, training.optimizer)
        optimizer = _optimizer(changes["optimizer"], catalog, resolver, (*loc, "optimizer"))
        own |= said
    return Recipe(shared.section.model_copy(update=changes), optimizer, frozenset(own), loc)


def _merged(base: UnresolvedOptimizer, over: UnresolvedOptimizer) -> tuple[UnresolvedOptimizer, set[Loc]]:
    """`over` on top of `base` where both are of one kind, else `over`; and which settings are those of `over`."""
    if "kind" in over.model_fields_set and over.kind != base.kind:
        return over, {("optimizer",)}
    said = {name: value for name, value in over.model_dump().items() if name != "kind"}
    return UnresolvedOptimizer.model_validate({**base.model_dump(), **said}), {("optimizer", name) for name in said}


def _optimizer(
    written: UnresolvedOptimizer, catalog: Catalog[OptimizerConfig], resolver: Resolver, loc: Loc
) -> OptimizerRecipe:
    registered = resolver.registered(catalog, written.kind, loc)
    content = written.model_dump()
    laws: dict[str, Law] = {}
    for name in sorted(registered.config.forgetting & content.keys()):
        if isinstance(content[name], Mapping):
            laws[name] = _law(content.pop(name), resolver, (*loc, name))
    return OptimizerRecipe(resolver.validated(catalog, registered, content, loc), laws)


def _law(content: Any, resolver: Resolver, loc: Loc) -> Law:
    try:
        law = Law.model_validate(content)
    except ValidationError as error:
        raise spec_error(resolver.file, error, Law, loc) from error
    refuse_flags(resolver.file, content, law, loc)
    return law
