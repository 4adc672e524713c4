# SPDX-License-Identifier: Apache-2.0
"""What it takes to be let in by a router, and whom its slowness delays: the target against the stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from edged.enforce.routeros.commands import Command
from edged.enforce.service import EnforceService
from edged.enforce.settings import RouterosSettings
from edged.enforce.targets.memory import MemoryTarget
from edged.enforce.targets.routeros.api import Router
from edged.enforce.targets.routeros.target import RouterosTarget
from edged.enforce.targets.routeros.thread import RouterThread
from edged.errors import ConfigError, UpstreamError
from edged.state.current import Current
from tests.e2e.enforce_contract import RULES, subscriber, view_of, wanted
from tests.routeros.background import Background, running
from tests.routeros.latency import LATENCIES
from tests.routeros.server import router
from tests.routeros_lab import (
    CONNECTIONS,
    FEW,
    LIST,
    MORE,
    WEB,
    authority,
    bring,
    impatient,
    listed,
    settings,
    target,
    track,
)


@pytest.fixture
def at() -> Iterator[Background]:
    with running(router()) as background:
        yield background


# --- what it takes to be let in --------------------------------------------------------------------


@pytest.mark.parametrize("version", ["6.42.12", "6.49.10", "7.18.2"])
async def test_it_logs_in_the_old_way_and_the_new(version: str) -> None:
    with running(router(version)) as at:
        async with target(at) as ours:
            await ours.start(RULES)
            await bring(ours, FEW)
            assert at.server.logins == 1


async def test_a_pinned_certificate_is_taken_and_no_other(at: Background) -> None:
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", at.server.ssl_port))
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()
    async with target(at, tls=True, fingerprint=fingerprint) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.close()
        at.do(lambda: at.server.faults.add("other-certificate"))
        with pytest.raises(
            UpstreamError, match=r"another certificate than the one that is pinned: its SHA-256 is \w{64}"
        ):
            await ours.read()
        at.do(at.server.faults.clear)
        assert (await bring(ours, FEW)).empty
    almost = fingerprint[:-1] + ("0" if fingerprint[-1] != "0" else "1")
    async with target(at, tls=True, fingerprint=almost) as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match="another certificate"):
            await ours.read()


async def test_a_certificate_of_a_known_authority_is_taken_and_no_other(at: Background, tmp_path: Path) -> None:
    async with target(at, tls=True, ca=str(authority(at, tmp_path))) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        await ours.close()
        at.do(lambda: at.server.faults.add("other-certificate"))
        logins = at.server.logins
        with pytest.raises(UpstreamError, match="certificate is not trusted"):
            await ours.read()
        assert at.server.logins == logins, "nothing is said to it"
    async with target(at, tls=True) as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match="certificate is not trusted"):
            await ours.read()
    async with target(at, tls=True, ca=str(tmp_path / "absent")) as ours:
        with pytest.raises(ConfigError, match="absent cannot be read"):
            await ours.start(RULES)


async def test_no_error_and_no_log_holds_the_password(at: Background, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for faults in ({"login-refused"}, {"trap-storm"}, {"malformed"}, {"fatal"}, {"cut"}, {"foreign-tag"}):
        at.do(lambda f=faults: at.server.faults.update(f))  # type: ignore[misc]
        async with target(at, password="geheim-7Q") as ours:
            await ours.start(RULES)
            with pytest.raises(UpstreamError) as caught:
                await ours.read()
            whole = "".join(traceback.format_exception(caught.value, chain=True))
            error: BaseException | None = caught.value
            while error is not None:
                whole += f"{error!r} {error.args}"
                error = error.__cause__ or error.__context__
            assert "geheim-7Q" not in whole
            assert "geheim-7Q" not in repr(ours)
        at.do(at.server.faults.clear)
    assert "geheim-7Q" not in caplog.text


async def test_a_refused_login_says_whose_it_was_and_what_the_router_said(at: Background) -> None:
    async with target(at, password="wrong") as ours:
        await ours.start(RULES)
        with pytest.raises(UpstreamError, match=r"the login of edged was refused: invalid user name or password \(6\)"):
            await ours.read()


def test_what_is_said_for_one_connection_is_never_said_on_the_next(at: Background) -> None:
    made = Router(settings(at))
    with contextlib.closing(made):
        first = made.connect()
        added = made.ask(first, Command(LIST, "add", {"list": "a", "address": "192.0.2.1"})).ret
        assert made.connect() == first, "there is one already"
        at.do(at.server.cut)
        with pytest.raises(UpstreamError):
            made.ask(first, Command("/system/resource", "print"))
        second = made.connect()
        with pytest.raises(UpstreamError, match="the connection ended"):
            made.many(first, [Command(LIST, "remove", {".id": added})])
        assert listed(at, "a") == {"192.0.2.1"}, "by now that id may be another item's"
        assert made.ask(second, Command("/system/resource", "print")).rows, "and the new connection is as it was"


def test_rows_are_looked_at_where_they_come_in_and_only_those_that_are_wanted_stay(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(at, *(f"100.64.1.{n}" for n in range(200)))
    made, waiting = Router(settings(at)), list[int]()
    with contextlib.closing(made):
        number = made.connect()
        take = made._api.process_single_response

        def process() -> None:
            take()
            waiting.append(sum(map(len, made._api.response_buffor.values())))

        monkeypatch.setattr(made._api, "process_single_response", process)
        found = made.ask(number, Command(CONNECTIONS, "print"), keep=lambda row: row["src-address"].endswith(".77"))
        assert [row["src-address"] for row in found.rows] == ["100.64.1.77"]
        assert (len(waiting), max(waiting)) == (201, 1), "a hundred thousand of them would fill a small machine"
        assert not made._api.response_buffor


def test_a_router_that_dribbles_is_given_up_however_lively_it_is(
    at: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    track(at, *(f"100.64.1.{n}" for n in range(200)))
    made = Router(settings(at))
    with contextlib.closing(made):
        number = made.connect()
        at.do(lambda: at.server.faults.add("trickle"))
        monkeypatch.setattr("edged.enforce.targets.routeros.api.LONGEST", 0.05)
        with pytest.raises(UpstreamError, match="does not answer in time"):
            made.ask(number, Command(CONNECTIONS, "print"))


def test_a_command_goes_out_at_once_and_whole(at: Background) -> None:
    made = Router(settings(at))
    with contextlib.closing(made):
        number = made.connect()
        assert made._stream is not None
        assert made._stream._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        sent: list[bytes] = []
        made._stream._socket = Recorded(made._stream._socket, sent)  # type: ignore[assignment]
        made.ask(number, Command("/system/resource", "print", {".proplist": "uptime"}))
    assert len(sent) == 1, "not a packet for each word"


class Recorded:
    """A socket, and what was sent through it."""

    def __init__(self, real: socket.socket, sent: list[bytes]) -> None:
        self._real, self._sent = real, sent

    def sendall(self, octets: bytes) -> None:
        self._sent.append(octets)
        self._real.sendall(octets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


# --- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "piece"), [(1, 1), (50, 5), (1000, 100), (100_000, 100)])
def test_a_slow_rate_goes_in_small_pieces_so_that_who_has_paid_waits_for_a_tenth_of_a_second(
    at: Background, rate: int, piece: int
) -> None:
    assert RouterThread(settings(at, rate=rate), lost=lambda: None).piece == piece


async def test_no_more_than_the_rate_is_changed_in_a_second(at: Background) -> None:
    async with target(at, rate=200) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        begun = time.monotonic()
        await bring(ours, MORE)
        assert time.monotonic() - begun > 118 / 200 * 0.8


async def test_a_hung_router_is_given_up_and_holds_nobody_up_when_edged_ends(at: Background) -> None:
    async with target(at) as ours:
        await ours.start(RULES)
        await bring(ours, FEW)
        at.do(lambda: at.server.faults.add("half-open"))
        begun = time.monotonic()
        with impatient(ours), pytest.raises(UpstreamError):
            await bring(ours, MORE)
        assert time.monotonic() - begun < 20
    async with target(at, timeout="120s") as ours:
        await ours.start(RULES)
        at.do(at.server.faults.clear)
        await bring(ours, FEW)
        at.do(lambda: at.server.faults.add("half-open"))
        reading = asyncio.create_task(bring(ours, MORE))
        await asyncio.sleep(0.1)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        begun = time.monotonic()
        await ours.close()
        while any(thread.name.startswith("routeros") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 1.0, "edged may end"


@pytest.mark.parametrize("tls", [True, False], ids=["greeting", "logging in"])
@pytest.mark.parametrize("soon", [True, False], ids=["connecting", "waiting"])
async def test_edged_ends_at_once_whatever_it_waits_for(tls: bool, soon: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, contextlib.ExitStack() as connections:
        given = {"host": "127.0.0.1", "user": "edged", "password": "secret", "timeout": "60s", "tls": tls}
        made = RouterosTarget(RouterosSettings.model_validate(given | {"port": silent.getsockname()[1]}))
        await made.start(RULES)
        reading = asyncio.create_task(made.read())
        await asyncio.sleep(0)
        if not soon:
            connected, _ = await asyncio.to_thread(silent.accept)
            connections.callback(connected.close)
        begun = time.monotonic()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await made.close()
        while any(thread.name.startswith("routeros") for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert time.monotonic() - begun < 1.0


async def test_the_garden_opens_between_the_pieces_of_a_long_change(at: Background) -> None:
    at.server.latency = LATENCIES["rb5009"]
    many = wanted(*(subscriber(str(n), f"100.64.{n // 250}.{n % 250 + 1}") for n in range(1200)))
    async with target(at, rate=100_000) as ours:
        await ours.start(RULES)
        await bring(ours, wanted())
        filling = asyncio.create_task(bring(ours, many))
        async with asyncio.timeout(10.0):
            while "/execute" not in at.server.commands:
                await asyncio.sleep(0.01)
        took = []
        for number in range(5):
            begun = time.monotonic()
            await ours.admit([(ip_address(f"203.0.113.{number + 100}"), 30.0)])
            took.append(time.monotonic() - begun)
        assert not filling.done()
        assert sorted(took)[2] < 0.4
        await filling


async def test_a_router_that_is_down_delays_neither_another_target_nor_an_answer_of_the_garden(at: Background) -> None:
    at.do(lambda: at.server.faults.add("deaf"))
    memory, current = MemoryTarget(), Current(view_of(subscriber("1", "100.64.1.7")))
    async with target(at) as ours:
        service = EnforceService({"127.0.0.1": ours, "nftables": memory}, RULES, current=current, every=0.2)
        await service.start()
        running_ = asyncio.create_task(service.run())
        with impatient(ours):
            async with asyncio.timeout(20.0):
                while not (service.status()["nftables"].ok and service.status()["127.0.0.1"].error):
                    await service.news()
        begun = time.monotonic()
        await service.admit([(WEB, 30.0)])
        assert await service.in_place(ip_address("100.64.1.7")) == {"nftables": True}
        assert set(await service.plan()) == {"nftables"}
        assert time.monotonic() - begun < 0.5
        assert service.status()["127.0.0.1"].error == "does not answer in time"
        at.do(at.server.faults.clear)
        async with asyncio.timeout(20.0):
            while not service.status()["127.0.0.1"].ok:
                await service.news()
        assert listed(at) == {"100.64.1.7"}
        assert str(WEB) in listed(at, "edged-garden"), "it is told of the garden that it missed"
        running_.cancel()
        await asyncio.gather(running_, return_exceptions=True)
        await service.stop()
