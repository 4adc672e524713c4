# SPDX-License-Identifier: Apache-2.0
"""The checks of what a blocked line is shown: address, certificate, DNS, page, each system's check. Pure.

What a made-up blocked subscriber is answered is told by the running edged, through the code that answers real ones; its
listeners are asked from this host besides, which is nobody's line (``edged.ops.doctor.rehearsal``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edged.captive.certificate import Life, day
from edged.config.schema import Config
from edged.ops.doctor.finding import Finding, Plain, Value, fail, ok, skip, warn
from edged.ops.doctor.values import Facts, Visit
from edged.ops.probe.http import HttpAnswer, Judged, judged, poison
from edged.ops.probe.orders import CHECKS, Check
from edged.ops.text import counted
from edged.values import BITS, Prefix, host_prefix, parse_prefix

_DAY_S = 86400.0
_PRIVATE = tuple(parse_prefix(p) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_LONG_TTL_S = 60
_FIRST_PAINT = 30_000
"""Octets, as `edged check` has it: about a second on a poor line."""
_DEVICES = {
    "apple": "iPhone and Mac", "android": "Android", "windows": "Windows", "firefox": "Firefox",
    "chrome": "Chrome and Edge", "networkmanager": "Linux", "kindle": "Kindle", "nintendo": "Nintendo",
    "roku": "Roku", "steam": "Steam",
}  # fmt: skip
_HUNG = (
    "does an input chain of yours drop it, from this host too (nft list ruleset)? else journalctl -u edged -n 50, then "
    "systemctl restart edged"
)


def portal(facts: Facts, config: Config) -> Finding:
    """The page's address is one that devices take, and one of this host."""
    if not config.portal.addresses:
        return skip("portal", "portal.addresses is empty")
    private = [a for a in config.portal.addresses if _within(host_prefix(a), _PRIVATE)]
    if private:
        return warn(
            "portal", "{address} is a private address",
            "routers with rebind protection and some phones refuse it: their owners see no page",
            "a public or 100.64.0.0/10 address under portal.addresses", address=str(private[0]),
        )  # fmt: skip
    if facts.addresses is None:
        return skip("portal", "{reason}", reason=facts.why("addresses"))
    elsewhere = [a for a in config.portal.addresses if str(a) not in facts.addresses]
    if elsewhere and set(elsewhere) <= set(config.pair.addresses):
        away = ", ".join(map(str, elsewhere))
        return skip("portal", "{addresses}: not here now, so the other edge of the pair must have it", addresses=away)
    if elsewhere and (config.portal.listen.http or config.portal.listen.https):
        return fail(
            "portal", "{address} is no address of this host",
            "what is led there does not come to edged, so nobody sees its page",
            "ip address add {address}/{bits} dev lo, and in the network's files",
            address=str(elsewhere[0]), bits=BITS[elsewhere[0].version],
        )  # fmt: skip
    own = " and ".join(map(str, config.portal.addresses))
    return ok("portal", "{addresses}: public, and on this host", addresses=own)


def _within(own: Prefix, networks: tuple[Prefix, ...]) -> bool:
    return any(network.contains(own) for network in networks)


def certificate(facts: Facts, config: Config) -> Finding:
    """The page's certificate is good, for two weeks and more."""
    if not config.portal.url or not config.portal.listen.https:
        return skip("certificate", "there is no page over TLS")
    found = facts.certificate
    if found is None:
        return skip("certificate", "{reason}", reason=facts.why("certificate"))
    if found.life is not None:
        return _lasting(found.life, facts.now, config.portal.host, is_acme=found.is_acme)
    if found.is_acme:
        means, fix = "the page comes over HTTP until there is one", "journalctl -u edged; manual: certificates.md"
    else:
        means, fix = "whoever opens the page sees a warning", "manual: certificates.md"
    return warn("certificate", "{fault}", means, fix, fault=found.fault)


def _lasting(life: Life, now: float, host: str, *, is_acme: bool) -> Finding:
    """How long it is good."""
    if life.ends <= now:
        return fail(
            "certificate", "it ended on {day}", "browsers refuse the page",
            "put a new chain and key in their place: edged takes them up within a minute; manual: certificates.md",
            day=Plain(day(life.ends)),
        )  # fmt: skip
    if life.begins > now:
        return fail(
            "certificate", "it is good from {day} on, and not before", "browsers refuse the page",
            "is this host's clock right (date -u)? else another certificate; manual: certificates.md",
            day=Plain(day(life.begins)),
        )  # fmt: skip
    days = Plain(counted(int((life.ends - now) / _DAY_S), "day"))
    if life.is_ending(now):
        fix = (
            "put the renewed chain and key in their place: edged takes them up within a minute; manual: certificates.md"
        )
        if is_acme:
            fix = "edged status says why the authority refuses; let it reach port 80 of {host}; manual: certificates.md"
        return warn(
            "certificate", "{days} left", "then browsers refuse the page; a renewal should have come by now", fix,
            days=days, host=host,
        )  # fmt: skip
    return ok("certificate", "for {host}, {days} left", host=host, days=days)


# --- the made-up subscriber ----------------------------------------------------------------------


def _made_up(facts: Facts) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (facts.inside or {}).get("made_up", {})
    return found


def sinkhole(facts: Facts, config: Config) -> Finding:
    """A blocked subscriber's questions are answered with our address; each listener answers."""
    if not config.dns.listen or not config.portal.addresses:
        return skip("sinkhole", "dns.listen or portal.addresses is empty: another resolver leads blocked lines here")
    if facts.inside is None:
        return skip("sinkhole", "{reason}", reason=facts.why("inside"))
    made_up = _made_up(facts)
    if made_up["unblockable"]:
        return fail(
            "sinkhole", "nobody in {network} can be blocked", "whoever does not pay stays online there",
            "narrow subscribers.exempt, which holds all of it", network=made_up["unblockable"][0],
        )  # fmt: skip
    fault = next(_dns_faults(made_up, config), None)
    return fault if fault is not None else _heard(facts, config)


def _heard(facts: Facts, config: Config) -> Finding:
    """The listeners answer."""
    if facts.named is None:
        return skip("sinkhole", "{reason}", reason=facts.why("named"))
    if (silent := _silent(facts.named)) is not None:
        return fail(
            "sinkhole", "{at}: {error}", "what comes there has no answer: blocked lines see neither page nor garden",
            _HUNG, at=silent.at, error=silent.error,
        )  # fmt: skip
    families = Plain(" and ".join(f"v{v}" for v in sorted({a.version for a in config.portal.addresses})))
    if config.mode == "watch":
        return ok("sinkhole", "a made-up blocked subscriber would get our address, {families}", families=families)
    return ok("sinkhole", "a made-up blocked subscriber gets our address, {families}", families=families)


def _dns_faults(made_up: Mapping[str, Any], config: Config) -> Iterator[Finding]:
    ours = {str(a) for a in config.portal.addresses}
    versions = {a.version for a in config.portal.addresses}
    for row in made_up["dns"]:
        values: dict[str, Value] = {
            "kind": Plain(row["type"]), "address": row["from"], "rcode": row["rcode"], "ttl": row["ttl"],
            "got": ", ".join(row["addresses"]),
        }  # fmt: skip
        means = "a blocked device finds no address: it says that there is no Internet, and shows no page"
        if row["rcode"]:
            yield fail(
                "sinkhole", "{kind} of a made-up blocked subscriber ({address}) gets error {rcode}", means,
                "edged explain {address} says what edged thinks of that address", **values,
            )  # fmt: skip
        elif set(row["addresses"]) - ours:
            yield fail(
                "sinkhole", "{kind} of a made-up blocked subscriber gets {got}, which is not the page",
                "a blocked line is led elsewhere", "edged reload, where portal.addresses was changed", **values,
            )  # fmt: skip
        elif not row["addresses"] and (4 if row["type"] == "A" else 6) in versions:
            yield fail(
                "sinkhole", "{kind} of a made-up blocked subscriber ({address}) gets no address", means,
                "edged reload, where portal.addresses was changed", **values,
            )  # fmt: skip
        elif row["ttl"] > _LONG_TTL_S:
            yield fail(
                "sinkhole", "devices may keep our answer for {ttl} s",
                "who has paid stays on the page for as long", "dns.ttl: 5s", **values,
            )  # fmt: skip


def _silent(visits: tuple[Visit, ...]) -> Visit | None:
    return next((visit for visit in visits if visit.error), None)


def page(facts: Facts, config: Config) -> Finding:
    """A blocked browser is led to the page, which opens over TLS."""
    if not config.portal.url:
        return skip("page", "portal.url is not set: there is no page")
    if facts.inside is None:
        return skip("page", "{reason}", reason=facts.why("inside"))
    led, shown = _made_up(facts)["redirect"], _made_up(facts)["page"]
    values: dict[str, Value] = {
        "status": led["status"], "to": led["location"], "shown": shown["status"],
        "size": shown["octets"] / 1000, "reason": Plain(shown["reason"]), "language": Plain(shown["language"]),
    }  # fmt: skip
    if led["status"] != 302 or not led["location"].startswith(("https://", "http://")):
        return fail(
            "page", "a blocked browser gets {status} for a foreign page, and no way to ours",
            "nobody is led to the page", "edged explain an address of a blocked line; journalctl -u edged", **values,
        )  # fmt: skip
    if shown["status"] != 200 or not shown["octets"]:
        return fail(
            "page", "302, then the page answers {shown}", "whoever is led there sees an error and no way to pay",
            "edged check --pages DIR renders every page; journalctl -u edged", **values,
        )  # fmt: skip
    if facts.opened is None:
        return skip("page", "{reason}", reason=facts.why("opened"))
    return _opened(facts.opened, values)


def _opened(opened: tuple[Visit, ...], values: dict[str, Value]) -> Finding:
    if (silent := _silent(opened)) is not None:
        return fail(
            "page", "{at}: {error}", "blocked lines see an error and no page", _HUNG, at=silent.at, error=silent.error
        )
    strange = next((v for v in opened if not v.is_trusted), None)
    if strange is not None and strange.doubt.startswith("self"):
        return warn(
            "page", "it opens, with a certificate that signed itself", "browsers show a warning in place of the page",
            "one of an authority that devices trust, which edged can fetch by itself; manual: certificates.md",
            at=strange.at, doubt=strange.doubt,
        ).noting(seen="{at}: {doubt}")  # fmt: skip
    if strange is not None:
        return warn(
            "page", "it opens, but this host does not believe its certificate",
            "browsers may show a warning in place of the page",
            "portal.certificate.chain holds the whole chain: the certificate first, then the authority's intermediate "
            "one; manual: certificates.md",
            at=strange.at, doubt=strange.doubt,
        ).noting(seen="{at}: {doubt}")  # fmt: skip
    slowest = max((v.seconds for v in opened), default=0.0) * 1000
    if float(values["size"]) * 1000 > _FIRST_PAINT:
        return warn(
            "page", "302 then 200, and {size:.1f} kB are heavy", "on a poor line it takes seconds to appear",
            "smaller logos and templates; edged check says which page", **values,
        )  # fmt: skip
    if not any(v.at.endswith("TLS") for v in opened):
        return ok(
            "page", "302 then 200 over HTTP, {reason}/{language}, {size:.1f} kB, {ms:.0f} ms", ms=slowest, **values
        )
    return ok("page", "302 then 200 over TLS, {reason}/{language}, {size:.1f} kB, {ms:.0f} ms", ms=slowest, **values)


def phones(facts: Facts, config: Config) -> Finding:
    """The connectivity check of every system meets the portal, in DNS and over HTTP."""
    if not config.portal.url:
        return skip("phones", "portal.url is not set: there is no page")
    if facts.inside is None:
        return skip("phones", "{reason}", reason=facts.why("inside"))
    answers = {row["client"]: row for row in _made_up(facts)["checks"]}
    checks = [check for check in CHECKS if check.client in answers]
    fault = next(filter(None, (_lost(check, answers[check.client], config) for check in checks)), None)
    if fault is not None:
        return fault
    if facts.swallowed:
        host, address = facts.swallowed[0]
        return warn(
            "phones", "garden.networks holds {address}, where {host} is",
            "a device that still knows that address takes itself for online: no page until it asks DNS again",
            "narrow garden.networks, or name hosts under garden.names instead", host=host, address=address,
        )  # fmt: skip
    return ok("phones", "{devices} would open it", devices=Plain(", ".join(_DEVICES[c.client] for c in checks)))


def _lost(check: Check, row: Mapping[str, Any], config: Config) -> Finding | None:
    """Why the system of ``check`` would show no page; None: it would."""
    device = Plain(_DEVICES[check.client])
    if config.dns.listen and not set(row["addresses"]) <= {str(a) for a in config.portal.addresses}:
        return fail(
            "phones", "{device}: its check is not led to the page", "it takes itself for online, and shows no page",
            "no name or record of the garden may hold {host}; edged check", device=device, host=check.probe.host,
        )  # fmt: skip
    answer = HttpAnswer(row["status"], row["headers"], row["body"])
    if judged(check.probe, answer) is not Judged.PORTAL:
        return fail(
            "phones", "{device} would show no page: its check gets {status}",
            "whoever has one is offline and does not learn why",
            "report it with edged doctor --report FILE; until then: the page's address on the invoice",
            device=device, status=row["status"],
        )  # fmt: skip
    if spoilt := poison(answer):
        return fail(
            "phones", "{device}: its check gets {spoilt}", "it still lands on the page after it was paid",
            "report it with edged doctor --report FILE", device=device, spoilt=spoilt,
        )  # fmt: skip
    return None
