# SPDX-License-Identifier: Apache-2.0
"""A whole edged in a ``Lab``: the daemon on the router from its real configuration, billing beside it, an internet.

No pytest inside: the tests and the tour of ``make lab`` share it.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edged.captive.probes import Success, find_probe
from edged.ops.control import Refused, call
from tests.e2e.lab import (
    BAD4,
    BAD_PREFIX6,
    GARDEN4,
    GARDEN6,
    PORTAL4,
    PORTAL6,
    RESOLVER4,
    RESOLVER6,
    WEB4,
    WEB6,
    Lab,
    until,
)

ROOT = Path(__file__).resolve().parents[2]
PORTAL_HOST = "portal.example.net"
GARDEN_HOST = "customer.example.net"
CHECKED = (
    "connectivitycheck.gstatic.com", "www.gstatic.com", "detectportal.firefox.com", "network-test.debian.org",
    "use-application-dns.net",
)  # fmt: skip
"""What the internet of the lab has beside its sites: the checks of the clients that are tried here."""

BLOCKED: dict[str, Any] = {
    "id": "1001", "state": "blocked", "reason": "unpaid", "since": "2026-11-20T06:00:00Z",
    "addresses": [BAD4, BAD_PREFIX6], "brand": "north", "name": "Ana", "amount_due": "49.90", "currency": "EUR",
    "due": "2026-11-01", "pay_url": f"https://{GARDEN_HOST}/pay/7f3a",
}  # fmt: skip
KEYS: list[dict[str, Any]] = [
    {"id": "k-501", "subscriber": "2001", "ssid": "Residence", "passphrase": "copper-otter-violin-42", "vlan": 112,
     "devices": ["02:00:5e:10:00:09"]},
    {"id": "k-502", "subscriber": "1001", "ssid": "Residence", "passphrase": "maple-heron-cello-77", "vlan": 114,
     "devices": ["02:00:5e:10:00:0a"]},
]  # fmt: skip

COMMON = """\
site: lab
mode: {mode}
state: {{directory: {directory}/state}}
billing:
  source: rest
  url: http://127.0.0.1:9400
  secret: !file {directory}/feed.secret
  poll: {{changes: 300ms, full: 5s}}
  guard: {guard}
subscribers:
  networks: ["100.64.0.0/10", "2001:db8:100::/40"]
  exempt: ["100.64.0.53"]
  notice: {notice}
portal:
  url: https://{host}
  addresses: ["{portal4}", "{portal6}"]
  certificate: {{chain: {directory}/portal.pem, key: {directory}/portal.key}}
  listen: {{http: ["0.0.0.0:8080", "[::]:8080"], https: ["0.0.0.0:8443", "[::]:8443"]}}
  pass: {{length: 15m, per_day: 3}}
  brands:
    default: {{name: Example ISP}}
    north: {{name: North Fibre, logo: {root}/config/example/north-fibre.svg, colour: "#0f766e",
             phone: "+1 555 0101"}}
garden:
  names: [{garden}]
dns:
  listen: ["0.0.0.0:5300", "[::]:5300"]
  upstreams: ["{resolver4}", "{resolver6}"]
ops:
  listen: "127.0.0.1:9300"
  socket: {directory}/control.sock
"""
"""What every edge of the labs has: billing, the page, the garden, DNS."""
CONFIG = (
    COMMON
    + """\
radius:
  auth: ["0.0.0.0:1812"]
  acct: ["0.0.0.0:1813"]
  clients:
    - {{name: building-7, networks: ["127.0.0.0/8"], secret: !file {directory}/radius.secret}}
mpsk:
  networks:
    Residence: {{blocked: {{vlan: 666}}}}
enforce:
  - nftables: {{interfaces: [lan0]}}
"""
)


class Edge:
    """The lab with everything in it running. ``feed`` is what billing says; ``tell`` changes it."""

    lab_class: type[Lab] = Lab
    template = CONFIG
    """The configuration, with the names of ``fields`` in it."""
    guard = "{first: accept}"
    as_whom: tuple[str, ...] = ()
    """What stands before the daemon's command, to give it another user and other capabilities."""

    def __init__(self, *, prefix: str = "edged-e2e", mode: str = "enforce", notice: str = "{}") -> None:
        self.lab = self.lab_class(prefix=prefix)
        self.directory = Path(tempfile.mkdtemp(prefix="edged-e2e-"))
        self.config = self.directory / "edged.yaml"
        self.daemon: subprocess.Popen[str] | None = None
        self.log = self.directory / "edged.log"
        self.pins: list[str] = []
        """Of the lab's certificates, as Chromium wants them."""
        self._mode = mode
        self.ca = trustme.CA()
        self.notice = notice
        """The configuration's ``subscribers.notice``; ``configure`` writes it."""
        self._servers: list[http.server.ThreadingHTTPServer] = []
        self._resolv: list[Path] = []

    def __enter__(self) -> Self:
        self.lab.__enter__()
        try:
            self._write_files()
            self._start_internet()
            self._start_billing()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self.lab.__exit__()
        for folder in self._resolv:
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- billing -----------------------------------------------------------------------------------

    def tell(self, *subscribers: dict[str, Any], keys: list[dict[str, Any]] | None = None, known: int = 4120) -> None:
        """Make billing's list exactly these; written whole, as the server reads it at each request."""
        feed = {"subscribers": list(subscribers), "keys": KEYS if keys is None else keys, "known": known}
        temporary = self.directory / "feed.new"
        temporary.write_text(json.dumps(feed))
        temporary.replace(self.directory / "feed.json")

    # --- the daemon --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start edged on the router and wait until it serves."""
        with self.log.open("a") as log:
            self.daemon = subprocess.Popen(
                [
                    "ip", "netns", "exec", self.lab.name("router"), *self.as_whom,
                    sys.executable, "-m", "edged.cli", "run", "-c", str(self.config),
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, text=True,
            )  # fmt: skip
        until("edged answers", self._answers, timeout=20.0)

    def stop(self) -> None:
        """End edged as systemd would."""
        if self.daemon is not None:
            self.daemon.terminate()
            try:
                self.daemon.wait(10.0)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait(5.0)
            self.daemon = None

    def kill(self) -> None:
        """End edged as a power cut would."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait(5.0)
            self.daemon = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One ``edged`` command, as an operator on the router."""
        name, *rest = arguments
        return subprocess.run(
            [sys.executable, "-m", "edged.cli", name, "-c", str(self.config), *rest],
            check=False, capture_output=True, text=True, timeout=60, cwd=ROOT,
        )  # fmt: skip

    def facts(self, name: str, subject: str = "") -> dict[str, Any]:
        """What ``edged NAME --json`` prints, from the daemon's socket: a process of its own takes half a second."""
        given: dict[str, Any] = {"subject": subject, "name": None} if subject else {}
        answer: dict[str, Any] = call(self.directory / "control.sock", name, **given)
        return answer

    def _answers(self) -> bool:
        try:
            return bool(self.facts("status"))
        except Refused:
            return False

    def access(self, address: str) -> str:
        """What edged says that an address gets."""
        return str(self.facts("explain", address)["access"])

    def wait_for(self, what: str, check: Callable[[], bool], timeout: float = 5.0) -> float:
        """Seconds until ``check`` holds."""
        begun = time.monotonic()
        until(what, check, timeout=timeout)
        return time.monotonic() - begun

    # --- clients -----------------------------------------------------------------------------------

    def dig(self, who: str, name: str, kind: str = "A", server: str = RESOLVER4, *flags: str) -> list[str]:
        """The answers of one query by a subscriber to a public resolver."""
        done = self.lab.run(who, "dig", "+short", "+tries=1", "+time=3", *flags, f"@{server}", name, kind, check=False)
        return [line for line in done.stdout.splitlines() if not line.startswith(";")]

    def curl(self, who: str, url: str, *flags: str, timeout: float = 5.0) -> subprocess.CompletedProcess[str]:
        """One request by a subscriber, with the lab's authority trusted."""
        return self.lab.run(
            who, "curl", "-sS", "-m", str(timeout), "--cacert", str(self.directory / "ca.pem"), *flags, url,
            check=False, timeout=timeout + 5,
        )  # fmt: skip

    # --- building ----------------------------------------------------------------------------------

    def _write_files(self) -> None:
        for name, secret in (("feed.secret", "lab-feed-key"), ("radius.secret", "lab-radius-secret")):
            (self.directory / name).write_text(secret)
            (self.directory / name).chmod(0o600)
        portal = self.ca.issue_cert(PORTAL_HOST)
        (self.directory / "portal.pem").write_bytes(b"".join(c.bytes() for c in portal.cert_chain_pems))
        (self.directory / "portal.key").write_bytes(portal.private_key_pem.bytes())
        (self.directory / "ca.pem").write_bytes(self.ca.cert_pem.bytes())
        self.pins.append(_pin(portal))
        self.configure()
        self.tell(BLOCKED)

    def configure(self, mode: str | None = None) -> None:
        """Write the configuration."""
        self._mode = mode or self._mode
        self.config.write_text(self.template.format(**self.fields()))

    def fields(self) -> dict[str, object]:
        """What stands in the template."""
        return {
            "mode": self._mode, "notice": self.notice, "guard": self.guard, "directory": self.directory, "root": ROOT,
            "host": PORTAL_HOST, "portal4": PORTAL4, "portal6": PORTAL6, "garden": GARDEN_HOST,
            "resolver4": RESOLVER4, "resolver6": RESOLVER6,
        }  # fmt: skip

    def _start_internet(self) -> None:
        hosts = {
            "example.com": (WEB4, WEB6), "www.example.org": (WEB4, WEB6), GARDEN_HOST: (GARDEN4, GARDEN6),
            PORTAL_HOST: (PORTAL4, PORTAL6),
            **dict.fromkeys(CHECKED, (WEB4, WEB6)),
        }  # fmt: skip
        records = [f"--host-record={name},{v4},{v6}" for name, (v4, v6) in hosts.items()]
        self.lab.popen(
            "internet", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--user=root",
            f"--listen-address={RESOLVER4},{RESOLVER6}", "--bind-interfaces", "--local-ttl=60", "--pid-file=", *records,
        )  # fmt: skip
        names = [GARDEN_HOST, "example.com", "www.example.org"]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate = self.ca.issue_cert(*names)
        certificate.configure_cert(context)
        self.pins.append(_pin(certificate))
        with self.lab.inside("internet"):
            for address, words in (
                (WEB4, "the internet"),
                (WEB6, "the internet"),
                (GARDEN4, "the customer portal"),
                (GARDEN6, "the customer portal"),
            ):
                for port in (80, 443):
                    self._servers.append(_web(address, port, words, context if port == 443 else None))
        for namespace in self.lab.subscribers:
            folder = Path("/etc/netns") / self.lab.name(namespace)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "resolv.conf").write_text(f"nameserver {RESOLVER4}\nnameserver {RESOLVER6}\noptions timeout:2\n")
            self._resolv.append(folder)

    def _start_billing(self) -> None:
        self.lab.popen(
            "router", sys.executable, str(ROOT / "tests/loopback/feed_server.py"), "--port", "9400",
            "--file", str(self.directory / "feed.json"), "--token", "lab-feed-key",
        )  # fmt: skip

        def reached() -> bool:
            with self.lab.inside("router"):
                try:
                    socket.create_connection(("127.0.0.1", 9400), 1.0).close()
                except OSError:
                    return False
            return True

        until("billing listens", reached, timeout=15.0)

    def router_get(self, url: str) -> str:
        """One HTTP GET on the router itself (ops)."""
        with self.lab.inside("router"), urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own ops address
            text: str = answer.read().decode()
            return text


def _pin(certificate: trustme.LeafCert) -> str:
    leaf = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    spki = leaf.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def _web(address: str, port: int, words: str, context: ssl.SSLContext | None) -> http.server.ThreadingHTTPServer:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host, _, _ = self.headers.get("Host", "").partition(":")
            probe = find_probe(host, self.path)
            page = Success(200, "text/html", f"<!doctype html><title>{words}</title><h1>{words}</h1>".encode())
            answer = page if probe is None else probe.success
            self.send_response(answer.status)
            if answer.status != 204:
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            connection, peer = super().get_request()
            if context is not None:
                # the handshake belongs to the handler's thread, not to the accepting one
                connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            return connection, peer

        def handle_error(self, *_: object) -> None:
            pass

    server = Server((address, port), Answer)
    threading.Thread(target=server.serve_forever, name=f"web-{port}", daemon=True).start()
    return server
