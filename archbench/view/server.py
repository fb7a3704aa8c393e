"""Serves the page on the loopback device, to whoever has its address, and to nobody else.

The address holds a token. It is given once in exchange for a cookie, whose path holds letters that nobody can guess:
cookies know no ports, and another server on this machine must not be sent this one. A request is answered if it names
this server as its host, comes from no other page, and has the cookie. Nothing but reading is possible.

The standard library's server does what is needed here, a few readers on one machine; its documentation warns of it as
a server for the world, which this is not (docs/decisions/0095).
"""

import hmac
import logging
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast
from urllib.parse import parse_qs, unquote, urlsplit

from archbench.errors import StoreError, in_one_line
from archbench.view.catalogue import Catalogue, as_bytes, page_file
from archbench.view.followed import Followed
from archbench.view.shelf import content_type

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 1.0
"""Pause between two looks at the store, while somebody follows it."""
BEAT_SECONDS = 15.0
"""After which a stream without news says that it is there: a browser that has gone is noticed."""
MOST_CONNECTIONS = 64
_COOKIE = "archbench_view"
_VERDICT_SECONDS = 20.0
"""How long one request waits for a verdict; the page asks again."""
_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "txt": "text/plain"}

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report may be somebody else's: what it holds runs apart from the page, and asks nobody for anything."""


class Server(ThreadingHTTPServer):
    """A page on a port of the loopback device."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, catalogue: Catalogue, port: int = 0) -> None:
        """Raises OSError where the port is taken."""
        self.catalogue = catalogue
        self.token = secrets.token_urlsafe(24)
        self.home, self.shelf = (f"/{secrets.token_urlsafe(12)}/" for _ in range(2))
        self.closing = threading.Event()
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._followers: dict[str, int] = {}
        self._follower_lock = threading.Lock()
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may name as its host."""
        return tuple(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, unless there are too many of them."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers what comes on one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who has gone is no error."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError | TimeoutError):
            log.error("a request could not be answered: %s", in_one_line(error))

    @contextmanager
    def following(self, name: str) -> Iterator[None]:
        """As long as somebody is within, the scan `name` is looked at by one thread."""
        with self._follower_lock:
            self._followers[name] = self._followers.get(name, 0) + 1
            if self._followers[name] == 1:
                threading.Thread(target=self._look, args=(name,), name=f"look at {name}", daemon=True).start()
        try:
            yield
        finally:
            with self._follower_lock:
                self._followers[name] -= 1

    def read_ahead(self, name: str) -> None:
        """Begins to read the runs that the page will ask for first: thousands take seconds."""
        threading.Thread(target=self._read, args=(name,), name=f"read {name}", daemon=True).start()

    def _read(self, name: str) -> None:
        with suppress(StoreError):  # the page asks for them too, and is told
            self.catalogue.of(name).snapshot()

    def _look(self, name: str) -> None:
        followed = self.catalogue.of(name)
        while not self.closing.wait(LOOK_SECONDS):
            with self._follower_lock:
                if not self._followers[name]:
                    return
            try:
                followed.look()
            except StoreError as error:
                log.warning("%s", error)

    def close(self) -> None:
        """Ends all streams and gives the port back."""
        self.closing.set()
        self.catalogue.answers.close()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "archbench"
    sys_version = ""
    timeout = 60
    places: ClassVar[dict[str, str]] = {
        "api/scans": "_scans",
        "api/scan": "_scan",
        "api/curves": "_curves",
        "api/told": "_told",
        "api/run": "_run",
        "api/verdict": "_verdict",
        "api/events": "_events",
    }

    @property
    def owner(self) -> Server:
        return cast("Server", self.server)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Addresses hold the token, and are written nowhere."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Content-Length", "0") != "0" or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
        if not self._is_meant():
            self._refuse()
        elif parts.path == "/" and self._same(asked.get("token", ""), self.owner.token):
            self._admit()
        elif parts.path.startswith(self.owner.shelf):
            self._report(unquote(parts.path.removeprefix(self.owner.shelf)))
        elif parts.path.startswith(self.owner.home) and self._is_admitted():
            self._give(parts.path.removeprefix(self.owner.home) or "index.html", asked)
        else:
            self._refuse()

    def _is_meant(self) -> bool:
        """Whether the request names this server, and is made by no page of another one: a link may lead here."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.owner.hosts:
            return False
        elsewhere = self.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        if elsewhere and self.headers.get("Sec-Fetch-Mode") != "navigate":
            return False
        return self.headers.get("Origin") in (None, f"http://{hosts[0]}")

    def _is_admitted(self) -> bool:
        try:
            cookies = SimpleCookie("; ".join(self.headers.get_all("Cookie", [])))
        except CookieError:
            return False
        return _COOKIE in cookies and self._same(cookies[_COOKIE].value, self.owner.token)

    @staticmethod
    def _same(given: str, known: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), known.encode())

    def _refuse(self) -> None:
        text = "archbench view: no. Open the address that the command has printed, with its token.\n"
        self.close_connection = True
        self._send(403, text.encode(), "text/plain; charset=utf-8")

    def _admit(self) -> None:
        """The cookie, and on to the page: by the browser itself, whoever opened the address."""
        place = f"{self.owner.home}#{self.owner.catalogue.start}".replace("&", "&amp;").replace('"', "&quot;")
        text = f'<!DOCTYPE html><link rel="icon" href="data:,"><meta http-equiv="refresh" content="0;url={place}">'
        cookie = f"{_COOKIE}={self.owner.token}; Path={self.owner.home}; HttpOnly; SameSite=Strict"
        self._send(200, text.encode(), "text/html; charset=utf-8", {"Set-Cookie": cookie})

    def _give(self, place: str, asked: dict[str, str]) -> None:
        if (method := self.places.get(place)) is not None:
            try:
                getattr(self, method)(asked)
            except StoreError as error:
                self._json({"problem": list(error.problems)}, 404)
        elif (content := page_file(place)) is not None:
            self._send(200, content, f"{_KINDS[place.rpartition('.')[2]]}; charset=utf-8")
        else:
            self._json({"problem": [f"there is no {place!r}"]}, 404)

    def _scans(self, asked: dict[str, str]) -> None:
        self._json({**self.owner.catalogue.scans(), "shelf": self.owner.shelf})

    def _scan(self, asked: dict[str, str]) -> None:
        followed = self.owner.catalogue.of(asked.get("name", ""))
        followed.look()  # while nobody followed it, nobody did
        self._json(followed.snapshot())

    def _curves(self, asked: dict[str, str]) -> None:
        self._send(200, self.owner.catalogue.of(asked.get("name", "")).curves(), "application/octet-stream")

    def _told(self, asked: dict[str, str]) -> None:
        digits = frozenset(filter(None, asked.get("ids", "").split(",")))
        content = self.owner.catalogue.of(asked.get("name", "")).told(digits)
        self._send(200, content, "application/octet-stream")

    def _run(self, asked: dict[str, str]) -> None:
        self._json(self.owner.catalogue.run(asked.get("name", ""), asked.get("id", "")))

    def _verdict(self, asked: dict[str, str]) -> None:
        self._json(self.owner.catalogue.verdict(asked.get("name", ""), _VERDICT_SECONDS))

    def _events(self, asked: dict[str, str]) -> None:
        """What changes, as it changes (server-sent events), until the reader has gone."""
        name = asked.get("name", "")
        followed = self.owner.catalogue.of(name)
        version = self.headers.get("Last-Event-ID") or asked.get("since", "")
        self.close_connection = True
        self._begin(200, "text/event-stream; charset=utf-8", {"Connection": "close"})
        if self.command == "HEAD":
            return
        with self.owner.following(name):
            self._tell(followed, version)

    def _tell(self, followed: Followed, version: str) -> None:
        """News after `version`, one event each, and now and then a sign of life."""
        spoke, reports = time.monotonic(), self.owner.catalogue.scans()["reports"]
        while not self.owner.closing.is_set():
            version, news = followed.news(version, LOOK_SECONDS)
            if (now := self.owner.catalogue.scans()["reports"]) != reports:
                reports, news = now, {**(news or {}), "reports": now}
            if news is not None:
                self.wfile.write(f"id: {version}\ndata: ".encode() + as_bytes(news) + b"\n\n")
            elif time.monotonic() - spoke < BEAT_SECONDS:
                continue
            else:
                self.wfile.write(b": still here\n\n")
            self.wfile.flush()
            spoke = time.monotonic()

    def _report(self, place: str) -> None:
        """A file of a report. Its address alone admits: what it holds runs apart, and has no cookies."""
        name, _, inside = place.partition("/")
        path = self.owner.catalogue.shelf.file(name, inside)
        if path is None:
            self._refuse()
            return
        with suppress(OSError):
            content = path.read_bytes()
            self._send(200, content, content_type(path), {"Content-Security-Policy": _REPORT_POLICY})
            return
        self._refuse()

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(status, as_bytes(value), "application/json; charset=utf-8")

    def _send(self, status: int, content: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self._begin(status, kind, {"Content-Length": str(len(content)), **(more or {})})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _begin(self, status: int, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Security-Policy": _POLICY, "Content-Type": kind, **more}.items():
            self.send_header(name, value)
        if self.close_connection and "Connection" not in more:
            self.send_header("Connection", "close")
        self.end_headers()
