# SPDX-License-Identifier: Apache-2.0
"""The checks of the host, in the order of the traffic: facts in, a finding out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from edged.config.schema import Config
from edged.ops.doctor import page, road, running, store
from edged.ops.doctor.finding import Finding, Plain, fail, ok, skip, warn
from edged.ops.doctor.values import Facts, Holder
from edged.values import Endpoint

_WILD = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # compared with what ss prints; nothing is bound
_ELSEWHERE = -1
"""A daemon of another namespace of processes: whose it is nobody can say, so it is taken for ours."""
_HOW_TO_FREE = {
    "systemd-resolve": (
        "it is systemd-resolved: DNSStubListener=no in /etc/systemd/resolved.conf.d/edged.conf, then "
        "systemctl restart systemd-resolved"
    ),
    "dnsmasq": "port=0 in dnsmasq's configuration ends its DNS and leaves its DHCP; systemctl restart dnsmasq",
    "named": "listen-on in its options names other addresses, or: systemctl disable --now named",
    "unbound": "interface: in its configuration names other addresses, or: systemctl disable --now unbound",
    "apache2": "systemctl disable --now apache2, or give it other ports",
    "nginx": "systemctl disable --now nginx, or give it other ports",
}
"""Name of a program, as ss prints it, to how its port comes free."""


def config(facts: Facts) -> Finding:
    """The file is right, and what is running."""
    if facts.config is None:
        first = facts.problems[0]
        if not first.key and first.hint:  # there is none
            return fail(
                "config", "the file: {found}", "edged does not start", "edged init writes one", found=first.found
            )
        says = "{key}: {found}; expected {expected}" if first.key else "the file: {found}; expected {expected}"
        if first.line:
            says = "line {line}: {found}; expected {expected}"
        if first.line and first.key:
            says = "line {line}, {key}: {found}; expected {expected}"
        return fail(
            "config", says,
            "edged does not start with it, and a reload is refused", "edged check says all of it",
            line=first.line, key=first.key, found=first.found, expected=first.expected,
        )  # fmt: skip
    if facts.daemon and facts.changed > facts.daemon.status["loaded_at"] + 1.0:
        return warn(
            "config", "the file was changed after edged read it", "what is in it is not in force", "edged reload"
        )
    if facts.problems:
        first, more = facts.problems[0], len(facts.problems) - 1
        says = "{key}: {found}, and {more} more" if more else "{key}: {found}"
        return warn(
            "config", says, "{expected}", "edged check says all of it",
            key=first.key, found=first.found, more=more, expected=first.expected,
        )  # fmt: skip
    if facts.daemon is None:
        return ok("config", "valid")
    return ok("config", "valid, and it is what is running")


def how_to_free(process: str) -> str:
    """What to do about the program that holds a port."""
    return _HOW_TO_FREE.get(process, "")


# --- ports ---------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """A port that the configuration names."""

    proto: str
    endpoint: Endpoint
    key: str

    @property
    def at(self) -> str:
        """``0.0.0.0:53/udp``."""
        return f"{self.endpoint}/{self.proto}"


def wanted_ports(config: Config) -> Iterator[Wanted]:
    """Every port that edged would listen on."""
    for proto in ("udp", "tcp"):
        yield from (Wanted(proto, e, "dns.listen") for e in config.dns.listen)
    if config.portal.url:
        yield from (Wanted("tcp", e, "portal.listen.http") for e in config.portal.listen.http)
        yield from (Wanted("tcp", e, "portal.listen.https") for e in config.portal.listen.https)
    yield from (Wanted("udp", e, "radius.auth") for e in config.radius.auth)
    yield from (Wanted("udp", e, "radius.acct") for e in config.radius.acct)
    if config.radius.tls is not None:
        yield from (Wanted("tcp", e, "radius.tls.listen") for e in config.radius.tls.listen)
    if config.billing is not None and config.billing.webhook is not None:
        yield Wanted("tcp", config.billing.webhook.listen, "billing.webhook.listen")
    if config.hub is not None:
        yield Wanted("tcp", config.hub.listen, "hub.listen")
    if config.ops.listen is not None:
        yield Wanted("tcp", config.ops.listen, "ops.listen")


def overlaps(wanted: Wanted, holder: Holder) -> bool:
    """True when ``holder`` keeps us from listening there."""
    endpoint = wanted.endpoint
    if (holder.proto, holder.port) != (wanted.proto, endpoint.port):
        return False
    version, address = endpoint.address.version, str(endpoint.address)
    same_family = (":" in holder.address) == (version == 6)
    return holder.address == "*" or (
        same_family and (holder.address in {address, _WILD[version]} or address == _WILD[version])
    )


def ports(facts: Facts, config: Config) -> Finding:
    """The ports that the file names are ours."""
    if facts.holders is None:
        return skip("ports", "{reason}", reason=facts.why("holders"))
    running = (facts.daemon.pid or _ELSEWHERE) if facts.daemon else facts.hung
    for one in (wanted := list(wanted_ports(config))):
        holders = [h for h in facts.holders if overlaps(one, h)]
        ours = [h for h in holders if running and running in {h.pid, _ELSEWHERE}]
        if holders and not ours:
            return _held(one, holders[0])
        if running and not holders:
            return fail(
                "ports", "{key}: {at}: nobody listens", "what comes there is refused",
                "edged reads listeners at its start alone: systemctl restart edged", key=Plain(one.key), at=one.at,
            )  # fmt: skip
    numbers = Plain(", ".join(str(n) for n in sorted({one.endpoint.port for one in wanted})))
    if running:
        return ok("ports", "{numbers} are ours", numbers=numbers)
    return ok("ports", "{numbers} are free for edged", numbers=numbers)


def _held(one: Wanted, holder: Holder) -> Finding:
    means = "edged cannot listen there, and does not start"
    if not holder.process:
        return fail(
            "ports", "{key}: {at} is held by another program", means,
            "ss -lntup, as root, says which; stop or move it, or name another port", key=Plain(one.key), at=one.at,
        )  # fmt: skip
    return fail(
        "ports", "{key}: {at} is held by {process} (pid {pid})", means, "{free}", key=Plain(one.key), at=one.at,
        process=holder.process, pid=holder.pid,
        free=how_to_free(holder.process) or f"stop or move {holder.process} (ss -lntup), or name another port",
    )  # fmt: skip


# --- others --------------------------------------------------------------------------------------


def clock(facts: Facts, config: Config) -> Finding:
    """The clock is kept in step."""
    del config
    if facts.in_step is None:
        return skip("clock", "{reason}", reason=facts.why("in_step"))
    if facts.in_step:
        return ok("clock", "kept in step (adjtimex)")
    return warn(
        "clock", "nobody keeps the kernel's clock in step",
        "certificates, passes and words with an end are judged by a clock that drifts",
        "apt install systemd-timesyncd or chrony, and let it reach its servers (UDP port 123)",
    )  # fmt: skip


def upstreams(facts: Facts, config: Config) -> Finding:
    """The resolvers answer, each by itself."""
    if not config.dns.upstreams:
        return skip("upstreams", "dns.upstreams is empty")
    if facts.upstreams is None:
        return skip("upstreams", "{reason}", reason=facts.why("upstreams"))
    count, silent = len(facts.upstreams), [u for u in facts.upstreams if u.error]
    if silent:
        fix = "is it reachable from here, on its port? dig @{address} (manual: configure.md, dns)"
        says, first = "{name}: {error}", silent[0]
        if len(silent) == count:
            return fail(
                "upstreams", says, "garden names do not resolve: nobody can pay", fix,
                name=first.name, error=first.error, address=first.address,
            )  # fmt: skip
        return warn(
            "upstreams", says, "the others do the work", fix, name=first.name, error=first.error, address=first.address
        )
    slowest = max(u.seconds for u in facts.upstreams) * 1000
    return ok("upstreams", "{count} of {count} answer, in {ms:.0f} ms at most", count=count, ms=slowest)


def garden(facts: Facts, config: Config) -> Finding:
    """Every name of the garden has an address."""
    if not config.dns.upstreams or not config.garden.all_names():
        return skip("garden", "there is no garden name, or nobody to ask for it")
    if facts.garden is None:
        return skip("garden", "{reason}", reason=facts.why("garden"))
    lost, count = [(name, error) for name, error in facts.garden if error], len(facts.garden)
    if not lost:
        return ok(
            "garden", "{count} of {count} names have an address (those with a * cannot be asked for)", count=count
        )
    says = "{well} of {count} names have an address; not {named}: {error}"
    means = "what stands there cannot be reached by blocked lines: a payment may stop halfway"
    fix = "dig {name} on this host; a name that is gone goes from garden.names, too"
    named = ", ".join(name for name, _ in lost[:3]) + (f" and {len(lost) - 3} more" if lost[3:] else "")
    return (fail if len(lost) == count else warn)(
        "garden", says, means, fix, well=count - len(lost), count=count, named=named, name=lost[0][0], error=lost[0][1]
    )


Check = Callable[[Facts, Config], Finding]

CHECKS: dict[str, tuple[tuple[str, ...], Check]] = {
    "edged": (("daemon",), running.edged),
    "ports": (("daemon", "holders"), ports),
    "interfaces": (("links",), road.interfaces),
    "routes": (("routing",), road.routes),
    "rp-filter": (("links", "routing"), road.rp_filter),
    "bridge": (("links", "bridge_filter"), road.bridge),
    "chains": (("chains",), road.chains),
    "portal": (("addresses",), page.portal),
    "certificate": (("certificate",), page.certificate),
    "clock": (("in_step",), clock),
    "sinkhole": (("inside", "named"), page.sinkhole),
    "page": (("inside", "opened"), page.page),
    "phones": (("inside", "swallowed"), page.phones),
    "bypass": (("links", "own_routes", "around"), road.bypass),
    "upstreams": (("upstreams",), upstreams),
    "garden": (("garden",), garden),
    "billing": (("daemon", "billing"), running.billing),
    "hub": (("daemon", "hub"), running.hub),
    "guard": (("daemon",), running.guard),
    "targets": (("daemon",), running.targets),
    "radius": (("daemon",), running.radius),
    "shared-store": (("daemon", "shared"), store.shared_store),
    "backup": (("inside",), running.backup),
}
"""Name to the facts that it needs, and the check; ``config`` goes before all."""
