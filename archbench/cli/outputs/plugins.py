"""What `--json` prints of plug-ins and the machine: plugins, doctor."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PluginRow:
    """A plug-in."""

    name: str
    target: str
    distribution: str
    version: str
    registered: dict[str, list[str]]
    """Noun -> names of what it offers."""
    failures: list[str]
    notes: list[str]
    """What it changed in the process and had no business to; it was put back."""


@dataclass(frozen=True, slots=True)
class PluginsOutput:
    """`archbench plugins list`."""

    plugins: list[PluginRow]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One promise of a plug-in."""

    check: str
    outcome: str
    """passed, failed or skipped."""
    problem: str
    """What was expected and what came; of one that passed, what was seen."""
    where: str
    """`file:line name` of the place to mend, where one is known."""


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """`archbench plugins check`."""

    target: str
    counts: dict[str, int]
    """Outcome -> number of checks."""
    findings: list[CheckRow]


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """What a plug-in offers under one kind."""

    noun: str
    """architecture, objective, dataset, ..."""
    kind: str
    plugin: str
    distribution: str
    version: str
    summary: str
    hyperparameters: dict[str, str]
    """Name -> default as Python writes it, or `required`."""
    source: dict[str, str] | None
    """Of an architecture: paper, implementation, what is faithful and what differs."""
    attention: list[str] | None
    """Of an architecture: the modes that it offers."""


@dataclass(frozen=True, slots=True)
class PluginOutput:
    """`archbench plugins show`: a plug-in with its components, or the components of one kind."""

    plugin: PluginRow | None
    components: list[ComponentRow]


@dataclass(frozen=True, slots=True)
class Finding:
    """`archbench doctor`: one thing that was looked at."""

    what: str
    ok: bool
    found: str
    remedy: str = ""
    """What to do where it is not ok, or where more is to be had."""
