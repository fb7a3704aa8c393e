"""Discovers plug-ins, contains those that fail, and builds the registry of what they offer."""

import contextlib
import importlib.metadata
import logging
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from archbench import hookspecs
from archbench.containment import contained, kept, named_if_slow, witnessed
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
from archbench.discovery import PluginInfo, own_first, sources
from archbench.errors import PluginError, nearest
from archbench.plugin_folders import imported_packages
from archbench.plugin_sources import FILE_DISTRIBUTION, FILE_MODULE
from archbench.registry import Catalog, Registered, Registry

log = logging.getLogger(__name__)

T = TypeVar("T", bound=ComponentConfig)

OWN_COMMANDS = "tools"
"""The one of archbench's own plug-ins that adds commands."""


@dataclass(slots=True)
class Host:
    """The loaded plug-ins and their registry."""

    manager: pluggy.PluginManager
    plugins: list[PluginInfo]
    registry: Registry

    def info(self, name: str) -> PluginInfo | None:
        """The plug-in called `name`, if there is one."""
        return next((info for info in self.plugins if info.name == name), None)

    @contextlib.contextmanager
    def kept(self, plugin: str, where: str) -> Iterator[None]:
        """Runs the code of the plug-in called `plugin` at `where`; what it changed is put back, noted and logged."""
        info = self.info(plugin)
        if info is None or info.own:
            yield
            return
        known = len(info.notes)
        with kept(partial(info.note, where)):
            yield
        for line in info.notes[known:]:
            log.warning("plug-in %r: %s", plugin, line)

    def notify(self, hook: str, **arguments: Any) -> None:
        """Calls every implementation of an observing hook; a failure is logged and changes nothing."""
        for info, implementation in _implementations(self.manager, hook, self.plugins):
            with _witness(info, hook), _told(info, hook):
                _call(implementation, arguments)

    def first_result(self, hook: str, expected: type[T], **arguments: Any) -> T | None:
        """The first answer to a choosing hook that is not None; a failure or a wrong type is noted and passed over."""
        for info, implementation in _implementations(self.manager, hook, self.plugins):
            answer = None
            with _witness(info, hook), _told(info, hook):
                answer = _call(implementation, arguments)
                if not (answer is None or isinstance(answer, expected)):
                    wrong, answer = type(answer).__name__, None
                    raise TypeError(f"returned {wrong}, expected {expected.__name__} or None")
            if answer is not None:
                return answer
        return None


@lru_cache(maxsize=1)
def default_host() -> Host:
    """The host of all installed plug-ins; discovered once per process."""
    return load_host()


def command_host() -> Host:
    """The host of the plug-ins that may add commands: all strangers', and archbench's own that does.

    The rest of archbench's own take a tenth of a second to import, which `--help` need not wait for.
    """
    entry_points = importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME)
    return load_host([one for one in entry_points if one.name == OWN_COMMANDS or own_first(one)[0]])


def load_host(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    files: Sequence[Path] = (),
    distributions: Collection[str] | None = None,
) -> Host:
    """Loads the plug-ins behind `entry_points` (all installed ones in the group `archbench`) and in `files`.

    A file is a module, or the folder of a package with a pyproject.toml, whose plug-ins then take the place of those of
    an installed distribution of its name. With `distributions` strangers are left out unless they come from one of
    these; `FILE_DISTRIBUTION` stands for `files`. Whatever a plug-in raises at import or in a hook is kept: see
    `PluginInfo.failures`. One that ends the process all the same (`os._exit`, a segmentation fault) is named on
    standard error.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME)
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    plugins: list[PluginInfo] = []
    with contextlib.ExitStack() as stack:
        say: Callable[[str], None] | None = None
        for info, load in sources(entry_points, files):
            if not (info.own or distributions is None or info.distribution in distributions):
                continue
            plugins.append(info)
            if not info.own:
                say = say or stack.enter_context(witnessed())
                say(_last_words(info, "import"))
            _load(manager, info, load)
        return Host(manager, plugins, _build_registry(manager, plugins, say or (lambda what: None)))


def blamed(error: BaseException) -> str | None:
    """The stranger's plug-in in whose code `error` arose, by its entry point, file or folder; None if in no such."""
    owners = {
        entry_point.module.partition(".")[0]: entry_point.name
        for entry_point in importlib.metadata.entry_points(group=hookspecs.PROJECT_NAME)
        if own_first(entry_point)[0]
    } | imported_packages()
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.startswith(FILE_MODULE):
            return str(frame.f_globals.get("__file__"))
        if module.partition(".")[0] in owners:
            return owners[module.partition(".")[0]]
    return None


def _load(manager: pluggy.PluginManager, info: PluginInfo, load: Callable[[], Any]) -> None:
    if manager.has_plugin(info.name):
        info.failures.append(f"register: a plug-in named {info.name!r} is already loaded; this one is left out")
        return
    module: Any = None
    with _quiet(info, "import"):
        module = load()
    if module is None:
        return
    registered = False
    with _quiet(info, "register"):
        manager.register(module, name=info.name)
        _refuse_unknown_hooks(manager, module)
        _refuse_unmarked_hooks(manager, module)
        registered = True
    # pluggy leaves a plug-in half registered after a validation error.
    if not registered and manager.has_plugin(info.name):
        manager.unregister(name=info.name)


@contextlib.contextmanager
def _contained(info: PluginInfo, where: str) -> Iterator[None]:
    """Runs the plug-in's code at `where`; what goes wrong and what it changes is noted in `info`."""
    if info.own:  # its tests see to the rest
        with _failing(info, where):
            yield
        return
    with (
        named_if_slow(f"plug-in {info.name!r} ({where})"),
        contained(partial(info.fail, where), partial(info.note, where)),
    ):
        yield


@contextlib.contextmanager
def _failing(info: PluginInfo, where: str) -> Iterator[None]:
    """Notes what archbench's own code raises at `where`."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        info.fail(where, error)


@contextlib.contextmanager
def _quiet(info: PluginInfo, where: str) -> Iterator[None]:
    """`_contained`, with what the plug-in prints on standard error: standard output is the command's result alone."""
    with _contained(info, where), contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _told(info: PluginInfo, hook: str) -> Iterator[None]:
    """`_contained`, with what went wrong told at once: nobody lists plug-ins while a scan goes on."""
    failures, notes = len(info.failures), len(info.notes)
    with _contained(info, hook):
        yield
    for line in info.failures[failures:]:
        log.warning("plug-in %r failed in %s", info.name, line)
    for line in info.notes[notes:]:
        log.warning("plug-in %r in %s", info.name, line)


@contextlib.contextmanager
def _witness(info: PluginInfo, hook: str) -> Iterator[None]:
    """Has it told which stranger's hook ended the process, if one does."""
    with contextlib.nullcontext(None) if info.own else witnessed() as say:
        if say is not None:
            say(_last_words(info, hook))
        yield


def _last_words(info: PluginInfo, where: str) -> str:
    """What a witness says if the process dies at `where`."""
    remedy = "leave it out" if info.distribution == FILE_DISTRIBUTION else f"mend or uninstall {info.distribution}"
    return f"plug-in {info.name!r} ended this process ({where}); {remedy}"


def _refuse_unknown_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    known = _known_hooks()
    for caller in manager.get_hookcallers(module) or []:
        if caller.name not in known:
            raise PluginError(f"there is no hook {caller.name!r}{nearest(caller.name, known)}")


def _refuse_unmarked_hooks(manager: pluggy.PluginManager, module: Any) -> None:
    """Raises PluginError for a function named like a hook that nobody will call, and for a module without any hook."""
    marked = {caller.name for caller in manager.get_hookcallers(module) or []}
    for name in _known_hooks():
        if name not in marked and callable(getattr(module, name, None)):
            raise PluginError(
                f"{name} is not marked, so that nobody calls it; write @hookimpl above it (from archbench.api)"
            )
    if not marked:
        raise PluginError(
            "has no hook, so that it offers nothing; write @hookimpl (from archbench.api) above a function such as "
            f"{min(name for name in _known_hooks() if name.startswith('register_'))}"
        )


def _known_hooks() -> list[str]:
    return [name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], f"{hookspecs.PROJECT_NAME}_spec")]


def _implementations(
    manager: pluggy.PluginManager, hook: str, plugins: Sequence[PluginInfo]
) -> list[tuple[PluginInfo, pluggy.HookImpl]]:
    """Implementations of `hook`, strangers' before archbench's own, as pluggy calls them (last registered first)."""
    by_name = {info.name: info for info in plugins}
    implementations: list[pluggy.HookImpl] = getattr(manager.hook, hook).get_hookimpls()
    return [(by_name[implementation.plugin_name], implementation) for implementation in reversed(implementations)]


def _call(implementation: pluggy.HookImpl, arguments: dict[str, Any]) -> Any:
    return implementation.function(*(arguments[name] for name in implementation.argnames))


def _build_registry(
    manager: pluggy.PluginManager, plugins: Sequence[PluginInfo], say: Callable[[str], None]
) -> Registry:
    def collect(hook: str, noun: str, base: type[T]) -> Catalog[T]:
        return _collect(manager, plugins, hook, noun, base, say)

    studies = collect("register_studies", "study", StudyConfig)
    return Registry(
        architectures=collect("register_architectures", "architecture", ArchitectureConfig),
        objectives=collect("register_objectives", "objective", ObjectiveConfig),
        optimizers=collect("register_optimizers", "optimizer", OptimizerConfig),
        datasets=collect("register_datasets", "dataset", DatasetConfig),
        tokenizers=collect("register_tokenizers", "tokenizer", TokenizerConfig),
        executors=collect("register_executors", "executor", ExecutorConfig),
        trackers=collect("register_trackers", "tracker", TrackerConfig),
        run_readers=collect("register_run_readers", "run reader", RunReader),
        studies=studies,
        report_sections=_with_sections_of(
            studies, collect("register_report_sections", "report section", ReportSection)
        ),
    )


def _with_sections_of(studies: Catalog[StudyConfig], sections: Catalog[ReportSection]) -> Catalog[ReportSection]:
    """`sections` and those of `studies`, each once, under the plug-in of its study."""
    brought = {
        section.kind_name(): Registered(section, study.plugin, study.distribution, study.version)
        for study in studies.entries.values()
        for section in study.config.sections
    }
    return replace(sections, entries={**brought, **sections.entries})


def _collect(
    manager: pluggy.PluginManager,
    plugins: Sequence[PluginInfo],
    hook: str,
    noun: str,
    base: type[T],
    say: Callable[[str], None],
) -> Catalog[T]:
    entries: dict[str, Registered[T]] = {}
    for info, implementation in reversed(_implementations(manager, hook, plugins)):
        say(_last_words(info, hook))
        offered: list[Any] = []
        with _quiet(info, hook):
            offered = list(_call(implementation, {}))
        for config in offered:
            with _quiet(info, hook):
                if not (isinstance(config, type) and issubclass(config, base)):
                    raise TypeError(f"returned {config!r}, expected subclasses of {base.__name__}")
                kind = config.kind_name()
                if kind in entries:
                    raise ValueError(f"{noun} {kind!r} is already registered by {entries[kind].plugin!r}")
                if getattr(config, "__abstractmethods__", None):
                    raise TypeError(f"{config.__name__} lacks {', '.join(sorted(config.__abstractmethods__))}")
                if not info.own and issubclass(config, ComponentConfig):
                    config.model_rebuild()  # a field that nothing can validate is told here, under its plug-in's name
                entries[kind] = Registered(config, info.name, info.distribution, info.version)
                info.registered.setdefault(noun, []).append(kind)
    failures = {info.name: info.failures[0] for info in plugins if info.failures}
    return Catalog(noun, entries, failures)
