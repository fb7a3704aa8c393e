"""The page as files: for a web server, a paper's supplement, or a disk. Nothing in it asks anybody for anything."""

import base64
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from archbench.errors import StoreError
from archbench.names import file_stem
from archbench.view.catalogue import MODULES, Catalogue, as_bytes, page_file

_IMPORT = re.compile(r"^import .*? from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)
_SCRIPTS = '<script type="module" src="main.js"></script>'
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_ALL = "all-runs"


def export(catalogue: Catalogue, folder: Path, scans: Sequence[str] | None, tell: Callable[[str], None]) -> Path:
    """Writes the page with `scans` (all of the store by default) into `folder`; returns its first page.

    The empty name means every run of the store. What a run's page shows lies in a file for each run, reports in
    `reports`. `tell` hears what takes long. Raises StoreError where the folder holds something else, or refuses.
    """
    first = folder / "index.html"
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "data").is_dir())):
        raise StoreError(
            f"{folder}: holds something else than an exported page; name a folder that is empty or not there"
        )
    names = list(scans if scans is not None else catalogue.store.scan_names() or [""])
    try:
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data").mkdir(parents=True)
        files: dict[str, str] = {}
        for name in names:
            files |= _write_scan(catalogue, folder, name, tell)
        known = catalogue.scans()
        chosen = {*names, *catalogue.shelf.named}
        reports = {name: place for name, place in known["reports"].items() if name in chosen}
        for place in reports.values():
            _copy_report(catalogue, folder / "reports", place.partition("/")[0])
        index = {
            **known,
            "scans": [name for name in names if name],
            "all": "" in names,
            "reports": reports,
            "shelf": "reports/",
        }
        content = {"files": files, "content": {}, "scans": {**index, "runs": ""}}
        (folder / "data" / "index.js").write_bytes(b"globalThis.archbenchData = " + as_bytes(content) + b";\n")
        for name in ("view.css", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt"):
            (folder / name).write_bytes(page_file(name) or b"")
        (folder / "view.js").write_text(bundled(), encoding="utf-8")
        first.write_text(_page(), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder}: the page cannot be written: {error.strerror}; choose another folder") from error
    return first


def bundled() -> str:
    """The page's modules as one script: browsers load no modules from a disk."""
    parts = []
    for name in MODULES:
        text = (page_file(name) or b"").decode()
        parts.append(_EXPORT.sub("", _IMPORT.sub("", text)))
    return '(() => {\n"use strict";\n' + "\n".join(parts) + "\n})();\n"


def _page() -> str:
    text = (page_file("index.html") or b"").decode()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    scripts = '<script src="data/index.js"></script>\n<script defer src="view.js"></script>'
    return text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}', 1).replace(_SCRIPTS, scripts)


def _write_scan(catalogue: Catalogue, folder: Path, name: str, tell: Callable[[str], None]) -> dict[str, str]:
    """The files of one scan, by the name under which the page asks for each."""
    followed = catalogue.of(name)
    snapshot = followed.snapshot()
    stem = file_stem(name) if name else _ALL
    if followed.index is not None and followed.all_ended:
        tell(f"analysing {name}")
    content: dict[str, Any] = {
        f"scan/{name}": (f"data/scan-{stem}.js", snapshot),
        f"curves/{name}": (f"data/curves-{stem}.js", base64.b64encode(followed.curves()).decode()),
        f"told/{name}": (f"data/told-{stem}.js", base64.b64encode(followed.told(())).decode()),
        f"verdict/{name}": (f"data/verdict-{stem}.js", catalogue.verdict(name, None)),
    }
    for row in snapshot["rows"]:
        content[f"run/{row['id']}"] = (f"data/run-{row['id']}.js", catalogue.run(name, row["id"]))
    for key, (place, value) in content.items():
        _write_data(folder / place, key, value)
    return {key: place for key, (place, _) in content.items()}


def _write_data(path: Path, key: str, value: Any) -> None:
    path.write_bytes(b"archbenchData.content[" + as_bytes(key) + b"] = " + as_bytes(value) + b";\n")


def _copy_report(catalogue: Catalogue, folder: Path, name: str) -> None:
    for inside, path in catalogue.shelf.files(name):
        target = folder / name / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
