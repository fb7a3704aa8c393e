"""Who is answered, and what: a second user of the machine, another page and another host see nothing."""

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from view_pages import Client, Folder, begin

from archbench.view import server as server_module
from archbench.view.catalogue import Catalogue

Serve = Callable[[Catalogue], Client]

PLACES = ["", "index.html", "main.js", "api/scans", "api/scan?name=demo", "api/curves?name=demo", "api/told?name=demo",
          "api/run?name=demo&id=0", "api/verdict?name=demo", "api/events?name=demo"]  # fmt: skip


@pytest.fixture
def client(folder: Folder, serve: Serve) -> Client:
    """One that has not given its token yet."""
    return serve(folder.catalogue("scan=demo"))


@pytest.mark.parametrize("place", PLACES)
def test_without_the_cookie_nothing_is_shown(client: Client, place: str) -> None:
    for path in (client.server.home + place, f"/{place}", f"/?token=wrong&x={place}"):
        status, content, _ = client.ask(path)
        assert status == 403
        assert b"demo" not in content
    client.cookie = "archbench_view=wrong"
    assert client.ask(client.server.home + place)[0] == 403


def test_the_token_is_taken_once_for_a_cookie_that_no_other_server_is_sent(client: Client) -> None:
    parts = urlsplit(client.server.address)
    status, content, headers = client.ask(f"/?{parts.query}")
    assert status == 200
    assert f"url={client.server.home}#scan=demo".encode() in content
    cookie = headers["Set-Cookie"]
    assert re.search(r"; Path=/[\w-]{16}/; HttpOnly; SameSite=Strict$", cookie)
    assert headers["Referrer-Policy"] == "no-referrer"
    client.cookie = cookie.partition(";")[0]
    status, content, headers = client.ask(client.server.home)
    assert status == 200
    assert b"<title>archbench</title>" in content
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "archbench.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://archbench.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_another_host_and_another_origin_are_refused(client: Client, headers: dict[str, str]) -> None:
    client.enter()
    for place in (
        client.server.home,
        client.server.home + "api/scan?name=demo",
        "/?" + urlsplit(client.server.address).query,
    ):
        assert client.ask(place)[0] == 200
        assert client.ask(place, headers)[0] == 403


def test_two_hosts_in_one_request_are_refused(client: Client) -> None:
    client.enter()
    host = client.server.hosts[0]
    request = f"GET {client.server.home} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\nCookie: {client.cookie}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) as connection:
        connection.sendall(request.encode())
        assert b" 403 " in connection.recv(200)


def test_it_listens_on_the_loopback_device_alone(client: Client) -> None:
    assert client.server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_possible(client: Client, method: str) -> None:
    client.enter()
    status, content, _ = client.ask(client.server.home, method=method)
    assert status == 501
    assert b"demo" not in content


def test_reading_writes_nothing(folder: Folder, client: Client) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in sorted(folder.runs.rglob("*"))}

    before = files()
    client.enter()
    snapshot = client.json("api/scan?name=demo")
    client.json(f"api/run?name=demo&id={snapshot['rows'][0]['id']}")
    client.json("api/scan?name=")
    assert files() == before


def test_names_with_markup_arrive_as_json_in_which_no_element_begins(client: Client) -> None:
    client.enter()
    status, content, headers = client.ask(client.server.home + "api/scan?name=demo")
    assert status == 200
    assert b"<" not in content
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert {row["contender"] for row in json.loads(content)["rows"]} == {"gpt2", "<script>xl</script>"}


@pytest.mark.parametrize(
    "place", ["api/scan?name=nothing", "api/run?name=demo&id=ffff", "server.py", "../server.py", "api/x"]
)
def test_what_is_not_there_is_said_in_a_line(client: Client, place: str) -> None:
    client.enter()
    status, content, _ = client.ask(client.server.home + place)
    assert status == 404
    (problem,) = json.loads(content)["problem"]
    assert "\n" not in problem


def test_a_report_is_given_apart_from_the_page(client: Client) -> None:
    client.enter()
    scans = client.json("api/scans")
    assert scans["reports"] == {"demo": "demo/report.html"}
    client.cookie = ""  # what runs apart has none
    status, content, headers = client.ask(scans["shelf"] + scans["reports"]["demo"])
    assert (status, b"what was found" in content) == (200, True)
    assert headers["Content-Security-Policy"].startswith("sandbox allow-scripts allow-downloads; default-src 'none'")
    status, _, headers = client.ask(scans["shelf"] + "demo/data/runs.csv")
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")


@pytest.mark.parametrize(
    "inside",
    ["demo/secret.key", "demo/../../runs/scans/demo.json", "demo/%2e%2e/%2e%2e/runs/scans/demo.json", "demo/", "demo",
     "", "../runs/scans/demo.json", "demo//etc/passwd", "demo/link.html", "nothing/report.html"],
)  # fmt: skip
def test_no_other_file_is_given(folder: Folder, client: Client, inside: str) -> None:
    outside = folder.reports.parent / "outside.html"
    outside.write_text("outside")
    (folder.reports / "demo" / "link.html").symlink_to(outside)
    status, content, _ = client.enter().ask(client.server.shelf + inside)
    assert status == 403
    assert b"outside" not in content


def test_more_connections_than_there_is_room_for_are_closed(
    folder: Folder, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 2)
    client = serve(folder.catalogue())
    held = [socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) for _ in range(2)]
    try:
        with socket.create_connection(("127.0.0.1", client.server.server_port), timeout=10) as third:
            assert third.recv(10) == b""
    finally:
        for one in held:
            one.close()


def test_a_stream_tells_what_changes_as_it_changes(
    folder: Folder, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOOK_SECONDS", 0.05)
    work = begin(folder.store)
    client = serve(folder.catalogue()).enter()
    version = client.json("api/scan?name=demo")["version"]
    events = client.events("demo", version)
    work.tell(5, train_loss_nats=5.0)
    number, news = next(events)
    assert number.startswith(version.partition("-")[0])
    assert [(row["step"], row["state"]) for row in news["rows"]] == [(5, "running")]
    (folder.reports / "demo" / "report.html").unlink()
    assert next(events)[1] == {"reports": {}}
    work.lease.release()
    assert [row["state"] for row in next(events)[1]["rows"]] == ["planned"]
    events.close()


def test_a_run_is_told_with_its_plan_trace_checkpoints_and_the_end_of_its_log(folder: Folder, serve: Serve) -> None:
    work = begin(folder.store)
    work.tell(3, gradient_norm=0.25)
    digits = work.run_id[:16]
    (work.directory.checkpoints_dir / "step-0000000003").mkdir(parents=True)
    (work.directory.checkpoints_dir / "step-0000000003" / "progress.json").write_text("{}")
    log = folder.store.logs_dir / "worker-0.log"
    other = "0" * 16
    log.write_text(
        f"INFO run {digits}: begins at step 0\nfirst attempt\nINFO run {other}: begins at step 0\nanother run\n"
        f"INFO run {digits}: begins at step 2\nsecond attempt\nINFO run {other}: begins at step 1\nanother run\n"
    )
    os.utime(log)
    client = serve(folder.catalogue()).enter()
    told = client.json(f"api/run?name=demo&id={digits}")
    assert [point["gradient_norm"] for point in told["trace"]] == [0.25]
    assert [(one["what"], one["step"], one["bytes"]) for one in told["checkpoints"]] == [("checkpoint", 3, 2)]
    assert told["log"] == {"file": str(log), "lines": [f"INFO run {digits}: begins at step 2", "second attempt"]}
    assert told["plan"]["identity"]["seed"] == 7
    assert told["run"]["state"] == "running"
