"""Reports beside the scans of the page: whether there is one, and its files."""

import mimetypes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.names import file_stem
from archbench.report.files import PAGE_FILE

_KINDS = frozenset({".html", ".md", ".svg", ".png", ".csv", ".json", ".jsonl", ".parquet", ".txt", ".pdf"})
"""What a report consists of; nothing else is handed out."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Folders of reports by the name under which the page has them."""

    reports_dir: Path
    named: Mapping[str, Path]
    """Those that were named on the command line."""

    @classmethod
    def of(cls, reports_dir: Path, folders: Sequence[Path]) -> "Shelf":
        """Reports in `reports_dir`, under the names of their scans, and those in `folders`."""
        return cls(reports_dir, {folder.resolve().name: folder for folder in folders})

    def folder(self, name: str) -> Path | None:
        """The folder of the report called `name`; None where there is none with a page."""
        if not name or name != Path(name).name or name.startswith("."):
            return None
        folder = self.named.get(name, self.reports_dir / name)
        return folder if (folder / PAGE_FILE).is_file() else None

    def address_of(self, scan: str) -> str | None:
        """Where the page of the report of `scan` is, below the shelf; None where there is none."""
        name = file_stem(scan)
        return None if self.folder(name) is None else f"{name}/{PAGE_FILE}"

    def file(self, name: str, inside: str) -> Path | None:
        """The file `inside` of the report `name`; None for what is none of a report's."""
        folder = self.folder(name)
        if folder is None:
            return None
        path = (folder / inside).resolve()
        if path.suffix not in _KINDS or not path.is_relative_to(folder.resolve()) or not path.is_file():
            return None
        return path

    def files(self, name: str) -> Iterator[tuple[str, Path]]:
        """All files of the report `name`, with their places in it."""
        folder = self.folder(name)
        for path in sorted(folder.rglob("*")) if folder is not None else ():
            inside = path.relative_to(folder or path).as_posix()
            if (found := self.file(name, inside)) is not None:
                yield inside, found


def content_type(path: Path) -> str:
    """The MIME type of a file that is handed out."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kind = {"application/x-javascript": "text/javascript"}.get(kind, kind)
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind.endswith("json") else kind
