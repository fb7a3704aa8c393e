"""The components that installed plug-ins offer, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.optimizer import OptimizerConfig
from archbench.contracts.report import ReportSection
from archbench.contracts.run_reader import RunReader
from archbench.contracts.study import StudyConfig
from archbench.contracts.tracker import TrackerConfig
from archbench.errors import PluginError, nearest
from archbench.plugin_folders import GROUP
from archbench.plugin_sources import FILE_DISTRIBUTION, source_sha256

T = TypeVar("T", bound=ComponentConfig)


@dataclass(frozen=True, slots=True)
class Registered(Generic[T]):
    """A component's class and where it comes from."""

    config: type[T]
    plugin: str
    """Name of the plug-in's entry point, or path of its file."""
    distribution: str
    version: str

    @property
    def own(self) -> bool:
        """Whether it comes with archbench."""
        return self.distribution == GROUP

    def origin(self) -> dict[str, str | None]:
        """Plug-in, distribution, version and hash of its source text, as JSON data; of a file's path the name alone."""
        by_path = self.distribution == FILE_DISTRIBUTION
        return {
            "plugin": Path(self.plugin).name if by_path else self.plugin,
            "distribution": self.distribution,
            "version": self.version,
            "source_sha256": source_sha256(self.config.__module__),
        }


@dataclass(frozen=True, slots=True)
class Catalog(Generic[T]):
    """Components of one sort."""

    noun: str
    """`architecture`, `objective`, ...: the word for messages."""
    entries: Mapping[str, Registered[T]]
    failures: Mapping[str, str] = field(default_factory=dict)
    """Plug-in -> why it (or part of it) could not be registered; named where a component is missing."""

    @property
    def in_specs(self) -> dict[str, Registered[T]]:
        """Those that specs may name."""
        return {kind: one for kind, one in self.entries.items() if one.config.in_specs}

    def __getitem__(self, kind: str) -> Registered[T]:
        """The component named `kind`. Raises PluginError, naming the nearest one and the plug-ins that failed."""
        try:
            return self.entries[kind]
        except KeyError:
            broken = "".join(f"; plug-in {name!r} failed: {reason}" for name, reason in self.failures.items())
            raise PluginError(f"{self.noun} {kind!r} is not registered{nearest(kind, self.in_specs)}{broken}") from None


@dataclass(frozen=True, slots=True)
class Registry:
    """All registered components."""

    architectures: Catalog[ArchitectureConfig]
    objectives: Catalog[ObjectiveConfig]
    optimizers: Catalog[OptimizerConfig]
    datasets: Catalog[DatasetConfig]
    tokenizers: Catalog[TokenizerConfig]
    executors: Catalog[ExecutorConfig]
    trackers: Catalog[TrackerConfig]
    run_readers: Catalog[RunReader]
    studies: Catalog[StudyConfig]
    report_sections: Catalog[ReportSection]
