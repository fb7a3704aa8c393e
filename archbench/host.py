"""Discovers plug-ins, contains those that fail, and builds the registry of what they offer."""

import importlib.metadata
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from archbench import hookspecs
from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, TokenizerConfig
from archbench.contracts.executor import ExecutorConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.report import ReportSection
from archbench.contracts.tracker import TrackerConfig
from archbench.errors import PluginError, nearest
from archbench.plugin_sources import FILE_DISTRIBUTION, file_version, import_file
from archbench.registry import Catalog, Registered, Registry

log = logging.getLogger(__name__)

T = TypeVar("T", bound=ComponentConfig)

_CONTAINED = (Exception, SystemExit)
"""What a plug-in may throw without ending archbench."""


@dataclass(slots=True)
class PluginInfo:
    """One plug-in: where it comes from, what it registered, and what went wrong."""

    name: str
    target: str
    """The entry point's value, or the file's path."""
    distribution: str
    version: str
    registered: dict[str, list[str]] = field(default_factory=dict)
    """Noun -> names, for example `architecture` -> [`gpt2`]."""
    failures: list[str] = field(default_factory=list)

    def fail(self, where: str, error: BaseException) -> None:
        """Notes that the plug-in failed at `where`."""
        message = " ".join(str(error).split()) or "no message"
        self.failures.append(f"{where}: {type(error).__name__}: {message}")


@dataclass(slots=True)
class Host:
    """The loaded plug-ins and their registry."""

    manager: pluggy.PluginManager
    plugins: list[PluginInfo]
    registry: Registry

    def info(self, name: str) -> PluginInfo | None:
        """The plug-in called `name`, if there is one."""
        return next((info for info in self.plugins if info.name == name), None)

    def notify(self, hook: str, **arguments: Any) -> None:
        """Calls every implementation of an observing hook; a failure is logged and changes nothing."""
        for info, implementation in _implementations(self.manager, hook, self.plugins):
            try:
                _call(implementation, arguments)
            except _CONTAINED as error:
                info.fail(hook, error)
                log.warning("plug-in %r failed in %s: %s", info.name, hook, error)

    def first_result(self, hook: str, expected: type[T], **arguments: Any) -> T | None:
        """The first answer to a choosing hook that is not None; a failure or a wrong type is noted and passed over."""
        for info, implementation in _implementations(self.manager, hook, self.plugins):
            try:
                answer = _call(implementation, arguments)
                if answer is None or isinstance(answer, expected):
                    if answer is not None:
                        return answer
                    continue
                raise TypeError(f"returned {type(answer).__name__}, expected {expected.__name__} or None")
            except _CONTAINED as error:
                info.fail(hook, error)
                log.warning("plug-in %r failed in %s: %s", info.name, hook, error)
        return None


@lru_cache(maxsize=1)
def default_host() -> Host:
    """The host of all installed plug-ins; discovered once per process."""
    return load_host()


def load_host(entry_points: Iterable[importlib.metadata.EntryPoint] | None = None, files: Sequence[Path] = ()) -> Host:
    """Loads the plug-ins behind `entry_points` (all installed ones in the group `archbench`) and in `files`.

    Nothing that a plug-in does at import or in a hook ends the process: see `PluginInfo.failures`.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME)
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    plugins: list[PluginInfo] = []
    for entry_point in sorted(entry_points, key=_own_first):
        distribution = entry_point.dist
        info = PluginInfo(
            name=entry_point.name,
            target=entry_point.value,
            distribution=distribution.name if distribution else "unknown",
            version=distribution.version if distribution else "unknown",
        )
        plugins.append(info)
        _load(manager, info, entry_point.load)
    for path in files:
        info = PluginInfo(name=str(path), target=str(path), distribution=FILE_DISTRIBUTION, version="unknown")
        plugins.append(info)
        _load(manager, info, partial(_load_file, info, path))
    return Host(manager, plugins, _build_registry(manager, plugins))


def _own_first(entry_point: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
    """archbench's own plug-ins come first, so that no other package takes their names."""
    distribution = entry_point.dist.name if entry_point.dist else ""
    return distribution != hookspecs.PROJECT_NAME, distribution, entry_point.name


def _load_file(info: PluginInfo, path: Path) -> Any:
    info.version = file_version(path)
    return import_file(path)


def _load(manager: pluggy.PluginManager, info: PluginInfo, load: Callable[[], Any]) -> None:
    if manager.has_plugin(info.name):
        info.failures.append(f"register: a plug-in named {info.name!r} is already loaded; this one is left out")
        return
    try:
        module = load()
    except _CONTAINED as error:
        info.fail("import", error)
        return
    try:
        manager.register(module, name=info.name)
        _refuse_unknown_hooks(manager, module)
    except (*_CONTAINED, pluggy.PluginValidationError) as error:
        info.fail("register", error)
        # pluggy leaves a plug-in half registered after a validation error.
        if manager.has_plugin(info.name):
            manager.unregister(name=info.name)


def _refuse_unknown_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    known = [name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], f"{hookspecs.PROJECT_NAME}_spec")]
    for caller in manager.get_hookcallers(module) or []:
        if caller.name not in known:
            raise PluginError(f"there is no hook {caller.name!r}{nearest(caller.name, known)}")


def _implementations(
    manager: pluggy.PluginManager, hook: str, plugins: Sequence[PluginInfo]
) -> list[tuple[PluginInfo, pluggy.HookImpl]]:
    """Implementations of `hook`, strangers' before archbench's own, as pluggy calls them (last registered first)."""
    by_name = {info.name: info for info in plugins}
    implementations: list[pluggy.HookImpl] = getattr(manager.hook, hook).get_hookimpls()
    return [(by_name[implementation.plugin_name], implementation) for implementation in reversed(implementations)]


def _call(implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
    return implementation.function(*(arguments[name] for name in implementation.argnames))


def _build_registry(manager: pluggy.PluginManager, plugins: Sequence[PluginInfo]) -> Registry:
    def collect(hook: str, noun: str, base: type[T]) -> Catalog[T]:
        return _collect(manager, plugins, hook, noun, base)

    return Registry(
        architectures=collect("register_architectures", "architecture", ArchitectureConfig),
        objectives=collect("register_objectives", "objective", ObjectiveConfig),
        datasets=collect("register_datasets", "dataset", DatasetConfig),
        tokenizers=collect("register_tokenizers", "tokenizer", TokenizerConfig),
        executors=collect("register_executors", "executor", ExecutorConfig),
        trackers=collect("register_trackers", "tracker", TrackerConfig),
        report_sections=collect("register_report_sections", "report section", ReportSection),
    )


def _collect(
    manager: pluggy.PluginManager, plugins: Sequence[PluginInfo], hook: str, noun: str, base: type[T]
) -> Catalog[T]:
    entries: dict[str, Registered[T]] = {}
    for info, implementation in reversed(_implementations(manager, hook, plugins)):
        try:
            offered = list(_call(implementation, {}))
        except _CONTAINED as error:
            info.fail(hook, error)
            continue
        for config in offered:
            try:
                if not (isinstance(config, type) and issubclass(config, base)):
                    raise TypeError(f"returned {config!r}, expected subclasses of {base.__name__}")
                kind = config.kind_name()
                if kind in entries:
                    raise ValueError(f"{noun} {kind!r} is already registered by {entries[kind].plugin!r}")
                if getattr(config, "__abstractmethods__", None):
                    raise TypeError(f"{config.__name__} lacks {', '.join(sorted(config.__abstractmethods__))}")
            except _CONTAINED as error:
                info.fail(hook, error)
                continue
            entries[kind] = Registered(config, info.name, info.distribution, info.version)
            info.registered.setdefault(noun, []).append(kind)
    failures = {info.name: info.failures[0] for info in plugins if info.failures}
    return Catalog(noun, entries, failures)
