"""The portal's TLS as strangers see it: openssl for each version and kind of key, testssl.sh for all that it knows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from edged.captive.service import CaptiveService
from edged.policy.access import View
from edged.state.current import Current
from tests.captive_scene import KEY, settings

HOST = "portal.example.net"
DAY = 86400.0
KINDS = {"RSA": trustme.KeyType.RSA, "ECDSA": trustme.KeyType.ECDSA}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs Debian's openssl")


@dataclass
class Portal:
    """A running portal and who signed its certificate."""

    service: CaptiveService
    ca: trustme.CA
    folder: Path
    late: float = 0.0

    @property
    def port(self) -> int:
        return self.service.endpoints.https[0].port

    def issue(self, kind: str) -> None:
        hour, now = timedelta(hours=1), datetime.now(UTC)
        leaf = self.ca.issue_cert(HOST, key_type=KINDS[kind], not_before=now - hour, not_after=now + 89 * 24 * hour)
        leaf.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        (self.folder / "chain.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))


@contextlib.asynccontextmanager
async def portal(folder: Path, kind: str) -> AsyncIterator[Portal]:
    files = {"chain": folder / "chain.pem", "key": folder / "key.pem"}
    current = Current()
    current.publish(View())
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    found = Portal(CaptiveService(settings(), current=current, link_key=KEY), ca, folder)
    found.issue(kind)
    listen = {"https": ["127.0.0.1:0"], "http": ["127.0.0.1:0"]}
    found.service = CaptiveService(
        settings(certificate=files, listen=listen),
        current=current,
        link_key=KEY,
        clock=lambda: time.time() + found.late,
    )
    await found.service.start()
    try:
        yield found
        assert found.service.counters.faults == 0
    finally:
        await found.service.stop()


async def output_of(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace")


@pytest.mark.parametrize("kind", KINDS)
async def test_openssl_gets_in_with_tls_1_2_and_1_3_and_with_nothing_older(tmp_path: Path, kind: str) -> None:
    async with portal(tmp_path, kind) as found:

        async def dialled(version: str) -> str:
            return await output_of(
                "openssl", "s_client", "-connect", f"127.0.0.1:{found.port}", "-servername", HOST, "-brief", "-alpn",
                "h2,http/1.1", "-CAfile", str(tmp_path / "ca.pem"), "-verify_return_error", "-cipher",
                "ALL:@SECLEVEL=0", version,
            )  # fmt: skip

        for version, said in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            answer = await dialled(version)
            assert f"Protocol version: {said}" in answer, answer
            assert "Verification: OK" in answer
            assert f"Signature type: {'RSA-PSS' if kind == 'RSA' else 'ECDSA'}" in answer
        for version in ("-tls1", "-tls1_1"):
            answer = await dialled(version)
            assert "CONNECTION ESTABLISHED" not in answer


@pytest.mark.parametrize(
    "cipher", ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256", "DHE-RSA-AES128-GCM-SHA256"]
)
async def test_no_cipher_is_taken_without_ephemeral_elliptic_curves_and_aead(tmp_path: Path, cipher: str) -> None:
    async with portal(tmp_path, "RSA") as found:
        answer = await output_of(
            "openssl", "s_client", "-connect", f"127.0.0.1:{found.port}", "-servername", HOST, "-brief", "-tls1_2",
            "-cipher", f"{cipher}:@SECLEVEL=0",
        )  # fmt: skip

    assert "error:" in answer
    assert "CONNECTION ESTABLISHED" not in answer


def resumed(port: int, session: ssl.SSLSession | None, version: ssl.TLSVersion) -> tuple[bool, ssl.SSLSession | None]:
    """Whether a visit with ``session`` was let in by it, and the session to come back with."""
    context = resumed.context  # type: ignore[attr-defined]
    context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as bare,
        context.wrap_socket(bare, server_hostname=HOST, session=session) as wrapped,
    ):
        wrapped.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        while wrapped.recv(65536):  # a ticket of TLS 1.3 comes with the answer
            pass
        return bool(wrapped.session_reused), wrapped.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_a_visitor_comes_back_with_a_ticket_and_not_a_day_later(tmp_path: Path, version: ssl.TLSVersion) -> None:
    async with portal(tmp_path, "ECDSA") as found:
        resumed.context = ssl.create_default_context(cafile=tmp_path / "ca.pem")  # type: ignore[attr-defined]
        first, session = await asyncio.to_thread(resumed, found.port, None, version)
        again, session = await asyncio.to_thread(resumed, found.port, session, version)
        found.late += DAY / 2
        found.service.look_at_certificate()
        later, session = await asyncio.to_thread(resumed, found.port, session, version)
        found.late += DAY
        found.service.look_at_certificate()
        next_day, _ = await asyncio.to_thread(resumed, found.port, session, version)

    assert (first, again, later, next_day) == (False, True, True, False)


# --- testssl.sh ----------------------------------------------------------------------------------

ACCEPTED = {
    "cert_revocation": "a certificate of a test's own authority names no list and no responder of revoked ones",
    "HSTS_time": "a week on purpose: an operator who gives the page up must not lock subscribers out for half a year",
    "engine_problem": "about the tester's own openssl, which has no GOST engine",
}
"""Findings above LOW that stay, each with its reason."""
CHECKS = ("--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable")
"""All but the long list of single ciphers and the simulated browsers: half a minute instead of a minute and a half."""


@pytest.mark.skipif(shutil.which("testssl") is None, reason="needs Debian's testssl.sh")
@pytest.mark.timeout(300)
async def test_testssl_finds_nothing_but_what_stays_on_purpose(tmp_path: Path) -> None:
    async with portal(tmp_path, "ECDSA") as found:
        rows = await findings(tmp_path, found.port)
        for _ in range(3):
            # its client may have left before the session ticket came: that is a check it did not make, and says nothing
            if not any(row["finding"].startswith("check failed") for row in rows):
                break
            rows = await findings(tmp_path, found.port)

    bad = {row["id"]: row["finding"] for row in rows if row["severity"] not in {"OK", "INFO", "LOW", "DEBUG"}}
    assert bad.keys() == ACCEPTED.keys(), bad


async def findings(folder: Path, port: int) -> list[dict[str, str]]:
    """What testssl.sh finds, a row for each check."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    output = await output_of(
        "testssl", "--quiet", "--color", "0", "--warnings", "batch", "--nodns", "none", "--ip", "127.0.0.1",
        "--add-ca", str(folder / "ca.pem"), "--jsonfile", str(report), *CHECKS, f"{HOST}:{port}",
    )  # fmt: skip
    rows: list[dict[str, str]] = json.loads(report.read_text())
    assert len(rows) > 60, output
    return rows
