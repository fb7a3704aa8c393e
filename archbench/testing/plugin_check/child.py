"""The process in which a plug-in is checked: `python -m archbench.testing.plugin_check.child REQUEST FINDINGS`

What the plug-in does to this process, it does to no other: whoever started it notices where it crashed or hung.
"""

import faulthandler
import importlib.metadata
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from archbench.contracts.architecture import ArchitectureConfig, Attention
from archbench.contracts.data import TokenizerConfig
from archbench.discovery import PluginInfo
from archbench.hookspecs import PROJECT_NAME
from archbench.host import Host, load_host
from archbench.plugin_sources import import_file
from archbench.registry import Registered
from archbench.testing.plugin_check.findings import Finding, FindingsWriter, Outcome
from archbench.testing.plugin_check.places import PluginPlaces, roots_of
from archbench.testing.plugin_check.suites import Checked, collect
from archbench.units import human_count


def main(arguments: Sequence[str]) -> None:
    """Checks what the request names and writes findings; ends the process."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    request = json.loads(arguments[0])
    with Path(arguments[1]).open("a", encoding="utf-8") as stream:
        _Check(request, FindingsWriter(stream)).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class _Check:
    """All checks of one target, but for those that an earlier process has ended."""

    def __init__(self, request: Mapping[str, Any], writer: FindingsWriter) -> None:
        self._plugins = frozenset(request["plugins"])
        self._files = [Path(file) for file in request["files"]]
        self._scratch = Path(request["scratch"])
        self._done = frozenset(request["done"])
        self._writer = writer

    def run(self) -> None:
        """Loads the plug-ins, then checks each architecture, objective and tokenizer that they register."""
        self._writer.roots(_own_places(self._files).roots)
        if not self._loads():
            self._writer.finish()
            return
        self._writer.begin("hooks can be called")
        host = load_host(self._entry_points(only_targets=False), self._files)
        targets = self._targets(host)
        configs = self._configs(host, targets)
        modules = {type(config).__module__ for config, _ in configs}
        modules |= {info.target.partition(":")[0] for info in targets if info.name in self._plugins}
        places = PluginPlaces({root for module in modules for root in roots_of(module)} | set(self._files))
        self._writer.roots(places.roots)
        for info in targets:
            self._registered(host, info, places)
        architectures = (config for config, _ in configs if isinstance(config, ArchitectureConfig))
        self._writer.loaded({config.kind: Attention.CAUSAL in config.attention_modes for config in architectures})
        classes = {collect(config, module): config for config, module in configs}
        if classes:
            from archbench.testing.plugin_check.conformance import run_suites

            run_suites(classes, places, self._writer, done=tuple(self._done), scratch=self._scratch)
        for config, _ in configs:
            if isinstance(config, ArchitectureConfig):
                self._ladder(config, host, places)
        self._writer.finish()

    def _entry_points(self, *, only_targets: bool) -> list[importlib.metadata.EntryPoint]:
        """Those of the targets, and of archbench itself, whose names are taken."""
        return [
            point
            for point in importlib.metadata.entry_points(group=PROJECT_NAME)
            if point.name in self._plugins
            or (not only_targets and point.dist is not None and point.dist.name == PROJECT_NAME)
        ]

    def _loads(self) -> bool:
        """Whether every plug-in can be imported; where one cannot, the place in it is told."""
        loaders: dict[str, Callable[[], object]] = {
            point.name: point.load for point in self._entry_points(only_targets=True)
        }
        loaders |= {path.name: partial(import_file, path) for path in self._files}
        well = True
        for name, load in loaders.items():
            check = f"{name}: can be imported"
            self._writer.begin(check)
            try:
                load()
            except (Exception, SystemExit) as error:
                where = _own_places(self._files).of_error(error)
                self._writer.end(Finding(check, Outcome.FAILED, _told(error), where))
                well = False
            else:
                self._writer.end(Finding(check, Outcome.PASSED))
        return well

    def _targets(self, host: Host) -> list[PluginInfo]:
        named = self._plugins | {str(path) for path in self._files}
        return [info for info in host.plugins if info.name in named]

    def _registered(self, host: Host, info: PluginInfo, places: PluginPlaces) -> None:
        check = f"{Path(info.name).name}: registers what it offers"
        module = host.manager.get_plugin(info.name)
        for failure in info.failures:
            where = places.of_member(module, failure.partition(":")[0])
            self._writer.end(Finding(check, Outcome.FAILED, failure, where))
        if not info.failures:
            offered = "; ".join(f"{noun} {', '.join(names)}" for noun, names in info.registered.items())
            self._writer.end(Finding(check, Outcome.PASSED, offered or "no component; hooks only"))

    def _configs(self, host: Host, targets: Sequence[PluginInfo]) -> list[tuple[Checked, str | None]]:
        """Each component of the targets that has a suite, by default, and the module to import for it."""
        found = []
        modules = {info.name: info.target.partition(":")[0] for info in targets if info.name in self._plugins}
        names = {info.name for info in targets}
        entries: Mapping[str, Registered[Any]] = {
            **host.registry.architectures.entries,
            **host.registry.objectives.entries,
        }
        optimizers: Mapping[str, Registered[Any]] = host.registry.optimizers.entries
        tokenizers: Mapping[str, Registered[Any]] = host.registry.tokenizers.entries
        for registered in (*_of(entries, names), *_of(optimizers, names), *_of(tokenizers, names)):
            check = f"{registered.config.kind_name()}: has settings by default"
            try:
                config = registered.config.model_validate({"kind": registered.config.kind_name()})
            except Exception as error:  # a stranger's class
                if issubclass(registered.config, TokenizerConfig):
                    problem = "it has settings without a default; subclass the suite with yours"
                    self._writer.end(Finding(check, Outcome.SKIPPED, problem))
                    continue
                where = PluginPlaces(roots_of(registered.config.__module__)).of_member(registered.config, "__init__")
                problem = f"expected to be made without settings, for the check and for listings, got {_told(error)}"
                self._writer.end(Finding(check, Outcome.FAILED, problem, where))
                continue
            assert isinstance(config, Checked)
            found.append((config, modules.get(registered.plugin)))
        return found

    def _ladder(self, config: ArchitectureConfig, host: Host, places: PluginPlaces) -> None:
        # Only now: torch takes seconds, and a plug-in that cannot be imported is told before.
        from archbench.testing.plugin_check.rungs import TARGETS, check_rung, objective_kind

        objective = host.registry.objectives[objective_kind(config)].config.model_validate({})
        for target in TARGETS:
            check = f"{config.kind}: ladder at {human_count(target)} parameters"
            if check in self._done:
                continue
            self._writer.begin(check)
            try:
                seen = check_rung(config, objective, target)
            except (Exception, SystemExit) as error:
                method = str(error).partition(":")[0] if isinstance(error, AssertionError) else "sized_for"
                where = places.of_error(error) or places.of_member(type(config), method)
                self._writer.end(Finding(check, Outcome.FAILED, _told(error), where))
            else:
                self._writer.end(Finding(check, Outcome.PASSED, seen))


def _of(entries: Mapping[str, Registered[Any]], plugins: set[str]) -> Iterator[Registered[Any]]:
    return (registered for registered in entries.values() if registered.plugin in plugins)


def _own_places(files: Sequence[Path]) -> PluginPlaces:
    """Whatever is neither archbench's nor a library's, for a plug-in that is not imported and so has no place yet."""
    roots = [Path(folder).resolve() for folder in sys.path if folder and not _is_library(Path(folder))]
    return PluginPlaces([*roots, *(path.parent for path in files)])


def _is_library(folder: Path) -> bool:
    return bool({"site-packages", "dist-packages"} & set(folder.parts)) or folder.resolve().is_relative_to(
        Path(os.__file__).parent
    )


def _told(error: BaseException) -> str:
    message = " ".join(str(error).split()) or "no message"
    return message if isinstance(error, AssertionError) else f"{type(error).__name__}: {message}"


if __name__ == "__main__":
    main(sys.argv[1:])
