"""Contenders that are published entries of a leaderboard: data that is compared with, and never trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archbench.contracts.values import Loc
from archbench.spec.yaml_loader import YamlFile

if TYPE_CHECKING:
    from archbench.spec.document import SpecDocument

_SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class PublishedContender:
    """An entry under the name that the spec gives to it; which runs it holds is known when it has been read."""

    name: str
    entry: str
    """Its file, or the name of one in the folder of a leaderboard."""
    is_file: bool

    @property
    def loc(self) -> Loc:
        """Where the spec names it."""
        return ("contenders", self.name, "entry")


def published_contenders(
    file: YamlFile, document: "SpecDocument", baseline: str | None
) -> Mapping[str, PublishedContender]:
    """The contenders that are entries, by name.

    Raises SpecError where nothing is trained beside them, and where the spec asks of one what only a ladder that is
    trained here could give.
    """
    found = {name: _published(file, name, one.entry) for name, one in document.contenders.items() if one.entry}
    if not found:
        return found
    if len(found) == len(document.contenders):
        raise file.error(
            ("contenders",),
            "are published entries, all of them, so that there is nothing to train; give one an architecture, or see "
            "`archbench leaderboard`, which compares entries",
        )
    if not document.scan.trained:
        loc = next(iter(found.values())).loc
        raise file.error(loc, "is compared by the scan of sizes: give scan.tokens or scan.tokens_per_param")
    if baseline in found:
        _check_published_baseline(file, document, baseline)
    return found


def _published(file: YamlFile, name: str, entry: str) -> PublishedContender:
    if not (entry.endswith(_SUFFIX) or "/" in entry):
        return PublishedContender(name, entry, is_file=False)
    folder = file.place(("contenders", name, "entry")).folder
    return PublishedContender(name, str(folder / Path(entry)), is_file=True)


def _check_published_baseline(file: YamlFile, document: "SpecDocument", baseline: str | None) -> None:
    """Whether nothing is asked for that needs a baseline of this spec's own."""
    if document.scan.match != "parameters":
        raise file.error(
            ("scan", "match"),
            f"got {document.scan.match}, but the baseline {baseline!r} is a published entry, whose sizes are what they "
            "are; match parameters, or give the baseline its architecture, to be trained",
        )
    if document.question is not None and document.question.controls:
        raise file.error(
            ("question", "controls"),
            f"are trained ladders of the baseline, and {baseline!r} is a published entry, of which nothing is trained; "
            "leave them out, or give the baseline its architecture",
        )
