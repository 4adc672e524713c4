# SPDX-License-Identifier: Apache-2.0
"""A secret is changed on many access points, one after the other, and no request is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attribute, Attributes, attribute, text, values
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.clients import Clients
from edged.radius.counters import Discard
from edged.radius.hiding import hide_password, reveal_salted
from edged.radius.packet import Answer, Code, Hidden, Packet, decode, encode
from edged.radius.rotation import chosen
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.values import IpAddress, Secret, parse_address
from tests.mpsk_world import HOSTAPD

NEW, OLD, OTHER = Secret("the-new-secret-0002"), Secret("the-old-secret-0001"), Secret("some-other-secret-9")
HOME = parse_address("127.0.0.1")
RANDOM = bytes(range(16))
MAC = "02005e100009"


def _settings(old: Secret | None = OLD) -> RadiusSettings:
    client = {"name": "building-7", "networks": ["127.0.0.0/8"], "secret": NEW, "secret_before": old}
    return RadiusSettings.model_validate({"auth": ["127.0.0.1:0"], "acct": ["127.0.0.1:0"], "clients": [client]})


class Rooms:
    def __init__(self) -> None:
        self.passwords: list[str] = []

    async def authorize(self, packet: Packet, _client: ClientSettings, _source: IpAddress) -> Answer | None:
        self.passwords.append(text(packet.attributes, "User-Password"))
        await asyncio.sleep(0)
        return Answer(Code.ACCESS_ACCEPT, (Hidden("Tunnel-Password", Secret("copper-otter-violin-42")),))

    async def account(self, _packet: Packet, _client: ClientSettings, _source: IpAddress) -> bool:
        return True


@asynccontextmanager
async def _serving(settings: RadiusSettings) -> AsyncIterator[tuple[RadiusService, Rooms]]:
    rooms = Rooms()
    service = RadiusService(settings, authorize=rooms.authorize, account=rooms.account)
    await service.start()
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    try:
        yield service, rooms
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await service.stop()


async def _ask(service: RadiusService, octets: bytes, role: str = "auth", wait: float = 2.0) -> bytes | None:
    port = dict(service.endpoints)[role].port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.setblocking(False)
        nas.bind(("127.0.0.1", 0))
        nas.connect(("127.0.0.1", port))
        nas.send(octets)
        try:
            async with asyncio.timeout(wait):
                return await asyncio.get_running_loop().sock_recv(nas, 4096)
        except TimeoutError:
            return None


def _request(secret: Secret, *, signed: bool = True, password: bool = True, identifier: int = 1) -> bytes:
    given: Attributes = (attribute("User-Name", MAC),)
    if password:
        given += (Attribute(2, hide_password(Secret(MAC), secret, RANDOM)),)
    packet = Packet(Code.ACCESS_REQUEST, identifier, RANDOM, given)
    return sign_request(packet, secret) if signed else encode(packet)


def _start(secret: Secret) -> bytes:
    given = (attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "81a0"))
    return sign_request(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), given), secret)


@pytest.mark.parametrize("secret", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize("signed", [True, False])
async def test_a_reply_is_made_and_hidden_with_the_secret_of_its_request(secret: Secret, signed: bool) -> None:
    async with _serving(_settings()) as (service, rooms):
        reply = await _ask(service, _request(secret, signed=signed))

        assert reply is not None
        assert reply_is_authentic(reply, RANDOM, secret)
        (hidden,) = values(decode(reply).attributes, "Tunnel-Password")
        assert reveal_salted(hidden[1:], secret, RANDOM) == b"copper-otter-violin-42"
        assert rooms.passwords == [MAC], "the password was read with the same secret"


@pytest.mark.parametrize("secret", [NEW, OLD], ids=["new", "old"])
async def test_accounting_and_status_server_are_answered_with_the_secret_they_came_with(secret: Secret) -> None:
    status = sign_request(Packet(Code.STATUS_SERVER, 3, RANDOM), secret)
    async with _serving(_settings()) as (service, _):
        reply = await _ask(service, _start(secret), "acct")
        assert reply is not None
        assert reply_is_authentic(reply, _start(secret)[4:20], secret)
        reply = await _ask(service, status)
        assert reply is not None
        assert reply_is_authentic(reply, RANDOM, secret)


async def test_a_third_secret_gets_silence_and_is_counted() -> None:
    async with _serving(_settings()) as (service, rooms):
        assert await _ask(service, _request(OTHER), wait=0.1) is None
        assert await _ask(service, _start(OTHER), "acct", wait=0.1) is None
        assert service.counters.discards[Discard.BAD_MESSAGE_AUTHENTICATOR] == 1
        assert service.counters.discards[Discard.BAD_AUTHENTICATOR] == 1
        assert rooms.passwords == []


async def test_without_the_old_secret_in_the_file_it_opens_nothing() -> None:
    async with _serving(_settings()) as (service, _):
        assert await _ask(service, _request(OLD)) is not None
        service.reconfigure(_settings(None))
        assert await _ask(service, _request(OLD, identifier=2), wait=0.1) is None
        assert await _ask(service, _request(NEW, identifier=3)) is not None


async def test_the_disconnect_to_an_access_point_is_made_with_what_it_has_proven_last() -> None:
    settings = _settings()
    (client,) = settings.clients
    async with _serving(settings) as (service, _):
        assert service.clients.secret_at(HOME, client) == NEW, "nothing is known of it"
        await _ask(service, _request(OLD))
        assert service.clients.secret_at(HOME, client) == OLD
        await _ask(service, _request(NEW, identifier=2))
        assert service.clients.secret_at(HOME, client) == NEW


def test_what_proves_nothing_and_has_no_password_is_read_with_the_secret_proven_last() -> None:
    clients, signed = Clients(_settings()), SignedSources()
    silent = _request(NEW, signed=False, password=False)

    def read(octets: bytes, now: float) -> Secret:
        source = clients.find("127.0.0.1", now)
        assert source is not None
        source = chosen(octets, source)
        assert isinstance(admit(octets, source, AUTHENTICATION, signed), Packet | Discard)
        return source.client.secret

    assert read(silent, 1.0) == NEW
    assert read(_request(OLD), 2.0) == OLD
    assert read(silent, 3.0) == OLD
    assert read(_request(NEW), 4.0) == NEW
    assert read(silent, 5.0) == NEW


@pytest.mark.parametrize("old", [True, False])
def test_a_packet_that_hostapd_broke_is_mended_with_the_secret_it_was_signed_with(old: bool) -> None:
    row = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")
    made, octets = Secret(row["secret"]), bytes.fromhex(row["request_hex"])
    secrets = {"secret": OTHER, "secret_before": made} if old else {"secret": made, "secret_before": OTHER}
    client = {"name": "building-7", "networks": ["127.0.0.0/8"]} | secrets
    source = Clients(RadiusSettings.model_validate({"clients": [client]})).find("127.0.0.1", 1.0)

    assert source is not None
    source = chosen(octets, source)
    assert source.client.secret == made
    assert isinstance(admit(octets, source, AUTHENTICATION, SignedSources()), Packet)


def test_a_client_without_an_old_secret_is_never_asked_about_one() -> None:
    source = Clients(_settings(None)).find("127.0.0.1", 1.0)

    assert source is not None
    assert source.before is None
    assert chosen(b"not even a packet", source) is source
    assert source.heard.new_secret == source.heard.old_secret == 0.0
