# SPDX-License-Identifier: Apache-2.0
"""The checks of the host, in the order of the traffic: facts in, a finding out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from edged.captive.certificate import day
from edged.config.derived import served_interfaces
from edged.config.schema import Config
from edged.ops.doctor import running
from edged.ops.doctor.values import Facts, Finding, Grade, Holder, Link
from edged.ops.text import counted
from edged.values import BITS, Endpoint, Prefix, host_prefix, parse_prefix

_DAY_S = 86400.0
_WILD = {4: "0.0.0.0", 6: "::"}  # noqa: S104  # compared with what ss prints; nothing is bound
_PRIVATE = tuple(parse_prefix(p) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))


def ok(check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(check, Grade.OK, seen)


def skip(check: str, seen: str) -> Finding:
    """It does not concern this edge, or could not be found out."""
    return Finding(check, Grade.SKIP, seen)


def config(facts: Facts) -> Finding:
    """The file is right, and what is running."""
    if facts.config is None:
        first = facts.problems[0]
        at = f"line {first.line}, " if first.line else ""
        return Finding(
            "config", Grade.FAIL, f"{at}{first.key}: {first.found}; expected {first.expected}",
            "edged does not start with it, and a reload is refused", "edged check says all of it",
        )  # fmt: skip
    if facts.daemon and facts.changed > facts.daemon.status["loaded_at"] + 1.0:
        return Finding(
            "config",
            Grade.WARN,
            "the file was changed after edged read it",
            "what is in it is not in force",
            "edged reload",
        )
    if facts.problems:
        first = facts.problems[0]
        more = f", and {len(facts.problems) - 1} more" if facts.problems[1:] else ""
        return Finding(
            "config", Grade.WARN, f"{first.key}: {first.found}{more}", first.expected, "edged check says all of it"
        )
    return ok("config", "valid" + (", and it is what is running" if facts.daemon else ""))


# --- ports ---------------------------------------------------------------------------------------


class _Wanted(NamedTuple):
    proto: str
    endpoint: Endpoint
    key: str


def _wanted(config: Config) -> Iterator[_Wanted]:
    for proto in ("udp", "tcp"):
        yield from (_Wanted(proto, e, "dns.listen") for e in config.dns.listen)
    if config.portal.url:
        yield from (_Wanted("tcp", e, "portal.listen.http") for e in config.portal.listen.http)
        yield from (_Wanted("tcp", e, "portal.listen.https") for e in config.portal.listen.https)
    yield from (_Wanted("udp", e, "radius.auth") for e in config.radius.auth)
    yield from (_Wanted("udp", e, "radius.acct") for e in config.radius.acct)
    if config.radius.tls is not None:
        yield from (_Wanted("tcp", e, "radius.tls.listen") for e in config.radius.tls.listen)
    if config.ops.listen is not None:
        yield _Wanted("tcp", config.ops.listen, "ops.listen")


def _overlaps(wanted: _Wanted, holder: Holder) -> bool:
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
        return skip("ports", facts.why("holders"))
    wanted = list(_wanted(config))
    for one in wanted:
        holders = [h for h in facts.holders if _overlaps(one, h)]
        what = f"{one.key}: {one.endpoint}/{one.proto}"
        ours = [h for h in holders if facts.daemon and facts.daemon.pid in {h.pid, 0}]
        if holders and not ours:
            who = f"{holders[0].process} (pid {holders[0].pid})" if holders[0].process else "another program"
            return Finding(
                "ports", Grade.FAIL, f"{what} is held by {who}", "edged cannot listen there, and does not start",
                f"stop or move {holders[0].process or 'it'} (ss -lntup), or name another port",
            )  # fmt: skip
        if facts.daemon and not holders:
            return Finding(
                "ports", Grade.FAIL, f"{what}: nobody listens", "what comes there is refused",
                "edged reads listeners at its start alone: systemctl restart edged",
            )  # fmt: skip
    numbers = ", ".join(str(n) for n in sorted({one.endpoint.port for one in wanted}))
    return ok("ports", f"{numbers} are ours" if facts.daemon else f"{numbers} are free for edged")


# --- the way of the packets ----------------------------------------------------------------------


def _served(facts: Facts, config: Config) -> list[Link]:
    """The interfaces where subscribers come in, as far as they exist."""
    names = served_interfaces(config)
    return [link for link in facts.links or () if any(_matches(link.name, name) for name in names)]


def _matches(link: str, name: str) -> bool:
    return link == name or (name[-1] == "*" and link.startswith(name[:-1]))


def interfaces(facts: Facts, config: Config) -> Finding:
    """Every interface of enforce is there, and is the one that routes."""
    names = served_interfaces(config)
    if not names:
        return skip("interfaces", "enforce names none: every interface is looked at, or nothing is enforced here")
    if facts.links is None:
        return skip("interfaces", facts.why("links"))
    links = _served(facts, config)
    missing = [n for n in names if n[-1] != "*" and not any(link.name == n for link in links)]
    if missing:
        return Finding(
            "interfaces", Grade.FAIL, f"there is no interface {missing[0]}", "nobody who comes in elsewhere is blocked",
            "name the interface that routes under enforce.nftables.interfaces (ip -brief link)",
        )  # fmt: skip
    ports_ = [link for link in links if link.master]
    if ports_:
        return Finding(
            "interfaces", Grade.FAIL, f"{ports_[0].name} is a port of {ports_[0].master}",
            "its packets come in by the bridge, so nobody there is blocked", f"name {ports_[0].master} instead",
        )  # fmt: skip
    down = [link.name for link in links if not link.is_up]
    if down:
        return Finding(
            "interfaces",
            Grade.WARN,
            f"{down[0]} is down",
            "no subscriber is reached there",
            f"ip link set {down[0]} up",
        )
    return ok("interfaces", f"{', '.join(link.name for link in links) or 'no session yet at ' + ', '.join(names)}")


def routes(facts: Facts, config: Config) -> Finding:
    """This host routes, in every family that it serves."""
    if not any(t.nftables for t in config.enforce):
        return skip("routes", "no target nftables: other hosts route")
    if facts.routing is None:
        return skip("routes", facts.why("routing"))
    versions = sorted({network.version for network in config.subscribers.networks})
    still = [version for version in versions if not facts.routing.forwards.get(version)]
    if still:
        switch = "net.ipv4.ip_forward" if still[0] == 4 else "net.ipv6.conf.all.forwarding"
        return Finding(
            "routes", Grade.FAIL, f"this host does not route IPv{still[0]} ({switch} is 0)",
            "nobody's traffic passes here, so there is nothing to block",
            f"sysctl -w {switch}=1, and in /etc/sysctl.d",
        )  # fmt: skip
    lost = [version for version in versions if version not in facts.routing.defaults]
    if lost:
        return Finding(
            "routes", Grade.WARN, f"there is no default route of IPv{lost[0]}",
            "the garden and the upstreams are not reached, unless other routes lead there", f"ip -{lost[0]} route",
        )  # fmt: skip
    return ok("routes", "this host routes, and knows the way out")


def rp_filter(facts: Facts, config: Config) -> Finding:
    """Strict source validation drops nothing that subscribers send."""
    links = _served(facts, config)
    if facts.links is None or facts.routing is None:
        return skip("rp-filter", facts.why("links"))
    strict = [link.name for link in links if link.rp_filter == 1]
    if not strict:
        return ok(
            "rp-filter", "no interface of subscribers is strict" if links else "no interface of subscribers is known"
        )
    astray = {
        n: dev for n, dev in facts.routing.ways.items() if ":" not in n and dev not in {link.name for link in links}
    }
    if astray:
        network, dev = next(iter(astray.items()))
        return Finding(
            "rp-filter", Grade.WARN, f"{strict[0]} is strict, and {network} is routed to {dev or 'nowhere'}",
            "what comes in there from such an address is dropped before edged sees it",
            f"sysctl -w net.ipv4.conf.{strict[0]}.rp_filter=2, or a route for {network} there",
        )  # fmt: skip
    return ok("rp-filter", f"{', '.join(strict)} strict, and the routes lead back there")


def bridge(facts: Facts, config: Config) -> Finding:
    """What stays on one bridge passes the table."""
    bridges = [link.name for link in _served(facts, config) if link.is_bridge]
    if not bridges:
        return skip("bridge", "subscribers come in at no bridge")
    if facts.links is None or facts.bridge_filter is None:
        return skip("bridge", facts.why("bridge_filter"))
    if facts.bridge_filter:
        return ok("bridge", "bridged packets pass the table (br_netfilter)")
    # one that is not isolated reaches the others, but may be the way to the router itself
    if all(sum(not link.is_isolated for link in facts.links if link.master == name) <= 1 for name in bridges):
        return ok("bridge", f"the ports of {', '.join(bridges)} are isolated from one another")
    return Finding(
        "bridge", Grade.WARN, f"what stays on {bridges[0]} does not pass the table",
        "a blocked line still reaches other subscribers on the same bridge",
        "isolate its ports (bridge link set dev PORT isolated on), or net.bridge.bridge-nf-call-iptables=1",
    )  # fmt: skip


def chains(facts: Facts, config: Config) -> Finding:
    """No chain of somebody else is in edged's way."""
    if not any(t.nftables for t in config.enforce):
        return skip("chains", "no target nftables")
    if facts.chains is None:
        return skip("chains", facts.why("chains"))
    if not facts.chains:
        return ok("chains", "no other chain is in edged's way (hooks, priorities and policies)")
    more = f" (and {len(facts.chains) - 1} more)" if facts.chains[1:] else ""
    first = next((c for c in facts.chains if "ct status dnat" in c), facts.chains[0])
    grade = Grade.FAIL if "ct status dnat" in first else Grade.WARN
    what, _, rule = first.partition(": ")
    means = "blocked lines see no page" if grade is Grade.FAIL else "some of what blocked lines need is refused"
    return Finding("chains", grade, what + more, means, f"{rule or 'nft list ruleset'}; manual: linux.md")


# --- the page ------------------------------------------------------------------------------------


def portal(facts: Facts, config: Config) -> Finding:
    """The page's address is one that devices take, and one of this host."""
    if not config.portal.addresses:
        return skip("portal", "portal.addresses is empty")
    private = [a for a in config.portal.addresses if _within(host_prefix(a), _PRIVATE)]
    if private:
        return Finding(
            "portal", Grade.WARN, f"{private[0]} is a private address",
            "routers with rebind protection and some phones refuse it: their owners see no page",
            "a public or 100.64.0.0/10 address under portal.addresses",
        )  # fmt: skip
    if facts.addresses is None:
        return skip("portal", facts.why("addresses"))
    elsewhere = [a for a in config.portal.addresses if str(a) not in facts.addresses]
    if elsewhere and (config.portal.listen.http or config.portal.listen.https):
        return Finding(
            "portal", Grade.FAIL, f"{elsewhere[0]} is no address of this host",
            "what is led there does not come to edged, so nobody sees its page",
            f"ip address add {elsewhere[0]}/{BITS[elsewhere[0].version]} dev lo, and in the network's files",
        )  # fmt: skip
    return ok("portal", f"{' and '.join(map(str, config.portal.addresses))}: public, and on this host")


def _within(own: Prefix, networks: tuple[Prefix, ...]) -> bool:
    return any(network.contains(own) for network in networks)


def certificate(facts: Facts, config: Config) -> Finding:
    """The page's certificate is good, for two weeks and more."""
    if not config.portal.url or not config.portal.listen.https:
        return skip("certificate", "there is no page over TLS")
    found = facts.certificate
    if found is None:
        return skip("certificate", facts.why("certificate"))
    fix = "manual: certificates.md"
    if found.life is None:
        means = (
            "the page comes over HTTP until there is one" if found.is_acme else "whoever opens the page sees a warning"
        )
        return Finding(
            "certificate", Grade.WARN, found.fault, means, f"journalctl -u edged; {fix}" if found.is_acme else fix
        )
    days = (found.life.ends - facts.now) / _DAY_S
    if days <= 0:
        return Finding(
            "certificate", Grade.FAIL, f"it ended on {day(found.life.ends)}", "browsers refuse the page", fix
        )
    left = counted(int(days), "day")
    if found.life.is_ending(facts.now):
        return Finding(
            "certificate",
            Grade.WARN,
            f"{left} left",
            "then browsers refuse the page; a renewal should have come by now",
            fix,
        )
    return ok("certificate", f"for {config.portal.host}, {left} left")


def clock(facts: Facts, config: Config) -> Finding:
    """The clock is kept in step."""
    del config
    if facts.in_step is None:
        return skip("clock", facts.why("in_step"))
    if facts.in_step:
        return ok("clock", "kept in step (adjtimex)")
    return Finding(
        "clock", Grade.WARN, "nobody keeps the kernel's clock in step",
        "certificates, passes and words with an end are judged by a clock that drifts",
        "apt install systemd-timesyncd or chrony, and let it reach its servers",
    )  # fmt: skip


# --- others --------------------------------------------------------------------------------------


def upstreams(facts: Facts, config: Config) -> Finding:
    """The resolvers answer, each by itself."""
    if not config.dns.upstreams:
        return skip("upstreams", "dns.upstreams is empty")
    if facts.upstreams is None:
        return skip("upstreams", facts.why("upstreams"))
    silent = [u for u in facts.upstreams if u.error]
    if silent:
        grade = Grade.FAIL if len(silent) == len(facts.upstreams) else Grade.WARN
        means = "garden names do not resolve: nobody can pay" if grade is Grade.FAIL else "the others do the work"
        return Finding(
            "upstreams", grade, f"{silent[0].name}: {silent[0].error}", means,
            f"is it reachable from here, on its port? dig @{silent[0].address} (manual: configure.md, dns)",
        )  # fmt: skip
    slowest = max(u.seconds for u in facts.upstreams)
    return ok(
        "upstreams", f"{len(facts.upstreams)} of {len(facts.upstreams)} answer, in {slowest * 1000:.0f} ms at most"
    )


def garden(facts: Facts, config: Config) -> Finding:
    """Every name of the garden has an address."""
    if not config.dns.upstreams or not config.garden.all_names():
        return skip("garden", "there is no garden name, or nobody to ask for it")
    if facts.garden is None:
        return skip("garden", facts.why("garden"))
    lost = [(name, error) for name, error in facts.garden if error]
    count = len(facts.garden)
    if not lost:
        return ok("garden", f"{count} of {count} names have an address (those with a * cannot be asked for)")
    named = ", ".join(name for name, _ in lost[:3]) + (f" and {len(lost) - 3} more" if lost[3:] else "")
    return Finding(
        "garden", Grade.FAIL if len(lost) == count else Grade.WARN,
        f"{count - len(lost)} of {count} names have an address; not {named}: {lost[0][1]}",
        "what stands there cannot be reached by blocked lines: a payment may stop halfway",
        f"dig {lost[0][0]} on this host; a name that is gone goes from garden.names, too",
    )  # fmt: skip


Check = Callable[[Facts, Config], Finding]

CHECKS: dict[str, tuple[tuple[str, ...], Check]] = {
    "edged": (("daemon",), running.edged),
    "ports": (("daemon", "holders"), ports),
    "interfaces": (("links",), interfaces),
    "routes": (("routing",), routes),
    "rp-filter": (("links", "routing"), rp_filter),
    "bridge": (("links", "bridge_filter"), bridge),
    "chains": (("chains",), chains),
    "portal": (("addresses",), portal),
    "certificate": (("certificate",), certificate),
    "clock": (("in_step",), clock),
    "upstreams": (("upstreams",), upstreams),
    "garden": (("garden",), garden),
    "billing": (("daemon", "billing"), running.billing),
    "guard": (("daemon",), running.guard),
    "targets": (("daemon",), running.targets),
    "radius": (("daemon",), running.radius),
}
"""Name to the facts that it needs, and the check; ``config`` goes before all."""
