# SPDX-License-Identifier: Apache-2.0
"""A client's octets -> the request that may come in, or why it is dropped in silence. Pure.

CVE-2024-3596 (BlastRADIUS), RFC 2865 section 3, RFC 3579 section 3.1 (EAP), RFC 5997 section 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from edged.errors import WireError
from edged.native.radius import ABSENT, HASHED, INVALID, VALID, Opened, Portable
from edged.radius.authenticator import Signature
from edged.radius.clients import Source
from edged.radius.counters import Discard
from edged.radius.dictionary import EAP_MESSAGE, PROXY_STATE, USER_PASSWORD
from edged.radius.mending import mended
from edged.radius.packet import MAX_LENGTH, Code, Packet, received
from edged.values import IpAddress, parse_address

Requirement = Literal["auto", "require", "optional"]
"""What ``message_authenticator`` of a client may say.

require:  an Access-Request without a Message-Authenticator is dropped. Right for every device of this decade.
auto:     the same, once this source address has sent a valid one; until then a request without is answered
          unless it carries Proxy-State, which is where the attacker's chosen prefix goes, or no User-Password:
          then nothing in it was made with the secret, and any host in the client's networks could ask for keys.
          The memory survives restarts through ``SignedSources.export``. A Status-Server teaches nothing: some
          sign that alone.
optional: never missed. For old devices behind a proxy, on a network that nobody else can write to.
"""

MAX_SOURCES = 65_536
"""Addresses remembered: only the holder of a secret gets in, so this bounds a mistake, not an attack."""


class SignedSources:
    """The source addresses that have once sent a valid Message-Authenticator."""

    __slots__ = ("_capacity", "_sources", "changed")

    def __init__(self, sources: Iterable[IpAddress] = (), capacity: int = MAX_SOURCES) -> None:
        self._capacity = capacity
        self._sources = dict.fromkeys(map(str, sources))
        self.changed = False
        """Whether it has grown since the last ``export``."""

    def __contains__(self, host: str) -> bool:
        return host in self._sources

    def add(self, host: str) -> None:
        """Remember the address that ``host`` spells; the oldest gives way where there are too many."""
        if host in self._sources:
            return
        if len(self._sources) >= self._capacity:
            del self._sources[next(iter(self._sources))]
        self._sources[host] = None
        self.changed = True

    def export(self) -> frozenset[IpAddress]:
        """What to keep across restarts."""
        self.changed = False
        return frozenset(parse_address(host) for host in self._sources)


AUTHENTICATION = frozenset({Code.ACCESS_REQUEST, Code.STATUS_SERVER})
_SIGNATURES = {ABSENT: Signature.ABSENT, VALID: Signature.VALID, INVALID: Signature.INVALID}
ACCOUNTING = frozenset({Code.ACCOUNTING_REQUEST, Code.STATUS_SERVER})
"""The codes that each of the two ports takes."""


_UNSIGNED = frozenset({Discard.NO_MESSAGE_AUTHENTICATOR, Discard.PROXY_STATE_UNSIGNED})


def admit(octets: bytes, source: Source, codes: frozenset[Code], signed: SignedSources) -> Packet | Discard:
    """The verified request, its User-Password in clear; or why it is dropped. WireError when malformed.

    No datagram is longer than 4096 octets; what comes on a stream may be (RFC 7930).
    """
    octets, opened = _opened(octets, source)
    _, authentic, verdict, passwords, _, _ = opened
    signature = _SIGNATURES[verdict]
    request = received(octets, opened)
    if request.code not in codes:
        return Discard.UNEXPECTED_CODE
    if not authentic:
        return Discard.BAD_AUTHENTICATOR
    before = source.host in signed
    if signature is not Signature.VALID:
        refused = refusal(request, signature, source.client.message_authenticator, signed_before=before)
        if refused is not None:
            if refused in _UNSIGNED:
                source.heard.refused = source.heard.asked
            return refused
    elif not before and request.code is Code.ACCESS_REQUEST:
        signed.add(source.host)
    source.heard.verified(access=request.code is Code.ACCESS_REQUEST, signed=signature is Signature.VALID)
    if source.rotates:
        _note_secret(request.code, signature, source)
    if passwords is None:
        raise WireError("bad-password")
    return request


def _opened(octets: bytes, source: Source) -> tuple[bytes, Opened]:
    """The packet, mended where hostapd is known to break it, and what is in it. WireError when malformed."""
    if len(octets) > MAX_LENGTH:
        opened = Portable(source.client.secret.reveal()).open(octets, len(octets))
    else:
        opened = source.shared.open(octets)
        if isinstance(opened, str):
            whole = mended(octets, source.client.secret)
            octets, opened = (octets, opened) if whole is None else (whole, source.shared.open(whole))
    if isinstance(opened, str):
        raise WireError(opened)
    return octets, opened


def _note_secret(code: Code, signature: Signature, source: Source) -> None:
    """While a secret is changed: remember which one the NAS has proven."""
    if signature is Signature.VALID or code in HASHED:
        if source.is_before:
            source.heard.old_secret = source.heard.asked
        else:
            source.heard.new_secret = source.heard.asked


def refusal(request: Packet, signature: Signature, requirement: Requirement, *, signed_before: bool) -> Discard | None:
    """Why ``request`` is dropped in silence; None: it may come in."""
    if signature is Signature.INVALID:
        return Discard.BAD_MESSAGE_AUTHENTICATOR
    if signature is Signature.VALID or request.code is Code.ACCOUNTING_REQUEST:
        return None  # the Request Authenticator of an Accounting-Request covers every octet already
    must = request.code is Code.STATUS_SERVER or bool(request.marked(EAP_MESSAGE))
    match requirement:
        case "require":
            must = True
        case "auto":
            must = must or signed_before
            if not must and request.marked(PROXY_STATE):
                return Discard.PROXY_STATE_UNSIGNED
            must = must or not request.marked(USER_PASSWORD)
        case "optional":
            pass
    return Discard.NO_MESSAGE_AUTHENTICATOR if must else None
