# SPDX-License-Identifier: Apache-2.0
"""Which end of a TLS connection makes a browser look for the sign-in page: many trials of each with real browsers.

``make trials`` prints the figures of docs/decisions/0007, and ``make trials TRIALS="--way 80 --browser chromium"`` a
part of them. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import trustme

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Error, sync_playwright  # noqa: E402

from edged.captive.answers import Response  # noqa: E402
from edged.captive.probes import find_probe  # noqa: E402
from edged.captive.respond import Portal, Request, respond  # noqa: E402
from edged.captive.tls import Hello, parse_client_hello  # noqa: E402
from edged.model import Access  # noqa: E402
from edged.policy.access import Decision, Rule  # noqa: E402
from tests.e2e import chromium  # noqa: E402
from tests.e2e.lab import PORTAL4, PORTAL6, Lab, until  # noqa: E402
from tests.e2e.marionette import Firefox  # noqa: E402
from tests.e2e.marionette import Portal as State  # noqa: E402

HOST = "portal.example.net"
TARGET_HOST = "www.example.org"
TARGET = f"https://{TARGET_HOST}/"
ALERTS = (0, 10, 40, 42, 47, 48, 49, 50, 51, 70, 71, 80, 86, 90, 109, 112, 113, 115, 116, 120)
"""Descriptions of RFC 8446 section 6 (90 of RFC 5246); 0 is close_notify, a warning."""
OTHERS = ("plain", "fin", "reset", "silence", "certificate")
PATIENCE = {"silence": 50.0}
"""Seconds for the error and the check; a browser needs 30 to give up a silent handshake."""
AFTER = 4.0
"""Seconds that the sign-in may take to be offered after the error."""


def end(connection: socket.socket, way: str, context: ssl.SSLContext) -> None:
    """Answer a ClientHello for a foreign name in the given way."""
    if way.isdigit():
        connection.sendall(bytes((21, 3, 3, 0, 2, 1 if way == "0" else 2, int(way))))
    elif way == "plain":
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    elif way == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    elif way == "silence":
        connection.settimeout(PATIENCE["silence"] + 10)
        connection.recv(1)
        return
    elif way == "certificate":
        context.wrap_socket(connection, server_side=True).close()
        return
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(3.0)
    connection.recv(1)


@dataclass
class Line:
    """A subscriber's line to an edge of two ports, open or blocked; ``asked`` holds the checks that came."""

    lab: Lab
    way: str = "80"
    blocked: bool = False
    foreign: int = 0
    """Connections for the page's name since the line was blocked."""
    asked: list[tuple[float, str]] = field(default_factory=list)
    authority: trustme.CA = field(default_factory=trustme.CA)

    def __enter__(self) -> Self:
        self.lab.__enter__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(HOST).configure_cert(self._context)
        self._resolv = Path("/etc/netns") / self.lab.name("bad")
        self._resolv.mkdir(parents=True, exist_ok=True)
        (self._resolv / "resolv.conf").write_text(f"nameserver {PORTAL4}\n")
        self.lab.popen(
            "router", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--user=root", "--pid-file=", f"--listen-address={PORTAL4}", "--bind-interfaces", "--local-ttl=5",
            f"--address=/#/{PORTAL4}", f"--address=/#/{PORTAL6}", "--address=/use-application-dns.net/",
        )  # fmt: skip
        with self.lab.inside("router"):
            for address in (PORTAL4, PORTAL6):
                self._listen(address, 80, self._web)
                self._listen(address, 443, self._tls)
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.__exit__()
        shutil.rmtree(self._resolv, ignore_errors=True)

    def _listen(self, address: str, port: int, visit: Callable[[socket.socket], None]) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, port), family=family, backlog=64)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            with contextlib.suppress(OSError, ssl.SSLError), connection:
                visit(connection)

        threading.Thread(target=accept, daemon=True).start()

    def _web(self, connection: socket.socket) -> None:
        """As the redirector answers, and on an open line as the vendors do."""
        connection.settimeout(5.0)
        head = b""
        while b"\r\n\r\n" not in head:
            octets = connection.recv(4096)
            if not octets:
                return
            head += octets
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
        host = fields.get("host", "").lower()
        probe = find_probe(host, target)
        if probe is not None:
            self.asked.append((time.monotonic(), f"{host}{target}"))
        if not self.blocked and probe is not None:
            _send(connection, probe.success.status, (("Content-Type", probe.success.content_type),), probe.success.body)
            return
        request = Request(https=False, method=method, host=host, target=target, accept=fields.get("accept", ""))
        decision = Decision(Access.BLOCKED, Rule.BILLING)
        answer = respond(request, Portal(f"https://{HOST}", HOST, bytes(32)), decision, 0.0, lambda _: decision)
        if isinstance(answer, Response) and isinstance(answer.body, bytes):
            _send(connection, answer.status, answer.headers, answer.body)

    def _tls(self, connection: socket.socket) -> None:
        connection.settimeout(10.0)
        octets, hello = b"", None
        while not isinstance(hello, Hello):
            more = connection.recv(16384, socket.MSG_PEEK)
            if len(more) <= len(octets):
                if not more:
                    return
                time.sleep(0.005)
            octets = more
            hello = parse_client_hello(octets)
        if hello.server_name == HOST:
            with self._context.wrap_socket(connection, server_side=True) as page:
                page.recv(8192)
                _send(
                    page, 200, (("Content-Type", "text/html"),), b"<!doctype html><title>Pay</title><h1>Pay here</h1>"
                )
            return
        self.foreign += hello.server_name == TARGET_HOST
        if self.way != "certificate":
            connection.recv(len(octets))
        end(connection, self.way, self._context)


def _send(connection: socket.socket, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{k}: {v}" for k, v in headers if v and k != "Connection")]
    length = [] if status == 204 else [f"Content-Length: {len(body)}"]
    connection.sendall("\r\n".join([*lines, *length, "Connection: close", "", ""]).encode() + body)


@dataclass
class Outcome:
    """One trial: the browser's error, seconds to it, how many checks followed, how the sign-in was offered,
    how many connections for its name came."""

    browser: str
    way: str
    error: str
    seconds: float
    checks: int
    offered: str
    connections: int


def _watch(line: Line, since: float, path: str, offered: Callable[[], str], wait: float) -> tuple[int, str]:
    """How many checks of ``path`` came, and how the sign-in was offered within ``wait`` seconds."""
    deadline, found = time.monotonic() + wait, ""
    while time.monotonic() < deadline and not found:
        found = offered()
        time.sleep(0.1)
    return sum(at >= since and url.endswith(path) for at, url in line.asked), found


def chromium_trial(line: Line, folder: Path, *, window: bool) -> Outcome:
    """One trial with a fresh profile of Debian's Chromium."""
    _trust(folder, line.authority)
    line.blocked = False
    with sync_playwright() as driver:
        context = chromium.launched(driver, line.lab, folder, window=window)
        page = context.pages[0]
        line.blocked, line.foreign = True, 0
        begun, error = time.monotonic(), ""
        try:
            page.goto(TARGET, timeout=1000 * PATIENCE.get(line.way, 20.0))
        except Error as refused:
            error = next((w for w in refused.message.split() if "ERR_" in w), refused.message.splitlines()[0])
        seconds = time.monotonic() - begun

        def offered() -> str:
            for other in context.pages:
                if other is not page and (HOST in other.url or find_probe(*_host_and_path(other.url))):
                    return "tab"
            with contextlib.suppress(Error):
                if page.evaluate("document.body.className").find("captive-portal") >= 0:
                    return "page"
            page.wait_for_timeout(1)
            return ""

        checks, found = _watch(line, begun, "/generate_204", offered, AFTER)
        context.close()
    return Outcome("chromium", line.way, error.removeprefix("net::"), seconds, checks, found, line.foreign)


def _host_and_path(url: str) -> tuple[str, str]:
    host, _, path = url.partition("://")[2].partition("/")
    return host, f"/{path}"


def _trust(folder: Path, authority: trustme.CA) -> None:
    """Make Chromium trust the lab's authority where Debian's certutil is at hand."""
    store, pem = folder / ".pki/nssdb", folder / "ca.pem"
    store.mkdir(parents=True)
    pem.write_bytes(authority.cert_pem.bytes())
    if shutil.which("certutil"):
        for more in (("-N", "--empty-password"), ("-A", "-n", "lab", "-t", "C,,", "-i", str(pem))):
            subprocess.run(["certutil", "-d", f"sql:{store}", *more], check=True, capture_output=True)


def firefox_trial(line: Line, folder: Path) -> Outcome:
    """One trial with a fresh profile of Debian's Firefox, which found the line open when it started."""
    line.blocked = False
    with Firefox(line.lab, "bad", folder) as firefox:
        firefox.trust(line.authority)
        until("it knows that it is online", lambda: firefox.portal() is State.NOT_CAPTIVE, timeout=20.0)
        line.blocked, line.foreign = True, 0
        begun = time.monotonic()
        firefox.ask("WebDriver:SetTimeouts", pageLoad=int(1000 * PATIENCE.get(line.way, 20.0)))
        error = firefox.go(TARGET)
        seconds = time.monotonic() - begun

        def offered() -> str:
            return "bar" if firefox.bar() else ""

        checks, found = _watch(line, begun, "/canonical.html", offered, AFTER)
    return Outcome("firefox", line.way, error, seconds, checks, found, line.foreign)


@contextlib.contextmanager
def display(*, window: bool) -> Iterator[None]:
    """An X server for a Chromium with a window."""
    if not window:
        yield
        return
    number = 90 + os.getpid() % 1000
    server = subprocess.Popen(["Xvfb", f":{number}", "-screen", "0", "1280x900x24", "-nolisten", "tcp"])
    try:
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        server.terminate()
        server.wait()


def _trial(line: Line, browser: str, *, window: bool) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="edged-trial-"))
    try:
        return chromium_trial(line, folder, window=window) if browser == "chromium" else firefox_trial(line, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summary(several: list[Outcome]) -> str:
    seconds = sorted(o.seconds for o in several)
    offers = "/".join(sorted({o.offered for o in several if o.offered}))
    return (
        f"{several[0].browser:9} {several[0].way:12} {'/'.join(sorted({o.error for o in several})):40} "
        f"median {seconds[len(seconds) // 2]:5.2f} s  connections {max(o.connections for o in several)}  "
        f"checked {sum(o.checks > 0 for o in several)}/{len(several)}  "
        f"offered {sum(bool(o.offered) for o in several)}/{len(several)} {offers}"
    )


def main() -> int:
    """Run the trials and print one line for each way and browser."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=5)
    arguments.add_argument("--way", action="append", help="an alert's number or one of " + ", ".join(OTHERS))
    arguments.add_argument("--browser", action="append", choices=["chromium", "firefox"])
    arguments.add_argument("--window", action="store_true", help="Chromium with a window (needs Xvfb)")
    arguments.add_argument("--json", type=Path, help="keep every trial here")
    given = arguments.parse_args()
    outcomes: list[Outcome] = []
    with Line(Lab(prefix=f"edged-a{os.getpid()}")) as line, display(window=given.window):
        for line.way in given.way or [*map(str, ALERTS), *OTHERS]:
            for browser in given.browser or ["chromium", "firefox"]:
                several = [_trial(line, browser, window=given.window) for _ in range(given.trials)]
                outcomes += several
                print(_summary(several), flush=True)
                if given.json:
                    given.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
