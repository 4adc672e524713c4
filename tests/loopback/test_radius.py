# SPDX-License-Identifier: Apache-2.0
"""The RADIUS service and the Disconnect client on real sockets; Debian's radclient is the foreign judge."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import md5
from typing import Any, Self

import pytest

from edged.errors import ConfigError, WireError
from edged.radius import admission, client
from edged.radius.accounting import SessionEvent, read
from edged.radius.attributes import Attribute, Attributes, attribute, text
from edged.radius.authenticator import reply_is_authentic, request_is_authentic, sign_reply, sign_request
from edged.radius.client import Outcome, Result, change, disconnect
from edged.radius.counters import Discard
from edged.radius.exchange import service as exchange
from edged.radius.hiding import hide_password
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.sessions import Status
from edged.values import Endpoint, IpAddress, Secret, parse_address

SECRET = Secret("edged-test-secret-0001")
HOME = parse_address("127.0.0.1")
RADCLIENT = shutil.which("radclient")
needs_radclient = pytest.mark.skipif(RADCLIENT is None, reason="Debian's freeradius-utils is not installed")


class Network:
    """A handler with one resident and one ledger; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.events: list[SessionEvent | None] = []
        self.durable = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def authorize(self, packet: Packet, client: ClientSettings, _source: IpAddress) -> Answer | None:
        name = text(packet.attributes, "User-Name")
        self.asked.append(name)
        await self.gate.wait()
        match name:
            case "silent":
                return None
            case "broken":
                raise RuntimeError("a bug")
            case "malformed":
                raise WireError("not for us")
            case "8ab3a0ebd5e5" if text(packet.attributes, "User-Password") == name:
                return Answer(
                    Code.ACCESS_ACCEPT,
                    (
                        Hidden("Tunnel-Password", Secret("Pancakes1124")),
                        attribute("Tunnel-Type", 13),
                        attribute("Tunnel-Medium-Type", 6),
                        attribute("Tunnel-Private-Group-Id", "131"),
                        Hidden("MS-MPPE-Recv-Key", Secret(bytes(range(32)))),
                        Hidden("Aruba-MPSK-Passphrase", Secret("Waffles1124")),
                    ),
                )
            case _:
                return Answer(Code.ACCESS_REJECT, (attribute("Reply-Message", client.name),))

    async def account(self, packet: Packet, _client: ClientSettings, _source: IpAddress) -> bool:
        self.events.append(read(packet))
        await self.gate.wait()
        return self.durable


def _settings(listen: str = "127.0.0.1", networks: tuple[str, ...] = ("127.0.0.0/8",), **client: Any) -> RadiusSettings:
    return RadiusSettings.model_validate(
        {
            "auth": [f"{listen}:0"],
            "acct": [f"{listen}:0"],
            "clients": [{"name": "building-7", "networks": list(networks), "secret": SECRET, **client}],
        }
    )


@asynccontextmanager
async def _serving(
    network: Network, settings: RadiusSettings | None = None, **options: Any
) -> AsyncIterator[tuple[RadiusService, int, int]]:
    service = RadiusService(settings or _settings(), authorize=network.authorize, account=network.account, **options)
    await service.start()
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    ports = {role: endpoint.port for role, endpoint in service.endpoints}
    try:
        yield service, ports["auth"], ports["acct"]
        assert not running.done(), "the service has ended by itself"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.stop()
        await service.stop()


class Nas:
    """One UDP socket of a NAS."""

    def __init__(self, host: str = "127.0.0.1", *, ipv6: bool = False) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0)
        self.socket.bind((host, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, octets: bytes, port: int, host: str = "127.0.0.1") -> None:
        self.socket.sendto(octets, (host, port))

    async def receive(self, wait: float = 2.0) -> tuple[bytes, str]:
        async with asyncio.timeout(wait):
            octets, peer = await asyncio.get_running_loop().sock_recvfrom(self.socket, 4096)
        return octets, peer[0]

    async def hears_nothing(self, wait: float = 0.1) -> bool:
        try:
            await self.receive(wait)
        except TimeoutError:
            return True
        return False


def _access(identifier: int = 1, name: str = "8ab3a0ebd5e5", random: bytes = bytes(16), *more: Attribute) -> bytes:
    return sign_request(Packet(Code.ACCESS_REQUEST, identifier, random, (attribute("User-Name", name), *more)), SECRET)


async def _radclient(
    kind: str, port: int, attributes: str, *, secret: str = "", host: str = "127.0.0.1"
) -> tuple[int, str]:
    assert RADCLIENT is not None
    arguments = ("-x", "-r", "1", "-t", "1", f"{host}:{port}", kind, secret or SECRET.reveal_text())
    process = await asyncio.create_subprocess_exec(
        RADCLIENT,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(attributes.encode())
    return process.returncode or 0, output.decode()


# ----------------------------------------------------------------------------------------------- radclient


@needs_radclient
async def test_radclient_gets_the_key_the_vlan_and_every_hidden_value() -> None:
    network = Network()
    async with _serving(network) as (service, auth, _):
        status, output = await _radclient(
            "auth", auth, "User-Name=8ab3a0ebd5e5,User-Password=8ab3a0ebd5e5,Message-Authenticator=0x00"
        )
        assert status == 0
        assert 'Tunnel-Password:0 = "Pancakes1124"' in output
        assert 'Tunnel-Private-Group-Id:0 = "131"' in output
        assert f"MS-MPPE-Recv-Key = 0x{bytes(range(32)).hex()}" in output
        assert f"Aruba-MPSK-Passphrase = 0x{b'Waffles1124'.hex()}" in output
        assert service.counters.answers[Code.ACCESS_ACCEPT] == 1
        assert str(HOME) in service.signed


@needs_radclient
async def test_radclient_with_a_wrong_password_is_rejected_by_name() -> None:
    async with _serving(Network()) as (_, auth, _acct):
        status, output = await _radclient("auth", auth, "User-Name=8ab3a0ebd5e5,User-Password=wrong")
        assert status == 1
        assert "Access-Reject" in output
        assert "building-7" in output


@needs_radclient
@pytest.mark.parametrize("kind", ["auth", "acct"])
async def test_radclient_with_another_secret_gets_silence(kind: str) -> None:
    network = Network()
    async with _serving(network) as (service, auth, acct):
        attributes = "User-Name=bob,Message-Authenticator=0x00,Acct-Status-Type=Start,Acct-Session-Id=1"
        port = auth if kind == "auth" else acct
        status, output = await _radclient(kind, port, attributes, secret="another-secret")
        assert status == 1
        assert "No reply" in output
        bad = Discard.BAD_MESSAGE_AUTHENTICATOR if kind == "auth" else Discard.BAD_AUTHENTICATOR
        assert service.counters.discards[bad] == 1
        assert network.asked == []
        assert network.events == []


@needs_radclient
async def test_radclient_asks_both_ports_whether_the_server_lives() -> None:
    network = Network()
    async with _serving(network) as (service, auth, acct):
        for port, reply in ((auth, "Access-Accept"), (acct, "Accounting-Response")):
            status, output = await _radclient("status", port, "Message-Authenticator=0x00")
            assert status == 0
            assert f"Received {reply}" in output
        assert network.asked == []
        assert service.counters.requests[Code.STATUS_SERVER] == 2
        assert str(HOME) not in service.signed


@needs_radclient
async def test_radclient_reports_a_session_and_it_is_acknowledged_once_recorded() -> None:
    network = Network()
    async with _serving(network) as (_, _auth, acct):
        status, output = await _radclient(
            "acct",
            acct,
            "Acct-Status-Type=Interim-Update,Acct-Session-Id=81a0,User-Name=bob,"
            "Framed-IP-Address=100.64.7.9,Delegated-IPv6-Prefix=2001:db8:100::/56,Acct-Input-Gigawords=1",
        )
        assert status == 0, output
        (event,) = network.events
        assert event is not None
        assert (event.status, event.session_id, event.octets_in) == (Status.INTERIM, "81a0", 1 << 32)
        assert [str(prefix) for prefix in event.prefixes] == ["100.64.7.9", "2001:db8:100::/56"]


# -------------------------------------------------------------------------------------------- RFC 5080 2.2.2


async def test_a_duplicate_gets_the_same_octets_and_is_processed_once() -> None:
    network = Network()
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(), auth)
            first, _ = await nas.receive()
            nas.send(_access(), auth)
            second, _ = await nas.receive()
        assert first == second
        assert network.asked == ["8ab3a0ebd5e5"]
        assert service.counters.replayed == 1


async def test_the_salt_of_a_replayed_accept_is_the_same() -> None:
    password = Attribute(2, hide_password(Secret("8ab3a0ebd5e5"), SECRET, bytes(16)))
    async with _serving(Network()) as (_, auth, _acct):
        with Nas() as nas:
            replies = set()
            for _ in range(3):
                nas.send(_access(1, "8ab3a0ebd5e5", bytes(16), password), auth)
                replies.add((await nas.receive())[0])
        assert {reply[0] for reply in replies} == {Code.ACCESS_ACCEPT}
        assert len(replies) == 1


async def test_another_authenticator_under_the_same_identifier_is_processed_anew() -> None:
    network = Network()
    async with _serving(network) as (_, auth, _acct):
        with Nas() as nas:
            nas.send(_access(7, "one", b"1" * 16), auth)
            await nas.receive()
            nas.send(_access(7, "two", b"2" * 16), auth)
            reply, _ = await nas.receive()
        assert network.asked == ["one", "two"]
        assert reply_is_authentic(reply, b"2" * 16, SECRET)


async def test_a_retransmission_while_the_first_is_at_work_is_dropped() -> None:
    network = Network()
    network.gate.clear()
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            for _ in range(3):
                nas.send(_access(), auth)
            await asyncio.sleep(0.05)
            assert service.counters.in_flight == 1
            network.gate.set()
            await nas.receive()
            assert await nas.hears_nothing()
        assert network.asked == ["8ab3a0ebd5e5"]
        assert service.counters.discards[Discard.IN_PROGRESS] == 2
        assert service.counters.in_flight == 0


async def test_an_identifier_used_again_makes_the_slow_answer_void() -> None:
    network = Network()
    network.gate.clear()
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(7, "one", b"1" * 16), auth)
            nas.send(_access(7, "two", b"2" * 16), auth)
            await asyncio.sleep(0.05)
            network.gate.set()
            reply, _ = await nas.receive()
            assert reply_is_authentic(reply, b"2" * 16, SECRET)
            assert await nas.hears_nothing()
        assert service.counters.discards[Discard.SUPERSEDED] == 1


async def test_a_request_past_its_deadline_is_dropped_and_its_retry_is_a_new_chance() -> None:
    network = Network()
    network.gate.clear()
    async with _serving(network, deadline=0.05) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(), auth)
            assert await nas.hears_nothing(0.15)
            assert service.counters.discards[Discard.DEADLINE] == 1
            network.gate.set()
            nas.send(_access(), auth)
            await nas.receive()


# ------------------------------------------------------------------------------------------------ silence


async def test_a_stranger_gets_silence_and_is_remembered() -> None:
    network = Network()
    async with _serving(network, _settings(networks=("127.0.0.9",)), clock=lambda: 100.0) as (
        service,
        auth,
        _,
    ):
        with Nas() as nas:
            nas.send(_access(), auth)
            nas.send(b"not even RADIUS", auth)
            assert await nas.hears_nothing()
        (arrival,) = service.arrivals()
        assert (arrival.address, arrival.count, arrival.last_seen) == (HOME, 2, 100.0)
        assert service.counters.discards[Discard.UNKNOWN_CLIENT] == 2
        service.reconfigure(_settings())
        assert service.arrivals() == ()
        with Nas() as nas:
            nas.send(_access(), auth)
            await nas.receive()


async def test_the_longest_prefix_chooses_secret_and_name() -> None:
    settings = RadiusSettings.model_validate(
        {
            "auth": ["127.0.0.1:0"],
            "acct": ["127.0.0.1:0"],
            "clients": [
                {"name": "wide", "networks": ["127.0.0.0/8"], "secret": "another-secret"},
                {"name": "exact", "networks": ["127.0.0.5"], "secret": SECRET},
            ],
        }
    )
    async with _serving(Network(), settings) as (_, auth, _acct):
        with Nas("127.0.0.5") as nas:
            nas.send(_access(), auth)
            reply = decode((await nas.receive())[0])
        assert text(reply.attributes, "Reply-Message") == "exact"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", Discard.MALFORMED),
        (b"\0" * 4096, Discard.MALFORMED),
        (bytes(65_000), Discard.MALFORMED),
        (encode(Packet(Code.ACCESS_ACCEPT, 1, bytes(16))), Discard.UNEXPECTED_CODE),
        (sign_request(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16)), SECRET), Discard.UNEXPECTED_CODE),
        (sign_request(Packet(Code.DISCONNECT_REQUEST, 1, bytes(16)), SECRET), Discard.UNEXPECTED_CODE),
        (encode(Packet(Code.STATUS_SERVER, 1, bytes(16))), Discard.NO_MESSAGE_AUTHENTICATOR),
        (
            encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (Attribute(33, b"state"),))),
            Discard.PROXY_STATE_UNSIGNED,
        ),
    ],
)
async def test_what_the_standard_wants_dropped_is_dropped_and_counted(octets: bytes, reason: Discard) -> None:
    network = Network()
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            nas.send(octets, auth)
            assert await nas.hears_nothing()
            nas.send(_access(), auth)
            await nas.receive()
        assert service.counters.discards[reason] == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [("silent", Discard.NO_ANSWER), ("broken", Discard.FAULT), ("malformed", Discard.MALFORMED)],
)
async def test_a_handler_without_an_answer_costs_its_own_request_alone(name: str, reason: Discard) -> None:
    async with _serving(Network()) as (service, auth, _):
        with Nas() as nas:
            nas.send(_access(1, name), auth)
            assert await nas.hears_nothing()
            assert service.counters.discards[reason] == 1
            nas.send(_access(2), auth)
            await nas.receive()


async def test_a_fault_of_ours_before_any_handler_costs_its_own_request_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def admit(octets: bytes, *given: Any) -> object:
        if octets[1] == 7:
            raise RuntimeError("a bug")
        return admission.admit(octets, *given)

    monkeypatch.setattr(exchange, "admit", admit)
    async with _serving(Network()) as (service, auth, _):
        with Nas() as nas:
            for identifier in (6, 7, 8):  # in one batch
                nas.send(_access(identifier), auth)
            assert [(await nas.receive())[0][1] for _ in range(2)] == [6, 8]
        assert service.counters.discards[Discard.FAULT] == 1


async def test_who_has_signed_once_is_not_heard_unsigned_again() -> None:
    password = Attribute(2, hide_password(Secret("bob"), SECRET, bytes(16)))
    plain = encode(Packet(Code.ACCESS_REQUEST, 1, bytes(16), (attribute("User-Name", "bob"), password)))
    async with _serving(Network(), signed=(parse_address("127.0.0.2"),)) as (_, auth, _acct):
        with Nas() as nas, Nas("127.0.0.2") as known:
            nas.send(plain, auth)
            await nas.receive()
            nas.send(_access(2), auth)
            await nas.receive()
            nas.send(plain[:1] + b"\x03" + plain[2:], auth)
            known.send(plain, auth)
            assert await nas.hears_nothing()
            assert await known.hears_nothing()


async def test_accounting_that_is_not_durable_gets_silence_and_its_retry_is_recorded() -> None:
    network = Network()
    network.durable = False
    start = (attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "1"))
    octets = sign_request(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), start), SECRET)
    async with _serving(network) as (service, _auth, acct):
        with Nas() as nas:
            nas.send(octets, acct)
            assert await nas.hears_nothing()
            assert service.counters.discards[Discard.NO_ANSWER] == 1
            network.durable = True
            nas.send(octets, acct)
            reply = decode((await nas.receive())[0])
        assert reply.code is Code.ACCOUNTING_RESPONSE
        assert len(network.events) == 2


# ------------------------------------------------------------------------------------------------- replies


async def test_proxy_state_comes_back_in_order() -> None:
    states = (Attribute(33, b"one"), Attribute(33, b"two"), Attribute(33, b"one"))
    async with _serving(Network()) as (_, auth, _acct):
        with Nas() as nas:
            nas.send(_access(1, "bob", bytes(16), *states), auth)
            reply = decode((await nas.receive())[0])
        assert reply.attributes[0].type == 80
        assert reply.attributes[-3:] == states


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.8.7.6"])
async def test_on_a_wildcard_the_reply_leaves_from_the_address_asked(asked: str) -> None:
    async with _serving(Network(), _settings("0.0.0.0")) as (_, auth, acct):
        with Nas() as nas:
            nas.send(_access(), auth, asked)
            assert (await nas.receive())[1] == asked
            nas.send(_access(), auth, asked)  # and so does the replay
            assert (await nas.receive())[1] == asked
            nas.send(sign_request(Packet(Code.STATUS_SERVER, 2, bytes(16)), SECRET), acct, asked)
            assert (await nas.receive())[1] == asked


@pytest.mark.parametrize("listen", ["[::1]", "[::]"])
async def test_ipv6_is_served_alike(listen: str) -> None:
    async with _serving(Network(), _settings(listen, ("::1",))) as (_, auth, _acct):
        with Nas("::1", ipv6=True) as nas:
            nas.send(_access(), auth, "::1")
            octets, source = await nas.receive()
        assert source == "::1"
        assert reply_is_authentic(octets, bytes(16), SECRET)


async def test_an_answer_at_hand_needs_no_task() -> None:
    def authorize(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> Answer:
        return Answer(Code.ACCESS_REJECT)

    service = RadiusService(_settings(), authorize=authorize, account=Network().account)
    await service.start()
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    with Nas() as nas:
        nas.send(_access(), service.endpoints[0][1].port)
        assert (await nas.receive())[0][0] == Code.ACCESS_REJECT
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.stop()


async def test_a_burst_is_answered_whole_and_in_order() -> None:
    network = Network()
    async with _serving(network) as (service, auth, _):
        with Nas() as nas:
            for identifier in range(200):
                nas.send(_access(identifier, "bob", identifier.to_bytes(16, "big")), auth)
            replies = [decode((await nas.receive())[0]) for _ in range(200)]
        assert [reply.identifier for reply in replies] == list(range(200))
        assert service.counters.answers[Code.ACCESS_REJECT] == 200


async def test_a_port_in_use_is_the_operators_to_mend_and_nothing_stays_bound() -> None:
    with Nas() as taken:
        port = taken.socket.getsockname()[1]
        settings = RadiusSettings.model_validate({"auth": ["127.0.0.1:0"], "acct": [f"127.0.0.1:{port}"]})
        service = RadiusService(settings, authorize=Network().authorize, account=Network().account)
        with pytest.raises(ConfigError) as caught:
            await service.start()
        assert caught.value.problems[0].key == "radius.acct"
        assert caught.value.problems[0].found == f"127.0.0.1:{port} is in use"
        assert service.endpoints == ()


# -------------------------------------------------------------------------------------- Disconnect and CoA


class DynamicAuthorizationServer:
    """A NAS's side of RFC 5176: answers after ``deaf`` datagrams, from a script of what to send."""

    def __init__(self, code: Code, attributes: Attributes = (), deaf: int = 0, stray: bytes = b"") -> None:
        self.code, self.attributes, self.deaf, self.stray = code, attributes, deaf, stray
        self.heard: list[bytes] = []
        self.nas = Nas()
        self.endpoint = Endpoint(HOME, self.nas.socket.getsockname()[1])

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            octets, peer = await loop.sock_recvfrom(self.nas.socket, 4096)
            self.heard.append(octets)
            if len(self.heard) <= self.deaf or not request_is_authentic(octets, SECRET):
                continue
            request = decode(octets)
            if self.stray:
                self.nas.socket.sendto(self.stray, peer)
                self.nas.socket.sendto(sign_reply(self.code, (), request, Secret("forged-secret")), peer)
            self.nas.socket.sendto(sign_reply(self.code, self.attributes, request, SECRET), peer)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.nas.socket.close()


STATION = (attribute("Calling-Station-Id", "8A-B3-A0-EB-D5-E5"),)
QUICK = (0.05, 0.05, 0.05, 0.05)


async def test_a_disconnect_is_acknowledged() -> None:
    async with DynamicAuthorizationServer(Code.DISCONNECT_ACK) as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION) == Result(Outcome.ACK)
        (octets,) = nas.heard
        assert octets[0] == 40
        assert octets[20:22] == b"\x50\x12"


async def test_a_refusal_comes_with_its_cause() -> None:
    cause = (attribute("Error-Cause", 503),)
    async with DynamicAuthorizationServer(Code.COA_NAK, cause) as nas:
        assert await change(nas.endpoint, SECRET, STATION) == Result(Outcome.NAK, 503)
        assert nas.heard[0][0] == 43


async def test_a_deaf_nas_is_asked_again_with_the_same_octets() -> None:
    async with DynamicAuthorizationServer(Code.DISCONNECT_ACK, deaf=3) as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION, waits=QUICK) == Result(Outcome.ACK)
        assert len(nas.heard) == 4
        assert len(set(nas.heard)) == 1


async def test_a_nas_that_never_answers_or_is_not_there_is_a_timeout() -> None:
    async with DynamicAuthorizationServer(Code.DISCONNECT_ACK, deaf=99) as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION, waits=QUICK) == Result(Outcome.TIMEOUT)
        assert len(nas.heard) == 4
    assert await disconnect(nas.endpoint, SECRET, STATION, waits=QUICK) == Result(Outcome.TIMEOUT)


async def test_another_secret_is_a_timeout() -> None:
    async with DynamicAuthorizationServer(Code.DISCONNECT_ACK) as nas:
        assert await disconnect(nas.endpoint, Secret("another-secret"), STATION, waits=QUICK) == Result(Outcome.TIMEOUT)


async def test_forged_replies_are_passed_over() -> None:
    async with DynamicAuthorizationServer(Code.DISCONNECT_NAK, stray=b"junk") as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION) == Result(Outcome.NAK, 0)


async def test_a_flood_of_forged_replies_costs_a_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_STRAY", 2)
    async with DynamicAuthorizationServer(Code.DISCONNECT_ACK, stray=b"junk") as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION, waits=(0.2,)) == Result(Outcome.TIMEOUT)


@pytest.mark.parametrize("wrong", ["identifier", "port", "signature"])
async def test_an_answer_that_is_not_to_this_request_or_not_from_where_it_went_is_passed_over(wrong: str) -> None:
    """Whoever has the secret may still be mistaken: another request's answer is no answer to this one."""
    loop = asyncio.get_running_loop()
    with Nas() as here, Nas() as other:
        endpoint = Endpoint(HOME, here.socket.getsockname()[1])
        asked = asyncio.create_task(disconnect(endpoint, SECRET, STATION, waits=(0.3,)))
        octets, peer = await loop.sock_recvfrom(here.socket, 4096)
        request = decode(octets)
        reply = sign_reply(Code.DISCONNECT_ACK, (), request, SECRET)
        if wrong == "identifier":
            later = Packet(request.code, request.identifier ^ 1, request.authenticator, ())
            reply = sign_reply(Code.DISCONNECT_ACK, (), later, SECRET)
        if wrong == "signature":  # the Response Authenticator is right, the Message-Authenticator is not
            unsigned = reply[:4] + request.authenticator + reply[20:22] + bytes(16)
            reply = unsigned[:4] + md5(unsigned + SECRET.reveal()).digest() + unsigned[20:]
        (other if wrong == "port" else here).socket.sendto(reply, peer)

        assert await asked == Result(Outcome.TIMEOUT)


async def test_the_acknowledgement_of_another_kind_of_request_is_passed_over() -> None:
    async with DynamicAuthorizationServer(Code.COA_ACK) as nas:
        assert await disconnect(nas.endpoint, SECRET, STATION, waits=(0.05,)) == Result(Outcome.TIMEOUT)
