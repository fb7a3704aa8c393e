"""From a component as it is written to its config, by the class that a plug-in registered for its kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from archbench.contracts.config import ComponentConfig
from archbench.contracts.values import Loc
from archbench.errors import PluginError, SpecError
from archbench.registry import Catalog, Registered, Registry
from archbench.spec.problems import refuse_flags, spec_error
from archbench.spec.settings import Unresolved
from archbench.spec.yaml_loader import YamlFile

T = TypeVar("T", bound=ComponentConfig)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Builds components, and turns what their classes refuse into errors of the spec."""

    file: YamlFile

    def __call__(self, catalog: Catalog[T], written: Unresolved, loc: Loc) -> T:
        """The config of what is written at `loc`. Raises SpecError or PluginError."""
        registered = self.registered(catalog, written.kind, loc)
        content = written.model_dump()
        return self.validated(catalog, registered, self._nested(catalog, content, loc), loc, written=content)

    def registered(self, catalog: Catalog[T], kind: str, loc: Loc) -> Registered[T]:
        """The component called `kind`. Raises PluginError, at `loc`, where there is none."""
        try:
            return catalog[kind]
        except PluginError as error:
            raise PluginError(f"{self.file.where((*loc, 'kind'))}: {'.'.join(map(str, loc))}.kind: {error}") from error

    def validated(
        self, catalog: Catalog[T], registered: Registered[T], content: Any, loc: Loc, *, written: Any = None
    ) -> T:
        """`content` as its class has it, whose paths start at the folder of the spec.

        written: what stands in the file, where that is not `content`. Raises SpecError, or PluginError for what the
        class raises beside that.
        """
        try:
            config = registered.config.model_validate(content)
        except ValidationError as error:
            raise spec_error(self.file, error, registered.config, loc) from error
        except (Exception, SystemExit) as error:  # the validators of a plug-in are its own code
            raise PluginError(
                f"{self.file.where(loc)}: plug-in {registered.plugin!r} failed on {catalog.noun} "
                f"{registered.config.kind_name()!r}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        refuse_flags(self.file, content if written is None else written, config, loc)
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


def component_problems(file: YamlFile, registry: Registry) -> Iterator[SpecError | PluginError]:
    """What is wrong with each component of a spec by itself; where none is written as one, its section says so."""
    resolve = Resolver(file)
    for catalog, loc in _slots(file.data, registry):
        try:
            written = Unresolved.model_validate(_at(file.data, loc))
        except ValidationError:
            continue
        try:
            resolve(catalog, written, loc)
        except (SpecError, PluginError) as error:
            yield error


def _slots(data: Mapping[str, Any], registry: Registry) -> Iterator[tuple[Catalog[Any], Loc]]:
    """Where a spec may have components that stand by themselves, in the order of its sections."""
    for name in _mapping(data.get("contenders")):
        yield registry.architectures, ("contenders", name, "architecture")
        yield registry.objectives, ("contenders", name, "objective")
    yield registry.objectives, ("objective",)
    yield registry.datasets, ("data", "dataset")
    for name in _mapping(_mapping(data.get("data")).get("texts")):
        yield registry.datasets, ("data", "texts", name)
    yield registry.tokenizers, ("data", "tokenizer")
    for name in _mapping(data.get("studies")):
        yield registry.studies, ("studies", name)
    execution = _mapping(data.get("execution"))
    yield registry.executors, ("execution", "executor")
    trackers = execution.get("trackers")
    for index in range(len(trackers) if isinstance(trackers, list) else 0):
        yield registry.trackers, ("execution", "trackers", index)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _at(value: Any, loc: Loc) -> Any:
    """What stands at `loc`; None where nothing does."""
    for part in loc:
        inside = isinstance(value, Mapping) and part in value
        inside |= isinstance(value, list) and isinstance(part, int) and part < len(value)
        value = value[part] if inside else None
    return value
