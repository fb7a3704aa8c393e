"""The results of a measurement: what is written to `accelerator.json` and shown by the pages."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerator_parts.page import markdown_page
from accelerator_parts.scale import PARTS
from archbench.durable import write_whole
from archbench.report.html.page import Page, render_page

FORMAT = 1
JSON_FILE, MARKDOWN_FILE, HTML_FILE, LOG_FILE = (f"accelerator.{ending}" for ending in ("json", "md", "html", "log"))
_WRITING_SECONDS = 2.0
"""Least time between two writings while a part goes on."""


@dataclass
class PartResult:
    """What a part has come to so far."""

    name: str
    title: str
    state: str = "not begun"
    """`not begun`, `under way`, `done`, `cut short` (the time was over), `failed`, `interrupted` or `left out`."""
    reason: str | None = None
    """Where it failed or was left out."""
    given_seconds: float | None = None
    seconds: float | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    """`what`, and `why`."""
    planned: list[str] = field(default_factory=list)
    """What it was to come to."""
    settled: list[str] = field(default_factory=list)
    """What of it became a row, was left out in words, or was made otherwise."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Takes in what the part says."""
        match event["event"]:
            case "plan":
                self.planned = list(event["whats"])
            case "made":
                self.settled.append(event["what"])
            case "conditions":
                self.conditions |= event["conditions"]
            case "row":
                self.rows.append(dict(event["row"]))
                self.settled.append(event["what"])
            case "left_out":
                self.settled.append(event["what"])
                self.left_out.append({"what": event["what"], "why": event["why"]})
            case "failed":
                self.state, self.reason = "failed", event["reason"]
            case "ended":
                self.end(event["why"])

    def end(self, why: str) -> None:
        """Notes what was planned and has not come about; `why` it ended is `done`, `time`, `died` or `interrupted`."""
        if not self.planned and why == "time":
            self.reason = "its process was not ready when the time was over"
        settled = set(self.settled)
        reason = {"failed": "the part failed before", "interrupted": "interrupted before"}.get(why, "no time was left")
        self.left_out += [{"what": what, "why": reason} for what in self.planned if what not in settled]
        if self.state == "under way":
            self.state = why if why == "interrupted" else "cut short" if why == "time" or self.left_out else "done"


@dataclass
class Results:
    """All of it."""

    command: str
    minutes: float
    source: str
    """Version and commit of archbench."""
    began: str
    """In UTC."""
    seconds: float = 0.0
    ended: bool = False
    """False while it goes on, and for good where it was killed."""
    device: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    parts: list[PartResult] = field(default_factory=lambda: [PartResult(part.name, part.title) for part in PARTS])

    def part(self, name: str) -> PartResult:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def gpt2_tokens_per_s(self) -> dict[str, float]:
        """Parameters -> tokens per second of GPT-2 without compilation, as far as they were measured."""
        return {
            str(row["non_embedding_params"]): row["tokens_per_s"]
            for row in self.part("architectures").rows
            if row["architecture"] == "gpt2" and row["loop"] == "eager" and row["status"] == "measured"
        }

    def as_json(self) -> dict[str, Any]:
        """What `accelerator.json` holds."""
        return {"format": FORMAT, **asdict(self)}


class Writer:
    """Writes results into a folder, whole or not at all, again and again."""

    def __init__(self, results: Results, folder: Path, began: float) -> None:
        self._results = results
        self._folder = folder
        self._began = began
        self._written = float("-inf")

    def write(self) -> None:
        """Writes the three files. Raises OSError."""
        self._results.seconds = round(time.monotonic() - self._began, 1)
        content = self._results.as_json()
        page = markdown_page(content)
        files = {
            JSON_FILE: json.dumps(content, indent=2) + "\n",
            MARKDOWN_FILE: page.markdown,
            HTML_FILE: render_page(Page(page.title, "", page.lead, page.parts), lambda source: None),
        }
        for name, text in files.items():
            write_whole(self._folder / name, text.encode())
        self._written = time.monotonic()

    def write_soon(self) -> None:
        """Writes them, unless it was done just now."""
        if time.monotonic() - self._written >= _WRITING_SECONDS:
            self.write()
