"""`archbench plugins`: what is installed, from where, and what failed."""

import inspect
from pathlib import Path
from typing import Any

import click

from archbench.cli import complete
from archbench.cli.common import host_with, json_option, plugin_option, print_json, wrapped
from archbench.cli.plugins_check import check_plugin
from archbench.cli.plugins_new import new_plugin
from archbench.cli.terminal import echo
from archbench.discovery import PluginInfo
from archbench.errors import PluginError, nearest
from archbench.host import Host


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(context: click.Context) -> None:
    """List plug-ins: what they offer and what failed; start one, check one."""
    if context.invoked_subcommand is None:
        context.invoke(list_plugins, plugin_files=(), as_json=False)


plugins.add_command(new_plugin)
plugins.add_command(check_plugin)


@plugins.command("list")
@plugin_option
@json_option
def list_plugins(plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """List every plug-in with what it registered; failures with their reason."""
    host = host_with(plugin_files)
    if as_json:
        print_json({"plugins": [_as_json(info) for info in host.plugins]})
        return
    for info in host.plugins:
        offered = "; ".join(f"{noun} {', '.join(names)}" for noun, names in info.registered.items())
        state = "" if not info.failures else "  FAILED" if not info.registered else "  FAILED in part"
        echo(f"{info.name}  ({info.distribution} {info.version}){state}")
        if offered:
            echo(wrapped(f"    {offered}"))
        _print_problems(info)


@plugins.command("show")
@click.argument("name", shell_complete=complete.plugins_and_kinds)
@plugin_option
@json_option
def show_plugin(name: str, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Show one plug-in, or one component by its kind, with its hyperparameters and source."""
    host = host_with(plugin_files)
    info = host.info(name)
    components = _components(host, name if info is None else None, info)
    if info is None and not components:
        known = [one.name for one in host.plugins] + list(_kinds(host))
        raise PluginError(f"there is no plug-in or component {name!r}{nearest(name, known)}")
    if as_json:
        print_json({"plugin": _as_json(info) if info else None, "components": components})
        return
    if info is not None:
        echo(f"{info.name}  ({info.distribution} {info.version}), {info.target}")
        _print_problems(info)
    for component in components:
        _print_component(component)


def _print_problems(info: PluginInfo) -> None:
    for failure in info.failures:
        echo(wrapped(f"    failed: {failure}"))
    for line in info.notes:
        echo(wrapped(f"    note: {line}"))


def _kinds(host: Host) -> dict[str, list[tuple[str, Any]]]:
    kinds: dict[str, list[tuple[str, Any]]] = {}
    registry = host.registry
    for catalog in (
        registry.architectures,
        registry.objectives,
        registry.optimizers,
        registry.datasets,
        registry.tokenizers,
        registry.executors,
        registry.trackers,
        registry.run_readers,
        registry.studies,
        registry.report_sections,
    ):
        for kind, registered in catalog.entries.items():
            kinds.setdefault(kind, []).append((catalog.noun, registered))
    return kinds


def _components(host: Host, kind: str | None, info: PluginInfo | None) -> list[dict[str, Any]]:
    found = []
    for name, entries in _kinds(host).items():
        for noun, registered in entries:
            if name == kind or (info is not None and registered.plugin == info.name):
                found.append(_describe(noun, name, registered))
    return found


def _describe(noun: str, kind: str, registered: Any) -> dict[str, Any]:
    config = registered.config
    source = getattr(config, "source", None)
    return {
        "noun": noun,
        "kind": kind,
        "plugin": registered.plugin,
        "distribution": registered.distribution,
        "version": registered.version,
        "summary": config.summary or (inspect.getdoc(config) or "").split("\n")[0],
        "hyperparameters": {
            name: "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            for name, field in config.model_fields.items()
            if name != "kind"
        },
        "source": {name: getattr(source, name) for name in source.__slots__} if source else None,
        "attention": sorted(config.attention_modes) if hasattr(config, "attention_modes") else None,
    }


def _print_component(component: dict[str, Any]) -> None:
    echo(
        f"{component['noun']} {component['kind']}  (plug-in {component['plugin']}, {component['distribution']} "
        f"{component['version']})"
    )
    echo(f"    {component['summary']}")
    for name, default in component["hyperparameters"].items():
        echo(f"    {name}: {default}")
    for name, text in (component["source"] or {}).items():
        echo(wrapped(f"    {name}: {text}"))
    if component["attention"]:
        echo(f"    attention: {', '.join(component['attention'])}")


def _as_json(info: PluginInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "target": info.target,
        "distribution": info.distribution,
        "version": info.version,
        "registered": info.registered,
        "failures": info.failures,
        "notes": info.notes,
    }
