# SPDX-License-Identifier: Apache-2.0
"""Gathers what the checks need, all at once and for nine seconds at most; asks the daemon for its own view. I/O.

Reads files, asks iproute2, nft, the upstreams and, where no daemon runs, billing. It changes nothing.
"""

from __future__ import annotations

import asyncio
import ctypes
import difflib
import json
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from edged.billing.sources import open_source
from edged.captive.acme.record import FOLDER, certificate_files
from edged.captive.certificate import fitting
from edged.captive.settings import CertificateAcme
from edged.config.loading import load
from edged.config.schema import Config
from edged.dns.client import RefusedError, Resolver
from edged.dns.codes import Type
from edged.dns.message import ask
from edged.dns.question import Question
from edged.dns.settings import UpstreamSettings
from edged.enforce.nft_json import foreign_warnings, rows
from edged.errors import ConfigError, UpstreamError
from edged.ops.control import Refused, call
from edged.ops.doctor import checks
from edged.ops.doctor.text import Report
from edged.ops.doctor.values import Certificate, Daemon, Facts, Finding, Grade, Holder, Link, Routing, Upstream
from edged.values import BITS, Prefix

SECONDS = 9.0
_ASK_S = 4.0
_TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronized."""
_PEER = struct.Struct("3i")
_LISTENER = re.compile(r"^(udp|tcp)\s+\S+\s+\d+\s+\d+\s+(\S+):(\d+)\s+\S+\s*(?:users:\(\(\"([^\"]*)\",pid=(\d+))?")


class Unknown(Exception):  # noqa: N818  # a reason, not a fault
    """A fact cannot be found out, in words for the operator."""


def examine(path: Path, only: str | None) -> Report:
    """The report on this host; ``only``: one check. Refused (2): there is no such check."""
    begun = time.monotonic()
    names = ["config", *checks.CHECKS]
    if only is not None and only not in names:
        near = difflib.get_close_matches(only, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Refused(f'there is no check "{only}"{hint}\n  checks: {", ".join(names)}', 2)
    facts = _configured(path)
    wanted = [only] if only else names
    if (config := facts.config) is not None:
        needs = {need for name in wanted if name != "config" for need in checks.CHECKS[name][0]}
        facts = _gathered(facts, config, {"daemon"}, begun + SECONDS)
        # a running edged asks billing by itself
        needs -= {"daemon", "billing"} if facts.daemon else {"daemon"}
        facts = _gathered(facts, config, needs, begun + SECONDS)
    findings = tuple(_found(name, facts) for name in wanted)
    site = facts.config.site if facts.config else "edged"
    return Report(site, findings, time.monotonic() - begun)


def _found(name: str, facts: Facts) -> Finding:
    if name == "config":
        return checks.config(facts)
    if facts.config is None:
        return Finding(name, Grade.SKIP, "not tried: the configuration cannot be read (config)")
    return checks.CHECKS[name][1](facts, facts.config)


def _configured(path: Path) -> Facts:
    now = time.time()
    try:
        loaded = load(path)
    except ConfigError as error:
        return Facts(now=now, problems=error.problems)
    return Facts(now=now, config=loaded.config, problems=loaded.warnings, changed=path.stat().st_mtime)


def _gathered(facts: Facts, config: Config, needs: set[str], until: float) -> Facts:
    """``facts`` with what is needed; what takes longer than the monotonic time ``until`` stays unknown."""
    pool = ThreadPoolExecutor(max_workers=8)
    tasks = {pool.submit(_GATHER[need], config): need for need in sorted(needs)}
    done, late = wait_for(tasks, timeout=max(0.0, until - time.monotonic()))
    pool.shutdown(wait=False, cancel_futures=True)
    known: dict[str, Any] = {}
    reasons = dict(facts.reasons) | {tasks[task]: "it takes too long" for task in late}
    for task in done:
        try:
            known[tasks[task]] = task.result()
        except Unknown as reason:
            reasons[tasks[task]] = str(reason)
    return replace(facts, reasons=reasons, **known)


def _output(*command: str) -> bytes:
    """What a program of the system prints. Unknown: it fails."""
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=_ASK_S).stdout  # noqa: S603  # fixed
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


def _daemon(config: Config) -> Daemon:
    try:
        status = call(config.ops.socket, "status", patience=_ASK_S)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ASK_S)
            connection.connect(str(config.ops.socket))
            pid, _, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    except Refused as refusal:
        raise Unknown(str(refusal)) from None
    except OSError as error:
        raise Unknown(f"{config.ops.socket}: {error.strerror}") from None
    return Daemon(status, pid)


def _holders(config: Config) -> tuple[Holder, ...]:
    del config
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


def _links(config: Config) -> tuple[Link, ...]:
    del config
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


def _addresses(config: Config) -> frozenset[str]:
    del config
    listed = _listed("ip", "-j", "address", "show")
    return frozenset(info["local"] for row in listed for info in row.get("addr_info", ()) if "local" in info)


def _routing(config: Config) -> Routing:
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


def _bridge_filter(config: Config) -> bool:
    del config
    return _switch("bridge/bridge-nf-call-iptables") == 1


def _chains(config: Config) -> tuple[str, ...]:
    del config
    try:
        return tuple(foreign_warnings(rows(_output("nft", "-t", "-j", "list", "ruleset"))))
    except UpstreamError as error:
        raise Unknown(str(error)) from None


def _certificate(config: Config) -> Certificate:
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


def _in_step(config: Config) -> bool:
    del config
    # struct timex, asked with modes 0: it changes nothing
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(256))
    if state < 0:
        raise Unknown("the kernel does not say (adjtimex)")
    return bool(state != _TIME_ERROR)


def _upstreams(config: Config) -> tuple[Upstream, ...]:
    names = [name for name in config.garden.all_names() if name[0] not in "*."]
    asked = ask(names[0] if names else config.portal.host or "example.com")

    async def one(upstream: UpstreamSettings) -> Upstream:
        resolver = Resolver((upstream,))
        begun, error = time.monotonic(), ""
        try:
            async with asyncio.timeout(_ASK_S):
                await _answered(resolver, asked)
        except TimeoutError:
            error = "no answer"
        except UpstreamError as reason:
            error = str(reason)
        await resolver.stop()
        return Upstream(str(upstream), str(upstream.address), time.monotonic() - begun, error)

    async def every() -> tuple[Upstream, ...]:
        return tuple(await asyncio.gather(*map(one, config.dns.upstreams)))

    return asyncio.run(every())


async def _answered(resolver: Resolver, asked: Question) -> None:
    """UpstreamError unless the upstream answers; a name that it has trouble with is no fault of its own."""
    try:
        await resolver.find(asked)
    except RefusedError:
        await resolver.find(ask(".", Type.NS))


def _garden(config: Config) -> tuple[tuple[str, str], ...]:
    names = [name for name in config.garden.all_names() if name[0] not in "*."]

    async def one(resolver: Resolver, name: str) -> tuple[str, str]:
        try:
            async with asyncio.timeout(_ASK_S):
                answers = [await resolver.find_addresses(ask(name, kind)) for kind in (Type.A, Type.AAAA)]
        except TimeoutError:
            return name, "no answer"
        except UpstreamError as reason:
            return name, str(reason)
        return name, "" if any(answer.held for answer in answers) else "no address"

    async def every() -> tuple[tuple[str, str], ...]:
        resolver = Resolver(config.dns.upstreams)
        try:
            return tuple(await asyncio.gather(*(one(resolver, name) for name in names)))
        finally:
            await resolver.stop()

    return asyncio.run(every()) if config.dns.upstreams else ()


def _billing(config: Config) -> str:
    settings = config.billing
    if settings is None:
        return ""

    async def asked() -> str:
        source = open_source(settings)
        try:
            async with asyncio.timeout(_ASK_S):
                await source.read_one("1")
        except TimeoutError:
            return f"{source.name}: no answer in {_ASK_S:.0f} s"
        except UpstreamError as error:
            return str(error)
        finally:
            await source.close()
        return ""

    return asyncio.run(asked())


_GATHER: dict[str, Callable[[Config], Any]] = {
    "daemon": _daemon,
    "holders": _holders,
    "links": _links,
    "addresses": _addresses,
    "routing": _routing,
    "bridge_filter": _bridge_filter,
    "chains": _chains,
    "certificate": _certificate,
    "in_step": _in_step,
    "upstreams": _upstreams,
    "garden": _garden,
    "billing": _billing,
}
"""Field of ``Facts`` to what finds it out."""
