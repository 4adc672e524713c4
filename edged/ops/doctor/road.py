# SPDX-License-Identifier: Apache-2.0
"""The checks of the way that packets take through this host: facts in, a finding out. Pure."""

from __future__ import annotations

from edged.config.derived import served_interfaces
from edged.config.schema import Config
from edged.enforce.nft_json import MENDED_BY
from edged.ops.doctor.finding import Finding, Plain, fail, ok, skip, warn
from edged.ops.doctor.values import Facts, Link
from edged.values import Prefix, parse_prefix

_LINKS_OWN = tuple(parse_prefix(p) for p in ("169.254.0.0/16", "fe80::/10", "ff00::/8", "224.0.0.0/4", "127.0.0.0/8"))
"""Networks that are on every link and lead nowhere."""


def served(facts: Facts, config: Config) -> list[Link]:
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
        return skip("interfaces", "{reason}", reason=facts.why("links"))
    links = served(facts, config)
    missing = [n for n in names if n[-1] != "*" and not any(link.name == n for link in links)]
    if missing:
        return fail(
            "interfaces", "there is no interface {name}", "nobody who comes in elsewhere is blocked",
            "name the interface that routes under enforce.nftables.interfaces (ip -brief link)", name=missing[0],
        )  # fmt: skip
    members = [link for link in links if link.master]
    if members:
        return fail(
            "interfaces", "{name} is a port of {bridge}",
            "its packets come in by the bridge, so nobody there is blocked", "name {bridge} instead",
            name=members[0].name, bridge=members[0].master,
        )  # fmt: skip
    down = [link.name for link in links if not link.is_up]
    if down:
        return warn(
            "interfaces", "{name} is down", "no subscriber is reached there", "ip link set {name} up", name=down[0]
        )
    return ok("interfaces", "{names}", names=", ".join(link.name for link in links) or "no session yet")


def routes(facts: Facts, config: Config) -> Finding:
    """This host routes, in every family that it serves."""
    if not any(t.nftables for t in config.enforce):
        return skip("routes", "no target nftables: other hosts route")
    if facts.routing is None:
        return skip("routes", "{reason}", reason=facts.why("routing"))
    versions = sorted({network.version for network in config.subscribers.networks})
    still = [version for version in versions if not facts.routing.forwards.get(version)]
    if still:
        switch = "net.ipv4.ip_forward" if still[0] == 4 else "net.ipv6.conf.all.forwarding"
        return fail(
            "routes", "this host does not route IPv{family} ({switch} is 0)",
            "nobody's traffic passes here, so there is nothing to block", "sysctl -w {switch}=1, and in /etc/sysctl.d",
            family=still[0], switch=Plain(switch),
        )  # fmt: skip
    lost = [version for version in versions if version not in facts.routing.defaults]
    if lost:
        return warn(
            "routes", "there is no default route of IPv{family}",
            "the garden and the upstreams are not reached, unless other routes lead there", "ip -{family} route",
            family=lost[0],
        )  # fmt: skip
    return ok("routes", "this host routes, and knows the way out")


def rp_filter(facts: Facts, config: Config) -> Finding:
    """Strict source validation drops nothing that subscribers send."""
    links = served(facts, config)
    if facts.links is None or facts.routing is None:
        return skip("rp-filter", "{reason}", reason=facts.why("links"))
    strict = [link.name for link in links if link.rp_filter == 1]
    if not links:
        return ok("rp-filter", "no interface of subscribers is known")
    if not strict:
        return ok("rp-filter", "no interface of subscribers is strict")
    names = {link.name for link in links}
    astray = {n: dev for n, dev in facts.routing.ways.items() if ":" not in n and dev not in names}
    if astray:
        network, dev = next(iter(astray.items()))
        return warn(
            "rp-filter", "{name} is strict, and {network} is routed to {way}",
            "what comes in there from such an address is dropped before edged sees it",
            "sysctl -w net.ipv4.conf.{name}.rp_filter=2, or a route for {network} there",
            name=strict[0], network=network, way=dev or Plain("nowhere"),
        )  # fmt: skip
    return ok("rp-filter", "{names} strict, and the routes lead back there", names=", ".join(strict))


def bridge(facts: Facts, config: Config) -> Finding:
    """What stays on one bridge passes the table."""
    bridges = [link.name for link in served(facts, config) if link.is_bridge]
    if not bridges:
        return skip("bridge", "subscribers come in at no bridge")
    if facts.links is None or facts.bridge_filter is None:
        return skip("bridge", "{reason}", reason=facts.why("bridge_filter"))
    if facts.bridge_filter:
        return ok("bridge", "bridged packets pass the table (br_netfilter)")
    # one that is not isolated reaches the others, but may be the way to the router itself
    if all(sum(not link.is_isolated for link in facts.links if link.master == name) <= 1 for name in bridges):
        return ok("bridge", "the ports of {names} are isolated from one another", names=", ".join(bridges))
    return warn(
        "bridge", "what stays on {name} does not pass the table",
        "a blocked line still reaches other subscribers on the same bridge",
        "isolate its ports (bridge link set dev PORT isolated on), or net.bridge.bridge-nf-call-iptables=1",
        name=bridges[0],
    )  # fmt: skip


def chains(facts: Facts, config: Config) -> Finding:
    """No chain of somebody else is in edged's way."""
    if not any(t.nftables for t in config.enforce):
        return skip("chains", "no target nftables")
    if facts.chains is None:
        return skip("chains", "{reason}", reason=facts.why("chains"))
    if not facts.chains:
        return ok("chains", "no other chain is in edged's way (hooks, priorities and policies)")
    first = next((c for c in facts.chains if MENDED_BY in c), facts.chains[0])
    return _in_the_way(first, len(facts.chains) - 1)


def _in_the_way(warning: str, more: int) -> Finding:
    """What one chain of somebody else does, and the command that mends it."""
    what, _, rule = warning.partition(MENDED_BY)
    says = "{what} (and {more} more)" if more else "{what}"
    if rule:
        return fail(
            "chains", says, "blocked lines see no page",
            "{rule}; then the same where your firewall keeps its rules (manual: linux.md)",
            what=what, more=more, rule=rule,
        ).noting(why="what edged leads to the page arrives as local traffic")  # fmt: skip
    what, _, needs = warning.partition(": ")
    if " translates " in what:
        return warn(
            "chains", says, "what it takes of blocked lines is refused instead of led to the page",
            "let it spare subscribers' networks, or give it priority dstnat (-100); manual: linux.md",
            what=what, more=more,
        )  # fmt: skip
    return warn(
        "chains", says, "blocked lines may not reach the garden: nobody can pay",
        "{needs}, as they do for lines that pay; manual: linux.md", what=what, more=more, needs=needs,
    )  # fmt: skip


def bypass(facts: Facts, config: Config) -> Finding:
    """No way leads around the table, as far as it can be seen from here."""
    if not any(t.nftables for t in config.enforce):
        return skip("bypass", "no target nftables: edged probe tries it from a line")
    if facts.around is None or facts.own_routes is None or facts.links is None:
        lost = next(n for n in ("around", "own_routes", "links") if getattr(facts, n) is None)
        return skip("bypass", "{reason}", reason=facts.why(lost))
    if facts.around:
        what, _, fix = facts.around[0].partition(": ")
        return fail(
            "bypass", "{what}", "blocked lines are not steered there, or not refused: they see errors or the Internet",
            "{fix}; then edged probe from a line; manual: linux.md", what=what, fix=fix,
        )  # fmt: skip
    if not served_interfaces(config):
        return ok("bypass", "every interface passes the table; what a line really reaches, edged probe tries")
    return _routed(facts, config)


def _routed(facts: Facts, config: Config) -> Finding:
    """Every route of subscribers leads to where they come in, and nobody else is there."""
    names, known = {link.name for link in served(facts, config)}, config.subscribers
    for route in facts.own_routes or ():
        concerns = any(_overlap(route.network, n) for n in known.networks)
        if concerns and route.interface not in names and not _held(route.network, known.exempt):
            return warn(
                "bypass", "{network} is routed to {name}, which enforce does not name",
                "whoever comes in at {name} is never blocked here",
                "add {name} to enforce.nftables.interfaces; where nobody lives, the network to subscribers.exempt",
                network=str(route.network), name=route.interface, served=", ".join(served_interfaces(config)),
            ).noting(why="its table looks at {served} alone")  # fmt: skip
        if route.interface in names and not _held(route.network, (*known.networks, *known.exempt)):
            if any(_overlap(route.network, n) for n in _LINKS_OWN):
                continue
            return warn(
                "bypass", "{network} is at {name}, and in no network of subscribers",
                "who has such an address is never blocked: a blocked line stays open by it",
                "add it to subscribers.networks; where it is not subscribers', to subscribers.exempt",
                network=str(route.network), name=route.interface,
            )  # fmt: skip
    return ok(
        "bypass", "no route leads around {names}; what a line really reaches, edged probe tries",
        names=", ".join(served_interfaces(config)),
    )  # fmt: skip


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.contains(other) or other.contains(one)


def _held(network: Prefix, by: tuple[Prefix, ...]) -> bool:
    return any(each.contains(network) for each in by)
