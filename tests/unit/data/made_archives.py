"""Small archives, packed as published ones are, whose text is taken."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from archbench.builtins.text.standard.archives import Archive
from archbench.builtins.text.standard.extraction import extract
from archbench.builtins.text.standard.store import file_name, stored_form

PROSE = "Whoever reads this sentence about {} learns that it was written for nothing but a test of {}.\n\n"
NEVER_RUN = "raise SystemExit('the code of an archive was run')\n"


def sentences(subject: str, number: int) -> str:
    return "".join(PROSE.format(f"{subject} {word}", word) for word in ("alpha", "beta", "gamma", "delta")[:number])


def packed(folder: Path, name: str, files: Mapping[str, str | bytes]) -> Path:
    """A source distribution as they are published: one folder, PKG-INFO inside."""
    path = folder / f"{name}-1.0.tar.gz"
    stated = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", **files}
    with tarfile.open(path, "w:gz") as archive:
        for file, content in stated.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def described(path: Path) -> Archive:
    name = path.name.partition("-")[0]
    documents = extract(path, name, None)
    stored = stored_form(documents)
    return Archive(
        name=name,
        version="1.0",
        licence="MIT",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        archive_bytes=path.stat().st_size,
        text_sha256=hashlib.sha256(stored).hexdigest(),
        stored_bytes=len(stored),
        num_documents=len(documents),
        text_bytes=sum(len(document.text.encode()) for document in documents),
    )


def first_archive(folder: Path) -> Archive:
    """One that names a build backend, which is not installed, and a Python that nobody has."""
    pyproject = '[build-system]\nrequires = ["nothing-of-this-name"]\nbuild-backend = "mesonpy"\n'
    docs = {f"docs/chapter{number}.rst": sentences(f"chapter {'abcdefgh'[number]}", 4) for number in range(8)}
    return described(packed(folder, "first", {"pyproject.toml": pyproject, "setup.py": NEVER_RUN, **docs}))


def second_archive(folder: Path) -> Archive:
    """One that has a set-up script alone."""
    docs = {f"docs/part{number}.txt": sentences(f"part {'ijklmnop'[number]}", 4) for number in range(8)}
    return described(packed(folder, "second", {"setup.py": NEVER_RUN, **docs}))


def put(archive: Archive, wheelhouse: Path, store: Path) -> None:
    """Puts the text of `archive` where fetching puts it, without pip."""
    store.mkdir(exist_ok=True)
    documents = extract(wheelhouse / f"{archive.name}-1.0.tar.gz", archive.name, None)
    (store / file_name(archive)).write_bytes(stored_form(documents))
