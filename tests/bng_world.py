# SPDX-License-Identifier: Apache-2.0
"""Sessions, and a BNG that keeps its lists: an independent stand-in of what RFC 5176 and a vendor's list prescribe.

It is written from the standards, not from edged's code; radclient of FreeRADIUS judges it, and FreeRADIUS as a CoA
server judges edged. It has never been compared with a vendor's BNG.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Self

from edged.enforce.settings import RadiusTargetSettings
from edged.radius.attributes import Attributes, attribute, first, text
from edged.radius.authenticator import request_is_authentic, sign_reply
from edged.radius.packet import Code, Packet, decode
from edged.state.sessions import Session
from edged.values import Secret

SECRET = Secret(b"bng-secret")
NOW = 1_700_000_000.0


def session(
    name: str = "s-1", *, login: str = "anna", ipv4: str = "100.64.1.7", nas: str = "127.0.0.1", **more: Any
) -> Session:
    values: dict[str, Any] = {"started": NOW, "updated": NOW, "client": "bng"} | more
    return Session(nas, name, login=login, ipv4=ipv4, **values)


def settings(**more: Any) -> RadiusTargetSettings:
    return RadiusTargetSettings.model_validate({"nas": "127.0.0.1", "secret": SECRET} | more)


@dataclass
class Line:
    """One session at the BNG."""

    login: str
    ipv4: str
    list: str = ""
    """The address list, or the filter, that it is on."""


@dataclass
class Bng(asyncio.DatagramProtocol):
    """Takes CoA- and Disconnect-Requests for the sessions that it has. What goes wrong is set from outside."""

    secret: Secret = SECRET
    attribute: str = "Mikrotik-Address-List"
    sessions: dict[str, Line] = field(default_factory=dict)
    refuses: dict[str, int] = field(default_factory=dict)
    """Session to the Error-Cause that it gets."""
    silent: bool = False
    loses: Callable[[int], str] = lambda _number: ""
    """By the number of the datagram: ``request`` or ``reply`` is lost, ``twice``: the reply comes twice."""
    window: float = 300.0
    """Seconds that an Event-Timestamp may be old or early."""
    heard: list[Packet] = field(default_factory=list)
    acted: list[tuple[str, str]] = field(default_factory=list)
    """What was changed: session and list, or session and ``end``."""
    dropped: int = 0
    ended: Callable[[str, Line], None] = lambda _name, _line: None
    _replies: dict[tuple[Any, int, bytes], bytes] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def open(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", port))
        self.port = self.transport.get_extra_info("sockname")[1]

    async def __aexit__(self, *_: object) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number = len(self.heard)
        if self.silent or not request_is_authentic(data, self.secret):
            self.dropped += 1
            return
        packet = decode(data)
        self.heard.append(packet)
        fate = self.loses(number)
        if fate == "request":
            return
        # a retransmission gets the reply that was given, and does nothing a second time (RFC 5080, section 2.2.2)
        key = (addr, packet.identifier, packet.authenticator)
        if key not in self._replies:
            code, attributes = self._answer(packet)
            if code is None:
                return
            self._replies[key] = sign_reply(code, attributes, packet, self.secret)
        for _ in range({"reply": 0, "twice": 2}.get(fate, 1)):
            self.transport.sendto(self._replies[key], addr)

    def _answer(self, packet: Packet) -> tuple[Code | None, Attributes]:
        leaves = packet.code is Code.DISCONNECT_REQUEST
        ack, nak = (Code.DISCONNECT_ACK, Code.DISCONNECT_NAK) if leaves else (Code.COA_ACK, Code.COA_NAK)
        given = packet.attributes
        stamp = first(given, "Event-Timestamp")
        if stamp is None or abs(int.from_bytes(stamp, "big") - time.time()) > self.window:
            return None, ()  # RFC 5176, section 6.3: silently discarded
        name = text(given, "Acct-Session-Id")
        line = self.sessions.get(name)
        if name in self.refuses:
            return nak, (attribute("Error-Cause", self.refuses[name]),)
        if line is None or not self._matches(given, line):
            return nak, (attribute("Error-Cause", 503),)
        if leaves:
            del self.sessions[name]
            self.acted.append((name, "end"))
            self.ended(name, line)
        elif found := first(given, self.attribute):
            line.list = found.decode()
            self.acted.append((name, line.list))
        return ack, ()

    @staticmethod
    def _matches(given: Attributes, line: Line) -> bool:
        login, address = text(given, "User-Name"), first(given, "Framed-IP-Address")
        return login in {"", line.login} and address in {None, IPv4Address(line.ipv4).packed}

    def has(self, *sessions: Session) -> None:
        for one in sessions:
            self.sessions[one.session] = Line(one.login, one.ipv4)

    def lists(self) -> dict[str, str]:
        return {name: line.list for name, line in self.sessions.items()}
