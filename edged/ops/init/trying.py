# SPDX-License-Identifier: Apache-2.0
"""Whether an answer to ``edged init`` is true of this host: an answer in, what is wrong with it out. I/O.

Each takes a few seconds at most, and changes nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edged.billing.settings import BillingSettings, PublicKeyField
from edged.ops.doctor.asking import tried_billing
from edged.ops.doctor.checks import Wanted, how_to_free, overlaps
from edged.ops.doctor.looking import Unknown, holders
from edged.ops.init.configuration import ports_of
from edged.values import BITS, Endpoint, host_prefix, parse_address, parse_endpoint, parse_prefix

_RESOLVE_S = 5.0
_CONNECT_S = 3.0
_PRIVATE = tuple(parse_prefix(p) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_API_TLS = 8729
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an answer, and what to do."""

    what: str
    fix: str
    must: bool = False
    """True: no configuration can be made of it."""


def networks(words: Sequence[str]) -> Trouble | None:
    """Prefixes, well formed."""
    for word in words:
        try:
            parse_prefix(word)
        except ValueError as error:
            return Trouble(f"{word}: {error}", "as 100.64.0.0/10 or 2001:db8:100::/40, with spaces between", must=True)
    return None if words else Trouble("no network", "as 100.64.0.0/10 2001:db8:100::/40", must=True)


def interfaces(words: Sequence[str]) -> Trouble | None:
    """Interfaces of this host; ``ppp*`` is all that begin so."""
    known = [name for _, name in socket.if_nameindex()]
    lost = [word for word in words if word not in known and word[-1:] != "*"]
    if not words:
        return Trouble("no interface", f"one of {', '.join(known)}", must=True)
    if lost:
        return Trouble(f"there is no interface {lost[0]} now", f"this host has {', '.join(known)}")
    return None


def portal(host: str, wanted: Sequence[str], own: frozenset[str]) -> Trouble | None:
    """A name that leads to the page's addresses ``wanted``, or to another one of this host."""
    if not _NAME.fullmatch(host):
        return Trouble(f"{host} is no host name", "as portal.example.net, without https://", must=True)
    found = _resolved(host)
    if not found:
        return Trouble(f"{host} has no address in DNS", f"records of it in DNS: {', '.join(wanted)}")
    if not set(found) & {*wanted, *own}:
        return Trouble(
            f"{host} is {found[0]}, which is no address of this host",
            f"records of it in DNS: {', '.join(wanted)}; or: ip address add {found[0]}/{_bits(found[0])} dev lo",
        )
    return None


def _resolved(host: str) -> list[str]:
    pool = ThreadPoolExecutor(max_workers=1)
    task = pool.submit(socket.getaddrinfo, host, 443, type=socket.SOCK_STREAM)
    pool.shutdown(wait=False)
    try:
        return [str(info[4][0]) for info in task.result(_RESOLVE_S)]
    except (OSError, TimeoutError, UnicodeError):
        return []


def _bits(address: str) -> int:
    return BITS[parse_address(address).version]


def addresses(words: Sequence[str], own: frozenset[str]) -> Trouble | None:
    """Addresses of this host that devices take."""
    for word in words:
        try:
            address = parse_address(word)
        except ValueError:
            return Trouble(f"{word} is no address", "as 203.0.113.10 2001:db8::10, with spaces between", must=True)
        if any(private.contains(host_prefix(address)) for private in _PRIVATE):
            return Trouble(
                f"{word} is a private address", "some resolvers and phones refuse it: a public one, or of 100.64.0.0/10"
            )
        if own and str(address) not in own:
            return Trouble(f"{word} is no address of this host yet", f"ip address add {word}/{_bits(word)} dev lo")
    return None if words else Trouble("no address", "as 203.0.113.10 2001:db8::10", must=True)


def ports(target: str) -> Trouble | None:
    """Free ports for everything that edged would listen on there."""
    for what, number in ports_of(target).items():
        for proto in ("udp", "tcp") if what == "dns" else ("tcp",):
            if (trouble := _held(number, proto)) is not None:
                return trouble
    return None


def port_53() -> str:
    """Who holds port 53 where edged does not want it; empty: nobody."""
    trouble = _held(53, "udp") or _held(53, "tcp")
    return trouble.what if trouble is not None else ""


def _held(number: int, proto: str) -> Trouble | None:
    try:
        known = holders()
    except Unknown:
        return None  # edged doctor says so
    for wild in (f"0.0.0.0:{number}", f"[::]:{number}"):
        endpoint: Endpoint = parse_endpoint(wild)
        holder = next((h for h in known if overlaps(Wanted(proto, endpoint, ""), h)), None)
        if holder is not None:
            who = f"{holder.process} (pid {holder.pid})" if holder.process else "another program (as root: which)"
            free = how_to_free(holder.process) or "stop it, give it another port, or change listen in the file"
            return Trouble(f"port {number}/{proto} is held by {who}", free)
    return None


def router(host: str) -> Trouble | None:
    """A router whose API answers."""
    if not host or " " in host:
        return Trouble("no router", "its address, as 192.0.2.1", must=True)
    try:
        socket.create_connection((host, _API_TLS), timeout=_CONNECT_S).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Trouble(
            f"{host} does not answer on {_API_TLS}, its API over TLS ({reason})",
            "edged routeros script prints what to import there (docs/mikrotik.md)",
        )
    return None


def billing_file(path: str) -> Trouble | None:
    """A file that is there, or one that can be made."""
    file = Path(path)
    if not file.is_absolute():
        return Trouble(f"{path} is no whole path", "as /etc/edged/billing.yaml", must=True)
    if file.is_dir() or file.exists() or file.parent.is_dir():
        return None
    return Trouble(f"there is no folder {file.parent}", "it is made with the file")


def public_key(text: str) -> Trouble | None:
    """What a hub signs with."""
    try:
        TypeAdapter(PublicKeyField).validate_python(text)
    except ValidationError:
        return Trouble("that is no public key", "44 characters, as `edged fleet key` prints it on the hub", must=True)
    return None


def billing(source: str, url: str, secrets: dict[str, str], signed_by: str = "") -> Trouble | None:
    """A billing system, or a hub of that public key, that lets us in. ``secrets``: by the key of the configuration."""
    try:
        given = {"source": source, "url": url, **secrets} | ({"signed_by": [signed_by]} if signed_by else {})
        settings = BillingSettings.model_validate(given, context={"secrets": "given"})
    except ValidationError as error:
        return Trouble(f"{url}: {error.errors()[0]['msg']}", "as https://billing.example.net", must=True)
    said = tried_billing(settings)
    if not said:
        return None
    return Trouble(said, f"is the URL right, and may this key read? docs/{_PAGES[source]}")


_PAGES = {"rest": "feed.md", "hub": "hub.md", "splynx": "billing-splynx.md", "uisp": "billing-uisp.md"}
