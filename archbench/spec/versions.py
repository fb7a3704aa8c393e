"""Versions that identify a run: of its components, and of the libraries that these compute with."""

import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import Any

from archbench.contracts.config import ComponentConfig
from archbench.errors import PluginError
from archbench.extras import REMEDY, TRAINING_LIBRARIES
from archbench.hookspecs import PROJECT_NAME
from archbench.registry import Registered
from archbench.spec.identity import ComponentIdentity


def component_identity(entry: Registered[Any]) -> ComponentIdentity:
    """The version of a component as run ids know it."""
    if entry.distribution == PROJECT_NAME:
        return ComponentIdentity(numerics=entry.config.numerics)
    return ComponentIdentity(numerics=entry.config.numerics, distribution=entry.distribution, version=entry.version)


def installed_libraries(components: Iterable[ComponentConfig]) -> dict[str, str | None]:
    """Distribution -> version, of what `components` say they compute with; none is imported.

    None for a library that is not installed.
    """
    names = {name for component in components for name in component.needed_libraries()}
    return {name: _installed(name) for name in sorted(names)}


def required(libraries: Mapping[str, str | None]) -> dict[str, str]:
    """`libraries`, all of them installed. Raises PluginError for one that is not."""
    for name, version in libraries.items():
        if version is None:
            raise PluginError(f"computes with {name}, which is not installed: {_remedy(name)}")
    return {name: str(version) for name, version in libraries.items()}


def _remedy(distribution: str) -> str:
    return REMEDY if distribution.replace("-", "_") in TRAINING_LIBRARIES else f"pip install {distribution}"


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
