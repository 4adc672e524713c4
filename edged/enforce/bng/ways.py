# SPDX-License-Identifier: Apache-2.0
"""What an attribute does to a session at a BNG, as rows; a session in, the attributes of a request out. Pure.

RFC 5176 sections 2.2 and 3 (what names a session), 3.5 (Error-Cause); RFC 2865 section 5.11; RFC 2869 section 5.18.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from edged.radius.attributes import Attribute, Attributes, attribute, values
from edged.state.sessions import Session
from edged.values import IpAddress, Prefix, parse_prefix


class Act(StrEnum):
    """What is said of a session."""

    BLOCK = "block"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Way:
    """One row: how a BNG is brought to treat a session otherwise."""

    attribute: str
    leaves: bool = False
    """It counts when a session begins: the session is ended, and the operator's RADIUS server gives the other value."""
    is_ours: bool = True
    """Its value is a name of edged's: a session that bears it was told so by edged, whatever is remembered."""


WAYS: dict[str, Way] = {
    # the router adds the session's address to the list named; a CoA without the attribute leaves it on the list that it
    # is on, so to open a session another list is named (the vendor's dictionary; a billing vendor's practice)
    "Mikrotik-Address-List": Way("Mikrotik-Address-List"),
    # a filter of that name on the BNG; another one opens
    "Filter-Id": Way("Filter-Id"),
    # the address is what is filtered, and an address is given once
    "Framed-Pool": Way("Framed-Pool", leaves=True, is_ours=False),
}

NAMES = ("Acct-Session-Id", "User-Name", "Framed-IP-Address")
"""What may name a session to a BNG; it must match in all that are sent (RFC 5176 section 3)."""

CAUSES = {
    401: "Unsupported-Attribute", 402: "Missing-Attribute", 403: "NAS-Identification-Mismatch", 404: "Invalid-Request",
    405: "Unsupported-Service", 406: "Unsupported-Extension", 407: "Invalid-Attribute-Value",
    501: "Administratively-Prohibited", 502: "Request-Not-Routable", 503: "Session-Context-Not-Found",
    504: "Session-Context-Not-Removable", 505: "Other-Proxy-Processing-Error", 506: "Resources-Unavailable",
    507: "Request-Initiated", 508: "Multiple-Session-Selection-Unsupported",
}  # fmt: skip
"""Error-Cause, as RFC 5176 section 3.5 calls it."""


def refusal(error_cause: int) -> str:
    """A NAK in words."""
    return f"NAK {error_cause} {CAUSES.get(error_cause, '')}".strip() if error_cause else "NAK without Error-Cause"


def said(way: Way, act: Act, blocked: str, opened: str) -> Attribute:
    """What a CoA-Request says of the session that it names."""
    return attribute(way.attribute, blocked if act is Act.BLOCK else opened)


def named(session: Session, names: tuple[str, ...]) -> Attributes:
    """``session`` as its BNG reported it; empty when it can not be named for sure."""
    spelt: dict[str, str | IpAddress] = {"Acct-Session-Id": session.session, "User-Name": session.login}
    if session.ipv4:
        spelt["Framed-IP-Address"] = IPv4Address(session.ipv4)
    texts = [spelt.get(name, "") for name in names]
    # octets that are not UTF-8 were not kept, and a session of another spelling is another session
    if any(isinstance(text, str) and "\ufffd" in text for text in texts):
        return ()
    return tuple(attribute(name, text) for name, text in zip(names, texts, strict=True) if text)


def unnamed(session: Session, names: tuple[str, ...]) -> str:
    """Why ``named`` has nothing."""
    if any("\ufffd" in text for text in (session.session, session.login)):
        return "its names in accounting are not UTF-8 text"
    return f"its accounting has no {' and no '.join(names)}"


def former(told: tuple[str, ...]) -> tuple[Way, ...]:
    """By what a session may still be blocked that an earlier configuration told ``told``: attributes with values."""
    found = (WAYS.get(value.partition("=")[0]) for value in told)
    return tuple(way for way in found if way is not None)


def observed(
    way: Way, session: Session, given: Attributes, *, blocked: str, pool: tuple[Prefix, ...] = ()
) -> bool | None:
    """Whether the BNG's own report ``given`` shows ``session`` as blocked; None: it does not say."""
    if way.leaves:
        addresses = [parse_prefix(text) for text in (session.ipv4, *session.ipv6.split()) if text]
        # the pool of one family says nothing of the other
        told = [any(p.contains(a) for p in pool) for a in addresses if any(p.version == a.version for p in pool)]
        return all(told) if told else None
    found = values(given, way.attribute)
    return blocked.encode() in found if found else None
