# SPDX-License-Identifier: Apache-2.0
"""RADIUS over TLS on real sockets: who gets in, what ends a connection, what a slow peer may cost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import shutil
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from edged.errors import ConfigError
from edged.radius.attributes import Attribute, attribute, integer, text
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.counters import Discard
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.radsec.counters import Closing, Refusal
from edged.radius.radsec.peers import SECRET
from edged.radius.radsec.service import Limits, RadSecService
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.values import Endpoint, IpAddress, Secret

SESSION = (attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "81a0"))
OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> Path:
    _write(tmp_path, authority)
    return tmp_path


def _write(folder: Path, authority: trustme.CA, name: str = "radius.example.net") -> None:
    server = authority.issue_cert(name)
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "radsec.pem").write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
    (folder / "radsec.key").write_bytes(server.private_key_pem.bytes())


def _settings(files: Path, *clients: dict[str, Any], listen: str = "127.0.0.1:0") -> RadiusSettings:
    default = {"name": "building-7", "networks": ["127.0.0.0/8"], "secret": "of-no-matter-here"}
    return RadiusSettings.model_validate(
        {
            "auth": ["127.0.0.1:0"],
            "tls": {
                "listen": [listen], "ca": files / "ca.pem", "chain": files / "radsec.pem", "key": files / "radsec.key",
            },
            "clients": clients or [default],
        }
    )  # fmt: skip


class Rooms:
    """A handler and a ledger that keep what they were asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.recorded = 0
        self.durable = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def authorize(self, packet: Packet, client: ClientSettings, _source: IpAddress) -> Answer | None:
        self.asked.append((client.name, text(packet.attributes, "User-Name")))
        await self.gate.wait()
        return Answer(Code.ACCESS_ACCEPT, (Hidden("Tunnel-Password", Secret("copper-otter-violin-42")),))

    async def account(self, _packet: Packet, _client: ClientSettings, _source: IpAddress) -> bool:
        self.recorded += 1
        await self.gate.wait()
        return self.durable


class Served:
    """Both services as the daemon has them."""

    def __init__(self, settings: RadiusSettings, limits: Limits, deadline: float) -> None:
        self.rooms = Rooms()
        self.udp = RadiusService(
            settings, authorize=self.rooms.authorize, account=self.rooms.account, deadline=deadline
        )
        self.tls = RadSecService(settings, exchanges=self.udp.exchanges, clients=self.udp.clients, limits=limits)

    @property
    def endpoint(self) -> Endpoint:
        return self.tls.endpoints[0]

    async def until_closed(self, reason: Closing, count: int = 1) -> None:
        await _until(lambda: self.tls.counters.closed[reason] >= count)

    async def until_refused(self, reason: Refusal, count: int = 1) -> None:
        await _until(lambda: self.tls.counters.refused[reason] >= count)


async def _until(condition: Any, wait: float = 5.0) -> None:
    async with asyncio.timeout(wait):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _serving(
    settings: RadiusSettings, limits: Limits | None = None, deadline: float = 3.0
) -> AsyncIterator[Served]:
    served = Served(settings, limits or Limits(sweep=0.02), deadline)
    await served.tls.start()
    await served.udp.start()
    running = [asyncio.create_task(served.udp.run()), asyncio.create_task(served.tls.run())]
    await asyncio.sleep(0)
    try:
        yield served
        assert not any(task.done() for task in running), "a service has ended by itself"
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task
        await served.tls.stop()
        await served.udp.stop()


class Peer:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def receive(self, wait: float = 3.0) -> bytes:
        async with asyncio.timeout(wait):
            header = await self.reader.readexactly(4)
            return header + await self.reader.readexactly(int.from_bytes(header[2:], "big") - 4)

    async def is_closed(self, wait: float = 3.0) -> bool:
        """True once the server has closed; False: it sent something, or nothing happened."""
        try:
            async with asyncio.timeout(wait):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(2.0):
                await self.writer.wait_closed()


def _context(authority: trustme.CA, *names: str, trusts: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    (trusts or authority).configure_trust(context)
    if names:
        authority.issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def _peer(served: Served, context: ssl.SSLContext, source: str = "127.0.0.1") -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.endpoint.port, ssl=context, local_addr=(source, 0), ssl_shutdown_timeout=1.0
    )
    peer = Peer(reader, writer)
    try:
        yield peer
    finally:
        await peer.close()


def _access(identifier: int = 1, name: str = "bob", random: bytes = bytes(16), *more: Attribute) -> bytes:
    return sign_request(Packet(Code.ACCESS_REQUEST, identifier, random, (attribute("User-Name", name), *more)), SECRET)


def _status(identifier: int = 9) -> bytes:
    return sign_request(Packet(Code.STATUS_SERVER, identifier, bytes(16)), SECRET)


def _accounting(identifier: int = 2, *more: Attribute) -> bytes:
    return sign_request(Packet(Code.ACCOUNTING_REQUEST, identifier, bytes(16), (*SESSION, *more)), SECRET)


# --- what is served --------------------------------------------------------------------------------


async def test_authentication_accounting_and_status_server_share_one_connection(
    files: Path, authority: trustme.CA
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap.example.net")) as peer:
        peer.send(_access(1), _accounting(2), _status(3))
        replies = {reply.identifier: reply.code for reply in [decode(await peer.receive()) for _ in range(3)]}

        assert replies == {1: Code.ACCESS_ACCEPT, 2: Code.ACCOUNTING_RESPONSE, 3: Code.ACCESS_ACCEPT}
        assert served.rooms.asked == [("building-7", "bob")]
        assert served.rooms.recorded == 1
        assert served.tls.counters.open == 1


async def test_every_reply_is_made_with_the_secret_of_the_standard_and_signed_first(
    files: Path, authority: trustme.CA
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap.example.net")) as peer:
        peer.send(_access())
        reply = await peer.receive()

        assert reply_is_authentic(reply, bytes(16), SECRET)
        assert decode(reply).attributes[0].type == 80


async def test_a_request_cut_anywhere_is_read_whole(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap.example.net")) as peer:
        octets = _access(1) + _access(2)
        for cut in (1, 3, 19, len(octets) // 2, len(octets) // 2 + 2):
            peer.send(octets[:cut])
            await peer.writer.drain()
            await asyncio.sleep(0.01)
            peer.send(octets[cut:])
            assert [decode(await peer.receive()).identifier for _ in range(2)] == [1, 2]


async def test_accounting_and_authentication_may_use_an_identifier_at_once(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap.example.net")) as peer:
        served.rooms.gate.clear()
        peer.send(_access(5), _accounting(5))
        await _until(lambda: served.rooms.asked and served.rooms.recorded)
        served.rooms.gate.set()

        codes = {decode(await peer.receive()).code for _ in range(2)}
        assert codes == {Code.ACCESS_ACCEPT, Code.ACCOUNTING_RESPONSE}


async def test_duplicates_are_those_of_one_connection(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap.example.net")
    async with _serving(_settings(files)) as served, _peer(served, context) as one, _peer(served, context) as other:
        one.send(_access())
        first = await one.receive()
        one.send(_access())
        assert await one.receive() == first
        assert len(served.rooms.asked) == 1

        other.send(_access())
        assert await other.receive() != first, "another connection gets an answer of its own, with another salt"
        assert len(served.rooms.asked) == 2


async def test_an_unsigned_request_is_answered_for_the_certificate_has_signed(
    files: Path, authority: trustme.CA
) -> None:
    plain = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (attribute("User-Name", "bob"), Attribute(33, b"state"))))
    client = {
        "name": "b", "networks": ["127.0.0.1"], "secret": "of-no-matter-here", "message_authenticator": "require",
    }  # fmt: skip
    async with _serving(_settings(files, client)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(plain)
        reply = await peer.receive()

        assert decode(reply).attributes[0].type == 80, "and the answer is signed all the same"
        assert decode(reply).attributes[-1] == Attribute(33, b"state")


async def test_a_packet_longer_than_a_datagram_may_be_is_taken(files: Path, authority: trustme.CA) -> None:
    filler = tuple(Attribute(25, bytes(253)) for _ in range(190))
    octets = bytearray(encode(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), SESSION)))
    for number, value in filler:
        octets += bytes((number, len(value) + 2)) + value
    octets[2:4] = len(octets).to_bytes(2, "big")
    octets[4:20] = hashlib.md5(octets + SECRET.reveal()).digest()
    assert len(octets) > 48_000
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(bytes(octets))
        assert decode(await peer.receive()).code is Code.ACCOUNTING_RESPONSE


@pytest.mark.parametrize(
    ("asked", "said"),
    [(Code.DISCONNECT_REQUEST, Code.DISCONNECT_NAK), (Code.COA_REQUEST, Code.COA_NAK)],
)
async def test_what_is_not_taken_here_is_refused_by_name(
    files: Path, authority: trustme.CA, asked: Code, said: Code
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(sign_request(Packet(asked, 4, bytes(16), (Attribute(33, b"a"),)), SECRET))
        reply = decode(await peer.receive())

        assert (reply.code, integer(reply.attributes, "Error-Cause")) == (said, 406)
        assert reply.attributes[-1] == Attribute(33, b"a")


async def test_accounting_that_is_not_durable_gets_silence_and_the_connection_stays(
    files: Path, authority: trustme.CA
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        served.rooms.durable = False
        peer.send(_accounting())
        await _until(lambda: served.udp.counters.discards[Discard.NO_ANSWER] == 1)
        peer.send(_status())
        assert decode(await peer.receive()).identifier == 9


async def test_what_was_asked_is_recorded_although_the_client_has_gone(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served:
        served.rooms.gate.clear()
        async with _peer(served, _context(authority, "ap")) as peer:
            peer.send(_accounting())
            await _until(lambda: served.rooms.recorded)
        await served.until_closed(Closing.PEER)
        served.rooms.gate.set()
        await _until(lambda: served.udp.counters.in_flight == 0)

        assert served.udp.counters.answers[Code.ACCOUNTING_RESPONSE] == 1


# --- who gets in -----------------------------------------------------------------------------------


async def _turned_away(served: Served, context: ssl.SSLContext) -> bool:
    """True when the client gets no answer to a request."""
    try:
        async with _peer(served, context) as peer:
            peer.send(_access())
            return await peer.is_closed()
    except (ConnectionError, ssl.SSLError):
        return True


async def test_who_shows_no_certificate_is_refused(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served:
        assert await _turned_away(served, _context(authority))
        await served.until_refused(Refusal.NO_CERTIFICATE)
        assert served.rooms.asked == []
        assert served.tls.counters.open == 0


async def test_a_certificate_of_another_authority_is_refused(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served:
        assert await _turned_away(served, _context(trustme.CA(), "ap.example.net", trusts=authority))
        await served.until_refused(Refusal.BAD_CERTIFICATE)


async def test_a_client_that_does_not_trust_our_certificate_is_told_apart(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served:
        assert await _turned_away(served, _context(authority, "ap.example.net", trusts=trustme.CA()))
        await served.until_refused(Refusal.LOST)


async def test_an_old_version_of_tls_is_refused(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap.example.net")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with _serving(_settings(files)) as served:
        assert await _turned_away(served, context)
        await served.until_refused(Refusal.NOT_TLS)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_of_today_are_spoken(files: Path, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    context = _context(authority, "ap.example.net")
    context.minimum_version = context.maximum_version = version
    async with _serving(_settings(files)) as served, _peer(served, context) as peer:
        peer.send(_status())
        assert decode(await peer.receive()).code is Code.ACCESS_ACCEPT


async def test_a_stranger_gets_no_handshake_and_is_remembered(files: Path, authority: trustme.CA) -> None:
    elsewhere = {"name": "b", "networks": ["127.0.0.9"], "secret": "of-no-matter-here"}
    async with _serving(_settings(files, elsewhere)) as served:
        assert await _turned_away(served, _context(authority, "ap.example.net"))
        await served.until_refused(Refusal.UNKNOWN_CLIENT)
        (arrival,) = served.udp.arrivals()
        assert (str(arrival.address), arrival.count) == ("127.0.0.1", 1)


async def test_a_certificates_name_tells_apart_who_shares_an_address(files: Path, authority: trustme.CA) -> None:
    clients = [
        {"name": name, "networks": ["127.0.0.0/8"], "secret": "of-no-matter-here", "certificate": f"AP.{name}.net"}
        for name in ("seven", "eight")
    ]
    async with _serving(_settings(files, *clients)) as served:
        for name in ("eight", "seven"):
            async with _peer(served, _context(authority, f"ap.{name}.net")) as peer:
                peer.send(_access())
                await peer.receive()
        assert [client for client, _ in served.rooms.asked] == ["eight", "seven"]
        assert await _turned_away(served, _context(authority, "ap.nine.net"))
        await served.until_refused(Refusal.WRONG_NAME)


async def test_who_is_known_by_a_certificate_is_not_heard_over_udp(files: Path) -> None:
    client = {"name": "b", "networks": ["127.0.0.1"], "secret": "a-secret-of-udp", "certificate": "ap"}
    async with _serving(_settings(files, client)) as served:
        port = served.udp.endpoints[0][1].port
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
        )
        transport.sendto(_access())
        await _until(lambda: served.udp.counters.discards[Discard.UNKNOWN_CLIENT] == 1)
        transport.close()


# --- what ends a connection ------------------------------------------------------------------------


def _twice_signed() -> bytes:
    octets = bytearray(_access())
    octets += octets[20:38]
    octets[2:4] = len(octets).to_bytes(2, "big")
    return bytes(octets)


@pytest.mark.parametrize(
    ("octets", "closing"),
    [
        (b"\x01\x01\x00\x13" + bytes(16), Closing.MALFORMED),
        (b"\x01\x01\x00\x16" + bytes(16) + b"\x01\x01", Closing.MALFORMED),
        (b"\x01\x01\x00\x16" + bytes(16) + b"\x01\x09", Closing.MALFORMED),
        (b"\x28\x01\x00\x16" + bytes(16) + b"\x01\x01", Closing.MALFORMED),
        (_access()[:-1] + b"?", Closing.UNAUTHENTIC),
        (_twice_signed(), Closing.UNAUTHENTIC),
        (_accounting()[:-1] + b"?", Closing.UNAUTHENTIC),
        (_accounting()[:4] + bytes(16) + _accounting()[20:], Closing.UNAUTHENTIC),
        (b"\x28\x01\x00\x14" + bytes(16), Closing.UNAUTHENTIC),
    ],
)
async def test_a_packet_that_cannot_be_trusted_ends_the_connection(
    files: Path, authority: trustme.CA, octets: bytes, closing: Closing
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(octets, _access(2))
        assert await peer.is_closed()
        assert served.tls.counters.closed[closing] == 1
        assert served.rooms.asked == [], "nothing behind it is looked at"
        assert served.tls.counters.open == 0


@pytest.mark.parametrize(
    "octets",
    [
        b"\xc8\x01\x00\x14" + bytes(16),
        encode(Packet(Code.ACCESS_ACCEPT, 1, bytes(16))),
        encode(Packet(Code.STATUS_SERVER, 1, bytes(16))),
        encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(79, b"eap"),))),
        sign_request(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(2, b"short"),)), SECRET),
    ],
)
async def test_what_leaves_no_doubt_of_the_next_packet_is_dropped_alone(
    files: Path, authority: trustme.CA, octets: bytes
) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(octets, _status())
        assert decode(await peer.receive()).identifier == 9
        assert sum(served.udp.counters.discards.values()) == 1


# --- what a peer may cost --------------------------------------------------------------------------


async def test_a_handshake_that_does_not_come_is_ended(files: Path) -> None:
    async with _serving(_settings(files), Limits(handshake=0.1, sweep=0.02)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.endpoint.port)
        assert await Peer(reader, writer).is_closed()
        await served.until_refused(Refusal.TIMEOUT)
        assert served.tls.counters.open == 0
        writer.close()


async def test_what_is_not_tls_is_ended_at_once(files: Path) -> None:
    async with _serving(_settings(files)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.endpoint.port)
        writer.write(_access())
        assert await Peer(reader, writer).is_closed()
        await served.until_refused(Refusal.NOT_TLS)
        writer.close()


async def test_a_packet_that_comes_octet_by_octet_is_ended_in_time(files: Path, authority: trustme.CA) -> None:
    async with (
        _serving(_settings(files), Limits(packet=0.3, sweep=0.02)) as served,
        _peer(served, _context(authority, "ap")) as peer,
    ):
        begun = asyncio.get_running_loop().time()
        for octet in _access():
            peer.send(bytes((octet,)))
            if await peer.is_closed(0.05):
                break
        assert served.tls.counters.closed[Closing.SLOW] == 1
        assert asyncio.get_running_loop().time() - begun < 2.0


async def test_a_silent_peer_is_ended_and_a_busy_one_is_not(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap")
    async with (
        _serving(_settings(files), Limits(idle=0.4, sweep=0.02)) as served,
        _peer(served, context) as silent,
        _peer(served, context) as busy,
    ):
        for identifier in range(8):
            busy.send(_status(identifier))
            await busy.receive()
            await asyncio.sleep(0.1)
        assert await silent.is_closed(0.5)
        assert served.tls.counters.closed[Closing.IDLE] == 1
        assert served.tls.counters.open == 1


async def test_replies_that_nobody_takes_are_bounded_and_then_the_peer_goes(files: Path, authority: trustme.CA) -> None:
    async with (
        _serving(_settings(files), Limits(packet=0.3, sweep=0.02)) as served,
        _peer(served, _context(authority, "ap")) as peer,
    ):
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream that reads
        burst = b"".join(_status(identifier % 256) for identifier in range(2000))
        for _ in range(200):
            if served.tls.counters.closed[Closing.UNREAD]:
                break
            peer.send(burst)
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.05):
                    await peer.writer.drain()
            assert served.udp.counters.answers[Code.ACCESS_ACCEPT] < 400_000
            await asyncio.sleep(0.01)
        assert served.tls.counters.closed[Closing.UNREAD] == 1


async def test_a_stream_of_requests_leaves_the_others_their_turn(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap")
    async with _serving(_settings(files)) as served, _peer(served, context) as loud, _peer(served, context) as small:
        loud.send(b"".join(_status(identifier % 256) for identifier in range(5000)))
        small.send(_status(7))
        assert decode(await small.receive(1.0)).identifier == 7
        for _ in range(5000):
            await loud.receive()


async def test_streams_wait_while_the_handlers_are_busy_and_nothing_is_dropped(
    files: Path, authority: trustme.CA
) -> None:
    async with _serving(_settings(files), deadline=10.0) as served, _peer(served, _context(authority, "ap")) as peer:
        served.rooms.gate.clear()
        sent = [_access(number % 256, "bob", number.to_bytes(16, "big")) for number in range(256)]
        peers = 3
        async with _peer(served, _context(authority, "ap")) as two, _peer(served, _context(authority, "ap")) as three:
            for it in (peer, two, three):
                it.send(*sent)
            await _until(lambda: served.udp.counters.in_flight >= 512)
            assert served.udp.counters.in_flight < 600
            served.rooms.gate.set()
            for it in (peer, two, three):
                for _ in sent:
                    assert decode(await it.receive()).code is Code.ACCESS_ACCEPT
        assert len(served.rooms.asked) == peers * 256
        assert served.udp.counters.discards[Discard.OVERLOAD] == 0


async def test_one_address_has_so_many_connections_and_the_idlest_gives_way(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap")
    async with _serving(_settings(files), Limits(per_address=2, sweep=0.02)) as served:
        async with _peer(served, context) as first, _peer(served, context) as second:
            await _until(lambda: served.tls.counters.accepted == 2)
            first.send(_status())
            await first.receive()
            async with _peer(served, context) as third:
                third.send(_status())
                await third.receive()
                assert await second.is_closed()
                first.send(_status(2))
                await first.receive()
        assert served.tls.counters.closed[Closing.REPLACED] == 1


async def test_a_building_that_lost_its_power_comes_back_where_its_dead_connections_fill_every_place(
    files: Path, authority: trustme.CA
) -> None:
    context = _context(authority, "ap")
    async with _serving(_settings(files), Limits(per_address=1, total=1)) as served, _peer(served, context):
        await _until(lambda: served.tls.counters.accepted == 1)
        async with _peer(served, context) as again:
            again.send(_status())
            await again.receive()
        assert served.tls.counters.closed[Closing.REPLACED] == 1


async def test_a_question_whose_answer_would_be_too_long_is_passed_over_and_the_connection_goes_on(
    files: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    octets = bytearray(encode(Packet(Code.STATUS_SERVER, 1, bytes(16), (Attribute(80, bytes(16)),))))
    for _ in range(20):
        octets += bytes((33, 252)) + bytes(250)
    octets[2:4] = len(octets).to_bytes(2, "big")
    octets[22:38] = hmac.digest(SECRET.reveal(), octets, "md5")
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(bytes(octets))
        peer.send(_status(2))
        assert decode(await peer.receive()).identifier == 2
        assert served.udp.counters.discards[Discard.UNSENDABLE] == 1
    assert not caplog.records


async def test_whoever_shows_no_certificate_closes_nobodys_connection(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap")
    async with _serving(_settings(files), Limits(per_address=1)) as served, _peer(served, context) as first:
        await _until(lambda: served.tls.counters.accepted == 1)
        silent = [await asyncio.open_connection("127.0.0.1", served.endpoint.port) for _ in range(2)]

        await served.until_refused(Refusal.TOO_MANY)

        first.send(_status())
        await first.receive()
        assert not served.tls.counters.closed[Closing.REPLACED]
        for _, writer in silent:
            writer.close()


async def test_one_client_and_the_whole_have_so_many_connections(files: Path, authority: trustme.CA) -> None:
    context = _context(authority, "ap")
    for limits in (Limits(per_client=1), Limits(total=1)):
        async with _serving(_settings(files), limits) as served, _peer(served, context) as first:
            first.send(_status())
            await first.receive()
            try:
                async with _peer(served, context, "127.0.0.2") as second:
                    assert await second.is_closed()
            except (ConnectionError, ssl.SSLError):
                pass
            await served.until_refused(Refusal.TOO_MANY)
            first.send(_status())
            await first.receive()


# --- changes while it runs -------------------------------------------------------------------------


async def test_a_renewed_certificate_is_shown_after_a_reload_and_connections_stay(
    files: Path, authority: trustme.CA
) -> None:
    settings = _settings(files)
    async with _serving(settings) as served, _peer(served, _context(authority, "ap")) as before:
        other = trustme.CA()
        _write(files, other)
        served.tls.reconfigure(settings, served.tls.prepared(settings))
        async with _peer(served, _context(other, "ap")) as after:
            for peer in (before, after):
                peer.send(_status())
                await peer.receive()
        assert await _turned_away(served, _context(authority, "ap", trusts=other))


async def test_a_certificate_that_does_not_work_changes_nothing(files: Path, authority: trustme.CA) -> None:
    settings = _settings(files)
    async with _serving(settings) as served:
        (files / "radsec.pem").write_text("no certificate")
        with pytest.raises(ConfigError, match=r"radius\.tls\.chain"):
            served.tls.prepared(settings)
        async with _peer(served, _context(authority, "ap")) as peer:
            peer.send(_status())
            await peer.receive()


async def test_whom_a_reload_no_longer_covers_is_sent_away(files: Path, authority: trustme.CA) -> None:
    async with _serving(_settings(files)) as served, _peer(served, _context(authority, "ap")) as peer:
        peer.send(_status())
        await peer.receive()
        elsewhere = _settings(files, {"name": "b", "networks": ["127.0.0.9"], "secret": "of-no-matter-here"})
        served.tls.reconfigure(elsewhere, None)
        assert await peer.is_closed()
        assert served.tls.counters.closed[Closing.RECONFIGURED] == 1


async def test_a_port_in_use_is_the_operators_to_mend(files: Path) -> None:
    async with _serving(_settings(files)) as served:
        again = _settings(files, listen=str(served.endpoint))
        with pytest.raises(ConfigError, match="in use"):
            await RadSecService(again, exchanges=served.udp.exchanges, clients=served.udp.clients).start()


# --- a foreign client ------------------------------------------------------------------------------


def _s_client(endpoint: Endpoint, *arguments: str) -> bytes:
    """All that openssl says to one Status-Server, up to the end of the connection or the reply."""
    assert OPENSSL is not None
    with subprocess.Popen(
        [OPENSSL, "s_client", "-connect", str(endpoint), "-brief", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = threading.Timer(10.0, process.kill)
        overdue.start()
        output = b""
        with suppress(BrokenPipeError):
            process.stdin.write(_status())
        while _ALIVE not in output and (octets := process.stdout.read(4096)):
            output += octets
        overdue.cancel()
        process.kill()
    return output


_ALIVE = b"\x02\x09\x00\x26"
"""The beginning of an Access-Accept to the identifier 9, 38 octets long."""


@needs_openssl
async def test_openssl_gets_an_answer_with_a_certificate_and_none_without(files: Path, authority: trustme.CA) -> None:
    def pair(ca: trustme.CA, name: str) -> tuple[str, ...]:
        leaf = ca.issue_cert("ap.example.net")
        (files / f"{name}.pem").write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        return "-cert", str(files / f"{name}.pem"), "-key", str(files / f"{name}.pem")

    async with _serving(_settings(files)) as served:
        trusts = ("-CAfile", str(files / "ca.pem"), "-verify_return_error")
        said = await asyncio.to_thread(_s_client, served.endpoint, *trusts, *pair(authority, "good"))
        assert _ALIVE in said, said
        said = await asyncio.to_thread(_s_client, served.endpoint, *trusts)
        assert _ALIVE not in said
        said = await asyncio.to_thread(_s_client, served.endpoint, *trusts, *pair(trustme.CA(), "foreign"))
        assert _ALIVE not in said
        assert served.tls.counters.refused[Refusal.NO_CERTIFICATE] == 1
        assert served.tls.counters.refused[Refusal.BAD_CERTIFICATE] == 1
