# SPDX-License-Identifier: Apache-2.0
"""Disconnect- and CoA-Requests to a NAS, with retransmission. I/O. RFC 5176, RFC 5080 section 2.2.1."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from secrets import randbelow

from edged.errors import WireError
from edged.radius.attributes import Attributes, integer
from edged.radius.authenticator import ZERO, reply_is_authentic, sign_request
from edged.radius.packet import MAX_LENGTH, Code, Packet, decode
from edged.values import Endpoint, Secret

WAITS = (1.0, 2.0, 2.0, 2.0)
"""Seconds waited after the first sending and after each of three retransmissions: seven in all."""
MAX_STRAY = 64
"""Datagrams looked at in one exchange: a flood of forged replies costs no more than this."""

_REPLIES = {
    Code.DISCONNECT_REQUEST: (Code.DISCONNECT_ACK, Code.DISCONNECT_NAK),
    Code.COA_REQUEST: (Code.COA_ACK, Code.COA_NAK),
}


class Outcome(StrEnum):
    """How the NAS took the request."""

    ACK = "ack"
    NAK = "nak"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one exchange."""

    outcome: Outcome
    error_cause: int = 0
    """Error-Cause of a NAK, for example 503: no such session; 0: none given."""


def _never() -> bool:
    return False


async def disconnect(
    endpoint: Endpoint,
    secret: Secret,
    attributes: Attributes,
    *,
    waits: tuple[float, ...] = WAITS,
    moot: Callable[[], bool] = _never,
) -> Result:
    """End the session that ``attributes`` name. No reply, unreachable and refused are all TIMEOUT.

    ``moot``: True once there is no more to do, so that it is not sent again; that is TIMEOUT too.
    """
    return await _exchange(_request(Code.DISCONNECT_REQUEST, attributes), endpoint, secret, waits, moot)


async def change(
    endpoint: Endpoint,
    secret: Secret,
    attributes: Attributes,
    *,
    waits: tuple[float, ...] = WAITS,
    moot: Callable[[], bool] = _never,
) -> Result:
    """Change the authorization of the session that ``attributes`` name (CoA); as ``disconnect``."""
    return await _exchange(_request(Code.COA_REQUEST, attributes), endpoint, secret, waits, moot)


def _request(code: Code, attributes: Attributes) -> Packet:
    return Packet(code, randbelow(256), ZERO, attributes)


async def _exchange(
    asked: Packet, endpoint: Endpoint, secret: Secret, waits: tuple[float, ...], moot: Callable[[], bool]
) -> Result:
    """One exchange; an operating system that gives no socket is as silent as a NAS that is away."""
    try:
        return await _sent_and_answered(asked, endpoint, secret, waits, moot)
    except OSError:
        return Result(Outcome.TIMEOUT)


async def _sent_and_answered(
    asked: Packet, endpoint: Endpoint, secret: Secret, waits: tuple[float, ...], moot: Callable[[], bool]
) -> Result:
    """The same octets each time: same identifier, same authenticator (RFC 5176 section 2.3)."""
    octets = sign_request(asked, secret)
    request = decode(octets)
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect((str(endpoint.address), endpoint.port))  # from a port that the kernel picks at random
        except OSError:
            return Result(Outcome.TIMEOUT)
        for wait in waits:
            if moot():
                break
            try:
                async with asyncio.timeout(wait):
                    reply = await _sent(sock, octets, request, secret)
            except TimeoutError:
                continue
            if reply.code is _REPLIES[request.code][0]:
                return Result(Outcome.ACK)
            return Result(Outcome.NAK, integer(reply.attributes, "Error-Cause") or 0)
    return Result(Outcome.TIMEOUT)


async def _sent(sock: socket.socket, octets: bytes, request: Packet, secret: Secret) -> Packet:
    """The authentic reply to one sending; all else is passed over. Without one: until cancelled."""
    loop = asyncio.get_running_loop()
    strays = 0
    try:
        await loop.sock_sendall(sock, octets)
        while strays < MAX_STRAY:
            reply = _reply(await loop.sock_recv(sock, MAX_LENGTH), request, secret)
            if reply is not None:
                return reply
            strays += 1
    except OSError:  # nobody listens there yet: RADIUS over UDP learns that from silence
        pass
    return await asyncio.Future()


def _reply(octets: bytes, request: Packet, secret: Secret) -> Packet | None:
    try:
        reply = decode(octets)
    except WireError:
        return None
    if reply.identifier != request.identifier or reply.code not in _REPLIES[request.code]:
        return None
    whole = octets[: octets[2] << 8 | octets[3]]
    return reply if reply_is_authentic(whole, request.authenticator, secret) else None
