"""The standard text comes whole, once, by pip, or with one clear line."""

import contextlib
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from made_archives import first_archive, put, second_archive

from archbench.builtins.text.standard.archives import Archive
from archbench.builtins.text.standard.extraction import extract
from archbench.builtins.text.standard.store import documents_of, fetch, file_name, store_folder
from archbench.cli.main import exit_code_of
from archbench.errors import DataError

FETCH = """
import json, sys
from pathlib import Path
from archbench.builtins.text.standard.archives import Archive
from archbench.builtins.text.standard.store import fetch
fetch([Archive(**one) for one in json.loads(sys.argv[1])], Path(sys.argv[2]), lambda line: print(line, flush=True))
"""


def ignore(line: str) -> None:
    """Hears nothing."""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


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
    return subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


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
        os.killpg(process.pid, signal.SIGKILL)  # its pip too, which would write while the next one removes
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
