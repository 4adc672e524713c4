"""Debian's Pebble, an ACME authority for tests, with its DNS beside it: processes of our own on free ports.

It refuses a fifth of all nonces, as RFC 8555 section 6.5 lets it, and never reuses an authorisation.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

PROGRAMS = ("pebble", "pebble-challtestsrv")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Authority:
    """One authority; ``http_port`` is where it asks for HTTP-01."""

    folder: Path
    http_port: int
    valid_days: int = 90
    address: str = "127.0.0.1"
    """Where it listens."""
    answer: str = "127.0.0.1"
    """What its name server says that every name is."""
    port: int = field(default_factory=free_port)
    management: int = field(default_factory=free_port)
    dns: int = field(default_factory=free_port)
    records: int = field(default_factory=free_port)
    """Where TXT records are set: POST /set-txt, /clear-txt."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def directory(self) -> str:
        return f"https://{self.address}:{self.port}/dir"

    @property
    def ca(self) -> Path:
        """Who signed the authority's own certificate."""
        return self.folder / "ca.pem"

    def prepare(self) -> None:
        self.folder.mkdir(exist_ok=True)
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(self.ca))
        own = ca.issue_cert(self.address)
        own.private_key_and_cert_chain_pem.write_to_path(str(self.folder / "own.pem"))
        config = {
            "listenAddress": f"{self.address}:{self.port}",
            "managementListenAddress": f"{self.address}:{self.management}",
            "certificate": str(self.folder / "own.pem"),
            "privateKey": str(self.folder / "own.pem"),
            "httpPort": self.http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "certificateValidityPeriod": self.valid_days * 86400,
        }
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}))

    def start(self) -> None:
        environment = os.environ | {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": "5",
            "PEBBLE_AUTHZREUSE": "0",
        }
        names, records = f"127.0.0.1:{self.dns}", f"127.0.0.1:{self.records}"
        with (self.folder / "log").open("ab") as log:
            for command in (
                (
                    "pebble-challtestsrv", "-dns01", names, "-management", records,
                    "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", self.answer, "-defaultIPv6", "",
                ),
                ("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", names),
            ):  # fmt: skip
                self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            self.root()
            with socket.create_connection(("127.0.0.1", self.records), timeout=1):
                return True
        return False

    def root(self) -> str:
        """The root of what it issues, PEM; a new one at every start."""
        url = f"https://{self.address}:{self.management}/roots/0"
        context = ssl.create_default_context(cafile=self.ca)
        with urllib.request.urlopen(url, context=context, timeout=5) as reply:  # our own
            return str(reply.read().decode())

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextlib.contextmanager
def authority(folder: Path, http_port: int, valid_days: int = 90) -> Iterator[Authority]:
    found = Authority(folder, http_port, valid_days)
    found.prepare()
    try:
        found.start()
        yield found
    finally:
        found.stop()
