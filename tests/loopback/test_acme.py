"""The portal's own certificate from Debian's Pebble, which refuses a fifth of all nonces: ordered, served, renewed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from cryptography import x509

from edged.captive.acme import record
from edged.captive.acme.schedule import Memory
from edged.captive.acme.service import AcmeService
from edged.captive.answers import Kind
from edged.captive.certificate import Life
from edged.captive.service import CaptiveService
from edged.captive.settings import CertificateFiles, PortalSettings
from edged.policy.access import View
from edged.standin import served
from edged.state.current import Current
from tests.captive_scene import KEY, settings
from tests.loopback.acme_authority import MISSING, Authority, authority

HOST = "portal.example.net"
DAY = 86400.0

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs Debian's pebble: {', '.join(MISSING)}"),
    pytest.mark.timeout(120),
]


@dataclass
class Scene:
    """A portal and the room that fetches its certificate; the clock can be turned."""

    folder: Path
    captive: CaptiveService
    wanted: PortalSettings
    proofs: dict[str, bytes]
    late: float = 0.0
    acme: AcmeService = field(init=False)

    def clock(self) -> float:
        return time.time() + self.late

    def later(self, seconds: float) -> None:
        self.late += seconds
        self.acme._wake.set()

    @property
    def http(self) -> int:
        return self.captive.endpoints.http[0].port

    @property
    def https(self) -> int:
        return self.captive.endpoints.https[0].port

    @property
    def chain(self) -> Path:
        return record.certificate_files(self.folder / "acme", HOST).chain

    @property
    def failures(self) -> int:
        return self.acme.standing.failures if self.acme.standing else 0

    @property
    def life(self) -> Life | None:
        """Of the certificate that is served."""
        return self.captive.certificate.life if self.captive.certificate else None

    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.chain.read_bytes()).serial_number

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The room at work, as the daemon builds it; left, it is as after a kill."""
        self.acme = AcmeService(self.wanted, self.folder, renewed=self.captive.look_at_certificate, clock=self.clock)
        self.acme.challenges.proofs = self.proofs
        run = asyncio.create_task(self.acme.run())
        try:
            yield
            assert not run.done() or run.exception() is None
        finally:
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run


def wanting(directory: str, ca: Path, **more: Any) -> PortalSettings:
    acme = {"acme": directory, "contact": "noc@example.net", "ca": str(ca), **more}
    listen = {"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}
    return settings(certificate=acme, listen=listen)


@contextlib.asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A portal that waits for its certificate; the authority is still to be named. Whoever asks is a stranger."""
    unset = wanting("https://unset.example/dir", folder / "none.pem")
    current = Current()
    current.publish(View())
    proofs: dict[str, bytes] = {}
    captive = CaptiveService(served(unset, folder).settings, current=current, link_key=KEY, proofs=proofs)
    found = Scene(folder, captive, unset, proofs)
    captive._clock = found.clock
    await captive.start()
    try:
        yield found
    finally:
        await captive.stop()


@contextlib.contextmanager
def pebble(at: Scene, tmp_path: Path, http_port: int | None = None, **more: Any) -> Iterator[Authority]:
    with authority(tmp_path / "pebble", http_port or at.http) as ca:
        at.wanted = wanting(ca.directory, ca.ca, **more)
        yield ca


async def until(condition: Any, seconds: float = 40.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def handshake(port: int, root: str) -> dict[str, Any]:
    """The certificate that a visitor who trusts ``root`` is shown. ssl.SSLError: none that is good."""
    context = ssl.create_default_context(cadata=root)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as bare,
        context.wrap_socket(bare, server_hostname=HOST) as wrapped,
    ):
        found = wrapped.getpeercert()
        assert found is not None
        return dict(found)


async def said(port: int, host: str, target: str = "/", body: str = "") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    method = f"POST {target} HTTP/1.1\r\nContent-Length: {len(body)}" if body else f"GET {target} HTTP/1.1"
    kind = "Content-Type: application/x-www-form-urlencoded\r\n" if body else ""
    writer.write(f"{method}\r\nHost: {host}\r\n{kind}Connection: close\r\n\r\n{body}".encode())
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_a_certificate_is_fetched_served_and_renewed_while_the_portal_runs(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path) as ca:
            async with at.running():
                await until(lambda: at.life)
                first = at.serial()
                shown = await asyncio.to_thread(handshake, at.https, ca.root())
                assert shown["subjectAltName"] == (("DNS", HOST),)
                assert int(shown["serialNumber"], 16) == first
                assert at.captive.counters.answers[Kind.CHALLENGE] >= 1, "it came over HTTP, to a stranger"
                assert at.proofs == {}, "nothing is answered once the order is over"

                life = at.life
                at.later(61 * DAY)
                await until(lambda: at.life != life)
                shown = await asyncio.to_thread(handshake, at.https, ca.root())

                assert int(shown["serialNumber"], 16) == at.serial() != first
        for path in (tmp_path / "acme").iterdir():
            assert path.stat().st_mode & 0o777 == 0o600, path
        assert not record.order_path(tmp_path / "acme", HOST).exists()


async def test_until_the_first_certificate_the_page_comes_over_http_and_from_then_on_over_https(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        before = await said(at.http, HOST)
        assert before.startswith("HTTP/1.1 200 ")
        assert "Strict-Transport-Security" not in before
        assert (await said(at.http, HOST, at.captive.link("1001").partition(HOST)[2])).startswith("HTTP/1.1 404 ")
        with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
            await asyncio.to_thread(handshake, at.https, Path(trustme_root(tmp_path)).read_text())

        with pebble(at, tmp_path):
            async with at.running():
                await until(lambda: at.life)

        after = await said(at.http, HOST)
        assert after.startswith("HTTP/1.1 302 ")
        assert "Location: https://portal.example.net/" in after


def trustme_root(folder: Path) -> str:
    path = folder / "any.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


async def test_an_authority_that_is_away_costs_nothing_but_a_later_try(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path) as ca:
            async with at.running():
                await until(lambda: at.life)
                first, root = at.serial(), ca.root()
                ca.stop()

                at.later(61 * DAY)
                await until(lambda: at.failures == 1)
                standing = at.acme.standing
                assert standing is not None
                assert standing.error == "the authority: it cannot be reached"
                assert 0.8 * 900 <= standing.next_at - at.clock() + 5 <= 1.2 * 900 + 5
                at.later(300)
                await asyncio.sleep(0.5)
                assert at.failures == 1, "too early: it is left alone"
                at.later(900)
                await until(lambda: at.failures == 2)
                assert at.serial() == first
                assert int((await asyncio.to_thread(handshake, at.https, root))["serialNumber"], 16) == first

                ca.start()  # as another one: it has forgotten every account and every certificate
                at.later(1800 * 1.2 + 1)
                await until(lambda: at.serial() != first)
                await until(lambda: at.failures == 0)


async def test_a_challenge_that_somebody_else_answers_is_refused_and_not_tried_again_at_once(tmp_path: Path) -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async with scene(tmp_path) as at, await asyncio.start_server(wrong, "127.0.0.1", 0) as stranger:
        with pebble(at, tmp_path, stranger.sockets[0].getsockname()[1]) as ca:
            async with at.running():
                await until(lambda: at.failures == 1)
                standing = at.acme.standing
                assert standing is not None
                assert standing.error.startswith("the authority could not fetch our answer at port 80 (HTTP-01): ")
                assert standing.next_at - at.clock() > 700
                assert not record.order_path(tmp_path / "acme", HOST).exists(), "a dead order is not gone on with"
            async with at.running():  # restarts in a row
                await asyncio.sleep(0.5)
                assert at.failures == 1
            assert ca.log().count("Added order") == 1
        assert not at.chain.exists()


def hook(folder: Path, port: int, before: str = "") -> Path:
    """As an operator would write it: adds and removes a record at the authority's own name server."""
    path = folder / "hook"
    path.write_text(
        f"""#!/bin/sh
echo "$@" >> {folder}/calls
{before}
case $1 in
add) curl -sf -d "{{\\"host\\": \\"$2.\\", \\"value\\": \\"$3\\"}}" http://127.0.0.1:{port}/set-txt ;;
remove) curl -sf -d "{{\\"host\\": \\"$2.\\"}}" http://127.0.0.1:{port}/clear-txt ;;
esac
"""
    )
    path.chmod(0o755)
    return path


async def test_a_hook_proves_the_name_in_the_dns_where_nobody_can_reach_port_80(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path, http_port=9) as ca:
            at.wanted = wanting(ca.directory, ca.ca, hook=str(hook(tmp_path, ca.records)))
            async with at.running():
                await until(lambda: at.life)

    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call[0] for call in calls] == ["add", "remove"]
    assert {(call[1], len(call[2])) for call in calls} == {(f"_acme-challenge.{HOST}", 43)}
    assert at.captive.counters.answers[Kind.CHALLENGE] == 0


async def test_a_hook_that_fails_is_quoted(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path, http_port=9) as ca:
            at.wanted = wanting(
                ca.directory, ca.ca, hook=str(hook(tmp_path, ca.records, "echo no such zone >&2; exit 3"))
            )
            async with at.running():
                await until(lambda: at.failures == 1)
                standing = at.acme.standing

    assert standing is not None
    assert standing.error == f"the hook {tmp_path}/hook add failed with 3: no such zone"


async def test_a_restart_goes_on_with_the_order_that_was_under_way(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path, http_port=9) as ca:
            slow = str(hook(tmp_path, ca.records, f"[ $1 = add ] && cat {tmp_path}/gate > /dev/null"))
            at.wanted = wanting(ca.directory, ca.ca, hook=slow)
            async with at.running():
                await until((tmp_path / "calls").exists)
            kept = record.order_of(record.order_path(tmp_path / "acme", HOST).read_bytes())
            assert kept is not None

            async with at.running():
                await until(lambda: (tmp_path / "calls").read_text().count("add") == 2)
                await asyncio.to_thread((tmp_path / "gate").write_text, "go")
                await until(lambda: at.life)

            assert kept.key in at.chain.read_text(), "the key that was kept before"
            assert ca.log().count("Added order") == 1


async def test_a_changed_host_gets_an_order_of_its_own_and_the_old_certificate_stays_on_disk(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path) as ca:
            async with at.running():
                await until(lambda: at.life)
                first = at.serial()
                moved = at.wanted.model_copy(update={"url": "https://other.example.net"})
                at.captive.reconfigure(served(moved, tmp_path).settings)
                at.acme.reconfigure(moved)
                assert (await said(at.http, "other.example.net")).startswith("HTTP/1.1 200 ")
                await until(lambda: at.life)
                assert ca.log().count("Issued certificate") == 2
                assert at.serial() == first

                at.captive.reconfigure(served(at.wanted, tmp_path).settings)
                at.acme.reconfigure(at.wanted)
                await asyncio.sleep(0.5)
                assert ca.log().count("Issued certificate") == 2, "the one on disk is still good"
                await asyncio.to_thread(handshake, at.https, ca.root())


async def test_a_reload_while_an_order_runs_ends_it_and_begins_anew(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path) as ca:
            good = at.wanted
            at.wanted = wanting(ca.directory, ca.ca, hook=str(hook(tmp_path, ca.records, f"cat {tmp_path}/gate")))
            async with at.running():
                await until((tmp_path / "calls").exists)
                at.acme.reconfigure(good)
                await until(lambda: at.life)
                assert at.failures == 0


async def test_a_working_certificate_is_served_until_that_of_another_authority_is_there(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pebble(at, tmp_path) as ca:
            async with at.running():
                await until(lambda: at.life)
                first, root = at.serial(), ca.root()
                other = wanting("https://127.0.0.1:9/dir", ca.ca)
                at.captive.reconfigure(served(other, tmp_path).settings)
                at.acme.reconfigure(other)
                await until(lambda: at.failures == 1)
                assert int((await asyncio.to_thread(handshake, at.https, root))["serialNumber"], 16) == first


async def test_files_of_the_operators_are_served_until_the_first_certificate_of_an_authority_is_there(
    tmp_path: Path,
) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert(HOST, not_after=datetime.now(UTC) + timedelta(days=30))
    (tmp_path / "chain").write_bytes(leaf.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(str(tmp_path / "key"))
    async with scene(tmp_path) as at:
        files = {"chain": str(tmp_path / "chain"), "key": str(tmp_path / "key")}
        at.captive.reconfigure(at.wanted.model_copy(update={"certificate": CertificateFiles.model_validate(files)}))
        at.captive.reconfigure(served(at.wanted, tmp_path).settings)

        at.captive.look_at_certificate()
        at.captive.look_at_certificate()

        assert await asyncio.to_thread(handshake, at.https, ca.cert_pem.bytes().decode())
        assert at.life is not None
        assert at.captive.certificate is not None
        assert at.captive.certificate.refused == ()
        assert (await said(at.http, HOST)).startswith("HTTP/1.1 302 ")


# --- what Pebble 2.4 does not have: renewal information and limits, from answers written after the RFCs --


@contextlib.asynccontextmanager
async def scripted(folder: Path, *, limited: bool = False) -> AsyncIterator[tuple[str, Path, list[str]]]:
    """Our own stand-in for an authority: renewal information in the form of RFC 9773 section 4.2, or over its limit."""
    ca, asked = trustme.CA(), []
    ca.cert_pem.write_to_path(str(folder / "scripted.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "Service busy; retry later."}

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if limited:
            return web.json_response(
                problem, status=429, headers={"Retry-After": "7200"}, content_type="application/problem+json"
            )
        base = f"https://127.0.0.1:{request.url.port}"
        if request.path == "/dir":
            return web.json_response({"newNonce": f"{base}/n", "renewalInfo": f"{base}/renewal-info"})
        window = {"start": "2031-01-02T04:00:00Z", "end": "2031-01-03T04:00:00Z"}
        return web.json_response({"suggestedWindow": window}, headers={"Retry-After": "21600"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/dir", folder / "scripted.pem", asked
    finally:
        await runner.cleanup()


async def test_an_authority_that_says_when_to_renew_is_obeyed_and_asked_again_when_it_wants(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, scripted(tmp_path) as (directory, ca, asked):
        with pebble(at, tmp_path) as issuing:
            async with at.running():
                await until(lambda: at.life)
            assert issuing.log()
        # the certificate is now taken for one of the authority that has renewal information
        record.memory_path(tmp_path / "acme", HOST).write_bytes(record.encoded(Memory(directory=directory)))
        at.wanted = wanting(directory, ca)
        async with at.running():
            await until(lambda: at.acme._memory.ask_at > at.clock())
            memory, chain = at.acme._memory, at.chain.read_bytes()

        assert 1_925_092_800 <= memory.suggested <= 1_925_179_200, "within the window, wherever"
        assert 21_500 < memory.ask_at - time.time() <= 21_600
        leaf = x509.load_pem_x509_certificate(chain)
        assert asked[0] == "/dir"
        assert asked[1].startswith("/renewal-info/")
        assert len(asked) == 2
        assert at.failures == 0
        assert leaf.serial_number == at.serial()


async def test_an_authority_that_is_over_its_limit_is_left_alone_as_long_as_it_says(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, scripted(tmp_path, limited=True) as (directory, ca, asked):
        at.wanted = wanting(directory, ca)
        async with at.running():
            await until(lambda: at.failures == 1)
            standing = at.acme.standing
            assert standing is not None
            assert standing.error == "the authority refuses: Service busy; retry later. (rateLimited)"
            assert 7100 < standing.next_at - at.clock() <= 7200
            assert asked == ["/dir"]


async def test_an_authority_whose_own_certificate_nobody_trusts_is_named_for_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, scripted(tmp_path) as (directory, _, _):
        at.wanted = wanting(directory, Path(trustme_root(tmp_path)))
        async with at.running():
            await until(lambda: at.failures == 1)
            standing = at.acme.standing

    assert standing is not None
    assert standing.error == "the authority: its certificate is not trusted"


async def test_without_the_library_the_reason_is_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.captive.acme.service.find_spec", lambda _name: None)
    async with scene(tmp_path) as at, at.running():
        await until(lambda: at.failures == 1)
        standing = at.acme.standing

    assert standing is not None
    assert standing.error == f"the library acme is not installed: {record.INSTALL}"
    assert not (tmp_path / "acme").exists(), "once it is installed and edged restarted, nothing is waited for"


async def test_a_daemon_that_is_killed_leaves_no_child(tmp_path: Path) -> None:
    """The child dies with its parent: an order of nobody would race the next one's."""
    parent = """
import asyncio, os, signal, sys
from edged.captive.acme.messages import Job, line_of_job

async def main():
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "edged.captive.acme.client", stdin=asyncio.subprocess.PIPE, start_new_session=True
    )
    child.stdin.write(line_of_job(Job("order", sys.argv[1], "noc@example.net", "portal.example.net", sys.argv[2])))
    await child.stdin.drain()
    await asyncio.to_thread(sys.stdin.readline)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    called = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        daemon = await asyncio.create_subprocess_exec(
            sys.executable, "-c", parent, f"https://127.0.0.1:{port}/dir", str(tmp_path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            await called.wait()
            output, _ = await daemon.communicate(b"now\n")

        await until(lambda: not Path(f"/proc/{int(output)}/cmdline").exists(), 10)
