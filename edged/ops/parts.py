# SPDX-License-Identifier: Apache-2.0
"""How each room is, in one line, and what needs a person, each with its code and the command to go on. Pure reading.

The codes are stable; docs/troubleshooting.md has one entry for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.billing.status import Health
from edged.captive.certificate import day
from edged.native import keysearch
from edged.native.datagrams import COMPILED
from edged.ops.text import moment, span
from edged.radius.counters import REPORTED
from edged.radius.packet import Code
from edged.radius.radsec.certificate import SOON_S as RADSEC_SOON_S

if TYPE_CHECKING:
    from edged.billing.status import BillingStatus
    from edged.captive.acme.service import Standing
    from edged.captive.certificate import Life
    from edged.ops.rooms import House


@dataclass(frozen=True, slots=True)
class Part:
    """One line of ``edged status``."""

    name: str
    state: str
    """OK, WARN, FAIL, WATCH or OFF."""
    fact: str

    def facts(self) -> dict[str, Any]:
        """For a program."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that needs a person."""

    code: str
    sentence: str
    command: str

    def facts(self) -> dict[str, Any]:
        """For a program."""
        return {"code": self.code, "sentence": self.sentence, "try": self.command}


FAILURES = 2
"""Orders of a certificate that fail in a row before it is an alarm: one may be the authority's bad hour."""
_RECENT_S = 600.0
"""How long one failure that mends itself stays an alarm: long enough to be seen, short enough to be believed."""


# --- parts ---------------------------------------------------------------------------------------


def parts(house: House, now: float) -> list[Part]:
    """Every room, in the order of the traffic."""
    return [
        _billing(house, now),
        _dns(house),
        _portal(house, now),
        _radius(house),
        *_targets(house, now),
        _store(house),
    ]


def _billing(house: House, now: float) -> Part:
    if house.billing is None:
        return Part("billing", "OFF", "no billing section")
    status = house.billing.status()
    state = {Health.OK: "OK", Health.STARTING: "WARN", Health.HELD: "WARN"}.get(status.health, "FAIL")
    state = "WARN" if state == "OK" and status.trouble else state
    read = (
        f"read {span(now - status.read_at)} ago (snapshot {status.snapshot})" if status.snapshot else "nothing read yet"
    )
    fact = f"{status.source}, {read}"
    if status.contact:
        fact += f"; reached {span(status.age)} ago"
    if house.roster:
        fact += f"; {_count(len(house.roster), 'session', 'sessions')} known"
    if status.trouble:
        fact += f"; {status.trouble}"
    if status.error:
        fact += f"; {status.error}"
    return Part("billing", state, fact)


def _dns(house: House) -> Part:
    if not house.loaded.config.dns.listen:
        return Part("dns", "OFF", "dns.listen is empty")
    counters = house.dns.counters
    fact = f"{sum(counters.answers.values()):,} answers, {sum(counters.dropped.values()):,} dropped since the start"
    if counters.upstream_failures:
        fact += f"; {counters.upstream_failures:,} upstream failures"
    if counters.limited:
        (by, who), seconds = max(counters.limited.items(), key=lambda item: item[1])
        fact += f"; {len(counters.limited)} above their rate, most often {by} {who} ({seconds:,} s)"
    silent = [health.name for health in house.dns.resolver.health if health.down]
    if silent:
        fact += f"; no answer from upstream {', '.join(silent)}"
    fact += "; compiled" if COMPILED else "; no compiled part"
    return Part("dns", "WARN" if silent else "OK", fact)


def _portal(house: House, now: float) -> Part:
    if not house.loaded.config.portal.url:
        return Part("portal", "OFF", "portal.url is not set")
    counters = house.captive.counters
    fact = (
        f"{sum(counters.pages.values()):,} pages, {counters.alerts + counters.resets:,} foreign TLS clients sent away"
    )
    files, standing = house.captive.certificate, house.acme.standing
    if files is not None:
        fact += f"; {_certificate(files.life, now)}"
    if standing is not None and standing.failures:
        fact += f"; {_failed(standing)}: {standing.error}"
    warnings = [problem for problem in house.warnings if problem.key.startswith("portal")]
    if warnings:
        return Part("portal", "WARN", f"{fact}; {warnings[0].found}")
    missing = files is not None and (files.life is None or files.life.is_ending(now) or bool(files.refused))
    return Part("portal", "WARN" if missing or (standing is not None and standing.failures) else "OK", fact)


def _certificate(life: Life | None, now: float) -> str:
    if life is None:
        return "no certificate yet, the page comes over HTTP"
    return f"certificate ended on {day(life.ends)}" if life.ends <= now else f"certificate good for {_left(life, now)}"


def _left(life: Life, now: float) -> str:
    days, hours = divmod(int(life.ends - now) // 3600, 24)
    return _count(days, "day", "days") if days else _count(hours, "hour", "hours")


def _failed(standing: Standing) -> str:
    times = {1: "once", 2: "twice"}.get(standing.failures, f"{standing.failures} times")
    return f"renewal failed {times}"


def _radius(house: House) -> Part:
    if not (house.loaded.config.radius.auth or house.loaded.config.radius.tls):
        return _accounting(house)
    counters = house.mpsk.counters
    rejects, discards = (
        sum(counters.rejects.values()),
        sum(house.radius.counters.discards.values()) if house.radius else 0,
    )
    known = _count(counters.keys, "key", "keys")
    fact = f"{known}; {counters.accepts:,} accepts, {rejects:,} rejects, {discards:,} discards"
    if counters.pmks_pending:
        fact += f"; {counters.pmks_pending:,} PMKs still to derive"
        if counters.pmks_seconds:
            fact += f", about {span(counters.pmks_seconds)}"
    fact += (
        f"; keys searched compiled ({keysearch.KERNEL})"
        if keysearch.KERNEL
        else "; keys searched without the compiled part"
    )
    if house.radsec is not None and house.loaded.config.radius.tls is not None:
        tls = house.radsec.counters
        fact += f"; {_count(tls.open, 'connection', 'connections')} over TLS, {sum(tls.refused.values()):,} refused"
    departures = house.mpsk.grants.departures
    if not departures.waiting:
        return Part("radius", "OK", fact)
    fact += f"; {departures.waiting:,} devices still to send away"
    silent = sorted(map(str, departures.silent))
    if silent:
        fact += f", no answer from {', '.join(silent[:3])}" + (f" and {len(silent) - 3} more" if silent[3:] else "")
    return Part("radius", "WARN" if silent else "OK", fact)


def _accounting(house: House) -> Part:
    if not house.loaded.config.radius.acct or house.radius is None:
        return Part("radius", "OFF", "radius.auth is empty")
    counters = house.radius.counters
    fact = f"accounting alone: {counters.requests[Code.ACCOUNTING_REQUEST]:,} requests"
    dropped = [(count, reason) for reason, count in counters.discards.items() if count and reason in REPORTED]
    if dropped:
        _, most = max(dropped)
        fact += f"; {sum(count for count, _ in dropped):,} dropped, mostly {most}, latest from {counters.latest[most]}"
    return Part("radius", "WARN" if dropped else "OK", fact)


def _targets(house: House, now: float) -> Iterator[Part]:
    watching = house.loaded.config.mode == "watch"
    if not house.enforce.status():
        yield Part("enforce", "OFF", "no target is named: nobody is steered, whoever asks is answered")
    for name, health in house.enforce.status().items():
        if watching:
            yield Part(name, "WATCH", f"would hold {health.wanted:,}")
        elif health.ok:
            yield Part(
                name,
                "OK",
                f"{health.actual:,} of {health.wanted:,}, compared {span(now - health.compared)} ago",
            )
        else:
            yield Part(name, "FAIL" if health.error else "WARN", health.error or "not compared yet")


def _store(house: House) -> Part:
    try:
        size = house.database.path.stat().st_size / 1e6
    except OSError as error:
        return Part("store", "FAIL", f"{house.database.path}: {error.strerror}")
    if house.database.error:
        return Part("store", "FAIL", house.database.error)
    return Part("store", "OK", f"sqlite, {size:.1f} MB")


# --- alarms --------------------------------------------------------------------------------------


def alarms(house: House, now: float) -> list[Alarm]:
    """What needs a person, the loudest first."""
    return [
        *_billing_alarms(house, now),
        *_policy_alarms(house, now),
        *_target_alarms(house),
        *_certificate_alarms(house, now),
        *_radsec_alarms(house, now),
        *_other_alarms(house, now),
    ]


def _billing_alarms(house: House, now: float) -> Iterator[Alarm]:
    if house.billing is None:
        return
    status = house.billing.status()
    if status.held is not None:
        why = "; ".join(str(reason) for reason in status.held.reasons) or "it was held before the restart"
        yield Alarm(
            "billing-held",
            f"A reading of {status.held.subscribers:,} subscribers, {status.held.blocked:,} blocked, waits:"
            f" {why}."
            f" {_in_force(status, now)} stays in force.",
            f"edged sync, which says who; then {status.held.command}",
        )
    online = house.office.online
    if online is not None and online.error and not status.error:
        yield Alarm(
            "sessions-unknown",
            f"Billing does not say who is online: {_ended(online.error)} Lines whose address changes open soon.",
            "edged status",
        )
    if status.health is Health.STALE:
        then = "every line is open" if status.opened else f"{_in_force(status, now)} stays in force"
        yield Alarm("billing-stale", f"Billing has been silent for {span(status.age)}; {then}.", "edged sync")
    elif status.error:
        yield Alarm(
            "billing-unreachable", f"{_ended(status.error)} {_in_force(status, now)} stays in force.", "edged sync"
        )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _in_force(status: BillingStatus, now: float) -> str:
    return f"The last good list ({span(now - status.read_at)} old)" if status.snapshot else "What was in force before"


def _policy_alarms(house: House, now: float) -> Iterator[Alarm]:
    contested = house.current.view.table.contested
    if contested:
        yield Alarm(
            "addresses-contested",
            f"{_count(len(contested), 'prefix', 'prefixes')} of billing's list stand under two subscribers, for example"
            f" {', '.join(map(str, contested[:3]))}; the better treated of them has each.",
            f"edged explain {contested[0]}",
        )
    names = house.current.view.table.contested_names
    if names:
        yield Alarm(
            "names-contested",
            f"{_count(len(names), 'device or login stands', 'devices or logins stand')} under two subscribers of"
            f" billing's list, for example {', '.join(sorted(names)[:3])}; the better treated of them has each.",
            f"edged explain {min(names)}",
        )
    counted = house.census.take(house.current.view, now)
    lineless = counted.lineless if house.roster else tuple(sorted((*counted.lineless, *counted.offline)))
    if lineless:
        yield Alarm(
            "lines-unknown",
            f"{_count(len(lineless), 'blocked subscriber has', 'blocked subscribers have')} no device and no address in"
            f" subscribers.networks, for example {', '.join(lineless[:3])}: nothing is enforced on them.",
            f"edged explain {lineless[0]}",
        )


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _target_alarms(house: House) -> Iterator[Alarm]:
    if house.loaded.config.mode == "watch":
        return
    for name, health in house.enforce.status().items():
        if not health.ok and health.error:
            yield Alarm("target-failing", f"{name}: {health.error}. What it enforces stays as it was.", "edged plan")
    for name, warnings in house.enforce.warnings.items():
        for warning in warnings:
            yield Alarm("target-in-the-way", f"{name}: {warning}.", "nft list ruleset")


def _certificate_alarms(house: House, now: float) -> Iterator[Alarm]:
    files, standing = house.captive.certificate, house.acme.standing
    if files is None:
        return
    life = files.life
    if life is not None and life.is_ending(now):
        when = f"ends in {_left(life, now)} ({day(life.ends)})" if life.ends > now else f"ended on {day(life.ends)}"
        yield Alarm(
            "certificate-ending",
            f"The portal's certificate {when}; from then on browsers refuse the page.",
            "edged status, and docs/certificates.md",
        )
    if standing is not None and standing.failures >= FAILURES:
        yield Alarm(
            "certificate-not-renewed",
            f"The certificate's {_failed(standing)}: {_ended(standing.error)} Until it works:"
            f" {_certificate(life, now)}. Next try at {moment(standing.next_at)}.",
            "journalctl -u edged, and docs/certificates.md",
        )
    elif files.refused:
        first = files.refused[0]
        yield Alarm(
            "certificate-not-renewed",
            f"The changed certificate is not taken: {first.key}: {first.found}; expected {first.expected}. Until it is"
            f" mended: {_certificate(life, now)}.",
            "edged check",
        )


def _radsec_alarms(house: House, now: float) -> Iterator[Alarm]:
    ends = house.radsec.ends if house.radsec is not None else 0.0
    if ends and ends - now < RADSEC_SOON_S:
        when = f"ends on {day(ends)}" if ends > now else f"ended on {day(ends)}"
        sentence = f"The certificate of radius.tls {when}; from then on access points refuse it and get no keys."
        yield Alarm("radsec-certificate-ending", sentence, "docs/wifi-access-points.md, RADIUS over TLS")


def _other_alarms(house: House, now: float) -> Iterator[Alarm]:
    if not house.database.path.exists():
        yield Alarm(
            "store-lost",
            f"{house.database.path} is gone: what edged learns from now on does not outlive a restart.",
            "systemctl restart edged",
        )
    if house.database.error:
        yield Alarm(
            "store-failing",
            f"The database fails: {house.database.error}. What edged learns meanwhile does not outlive a restart.",
            "df and journalctl -u edged",
        )
    reload = house.reload_state
    if not reload.ok:
        first = reload.problems[0]
        yield Alarm(
            "reload-refused",
            f"The configuration of {moment(reload.loaded_at)} keeps running; the file was refused at"
            f" {moment(reload.tried_at)}: {first.key}: {first.found}; expected {first.expected}.",
            "edged check",
        )
    for problem in house.warnings:
        code = {"enforce": "left-in-force", "state": "state-damaged"}.get(
            problem.key.partition(".")[0], "page-incomplete"
        )
        command = "systemctl restart edged" if code == "state-damaged" else problem.hint or "edged check"
        yield Alarm(code, f"{problem.key}: {problem.found}; {problem.expected}.", command)
    upstreams = house.dns.resolver.health
    if upstreams and all(health.down for health in upstreams):
        yield Alarm(
            "upstreams-silent",
            f"No upstream of dns.upstreams answers ({', '.join(health.name for health in upstreams)}): garden names and"
            " open lines that ask edged get old answers or none.",
            "edged status, and dig at each of them",
        )
    if now - house.enforce.counters.admit_failed_at < _RECENT_S:
        yield Alarm(
            "garden-not-admitted",
            "Garden answers left within the last ten minutes without the firewall being opened for them"
            f" ({house.enforce.counters.admit_failed:,} since the start).",
            "edged plan",
        )
