"""The standard text: what is taken from an archive, and that it comes whole, once, by pip, or with one clear line."""

import contextlib
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import pytest

from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.builtins.text.standard import config
from archbench.builtins.text.standard.archives import Archive, Size, archives_of
from archbench.builtins.text.standard.config import StandardTextConfig
from archbench.builtins.text.standard.extraction import extract, file_of, paragraphs
from archbench.builtins.text.standard.store import documents_of, fetch, file_name, store_folder, stored_form
from archbench.cli.main import exit_code_of
from archbench.data.prepare import prepare_corpus
from archbench.errors import DataError

PROSE = "Whoever reads this sentence about {} learns that it was written for nothing but a test of {}.\n\n"
NEVER_RUN = "raise SystemExit('the code of an archive was run')\n"
NAMELESS = "setup.py"
FETCH = """
import json, sys
from pathlib import Path
from archbench.builtins.text.standard.archives import Archive
from archbench.builtins.text.standard.store import fetch
fetch([Archive(**one) for one in json.loads(sys.argv[1])], Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


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


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of archives that pip is told to take from, and nowhere else."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


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


def ignore(line: str) -> None:
    """Hears nothing."""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


# What is taken from an archive.


def test_documentation_is_taken_and_what_is_about_the_package_is_not(tmp_path: Path) -> None:
    text = sentences("it", 4)
    files = {
        "docs/guide.txt": text.replace("it", "guide"),
        "docs/guide.rst": text.replace("it", "handbook"),
        "README.md": text.replace("it", "readme"),
        "src/notes.txt": text.replace("it", "notes"),
        "docs/requirements.txt": text.replace("it", "needs"),
        "LICENSE.rst": text.replace("it", "licence"),
        "tests/test.rst": text.replace("it", "tests"),
        "package.egg-info/about.rst": text.replace("it", "egg"),
        "docs/short.rst": "Too short for a document by itself, though it is prose.\n",
        "docs/latin.rst": (text + "é").encode("latin-1"),
    }
    documents = extract(packed(tmp_path, "one", files), "one", None)
    assert [document.id for document in documents] == ["one/README.md", "one/docs/guide.rst", "one/docs/guide.txt"]


def test_a_paragraph_stands_once_whatever_its_digits_signs_and_spaces(tmp_path: Path) -> None:
    again = "    The value of 31 is, as everybody KNOWS, the same;\n    as before.\n\n"
    first = "The value of 25 is (as everybody knows) the same as before.\n\n"
    files = {"a.rst": sentences("a", 4) + first, "b.rst": again + sentences("b", 4)}
    a, b = extract(packed(tmp_path, "one", files), "one", None)
    assert "25" in a.text
    assert "31" not in b.text
    assert b.text.count("Whoever") == 4


def test_tables_and_output_are_no_prose_and_headings_may_stand_often(tmp_path: Path) -> None:
    table = "0.11 0.22 0.33 0.44\n0.55 0.66 0.77 x\n\n"
    heading = "Returns\n-------\n\n"
    files = {"a.rst": heading + table + sentences("a", 4), "b.rst": heading + sentences("b", 4)}
    a, b = extract(packed(tmp_path, "one", files), "one", None)
    assert "0.11" not in a.text
    assert a.text.startswith("Returns\n-------\n\nWhoever")
    assert b.text.startswith("Returns\n-------\n\nWhoever")


def test_docstrings_are_taken_and_other_strings_are_not() -> None:
    source = b'''\
r"""First \\d.

    Deeper.
"""
x = """not a docstring"""  # """nor this"""
y = "\\"" + '"""'


def f(a="""nor this"""):
    \'\'\'On one line.\'\'\'
    return f(
        """Begins a line, hence taken, like documentation that is attached by a call."""
    )
'''
    assert list(paragraphs("a.py", source)) == [
        b"First \\d.",
        b"Deeper.",
        b"On one line.",
        b"Begins a line, hence taken, like documentation that is attached by a call.",
    ]


def test_descriptions_of_interfaces_are_taken_without_their_markup() -> None:
    content = {
        "documentation": "<p>The <b>name</b> of a thing &lt;here&gt; that is long enough to be taken.</p><p>Short.</p>",
        "shapes": [{"description": "A second one, which is long enough as well,\n   to be taken as prose.", "type": 1}],
        "name": "A string under another key, which is not taken although it would be long enough.",
    }
    assert list(paragraphs("service-2.json", json.dumps(content).encode())) == [
        b"The name of a thing <here> that is long enough to be taken.",
        b"A second one, which is long enough as well, to be taken as prose.",
    ]
    assert list(paragraphs("service-2.json", b"{")) == []


def test_a_long_file_becomes_several_documents_of_one_side(tmp_path: Path) -> None:
    words = [f"{a}{b}{c}" for a in "bcdfgh" for b in "aeiou" for c in "klmnprst"]
    text = "".join(PROSE.format(one, f"{one} and {other}") for one in words[:40] for other in words[:20])
    documents = extract(packed(tmp_path, "one", {"long.rst": text}), "one", None)
    assert [document.id for document in documents] == ["one/long.rst", "one/long.rst#2"]
    assert "".join(document.text.rstrip("\n") + "\n\n" for document in documents) == text
    assert {file_of(document.id) for document in documents} == {"one/long.rst"}
    assert max(len(document.text) for document in documents) <= 64 << 10


def test_extraction_ends_at_most_bytes_with_whole_files(tmp_path: Path) -> None:
    files = {f"{name}.rst": sentences(name * 3, 4) for name in "abcdefghijklmnop"}
    path = packed(tmp_path, "one", files)
    whole, part = extract(path, "one", None), extract(path, "one", 1000)
    sizes = [len(document.text.encode()) for document in part]
    assert sum(sizes) >= 1000 > sum(sizes[:-1])
    assert {document.id: document.text for document in part}.items() <= {one.id: one.text for one in whole}.items()
    assert [document.id for document in part] != [document.id for document in whole][: len(part)]


def test_the_text_of_an_archive_is_the_same_on_every_version_of_python(tmp_path: Path) -> None:
    unusual = "Ein Absatz über Größe, İstanbul and ﬁne spaces\u2003between\u00a0words, with enough letters in it.\n\n"
    source = f'"""{unusual}\n\tTabbed line of documentation, which is long enough.\n"""\r\n'
    files = {"a.rst": "ÄÖÜ: " + unusual + sentences("a", 4), "b.py": source + f'"""{sentences("b", 4)}"""\n'}
    stored = stored_form(extract(packed(tmp_path, "one", files), "one", None))
    assert hashlib.sha256(stored).hexdigest() == "ba4b5a59dd2f9c4e896443cca1f22999aaec0ab71f006e46b2b058db3d80787e"


# How it comes.


def test_archives_come_by_pip_and_no_code_of_theirs_is_run(tmp_path: Path, wheelhouse: Path) -> None:
    archives = [first_archive(wheelhouse), second_archive(wheelhouse)]
    said: list[str] = []
    fetch(archives, tmp_path / "store", said.append)
    assert [line.split(" (")[0] for line in said] == ["fetching first 1.0", "fetching second 1.0"]
    assert names_in(tmp_path / "store") == {file_name(archive) for archive in archives}
    documents = documents_of(archives[0], tmp_path / "store")
    assert documents == extract(wheelhouse / "first-1.0.tar.gz", "first", None)
    # What is whole is not fetched again; what is damaged is.
    damaged = tmp_path / "store" / file_name(archives[1])
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"missing or damaged; run `archbench text fetch`"):
        documents_of(archives[1], tmp_path / "store")
    said.clear()
    fetch(archives, tmp_path / "store", said.append)
    assert [line.split(" (")[0] for line in said] == ["fetching second 1.0"]
    assert len(documents_of(archives[1], tmp_path / "store")) == 8


def test_another_archive_of_the_same_name_is_refused(tmp_path: Path, wheelhouse: Path) -> None:
    archive = first_archive(wheelhouse)
    path = wheelhouse / "first-1.0.tar.gz"
    path.write_bytes(path.read_bytes()[:-40])  # truncated
    found = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    expected = (
        rf"standard_text: first 1.0: the archive that pip found is damaged or not the published one: "
        rf"got SHA-256 {found}, expected {archive.sha256[:16]}; name an index or .*PIP_FIND_LINKS"
    )
    with pytest.raises(DataError, match=expected):
        fetch([archive], tmp_path / "store", ignore)
    assert names_in(tmp_path / "store") == set()


def test_text_other_than_the_pinned_one_is_refused(tmp_path: Path, wheelhouse: Path) -> None:
    archive = replace(first_archive(wheelhouse), text_sha256="0" * 64)
    with pytest.raises(
        DataError, match=r"first 1.0: the text taken from the archive has SHA-256 [0-9a-f]{16}, expected 0"
    ):
        fetch([archive], tmp_path / "store", ignore)
    assert names_in(tmp_path / "store") == set()


def test_without_a_network_one_line_says_what_to_do(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = first_archive(wheelhouse)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setattr("archbench.cli.text.archives_of", lambda size: (archive,))
    assert exit_code_of(["text", "fetch", "--cache", str(tmp_path)], debug=False) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("fetching first 1.0")
    assert lines[1].startswith(
        "archbench: standard_text: first 1.0 cannot be downloaded: pip: No matching distribution"
    )
    assert lines[1].endswith(f"copy its folder to {store_folder(tmp_path)}")


def test_a_python_without_pip_is_told_how_to_get_it(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = first_archive(wheelhouse)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", bare)
    with pytest.raises(DataError, match=rf"{bare} has no pip; run `{bare} -m ensurepip`"):
        fetch([archive], tmp_path / "store", ignore)


class Index:
    """A package index on this machine, which counts what is asked of it, and may stop half-way."""

    def __init__(self, folder: Path) -> None:
        self.downloads: list[str] = []
        self.half_sent = threading.Event()
        self.stalls = False
        self.goes_on = threading.Event()
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place = self.path.strip("/").split("/")
                is_page = place[0] == "simple"
                if is_page:
                    names = [path.name for path in folder.glob(f"{place[1]}-*")]
                    content = "".join(f'<a href="/files/{name}">{name}</a>' for name in names).encode()
                else:
                    index.downloads.append(place[1])
                    content = (folder / place[1]).read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", "text/html" if is_page else "application/gzip")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2 if index.stalls and not is_page else 0
                with contextlib.suppress(OSError):  # who asked may be gone
                    self.wfile.write(content[:half])
                    if half:
                        index.half_sent.set()
                        index.goes_on.wait(120)
                    self.wfile.write(content[half:])

            def log_message(self, format: str, *args: object) -> None:
                """Prints nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"

    def close(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def index(wheelhouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index(wheelhouse)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    yield index
    index.close()


def started(archives: list[Archive], folder: Path) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", FETCH, json.dumps([asdict(one) for one in archives]), str(folder)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interrupted_download_leaves_nothing_half_and_the_next_one_goes_on(
    tmp_path: Path, wheelhouse: Path, index: Index
) -> None:
    archives = [first_archive(wheelhouse), second_archive(wheelhouse)]
    put(archives[0], wheelhouse, tmp_path / "store")
    index.stalls = True
    with started(archives, tmp_path / "store") as process:
        assert index.half_sent.wait(120)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) != 0
    assert names_in(tmp_path / "store") == {file_name(archives[0])}
    # A kill leaves its working folder, which the next one removes.
    index.half_sent.clear()
    with started(archives, tmp_path / "store") as process:
        assert index.half_sent.wait(120)
        process.kill()
    assert len(names_in(tmp_path / "store")) == 2
    index.stalls = False
    index.goes_on.set()
    fetch(archives, tmp_path / "store", ignore)
    assert names_in(tmp_path / "store") == {file_name(archive) for archive in archives}
    assert index.downloads == ["second-1.0.tar.gz"] * 3


def test_of_two_that_fetch_at_once_one_waits_and_nothing_is_fetched_twice(
    tmp_path: Path, wheelhouse: Path, index: Index
) -> None:
    archive = first_archive(wheelhouse)
    index.stalls = True
    with started([archive], tmp_path / "store") as one:
        assert index.half_sent.wait(120)
        with started([archive], tmp_path / "store") as other:
            assert other.stdout is not None
            assert other.stdout.readline().endswith("another process fetches the standard text; waiting for it\n")
            index.goes_on.set()
            assert other.wait(120) == 0
        assert one.wait(120) == 0
    assert names_in(tmp_path / "store") == {file_name(archive)}
    assert index.downloads == ["first-1.0.tar.gz"]


# The dataset.


def test_each_size_holds_the_smaller_ones_and_no_package_is_more_than_a_quarter() -> None:
    small, medium, full = (archives_of(size) for size in get_args(Size))
    assert small == medium[: len(small)]
    assert medium == full[: len(medium)]
    assert len({archive.name for archive in full}) == len(full)
    assert len({archive.text_sha256 for archive in full}) == len(full)
    total = sum(archive.text_bytes for archive in full)
    assert 60 << 20 < total < 120 << 20
    assert max(archive.text_bytes for archive in full) < total / 4
    assert sum(archive.archive_bytes for archive in full) < 150e6
    assert sum(archive.archive_bytes for archive in small) < 25e6


def test_the_parts_share_no_file_and_are_the_whole(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = (first_archive(wheelhouse), second_archive(wheelhouse))
    monkeypatch.setattr(config, "archives_of", lambda size: archives)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path))
    for archive in archives:
        put(archive, wheelhouse, store_folder(tmp_path))
    standard = list(StandardTextConfig().documents())
    search = list(StandardTextConfig(part="search").documents())
    assert search
    assert len(search) < len(standard)
    every = [one.id for archive in archives for one in documents_of(archive, store_folder(tmp_path))]
    assert sorted(one.id for one in (*standard, *search)) == sorted(every)
    part = list(StandardTextConfig(limit_bytes=1000).documents())
    assert part == standard[: len(part)]
    assert 0 < len(part) < len(standard)


def test_a_corpus_is_prepared_below_its_cache_and_needs_the_text_once(
    tmp_path: Path, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = (first_archive(wheelhouse), second_archive(wheelhouse))
    monkeypatch.setattr(config, "archives_of", lambda size: archives)
    monkeypatch.setenv("ARCHBENCH_CACHE", str(tmp_path / "elsewhere"))
    lines: list[str] = []
    tokenizer = BpeTokenizerConfig(vocab_size=300)
    corpora = []
    for _ in range(2):
        corpora.append(
            prepare_corpus(
                StandardTextConfig(), tokenizer, validation_fraction=0.2, cache_dir=tmp_path, report=lines.append
            )
        )
        for archive in archives:
            (store_folder(tmp_path) / file_name(archive)).unlink(missing_ok=True)
            (wheelhouse / f"{archive.name}-1.0.tar.gz").unlink(missing_ok=True)
    assert sum(line.startswith("fetching") for line in lines) == 2
    assert corpora[0].corpus_hash == corpora[1].corpus_hash
    assert not (tmp_path / "elsewhere").exists()


def test_the_text_of_the_published_archives_is_the_pinned_one() -> None:
    """Where somebody has fetched the text already, all of it is as it is pinned."""
    folder = store_folder()
    found = [archive for archive in archives_of("full") if (folder / file_name(archive)).exists()]
    if not found:
        pytest.skip("the standard text has not been fetched here: archbench text fetch")
    for archive in found:
        documents = documents_of(archive, folder)
        assert len(documents) == archive.num_documents
        assert sum(len(document.text.encode()) for document in documents) == archive.text_bytes
