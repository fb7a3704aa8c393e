"""What the page is made of, by address: the same content for the server and for static pages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

from archbench.runs.store import RunStore
from archbench.view.answer import Answer, Answers
from archbench.view.followed import Followed
from archbench.view.run_page import details_of
from archbench.view.shelf import Shelf

PAGE = ("index.html", "view.css", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt")
MODULES = ("text.js", "query.js", "source.js", "plot.js", "table.js", "compare.js", "run.js", "main.js")
"""The page's own scripts, each after those that it imports."""


@dataclass(slots=True)
class Catalogue:
    """A store, its reports, and what of them has been asked for."""

    store: RunStore
    shelf: Shelf
    answers: Answers
    start: str
    """What the page shows first, as the fragment of its address: `scan=quickstart`."""
    followed: dict[str, Followed] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def scans(self) -> dict[str, Any]:
        """The scans of the store, which of them is shown first, and where their reports are."""
        names = self.store.scan_names()
        reports = {name: place for name in names if (place := self.shelf.address_of(name)) is not None}
        named = {name: place for name in self.shelf.named if (place := self.shelf.address_of(name)) is not None}
        return {"scans": names, "reports": {**named, **reports}, "runs": str(self.store.root), "start": self.start}

    @property
    def first_scan(self) -> str | None:
        """The scan that is shown first; None where the store has none."""
        asked = parse_qs(self.start).get("scan")
        return asked[0] if asked else next(iter(self.store.scan_names()), None)

    def of(self, name: str) -> Followed:
        """The runs of the scan `name`, all of the store for the empty name. Raises StoreError as `Followed.look`."""
        with self.lock:
            if name not in self.followed:
                followed = Followed(self.store, name or None)
                followed.look()
                self.followed[name] = followed
            return self.followed[name]

    def run(self, scan: str, digits: str) -> dict[str, Any]:
        """Everything about one run. Raises StoreError where the scan has none of these digits."""
        record, trace, directory = self.of(scan).record(digits)
        return details_of(self.store, directory, record, trace)

    def verdict(self, name: str, timeout_s: float | None) -> Answer:
        """The verdict on the scan; empty as long as it is computed, or runs go on."""
        followed = self.of(name)
        if followed.index is None or not followed.all_ended:
            return {}
        return self.answers.of(name, f"{followed.epoch}-{followed.version}", timeout_s) or {}


def page_file(name: str) -> bytes | None:
    """A file of the page; None for another name."""
    if name not in (*PAGE, *MODULES):
        return None
    return (files("archbench.view") / "page" / name).read_bytes()


def as_bytes(value: Any) -> bytes:
    """`value` as compact JSON in ASCII, in which no `<` stands: it may be part of a script."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode()


def catalogue_of(
    runs_dir: Path, reports_dir: Path, reports: Sequence[Path] = (), plugins: Sequence[Path] = (), start: str = ""
) -> Catalogue:
    """The catalogue of a store and its reports."""
    return Catalogue(RunStore(runs_dir), Shelf.of(reports_dir, reports), Answers(runs_dir, plugins), start)
