# SPDX-License-Identifier: Apache-2.0
"""What this host shows of itself: sockets, interfaces, routes, packet filter, certificate, clock. I/O."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from edged import __version__
from edged.captive.acme.record import FOLDER, certificate_files
from edged.captive.certificate import fitting
from edged.captive.settings import CertificateAcme
from edged.config.derived import served_interfaces
from edged.config.schema import Config
from edged.enforce.nft_json import MENDED_BY, Row, foreign_warnings, rows
from edged.errors import ConfigError, UpstreamError
from edged.ops.doctor.values import Certificate, Holder, Link, Route, Routing
from edged.values import BITS, Prefix, parse_prefix

_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronized."""
_LISTENER = re.compile(r"^(udp|tcp)\s+\S+\s+\d+\s+\d+\s+(\S+):(\d+)\s+\S+\s*(?:users:\(\(\"([^\"]*)\",pid=(\d+))?")
_COMMAND_S = 4.0


class Hung(Exception):  # noqa: N818  # as Unknown
    """A program is there and does not answer."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        super().__init__(pid)


class Unknown(Exception):  # noqa: N818  # a reason, not a fault
    """A fact cannot be found out, in words for the operator."""


def _output(*command: str) -> bytes:
    """What a program of the system prints. Unknown: it fails."""
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=_COMMAND_S).stdout  # noqa: S603  # fixed
    except FileNotFoundError:
        raise Unknown(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise Unknown(f"{command[0]}: {said[0] if said else 'failed'}") from None
    except (OSError, subprocess.TimeoutExpired):
        raise Unknown(f"{command[0]} does not answer") from None


def _listed(*command: str) -> list[dict[str, Any]]:
    try:
        listed: list[dict[str, Any]] = json.loads(_output(*command) or b"[]")
    except ValueError:
        raise Unknown(f"{command[0]} prints no JSON") from None
    return listed


def holders() -> tuple[Holder, ...]:
    """Who listens on this host. Unknown."""
    return holders_of(_output("ss", "-H", "-lntup").decode(errors="replace"))


def holders_of(listing: str) -> tuple[Holder, ...]:
    """Who listens, of what ``ss -H -lntup`` prints; with root alone it names the programs."""
    found = []
    for line in listing.splitlines():
        if (listener := _LISTENER.match(line)) is not None:
            proto, address, port, process, pid = listener.groups()
            bare = address.partition("%")[0].strip("[]")
            found.append(Holder(proto, bare, int(port), process or "", int(pid or 0)))
    return tuple(found)


def links() -> tuple[Link, ...]:
    """The interfaces of this host. Unknown."""
    return tuple(
        Link(
            row["ifname"],
            is_up="UP" in row.get("flags", ()),
            is_bridge=row.get("linkinfo", {}).get("info_kind") == "bridge",
            master=row.get("master", ""),
            is_isolated=bool(row.get("linkinfo", {}).get("info_slave_data", {}).get("isolated")),
            rp_filter=max(_switch(f"ipv4/conf/{name}/rp_filter") for name in ("all", row["ifname"])),
        )
        for row in _listed("ip", "-j", "-d", "link", "show")
    )  # fmt: skip


def _switch(name: str) -> int:
    """A number below /proc/sys/net; 0 where there is none."""
    try:
        return int(Path("/proc/sys/net", name).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def addresses() -> frozenset[str]:
    """The addresses of this host, of both families. Unknown."""
    return frozenset(address for _, address in placed_addresses())


def placed_addresses() -> tuple[tuple[str, str], ...]:
    """The same, each with its interface before it. Unknown."""
    listed = _listed("ip", "-j", "address", "show")
    return tuple((row["ifname"], i["local"]) for row in listed for i in row.get("addr_info", ()) if "local" in i)


def routing(config: Config) -> Routing:
    """Whether and where this host routes. Unknown."""
    defaults = frozenset(
        version for version in (4, 6) if _listed("ip", "-j", f"-{version}", "route", "show", "default")
    )
    return Routing(
        {4: _switch("ipv4/ip_forward") == 1, 6: _switch("ipv6/conf/all/forwarding") == 1},
        defaults,
        {str(network): _way(network) for network in config.subscribers.networks},
    )


def _way(network: Prefix) -> str:
    """The interface that this host sends the addresses of ``network`` to; empty: nowhere."""
    width = BITS[network.version] // 8
    # the first or the last is often this host's own
    for number in (network.network + 2, network.last - 2):
        address = ip_address(number.to_bytes(width, "big"))
        try:
            found = str(next(iter(_listed("ip", "-j", "route", "get", str(address))), {}).get("dev", ""))
        except Unknown:
            return ""
        if found != "lo":
            return found
    return "lo"


def bridge_filter() -> bool:
    """Whether bridged packets pass the packet filter."""
    return _switch("bridge/bridge-nf-call-iptables") == 1


def own_routes() -> tuple[Route, ...]:
    """The routes of the main table that lead to a link, without the default ones. Unknown."""
    found = []
    for version in (4, 6):
        for row in _listed("ip", "-j", f"-{version}", "route", "show", "table", "main"):
            if row.get("dst", "default") != "default" and row.get("dev", "lo") != "lo":
                network = str(row["dst"])
                wide = network if "/" in network else f"{network}/{BITS[version]}"
                found.append(Route(parse_prefix(wide), str(row["dev"])))
    return tuple(found)


def ways_out() -> frozenset[str]:
    """The interfaces that the default routes lead to. Unknown."""
    listed = (row for version in (4, 6) for row in _listed("ip", "-j", f"-{version}", "route", "show", "default"))
    return frozenset(str(row["dev"]) for row in listed if "dev" in row)


# --- the packet filter ---------------------------------------------------------------------------


def _ruleset() -> list[Row]:
    try:
        return rows(_output("nft", "-t", "-j", "list", "ruleset"))
    except UpstreamError as error:
        raise Unknown(str(error)) from None


def chains() -> tuple[str, ...]:
    """What other software's chains do to edged's, those of nft and of iptables-legacy. Unknown."""
    return (*foreign_warnings(_ruleset()), *_legacy())


def _legacy() -> Iterator[str]:
    """The kernel's older tables, which nft does not show."""
    for version, program in ((4, "iptables-legacy"), (6, "ip6tables-legacy")):
        try:
            loaded = Path(f"/proc/net/ip{'6' if version == 6 else ''}_tables_names").read_text("ascii").split()
        except OSError:
            continue
        if "filter" in loaded and shutil.which(f"{program}-save"):
            saved = _output(f"{program}-save", "-t", "filter").decode(errors="replace")
            yield from legacy_warnings(saved, program)


def legacy_warnings(saved: str, program: str) -> Iterator[str]:
    """What a listing of ``iptables-legacy-save -t filter`` says that is in edged's way, in the words of nft's."""
    relieved = re.search(r"^-A INPUT .*--ctstate \S*DNAT\S* .*-j ACCEPT", saved, re.MULTILINE)
    if re.search(r"^:INPUT DROP", saved, re.MULTILINE) and not relieved:
        rule = f"{program} -I INPUT -m conntrack --ctstate DNAT -j ACCEPT"
        yield f"chain INPUT of {program} drops by default{MENDED_BY}{rule}"
    if re.search(r"^:FORWARD DROP", saved, re.MULTILINE):
        yield f"chain FORWARD of {program} drops by default: it needs rules that accept traffic to the garden"


def around(config: Config) -> tuple[str, ...]:
    """What takes packets of subscribers past edged's chains, each as ``what: how to mend it``. Unknown."""
    return tuple(ways_around(_ruleset(), served_interfaces(config)))


def ways_around(listed: list[Row], interfaces: tuple[str, ...]) -> Iterator[str]:
    """The same, of the rows of a listing; empty ``interfaces``: every one."""
    for kind, fields in listed:
        if fields.get("table") == "edged":
            continue
        if kind == "flowtable":
            devices = fields.get("dev", [])
            names = [devices] if isinstance(devices, str) else devices
            taken = [name for name in names if not interfaces or _named(name, interfaces)]
            if taken:
                where = f"flowtable {fields.get('family')} {fields.get('table')} {fields.get('name')}"
                yield f"{where} forwards packets of {taken[0]} past every chain: take {taken[0]} out of its devices"
        elif kind == "rule" and any("notrack" in expression for expression in fields.get("expr", ())):
            where = f"chain {fields.get('family')} {fields.get('table')} {fields.get('chain')}"
            yield f"a rule of {where} says notrack: let it spare subscribers' networks"


def _named(link: str, interfaces: tuple[str, ...]) -> bool:
    return any(link == name or (name[-1] == "*" and link.startswith(name[:-1])) for name in interfaces)


# --- certificate and clock -----------------------------------------------------------------------


def certificate(config: Config) -> Certificate:
    """The page's certificate on disk. Unknown."""
    portal = config.portal
    acme = isinstance(portal.certificate, CertificateAcme)
    if portal.certificate is None:
        return Certificate(None, "none is configured: a self-signed one stands in")
    files = (
        certificate_files(config.state.directory / FOLDER, portal.host)
        if isinstance(portal.certificate, CertificateAcme)
        else portal.certificate
    )
    try:
        return Certificate(fitting(files.chain.read_bytes(), files.key.read_bytes(), portal.host), is_acme=acme)
    except PermissionError as error:
        raise Unknown(f"{error.filename}: not yours to read; become root") from None
    except OSError as error:
        return Certificate(None, f"{error.filename}: {(error.strerror or 'cannot be read').lower()}", acme)
    except ConfigError as error:
        return Certificate(None, f"{error.problems[0].key}: {error.problems[0].found}", acme)


def in_step() -> bool:
    """Whether something keeps the kernel's clock. Unknown."""
    # struct timex, asked with modes 0: it changes nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(256))
    if state < 0:
        raise Unknown("the kernel does not say (adjtimex)")
    return bool(state != _TIME_ERROR)


# --- for a report --------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """Of edged and what it stands on."""
    try:
        nft = _output("nft", "--version").decode(errors="replace").partition("(")[0].strip()
    except Unknown as reason:
        nft = str(reason)
    try:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "?")
    except OSError:
        system = "?"
    return {
        "edged": __version__, "python": platform.python_version(),
        "kernel": f"{os.uname().sysname} {os.uname().release}", "machine": os.uname().machine, "system": system,
        "nft": nft,
    }  # fmt: skip
