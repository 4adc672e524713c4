# SPDX-License-Identifier: Apache-2.0
"""How each room is, in one line of ``edged status``. Pure reading; what needs a person is in ``alarms``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edged.billing.status import Health
from edged.captive.certificate import day
from edged.config.roles import is_hub_alone
from edged.enforce.standing import Health as TargetHealth
from edged.native import keysearch
from edged.native.datagrams import COMPILED
from edged.ops.fleet.edges import tally
from edged.ops.record.history import all_took, last_hour, milliseconds, took_below
from edged.ops.text import counted, span
from edged.radius.counters import REPORTED
from edged.radius.packet import Code

if TYPE_CHECKING:
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


def parts(house: House, now: float, *, names: bool = True) -> list[Part]:
    """Every room, in the order of the traffic; of a hub alone those that it has. Without ``names`` nobody is named."""
    served = [_dns(house, names=names), _portal(house, now), _radius(house), *_targets(house, now)]
    here = [] if is_hub_alone(house.loaded.config) else served
    return [_billing(house, now, names=names), *_hub(house), *here, _store(house)]


def _billing(house: House, now: float, *, names: bool) -> Part:
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
        fact += f"; {counted(len(house.roster), 'session')} known"
    # what is wrong is said with the row that it is in, whose id and addresses are somebody's
    if status.trouble:
        fact += f"; {status.trouble}" if names else "; some of it cannot be read"
    if status.error:
        fact += f"; {status.error}" if names else "; its last reading failed"
    return Part("billing", state, fact)


def _hub(house: House) -> Iterator[Part]:
    """What other edges are served; nothing where this is no hub."""
    hub = house.office.hub
    if hub is None:
        return
    counts = tally(hub.standings())
    fact = f"{counted(counts.known, 'edge')} at {hub.endpoint or hub.settings.listen}"
    fact += f", {hub.waiting:,} waiting for a change"
    words = (
        (counts.silent, "silent"), (counts.behind, "behind"), (counts.alarming, "with alarms"),
        (counts.fallback, "asking billing"),
    )  # fmt: skip
    fact += "".join(f"; {count:,} {word}" for count, word in words if count)
    fact += f"; certificate until {day(hub.front.ends)}" if hub.front.ends else ""
    if not all(hub.revisions.values()):
        yield Part("hub", "WARN", f"nothing to serve yet; {fact}")
        return
    yield Part("hub", "WARN" if counts.silent or counts.behind else "OK", fact)


def _dns(house: House, *, names: bool) -> Part:
    if not house.loaded.config.dns.listen:
        return Part("dns", "OFF", "dns.listen is empty")
    counters = house.dns.counters
    fact = f"{house.recorder.answers_a_second:,.0f} answers/s"
    slow = took_below(all_took(list(house.recorder.bins)[-2:]), 0.99)
    fact += f", p99 {milliseconds(slow)}" if slow is not None else ""
    fact += f"; {sum(counters.answers.values()):,} since the start, {sum(counters.dropped.values()):,} dropped"
    fact += f", {counters.upstream_failures:,} upstream failures" if counters.upstream_failures else ""
    if counters.limited:
        (by, who), seconds = max(counters.limited.items(), key=lambda item: item[1])
        fact += f"; {len(counters.limited)} above their rate"
        fact += f", most often {by} {who} ({seconds:,} s)" if names else ""
    silent = [health.name for health in house.dns.resolver.health if health.down]
    if silent:
        fact += f"; no answer from upstream {', '.join(silent)}"
    fact += "; compiled" if COMPILED else "; no compiled part"
    return Part("dns", "WARN" if silent else "OK", fact)


def _portal(house: House, now: float) -> Part:
    if not house.loaded.config.portal.url:
        return Part("portal", "OFF", "portal.url is not set")
    hour = last_hour(house.recorder.bins, now)
    fact = f"{counted(hour.pages, 'page')} in the last hour"
    files, standing = house.captive.certificate, house.acme.standing
    if files is not None:
        fact += f"; {certified(files.life, now)}"
    if standing is not None and standing.failures:
        fact += f"; {failed(standing)}: {standing.error}"
    warnings = [problem for problem in house.warnings if problem.key.startswith("portal")]
    if warnings:
        return Part("portal", "WARN", f"{fact}; {warnings[0].found}")
    missing = files is not None and (files.life is None or files.life.is_ending(now) or bool(files.refused))
    return Part("portal", "WARN" if missing or (standing is not None and standing.failures) else "OK", fact)


def certified(life: Life | None, now: float) -> str:
    """``certificate good for 71 days``."""
    if life is None:
        return "no certificate yet, the page comes over HTTP"
    return (
        f"certificate ended on {day(life.ends)}" if life.ends <= now else f"certificate good for {time_left(life, now)}"
    )


def time_left(life: Life, now: float) -> str:
    """``71 days``, ``5 hours``."""
    days, hours = divmod(int(life.ends - now) // 3600, 24)
    return counted(days, "day") if days else counted(hours, "hour")


def failed(standing: Standing) -> str:
    """``renewal failed twice``."""
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
    known = counted(counters.keys, "key")
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
        fact += f"; {counted(tls.open, 'connection')} over TLS, {sum(tls.refused.values()):,} refused"
    disconnections = house.mpsk.grants.disconnections
    if not disconnections.waiting:
        return Part("radius", "OK", fact)
    fact += f"; {disconnections.waiting:,} devices still to send away"
    silent = sorted(map(str, disconnections.silent))
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
    # a BNG is told by session; how many lines there are to be blocked says nothing of what it does
    told = {bng.name: bng.sessions for bng in house.bngs}
    for name, health in house.enforce.status().items():
        if watching:
            yield Part(name, "WATCH", f"would hold {health.wanted:,}")
        elif health.ok and name in told and not told[name]["known"]:
            yield Part(name, "WARN", "no session is known there, so nobody is blocked")
        elif health.ok:
            there, of, what = health.actual, health.wanted, ""
            if name in told:
                there, of, what = told[name]["blocked"], told[name]["known"], " sessions blocked"
            yield Part(name, "OK", f"{there:,} of {of:,}{what}, compared {span(now - health.compared)} ago")
        else:
            yield Part(name, "FAIL" if health.error else "WARN", _failing(health, now))


def _failing(health: TargetHealth, now: float) -> str:
    """Why, for how long, and what it holds meanwhile as far as that is known."""
    if not health.error:
        return "not compared yet"
    fact = f"{health.error}; for {span(now - health.since)}" if health.since else health.error
    if health.compared:
        fact += f"; held {health.actual:,} then"
    return f"{fact}, {health.wanted:,} wanted now"


def _store(house: House) -> Part:
    try:
        size = house.database.path.stat().st_size / 1e6
    except OSError as error:
        return Part("store", "FAIL", f"{house.database.path}: {error.strerror}")
    if house.database.error:
        return Part("store", "FAIL", house.database.error)
    fact, shared = f"sqlite, {size:.1f} MB", house.sharing.standing
    if shared is None:
        return Part("store", "OK", fact)
    met = f"met others {span(time.time() - shared.exchanged_at)} ago" if shared.exchanged_at else "not met others yet"
    state = "OK" if shared.connected and not shared.unsendable else "WARN"
    kept = f", {shared.unsendable:,} cannot be shared" if shared.unsendable else ""
    return Part("store", state, f"{fact}, postgresql, {met}, {shared.waiting:,} rows wait{kept}")
