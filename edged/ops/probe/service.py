# SPDX-License-Identifier: Apache-2.0
"""Plays a phone on an interface: asks this host about it, starts ``edged.phone``, and leads it wave by wave. I/O.

The child is another program under another licence (decision 0041): what passes between us are lines of JSON.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import ssl
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from ipaddress import IPv6Address
from pathlib import Path
from typing import IO, Any, Self

from edged.config.schema import Config
from edged.dns.names import SuffixSet, lower, to_wire
from edged.host.addresses import asked
from edged.ops.control import Refused
from edged.ops.probe import orders, verdicts
from edged.ops.probe.phones import shown
from edged.ops.probe.place import Place, why_not
from edged.ops.probe.text import Report
from edged.ops.probe.values import (
    FAMILIES,
    FOREIGN,
    PUBLIC,
    Expected,
    Finding,
    Order,
    Phone,
    Seen,
    State,
    Trial,
    expected,
)
from edged.ops.probe.web import web
from edged.values import parse_address, parse_mac

SECONDS = 10.0
"""From the first frame to the last."""
FRAMES = 1000
"""At most; a blocked line with both families takes some 210."""
INSTALL = (
    "pip install --require-hashes --no-deps -r requirements-probe.lock     in a checkout's environment\n"
    "  apt install python3-scapy     with edged's package for Debian 13"
)
"""What brings scapy."""


def probe(config: Config, arguments: Namespace) -> Report:
    """What a blocked phone would meet. Refused: it cannot be tried, with the next step."""
    try:
        promise = expected(config)
    except ValueError as error:
        raise Refused(str(error)) from None
    _refuse_arguments(config, arguments)
    place = _place(arguments.via)
    phone = _phone(arguments, place)
    if reason := why_not(place, phone, promise, config.enforce):
        raise Refused(reason)
    _refuse_unable()
    capture = _captured(arguments.capture)
    begun = time.monotonic()
    with _Child(arguments, phone.mac, capture) as child:
        trial, findings = _played(child, phone, promise)
        return Report(
            trial, arguments.via, verdicts.standing(findings, trial), tuple(findings), shown(trial, findings),
            time.monotonic() - begun, child.sent, capture,
        )  # fmt: skip


def _refuse_arguments(config: Config, arguments: Namespace) -> None:
    """What could not be used, before anything is sent. Refused (2)."""
    try:
        if arguments.ca is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(arguments.ca)
    except OSError as error:
        fault = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "no certificates in it"
        raise Refused(f"--ca {arguments.ca}: {fault}", 2) from None
    try:
        name = lower(to_wire(arguments.foreign or FOREIGN))
    except ValueError:
        raise Refused(f"--foreign {arguments.foreign} is no name", 2) from None
    if SuffixSet(config.garden.all_names()).find(name) is not None:
        raise Refused(f"--foreign {arguments.foreign} is in the garden: it is answered with the truth; another one", 2)


def _phone(arguments: Namespace, place: Place) -> Phone:
    """Who is played, from the command line alone. Refused (2): something there is no address."""
    addresses: dict[int, str] = {}
    mac = ""
    for word in getattr(arguments, "as"):
        try:
            address = parse_address(word)
        except ValueError:
            if mac:
                raise Refused(f"--as {word} is a second MAC address, or no address", 2) from None
            mac = _mac(word)
            continue
        if addresses.setdefault(address.version, str(address)) != str(address):
            raise Refused(f"--as {word} is a second IPv{address.version} address: one a family", 2)
    return Phone(
        # a made-up one is locally administered, of one station (IEEE 802)
        mac=mac or f"02:{secrets.token_bytes(5).hex(':')}",
        addresses=addresses,
        leases=not addresses,
        fallback=place.routes,
        gateways=_by_family(arguments.gateway, "--gateway"),
        resolvers=_by_family(arguments.resolver, "--resolver"),
        public=PUBLIC | _by_family(arguments.public, "--public"),
        foreign=arguments.foreign or FOREIGN,
    )


def _mac(word: str) -> str:
    try:
        mac = parse_mac(word)
    except ValueError:
        raise Refused(f"--as {word} is neither an address nor a MAC address", 2) from None
    if int(mac[:2], 16) & 1:
        raise Refused(f"--as {word} is the MAC address of a group, not of a device", 2)
    return mac


def _by_family(words: list[str], flag: str) -> dict[int, str]:
    try:
        return {address.version: str(address) for address in map(parse_address, words)}
    except ValueError:
        raise Refused(f"{flag} {' '.join(words)}: not an address each", 2) from None


def _place(interface: str) -> Place:
    """What this host knows of the interface and of itself."""
    rows = asked(("address", "show")) or []
    row = next((r for r in rows if r.get("ifname") == interface), None)
    everywhere = frozenset(i["local"] for r in rows for i in r.get("addr_info", ()) if "local" in i)
    forwarding = Path("/proc/sys/net/ipv4/conf") / interface / "forwarding"
    return Place(
        interface=interface,
        others=tuple(r["ifname"] for r in rows if r.get("link_type") == "ether"),
        exists=row is not None,
        is_ethernet=row is not None and row.get("link_type") == "ether",
        is_up=row is not None and "UP" in row.get("flags", ()),
        mac=row.get("address", "") if row else "",
        own=everywhere,
        forwards=forwarding.exists() and forwarding.read_text("ascii").strip() == "1",
        routes=_default_routes(interface) if row is not None else {},
    )


def _default_routes(interface: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for family in (4, 6):
        rows = asked((f"-{family}", "route", "show", "default", "dev", interface)) or []
        if rows and "gateway" in rows[0]:
            found[family] = rows[0]["gateway"]
    return found


def _refuse_unable() -> None:
    if find_spec("scapy") is None:
        raise Refused(f"scapy is not installed, and it plays the phone:\n  {INSTALL}")
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    except PermissionError:
        raise Refused("sending as somebody else needs CAP_NET_RAW; become root: sudo edged probe …") from None
    except OSError as error:
        raise Refused(f"this host has no packet sockets: {error.strerror}") from None


def _captured(path: Path | None) -> str:
    """A new file for the capture, for its owner alone."""
    if path is None:
        return ""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise Refused(f"{path} was not written: {error.strerror}") from None
    return str(path.resolve())


class _Child:
    """``edged.phone`` while the context lasts."""

    def __init__(self, arguments: Namespace, mac: str, capture: str) -> None:
        self.sent = 0
        self._ends = time.monotonic() + SECONDS
        self._process = subprocess.Popen(  # our own program
            [sys.executable, "-P", "-m", "edged.phone"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self._ask({
                "interface": arguments.via, "mac": mac, "frames": FRAMES, "seconds": SECONDS, "capture": capture,
                "ca": str(arguments.ca) if arguments.ca else "",
            })  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        # it is ready: from now on it sends
        self._ends = time.monotonic() + SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wave(self, phone: Phone, wanted: Mapping[str, Order]) -> Seen:
        """What was seen of each order; of all of them at once."""
        if not wanted:
            return {}
        answer = self._ask({"own": list(phone.addresses.values()), "orders": wanted})
        self.sent = answer["sent"]
        seen: Seen = answer["facts"]
        return seen

    def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        source: IO[str] | None = self._process.stdout
        if self._process.stdin is None or source is None:
            raise AssertionError("it was started with pipes")
        try:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([source], [], [], max(0.0, self._ends - time.monotonic()))
            answer: dict[str, Any] = json.loads(source.readline()) if ready else {"error": "it takes too long"}
        except (OSError, ValueError):
            answer = {"error": f"it ended: {self._last_words()}"}
        if "error" in answer and "facts" not in answer:
            raise Refused(f"the phone cannot be played: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        self._process.kill()
        _, said = self._process.communicate()
        return next((line for line in reversed((said or "").splitlines()) if line.strip()), "nothing was said")


def _played(child: _Child, phone: Phone, promise: Expected) -> tuple[Trial, list[Finding]]:
    """Wave by wave; it ends early where nothing more can be tried."""
    findings: list[Finding] = []
    # nobody is told yet that the addresses are ours
    free = child.wave(replace(phone, addresses={}), orders.free_orders(phone))
    findings += verdicts.free(phone, free)
    if any(f.state is State.FAIL for f in findings):
        return Trial(phone, promise), findings
    settled = child.wave(phone, orders.settle_orders(phone))
    findings += verdicts.settled(phone, promise, settled)
    phone = _surrounded(phone, settled)
    reached = child.wave(phone, orders.gateway_orders(phone))
    findings += verdicts.gateways(phone, reached)
    phone = replace(phone, macs={**phone.macs, **_answered(reached)})
    trial = Trial(phone, promise, child.wave(phone, orders.name_orders(phone, promise)))
    if phone.families:
        findings += verdicts.names(trial)
        trial = replace(trial, web=child.wave(phone, orders.web_orders(trial)))
        findings += web(trial, time.time())
    return trial, findings


def _answered(reached: Seen) -> dict[int, str]:
    return {f: reached[f"gateway/{f}"]["mac"] for f in FAMILIES if "mac" in reached.get(f"gateway/{f}", {})}


def _surrounded(phone: Phone, settled: Seen) -> Phone:
    """Gateways and resolvers: as given, else as DHCP and the router say, else as this host itself has them."""
    four, six, router = settled["dhcp/4"], settled["dhcp/6"], settled["router/6"]
    addresses, macs = dict(phone.addresses), {}
    if phone.leases and four["outcome"] == "answer":
        addresses[4] = four["address"]
    if phone.leases and router.get("prefixes"):
        addresses[6] = _slaac(router["prefixes"][0], phone.mac)
    if router["outcome"] == "answer" and 6 not in phone.gateways:
        macs[6] = router["mac"]
    heard = {4: four.get("routers", [])[:1], 6: [router["router"]] if router["outcome"] == "answer" else []}
    resolvers = {4: four.get("dns", [])[:1], 6: [*router.get("dns", []), *six.get("dns", [])][:1]}
    return replace(
        phone, addresses=addresses, macs=macs,
        gateways={**phone.fallback, **_first(heard), **phone.gateways},
        resolvers={**_first(resolvers), **phone.resolvers},
    )  # fmt: skip


def _first(found: Mapping[int, list[str]]) -> dict[int, str]:
    return {family: addresses[0] for family, addresses in found.items() if addresses}


def _slaac(prefix: str, mac: str) -> str:
    """The address of ``mac`` in a /64 (RFC 4862 section 5.5.3, RFC 4291 appendix A)."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 2
    tail = int.from_bytes(octets[:3] + b"\xff\xfe" + octets[3:], "big")
    return str(IPv6Address(int(IPv6Address(prefix)) | tail))
