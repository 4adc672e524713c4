# SPDX-License-Identifier: Apache-2.0
"""The duties of a RADIUS server, rule by rule, on the wire: those that stand in no other file.

The codec's and the memory's own rules are in tests/unit/test_radius_*.py and tests/property/test_radius.py; silence,
duplicates and sources in test_radius.py; streams in test_radsec.py; other people's programs in tests/e2e.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.arrows import Accounting
from edged.policy.sessions import Roster
from edged.radius.attributes import Attribute, Attributes, attribute
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.client import Outcome, Result, disconnect
from edged.radius.counters import Discard
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet, decode, encode
from edged.radius.service import RadiusService
from edged.state.database import Database
from edged.state.sessions import SessionStore
from edged.values import Secret
from tests.loopback.test_radius import (
    QUICK,
    SECRET,
    STATION,
    DynamicAuthorizationServer,
    Nas,
    Network,
    _access,
    _serving,
    _settings,
)

MAC = "8ab3a0ebd5e5"
STATES = (Attribute(33, b"\x00\xff"), Attribute(33, b"two"), Attribute(33, b"\x00\xff"))
PASSWORD = Attribute(2, hide_password(Secret(MAC), SECRET, bytes(16)))


def _status(identifier: int = 9, *more: Attribute) -> bytes:
    return sign_request(Packet(Code.STATUS_SERVER, identifier, bytes(16), more), SECRET)


def _accounting(status: int, session: str = "81a0", identifier: int = 1, *more: Attribute) -> bytes:
    given: Attributes = (attribute("Acct-Status-Type", status), *more)
    if session:
        given += (attribute("Acct-Session-Id", session),)
    return sign_request(Packet(Code.ACCOUNTING_REQUEST, identifier, bytes(16), given), SECRET)


def _signed_at(position: int, attributes: Attributes) -> bytes:
    """An Access-Request with its Message-Authenticator at that place among ``attributes``."""
    given = (*attributes[:position], Attribute(80, bytes(16)), *attributes[position:])
    octets = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), given))
    value = hmac.digest(SECRET.reveal(), octets, "md5")
    at = 20 + sum(len(it.value) + 2 for it in attributes[:position]) + 2
    return octets[:at] + value + octets[at + 16 :]


def _raw(code: int, body: bytes, length: int | None = None) -> bytes:
    return bytes((code, 1)) + (20 + len(body) if length is None else length).to_bytes(2, "big") + bytes(16) + body


# --- RFC 2865 --------------------------------------------------------------------------------------


async def test_octets_behind_the_length_are_padding() -> None:
    async with _serving(Network()) as (_, auth, _acct):
        with Nas() as nas:
            nas.send(_access() + b"padding", auth)
            assert reply_is_authentic((await nas.receive())[0], bytes(16), SECRET)


async def test_a_request_of_4096_octets_is_answered_and_its_proxy_states_come_back_whole() -> None:
    states = tuple(Attribute(33, bytes((number,)) * 253) for number in range(15))
    filler = Attribute(25, bytes(4096 - 20 - 18 - 5 - 15 * 255 - 2))
    octets = _access(1, "bob", bytes(16), *states, filler)
    assert len(octets) == 4096
    async with _serving(Network()) as (_, auth, _acct):
        with Nas() as nas:
            nas.send(octets, auth)
            reply = decode((await nas.receive())[0])
    assert tuple(it for it in reply.attributes if it.type == 33) == states


@pytest.mark.parametrize(
    "octets",
    [
        _raw(1, b"", 19),
        _raw(1, b"", 4097),
        _raw(1, b"\x01\x01"),
        _raw(1, b"\x01\x00"),
        _raw(1, b"\x01\x09x"),
        _raw(1, b"\x01"),
        _raw(200, b""),
        _raw(52, b""),
    ],
    ids=["below 20", "above 4096", "length 1", "length 0", "overrun", "half a header", "unknown code", "code 52"],
)
async def test_a_malformed_packet_or_an_unknown_code_gets_silence(octets: bytes) -> None:
    async with _serving(Network()) as (service, auth, acct):
        for port in (auth, acct):
            with Nas() as nas:
                nas.send(octets, port)
                assert await nas.hears_nothing(0.05)
        assert service.counters.discards[Discard.MALFORMED] == 2


async def test_attributes_that_nobody_knows_are_passed_over_and_their_order_does_not_matter() -> None:
    name = attribute("User-Name", MAC)
    strange = (
        Attribute(254, b"?"),
        Attribute(26, b"\x00\x00\xff\xff\x01"),
        Attribute(241, b""),
        Attribute(245, b"\x1a\x80"),
    )
    network = Network()
    async with _serving(network) as (_, auth, _acct):
        for number, given in enumerate(((*strange, name, PASSWORD), (PASSWORD, name, *strange))):
            with Nas() as nas:
                nas.send(sign_request(Packet(Code.ACCESS_REQUEST, number, bytes(16), given), SECRET), auth)
                assert decode((await nas.receive())[0]).code is Code.ACCESS_ACCEPT
    assert network.asked == [MAC, MAC]


@pytest.mark.parametrize("kind", ["accept", "reject", "accounting", "status-auth", "status-acct"])
async def test_proxy_states_come_back_in_order_and_unchanged_in_every_reply(kind: str) -> None:
    octets = {
        "accept": _access(1, MAC, bytes(16), STATES[0], PASSWORD, *STATES[1:]),
        "reject": _access(1, "bob", bytes(16), *STATES),
        "accounting": _accounting(1, "1", 1, *STATES),
    }.get(kind, _status(9, *STATES))
    async with _serving(Network()) as (_, auth, acct):
        with Nas() as nas:
            nas.send(octets, acct if kind in {"accounting", "status-acct"} else auth)
            reply = decode((await nas.receive())[0])
    assert tuple(it for it in reply.attributes if it.type == 33) == STATES


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
async def test_the_reply_comes_from_the_port_that_was_asked(listen: str) -> None:
    async with _serving(Network(), _settings(listen)) as (_, auth, acct):
        for octets, port in ((_access(), auth), (_accounting(1), acct)):
            with Nas() as nas:
                nas.socket.connect(("127.0.0.1", port))  # the kernel drops what comes from elsewhere
                nas.socket.send(octets)
                await nas.receive()


# --- RFC 5080: the memory of requests --------------------------------------------------------------


async def test_a_forged_message_authenticator_does_not_touch_the_memory() -> None:
    network = Network()
    forged = bytearray(_access(7, "two", b"2" * 16))
    forged[22:38] = bytes(16)
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(7, "one", b"1" * 16), auth)
            first, _ = await nas.receive()
            nas.send(bytes(forged), auth)
            assert await nas.hears_nothing(0.05)
            nas.send(_access(7, "one", b"1" * 16), auth)
            assert (await nas.receive())[0] == first
        assert network.asked == ["one"]
        assert service.counters.replayed == 1


async def test_a_forgery_does_not_make_a_slow_answer_void() -> None:
    network = Network()
    network.gate.clear()
    forged = bytearray(_access(7, "two", b"2" * 16))
    forged[22:38] = bytes(16)
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(7, "one", b"1" * 16), auth)
            nas.send(bytes(forged), auth)
            assert await nas.hears_nothing(0.05)
            network.gate.set()
            assert reply_is_authentic((await nas.receive())[0], b"1" * 16, SECRET)
        assert service.counters.discards[Discard.SUPERSEDED] == 0


async def test_the_same_request_from_another_port_is_another_request() -> None:
    network = Network()
    async with _serving(network) as (_, auth, _acct):
        for _ in range(2):
            with Nas() as nas:
                nas.send(_access(), auth)
                await nas.receive()
    assert len(network.asked) == 2


# --- RFC 3579 and CVE-2024-3596 --------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_message_authenticator_may_stand_anywhere_in_a_request(position: int) -> None:
    given = (attribute("User-Name", "bob"), attribute("NAS-Identifier", "b7-1"))
    async with _serving(Network(), _settings(message_authenticator="require")) as (_, auth, _acct):
        with Nas() as nas:
            nas.send(_signed_at(position, given), auth)
            assert decode((await nas.receive())[0]).code is Code.ACCESS_REJECT


def _with_another(signature: bytes) -> bytes:
    octets = bytearray(_access())
    octets += signature
    octets[2:4] = len(octets).to_bytes(2, "big")
    return bytes(octets)


@pytest.mark.parametrize(
    "octets",
    [
        _with_another(b"\x50\x12" + bytes(16)),
        _with_another(_access()[20:38]),
        _raw(1, b"\x50\x11" + bytes(15)),
        _raw(1, b"\x50\x13" + bytes(17)),
        _raw(1, b"\x50\x02"),
        _access()[:22] + bytes(16) + _access()[38:],
    ],
    ids=["two", "the same twice", "17 octets", "19 octets", "empty", "wrong"],
)
@pytest.mark.parametrize("required", ["require", "auto", "optional"])
async def test_there_is_one_message_authenticator_of_18_octets_and_it_is_right(octets: bytes, required: str) -> None:
    network = Network()
    async with _serving(network, _settings(message_authenticator=required)) as (service, auth, _):
        with Nas() as nas:
            nas.send(octets, auth)
            assert await nas.hears_nothing(0.05)
        assert service.counters.discards[Discard.BAD_MESSAGE_AUTHENTICATOR] == 1
    assert network.asked == []


@pytest.mark.parametrize("signed", [True, False])
async def test_every_answer_begins_with_a_message_authenticator_whatever_the_request_had(signed: bool) -> None:
    async with _serving(Network()) as (_, auth, _acct):
        for number, (name, password) in enumerate(((MAC, (PASSWORD,)), ("bob", (PASSWORD,)))):
            packet = Packet(Code.ACCESS_REQUEST, number, bytes(16), (attribute("User-Name", name), *password))
            with Nas("127.0.0.2" if signed else "127.0.0.3") as nas:
                nas.send(sign_request(packet, SECRET) if signed else encode(packet), auth)
                octets, _ = await nas.receive()
            assert octets[20:22] == b"\x50\x12"
            assert [it.type for it in decode(octets).attributes].count(80) == 1
            assert reply_is_authentic(octets, bytes(16), SECRET)


async def test_where_it_is_required_who_does_not_sign_gets_silence_whatever_it_sends() -> None:
    plain = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (attribute("User-Name", "bob"),)))
    async with _serving(Network(), _settings(message_authenticator="require")) as (service, auth, _):
        with Nas() as nas:
            nas.send(plain, auth)
            assert await nas.hears_nothing(0.05)
        assert service.counters.discards[Discard.NO_MESSAGE_AUTHENTICATOR] == 1


async def test_eap_that_is_not_signed_gets_silence() -> None:
    eap = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (attribute("User-Name", "bob"), Attribute(79, b"\x02\x01"))))
    async with _serving(Network(), _settings(message_authenticator="optional")) as (service, auth, _):
        with Nas() as nas:
            nas.send(eap, auth)
            assert await nas.hears_nothing(0.05)
        assert service.counters.discards[Discard.NO_MESSAGE_AUTHENTICATOR] == 1


async def test_a_nas_that_signs_its_acknowledgement_must_do_so_right() -> None:
    class Forger(DynamicAuthorizationServer):
        """Its Response Authenticator is right, its Message-Authenticator is not."""

        async def serve(self) -> None:
            loop = asyncio.get_running_loop()
            while True:
                octets, peer = await loop.sock_recvfrom(self.nas.socket, 4096)
                self.heard.append(octets)
                head = bytes((self.code, octets[1])) + (38).to_bytes(2, "big")
                body = b"\x50\x12" + bytes(16)
                authenticator = hashlib.md5(head + octets[4:20] + body + SECRET.reveal()).digest()
                self.nas.socket.sendto(head + authenticator + body, peer)

    async with Forger(Code.DISCONNECT_ACK) as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION, waits=QUICK) == Result(Outcome.TIMEOUT)
        assert len(nas.heard) == 4


# --- RFC 5997 --------------------------------------------------------------------------------------


async def test_status_server_is_answered_anew_each_time_and_counts_as_no_request_of_anybody() -> None:
    network = Network()
    async with _serving(network) as (service, auth, acct):
        for port, code in ((auth, Code.ACCESS_ACCEPT), (acct, Code.ACCOUNTING_RESPONSE)):
            with Nas() as nas:
                for _ in range(2):
                    nas.send(_status(), port)
                    octets, _ = await nas.receive()
                    assert octets[0] == code
                    assert octets[20:22] == b"\x50\x12"
        assert service.counters.requests[Code.ACCESS_REQUEST] == 0
        assert service.counters.requests[Code.ACCOUNTING_REQUEST] == 0
        assert service.counters.replayed == 0
    assert network.asked == []


# --- RFC 2866, into the database -------------------------------------------------------------------


@asynccontextmanager
async def _ledger(folder: Path) -> AsyncIterator[tuple[RadiusService, int, Database]]:
    database = Database(folder / "edged.sqlite")
    await database.open()
    network = Network()
    network.account = Accounting(SessionStore(database), Roster(), lambda _: None).account  # type: ignore[method-assign, assignment]
    try:
        async with _serving(network) as (service, _, acct):
            yield service, acct, database
    finally:
        await database.close()


async def _report(port: int, octets: bytes) -> None:
    with Nas() as nas:
        nas.send(octets, port)
        reply, _ = await nas.receive(5.0)
    assert decode(reply).code is Code.ACCOUNTING_RESPONSE
    assert reply_is_authentic(reply, octets[4:20], SECRET)


async def _rows(database: Database, columns: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await database.read(f"SELECT {columns} FROM sessions ORDER BY session")]  # noqa: S608


async def test_what_is_acknowledged_is_in_the_file(tmp_path: Path) -> None:
    async with _ledger(tmp_path) as (_, acct, _database):
        await _report(acct, _accounting(1))
        other = Database(tmp_path / "edged.sqlite")
        await other.open()
        assert await _rows(other, "session") == [("81a0",)]
        await other.close()


async def test_gigawords_make_counters_of_64_bits(tmp_path: Path) -> None:
    counters = [("Acct-Input-Octets", 5), ("Acct-Input-Gigawords", 3), ("Acct-Output-Octets", 2**32 - 1)]
    given = tuple(attribute(name, value) for name, value in counters)
    async with _ledger(tmp_path) as (_, acct, database):
        await _report(acct, _accounting(3, "81a0", 1, *given, attribute("Acct-Output-Gigawords", 1)))
        assert await _rows(database, "octets_in, octets_out") == [(3 * 2**32 + 5, 2 * 2**32 - 1)]


async def test_a_retry_with_another_delay_identifier_and_authenticator_is_the_same_session(tmp_path: Path) -> None:
    async with _ledger(tmp_path) as (service, acct, database):
        for identifier, delay in ((1, 0), (2, 3), (3, 9)):
            given = (attribute("Acct-Delay-Time", delay), attribute("User-Name", "bob"))
            await _report(acct, _accounting(1, "81a0", identifier, *given))
        assert await _rows(database, "session, stopped") == [("81a0", None)]
        assert service.counters.replayed == 0, "each was a request of its own"


async def test_counters_never_fall_whatever_order_reports_come_in(tmp_path: Path) -> None:
    async with _ledger(tmp_path) as (_, acct, database):
        for identifier, octets in ((1, 100), (2, 300), (3, 200)):
            await _report(acct, _accounting(3, "81a0", identifier, attribute("Acct-Input-Octets", octets)))
        assert await _rows(database, "octets_in") == [(300,)]


@pytest.mark.parametrize("status", [7, 8], ids=["On", "Off"])
async def test_on_and_off_end_every_session_of_that_nas(tmp_path: Path, status: int) -> None:
    one, other = attribute("NAS-Identifier", "b7-1"), attribute("NAS-Identifier", "b7-2")
    async with _ledger(tmp_path) as (_, acct, database):
        for identifier, (session, nas) in enumerate((("a", one), ("b", one), ("c", other))):
            await _report(acct, _accounting(1, session, identifier, nas))
        await _report(acct, _accounting(status, "", 9, one))
        assert [(s, stopped is None) for s, stopped in await _rows(database, "session, stopped")] == [
            ("a", False),
            ("b", False),
            ("c", True),
        ]


async def test_the_clock_of_a_nas_moves_no_session(tmp_path: Path) -> None:
    async with _ledger(tmp_path) as (_, acct, database):
        await _report(acct, _accounting(1, "a", 1))
        for identifier, stamp in enumerate((0, 2**32 - 1)):
            await _report(
                acct, _accounting(1, str(identifier), identifier + 2, Attribute(55, stamp.to_bytes(4, "big")))
            )
        started = [float(str(row[0])) for row in await _rows(database, "started")]
        assert max(started) - min(started) < 60.0


async def test_without_a_durable_record_there_is_silence_and_the_retry_is_kept(tmp_path: Path) -> None:
    async with _ledger(tmp_path) as (service, acct, database):
        await database.write(("ALTER TABLE sessions RENAME TO elsewhere", ()))
        with Nas() as nas:
            nas.send(_accounting(1), acct)
            assert await nas.hears_nothing(0.2)
            assert service.counters.discards[Discard.NO_ANSWER] + service.counters.discards[Discard.FAULT] == 1
            await database.write(("ALTER TABLE elsewhere RENAME TO sessions", ()))
            nas.send(_accounting(1), acct)
            assert decode((await nas.receive(5.0))[0]).code is Code.ACCOUNTING_RESPONSE
        assert await _rows(database, "session") == [("81a0",)]
