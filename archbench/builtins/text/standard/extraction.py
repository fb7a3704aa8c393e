"""Archive of a source distribution -> documents of English prose.

All rules work on bytes, so that neither the version of Python nor its Unicode tables decide what the text is.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from archbench.contracts.data import Document

_SKIPPED_FOLDERS = re.compile(
    r"(tests?|testing|_testing|test-data|vendor|_vendor|third_?party|thirdparty|extern|externals|locale|licenses|examples_data"
    r"|requirements|templates|.*\.egg-info|\..*)",
    re.IGNORECASE,
)
_SKIPPED_FILES = re.compile(
    r"(licen[sc]e|copying|notice|authors|contributors|maintainers|credits|requirements|sources|cmakelists|api-names"
    r"|code_of_conduct|manifest|spelling|robots|index\.txt)([-_.].*)?|.*requirements\.txt",
    re.IGNORECASE,
)
_DOCUMENTATION_FOLDERS = frozenset({"doc", "docs"})
"""Folders in which a .txt file is documentation; elsewhere it may be anything."""

_SHORTEST_DOCUMENT_BYTES = 256
_LONGEST_DOCUMENT_BYTES = 64 << 10
_DEDUPLICATED_LETTERS = 20
"""Paragraphs of fewer letters, headings say, may stand often; by themselves they make no document."""
_LEAST_LETTERS = 0.6
"""Share of ASCII letters among the characters that are no white space: tables, output and hashes have fewer."""
_SHORTEST_DESCRIPTION_LETTERS = 40

_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
_NO_LETTERS = bytes(sorted(set(range(256)) - set(_LETTERS)))
_SPACES = b" \t\n\r\f\v"
_UNDERLINE = re.compile(rb"([-=~^\"'*+#.`_:])\1{2,}")
_PARAGRAPH_END = re.compile(rb"\n(?:[ \t]*\n)+")

_STRING_OR_COMMENT = re.compile(
    rb'(?P<statement>^[ \t]*[rRuU]?(?P<quotes>"""|\'\'\')(?P<body>(?:[^\\]|\\.)*?)(?P=quotes))'
    rb'|"""(?:[^\\]|\\.)*?"""|\'\'\'(?:[^\\]|\\.)*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|\#[^\n]*',
    re.DOTALL | re.MULTILINE,
)
"""A string in three quotes that begins a line is documentation; the other alternatives say where none begins."""

_TAG = re.compile(rb"<[^<>]*>")
_BREAKING_TAG = re.compile(rb"</?(?:p|li|ul|ol|dl|dt|dd|note|important|br|div|h[1-6]|table|tr|pre)(?:\s[^<>]*)?/?>")
_ENTITIES = ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&#39;", b"'"), (b"&nbsp;", b" "), (b"&amp;", b"&"))
_DESCRIPTION_KEYS = frozenset({"documentation", "description"})


def extract(archive: Path, source: str, most_bytes: int | None) -> list[Document]:
    """The prose of the tar.gz `archive`, each paragraph once; the documents' ids begin with `source`.

    With `most_bytes` whole files in a fixed random order, until so many UTF-8 bytes are reached; else all, by name.
    A file is a document, a long one several: `path`, `path#2`. Raises tarfile.TarError, zlib.error, OSError or
    EOFError for a damaged archive.
    """
    files = _files(archive)
    order = sorted(files)
    if most_bytes is not None:
        order.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    seen: set[bytes] = set()
    documents: list[Document] = []
    total = 0
    for name in order:
        kept = [one for one in paragraphs(name, files[name]) if _is_prose(one) and _is_new(one, seen)]
        for document in _pieces(f"{source}/{name}", kept):
            documents.append(document)
            total += len(document.text.encode())
        if most_bytes is not None and total >= most_bytes:
            break
    return documents


def file_of(document_id: str) -> str:
    """The id of the file of which a document is a piece."""
    return document_id.partition("#")[0]


def _is_new(paragraph: bytes, seen: set[bytes]) -> bool:
    """Whether no earlier paragraph has the same letters; case, digits, signs and spaces make none new."""
    letters = paragraph.translate(None, _NO_LETTERS).lower()
    if len(letters) < _DEDUPLICATED_LETTERS:
        return True
    key = hashlib.blake2b(letters, digest_size=12).digest()
    if key in seen:
        return False
    seen.add(key)
    return True


def _pieces(name: str, kept: list[bytes]) -> Iterator[Document]:
    pieces: list[list[bytes]] = [[]]
    size = 0
    for paragraph in kept:
        if size and size + len(paragraph) > _LONGEST_DOCUMENT_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(paragraph)
        size += len(paragraph) + 2
    number = 0
    for piece in pieces:
        content = b"\n\n".join(piece) + b"\n"
        if len(content) >= _SHORTEST_DOCUMENT_BYTES:
            number += 1
            yield Document(name if number == 1 else f"{name}#{number}", content.decode())


def _files(path: Path) -> dict[str, bytes]:
    """Name inside the archive's one folder -> content, for the files that may hold prose."""
    files: dict[str, bytes] = {}
    with tarfile.open(path, mode="r:gz") as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if member.isfile() and _is_wanted(name):
                stream = archive.extractfile(member)
                assert stream is not None  # it is a file
                files[name] = stream.read()
    return files


def _is_wanted(name: str) -> bool:
    path = PurePosixPath(name)
    folders = path.parts[:-1]
    if any(_SKIPPED_FOLDERS.fullmatch(folder) for folder in folders) or _SKIPPED_FILES.fullmatch(path.name):
        return False
    match path.suffix.lower():
        case ".rst" | ".md" | ".py":
            return True
        case ".txt":
            return not _DOCUMENTATION_FOLDERS.isdisjoint(folders)
        case ".json":
            return path.name.startswith("service-") or "discovery_cache" in folders
    return False


def paragraphs(name: str, content: bytes) -> Iterator[bytes]:
    """The paragraphs of prose of the file `name`; none where it is not UTF-8 or not JSON as its name says."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    match PurePosixPath(name).suffix.lower():
        case ".py":
            yield from _docstring_paragraphs(content)
        case ".json":
            yield from _description_paragraphs(content)
        case _:
            yield from _split(content)


def _split(text: bytes) -> Iterator[bytes]:
    for paragraph in _PARAGRAPH_END.split(text):
        stripped = paragraph.strip(b"\n").rstrip(_SPACES)
        if stripped:
            yield stripped


def _docstring_paragraphs(source: bytes) -> Iterator[bytes]:
    for match in _STRING_OR_COMMENT.finditer(source):
        if match["statement"] is not None:
            yield from _split(_dedented(match["body"]))


def _dedented(docstring: bytes) -> bytes:
    """The docstring without the indentation that all its lines but the first share."""
    first, *rest = docstring.split(b"\n")
    widths = [len(line) - len(line.lstrip(b" ")) for line in rest if line.strip(_SPACES)]
    width = min(widths, default=0)
    return b"\n".join([first.lstrip(_SPACES), *(line[width:] for line in rest)])


def _description_paragraphs(content: bytes) -> Iterator[bytes]:
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return
    for text in _descriptions(tree):
        plain = _BREAKING_TAG.sub(b"\n\n", text.encode("utf-8", "replace"))
        plain = _TAG.sub(b"", plain)
        for entity, character in _ENTITIES:
            plain = plain.replace(entity, character)
        for paragraph in _split(plain):
            words = b" ".join(paragraph.split())
            if len(words.translate(None, _NO_LETTERS)) >= _SHORTEST_DESCRIPTION_LETTERS:
                yield words


def _descriptions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                if key in _DESCRIPTION_KEYS:
                    yield value
            else:
                yield from _descriptions(value)
    elif isinstance(node, list):
        for value in node:
            yield from _descriptions(value)


def _is_prose(paragraph: bytes) -> bool:
    text = _UNDERLINE.sub(b"", paragraph).translate(None, _SPACES)
    return len(text) > 0 and len(text.translate(None, _NO_LETTERS)) >= _LEAST_LETTERS * len(text)
