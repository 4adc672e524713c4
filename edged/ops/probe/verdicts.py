# SPDX-License-Identifier: Apache-2.0
"""What was seen of each step, and the configuration's promise, in; pass or fail with what it means out. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edged.ops.probe.orders import ASKED
from edged.ops.probe.values import Expected, Facts, Finding, Phone, Seen, State, Trial

_WITHOUT_US = {"address", "gateway", "dhcp", "router", "quic", "dot"}
"""Steps that pass without edged: the link, and what the kernel refuses by itself."""
_SINKHOLE_TTL = 60
"""Seconds; more than that and a device that has paid stays on the page."""
_EXPLAIN = "edged explain {address} says what edged wants of this line, and what is in place"
DOWN = (
    "is edged running (edged status)? does an input chain of yours drop it? it must accept ct status dnat "
    "(manual: linux.md)"
)


def passed(step: str, family: int, seen: str) -> Finding:
    """A step that is as it should be."""
    return Finding(step, family, State.PASS, seen)


def failed(step: str, family: int, seen: str, means: str, fix: str) -> Finding:
    """A step that is not, in three sentences."""
    return Finding(step, family, State.FAIL, seen, means, fix)


def skipped(step: str, family: int, seen: str) -> Finding:
    """A step that could not be tried, or that says nothing here."""
    return Finding(step, family, State.SKIP, seen)


def unanswered(facts: Facts, at: str) -> str:
    """What came instead of an answer from ``at``."""
    match facts["outcome"]:
        case "icmp":
            return f"{facts['by']} refused it at once ({facts['icmp']})"
        case "refused":
            return f"{at} refused the connection"
        case "cut":
            return f"{at} broke the connection off"
        case "closed" | "open":
            return f"{at} took the connection and said nothing"
        case _:
            return f"no answer from {at}"


# --- the link ------------------------------------------------------------------------------------


def free(phone: Phone, seen: Seen) -> Iterator[Finding]:
    """Whoever has the address already must not lose their line to us."""
    for f, address in phone.addresses.items():
        facts = seen[f"address/{f}"]
        if facts["outcome"] == "answer":
            yield failed(
                "address", f, f"{facts['mac']} has {address}", "to probe with it would take its owner's line away",
                "give an address of the same subscriber that nobody uses now, or switch that device off",
            )  # fmt: skip
        else:
            yield passed("address", f, f"nobody else has {address}")


def settled(phone: Phone, expected: Expected, seen: Seen) -> Iterator[Finding]:
    """What DHCP and router advertisements said of the page."""
    for step, f, what in (("dhcp", 4, "DHCP"), ("dhcp", 6, "DHCPv6"), ("router", 6, "the router advertisement")):
        facts = seen[f"{step}/{f}"]
        if facts["outcome"] == "answer":
            yield _announced(step, f, what, facts, expected)
        elif step == "dhcp" and f == 4 and phone.leases:
            yield failed(
                step, f, f"no lease ({facts['outcome']})", "a device gets no address here, so it sees no page either",
                "is the DHCP server up, and does it serve this MAC address? or give --as an address",
            )  # fmt: skip
        else:
            yield skipped(step, f, f"{what}: nobody answered")


def _announced(step: str, f: int, what: str, facts: Facts, expected: Expected) -> Finding:
    uri = facts["portal"]
    if not uri:
        return skipped(step, f, f"{what} names no captive portal API: devices find the page by their checks")
    if uri == expected.api:
        return passed(step, f, f"{what} names {uri}")
    return failed(
        step, f, f"{what} names {uri}", "iPhones, Macs and Androids ask that one, and not their own checks",
        f"it must be {expected.api}" if expected.api else "leave it out (manual: captive-api.md)",
    )  # fmt: skip


def gateways(phone: Phone, seen: Seen) -> Iterator[Finding]:
    """Who routes."""
    for f, address in phone.addresses.items():
        gateway = phone.gateways.get(f)
        facts = seen.get(f"gateway/{f}", {"outcome": "answer", "mac": phone.macs.get(f)})
        if gateway is None:
            yield failed(
                "gateway", f, f"nobody said who routes for {address}", "nothing can be tried in this family",
                "--gateway ADDRESS; else DHCP, a router advertisement or this host's own route is taken",
            )  # fmt: skip
        elif facts["outcome"] == "answer":
            yield passed("gateway", f, f"{gateway} is {facts['mac']}")
        else:
            yield failed(
                "gateway", f, f"no answer from {gateway}", "a device has no way out of this link",
                "is --via the link of the subscribers, with its VLAN? is the gateway right (--gateway)?",
            )  # fmt: skip


# --- names ---------------------------------------------------------------------------------------


def names(trial: Trial) -> Iterator[Finding]:
    """What DNS said, in every way a device may ask."""
    phone, seen = trial.phone, trial.names
    for f in phone.families:
        own, public = phone.resolver(f), phone.public[f]
        if f in phone.resolvers:
            yield _sinkholed(trial, "dns", f, own, _two(seen, "dns", f))
        else:
            yield skipped("dns", f, f"no resolver is known (--resolver): {own} stands in")
        yield _sinkholed(trial, "dns-tcp", f, own, {ASKED[f]: seen[f"dns-tcp/{f}"]})
        both = _two(seen, "public", f) | {f"{ASKED[f]} by TCP": seen[f"public-tcp/{f}"]}
        yield _sinkholed(trial, "public-dns", f, public, both)
        yield _garden_name(trial, f, own)


def _two(seen: Seen, step: str, f: int) -> dict[str, Facts]:
    return {"A": seen[f"{step}-a/{f}"], "AAAA": seen[f"{step}-aaaa/{f}"]}


_PASSES = "the line is open, or its DNS goes past edged"
_NAMES_MEAN = {
    "dns": "the device finds no address for anything: it says that there is no Internet, and shows no page",
    "dns-tcp": "devices that ask again by TCP get nothing",
    "public-dns": "whoever set their own resolver sees errors, or the Internet, instead of the page",
}


def _sinkholed(trial: Trial, step: str, f: int, server: str, asked: dict[str, Facts]) -> Finding:
    """Every answer is the portal's addresses, for a short time."""
    told: list[str] = []
    for kind, facts in asked.items():
        fault = _name_fault(trial, kind, facts, server)
        if fault:
            seen, fix = fault
            passes = any(a not in trial.expected.every_portal for a in facts.get("addresses", ()))
            return failed(step, f, seen, _PASSES if passes else _NAMES_MEAN[step], fix)
        told += [a for a in facts["addresses"] if a not in told]
    life = max(int(facts["ttl"]) for facts in asked.values())
    return passed(step, f, f"{server} says that {trial.phone.foreign} is {', '.join(told)}, for {life} s")


def _name_fault(trial: Trial, kind: str, facts: Facts, server: str) -> tuple[str, str] | None:
    """What is wrong with one answer, and how to mend it."""
    explain, foreign = _EXPLAIN.format(address=trial.phone.named.partition(" ")[0]), trial.phone.foreign
    if facts["outcome"] != "answer":
        return f"{kind}: {unanswered(facts, server)}", f"port 53 of blocked lines must come to edged; {DOWN}"
    if facts["rcode"] == 5:
        return f"{kind}: {server} answers REFUSED", "is the address in subscribers.networks?"
    if facts["rcode"]:
        what = f"error {facts['rcode']}" if facts["rcode"] > 0 else "octets that are no DNS"
        return f"{kind}: {server} answers with {what}", explain
    if fault := _address_fault(trial.expected, kind, facts, foreign):
        return f"{kind}: {fault}", explain
    if facts["ttl"] > _SINKHOLE_TTL:
        return f"{kind}: it may be kept for {facts['ttl']} s", "dns.ttl: 5s, so that who has paid is back at once"
    return None


def _address_fault(expected: Expected, kind: str, facts: Facts, name: str) -> str:
    """Which address is not the page's; empty: all are."""
    wrong = [a for a in facts["addresses"] if a not in expected.every_portal]
    if wrong:
        return f"{name} is {wrong[0]}, and not the page"
    is_missed = not facts["addresses"] and expected.portal[4 if kind.split(maxsplit=1)[0] == "A" else 6]
    return f"{name} has no address" if is_missed else ""


def _garden_name(trial: Trial, f: int, server: str) -> Finding:
    """A name of the garden is the truth."""
    name, expected = trial.expected.garden, trial.expected
    if not name:
        return skipped("garden-dns", f, "the garden has no name that could be asked for")
    facts, told = trial.names[f"name:{name}/{f}"], trial.told(name, f)
    means = "the payment site cannot be reached: nobody can pay"
    if facts["outcome"] != "answer":
        return failed("garden-dns", f, unanswered(facts, server), means, f"as for dns; {DOWN}")
    if any(a in expected.portal[f] for a in told):
        why = f"edged explain {trial.phone.addresses[f]} {name} says why"
        return failed("garden-dns", f, f"{name} leads to the page", means, why)
    if told:
        return passed("garden-dns", f, f"{name} is {told[0]}")
    if facts["rcode"]:
        return failed(
            "garden-dns", f, f"{name}: error {facts['rcode']}", means,
            "do dns.upstreams answer? edged status has a line for each; dig it on the router",
        )  # fmt: skip
    return skipped("garden-dns", f, f"{name} has no address in this family")


# --- who it is for --------------------------------------------------------------------------------


def standing(findings: list[Finding], trial: Trial) -> str:
    """In one word: blocked, faulty (blocked, with faults), open, dead (nothing answers), unreached (no way out)."""
    phone, expected = trial.phone, trial.expected
    if not phone.families:
        return "unreached"
    if all(finding.state is not State.FAIL for finding in findings):
        return "blocked"
    tried: list[Any] = [trial.names.get(f"public-{kind}/{f}", {}) for f in phone.families for kind in ("a", "aaaa")]
    told = [address for facts in tried for address in facts.get("addresses", ())]
    is_led = any(a in expected.every_portal for a in told)
    if told and not is_led and not any(f.step.startswith("check-") and f.state is State.PASS for f in findings):
        return "open"
    answered = any(f.state is State.PASS and f.step not in _WITHOUT_US for f in findings)
    return "faulty" if answered or told else "dead"
