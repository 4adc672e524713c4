# SPDX-License-Identifier: Apache-2.0
"""What needs a person, each with its code and the command to go on. Pure reading.

The codes are stable; docs/troubleshooting.md has one entry for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from edged.billing.status import Health
from edged.captive.certificate import day
from edged.config.derived import served_interfaces
from edged.config.roles import is_hub_alone
from edged.enforce.nft_json import MENDED_BY
from edged.errors import Problem
from edged.hub.certificate import SOON_S as HUB_SOON_S
from edged.hub.fleet import LATE_S
from edged.mpsk.keyring import fault_of
from edged.ops.parts import certified, failed, time_left
from edged.ops.text import counted, moment, span
from edged.radius.radsec.certificate import SOON_S as RADSEC_SOON_S
from edged.state.shared.presence import CLOCK_S

if TYPE_CHECKING:
    from edged.billing.status import BillingStatus
    from edged.ops.rooms import House
    from edged.state.shared.standing import Standing

FAILURES = 2
"""Orders of a certificate that fail in a row before it is an alarm: one may be the authority's bad hour."""
NAMED = 5
"""Subscribers, or edges, that an alarm names; the dashboard and "edged fleet status" have them all."""
EMPTY_S = 60.0
"""Seconds from the start that a hub may have nothing to serve."""
APART_S = 60.0
"""Seconds without the shared store before it is an alarm."""
_RECENT_S = 600.0
"""How long one failure that mends itself stays an alarm: long enough to be seen, short enough to be believed."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that needs a person."""

    code: str
    sentence: str
    command: str
    unnamed: str = ""
    """The sentence for whoever may not know whom it is about, where it names somebody."""

    def facts(self, *, names: bool = True) -> dict[str, Any]:
        """For a program; without ``names`` nobody's id or address is in it."""
        if names or not self.unnamed:
            return {"code": self.code, "sentence": self.sentence, "try": self.command}
        return {"code": self.code, "sentence": self.unnamed, "try": "edged status"}


def alarms(house: House, now: float) -> list[Alarm]:
    """What needs a person, the loudest first."""
    return [
        *_billing_alarms(house, now),
        *_policy_alarms(house, now),
        *_target_alarms(house),
        *_certificate_alarms(house, now),
        *_radsec_alarms(house, now),
        *_shared_alarms(house.sharing.standing, now),
        *_hub_alarms(house, now),
        *_other_alarms(house, now),
    ]


def _shared_alarms(shared: Standing | None, now: float) -> Iterator[Alarm]:
    if shared is None:
        return
    if shared.too_old:
        yield Alarm(
            "store-newer", f"{_ended(shared.error)} Nothing is shared until edged is upgraded.", "edged version"
        )
    elif not shared.connected and now - shared.since > APART_S:
        rows = counted(shared.waiting, "row waits", "rows wait")
        said = f"{_ended(shared.error)} " if shared.error else ""
        yield Alarm(
            "store-apart", f"{said}Apart from other edges since {moment(shared.since)}; {rows}.", "edged status"
        )
    if shared.namesakes:
        edges = counted(shared.namesakes, "other edge shares", "other edges share")
        yield Alarm("store-site-doubled", f"{edges} the store under this one's site.", "edged doctor shared-store")
    if abs(shared.ahead) > CLOCK_S:
        side = "ahead of" if shared.ahead > 0 else "behind"
        yield Alarm(
            "store-clock", f"This host's clock is {span(abs(shared.ahead))} {side} the shared store's.", "timedatectl"
        )
    if shared.unsealed:
        keys = counted(shared.unsealed, "key", "keys")
        yield Alarm("store-unsealed", f"{keys} of other edges did not open: state.shared_key differs.", "edged check")
    if shared.refused:
        rows = counted(shared.refused, "row", "rows")
        yield Alarm("store-refused", f"{rows} of the shared store are none that edged writes.", "journalctl -u edged")
    if shared.doubled:
        keys = counted(shared.doubled, "key", "keys")
        sentence = f"{keys} made by hand had the passphrase of an elder one of another edge, and were revoked."
        yield Alarm("store-keys-doubled", sentence, "edged keys list")


def _hub_alarms(house: House, now: float) -> Iterator[Alarm]:
    hub = house.office.hub
    if hub is None:
        return
    missing = [kind for kind, revision in hub.revisions.items() if not revision]
    if missing and now - house.started_at > EMPTY_S:
        what = f"There is no list of {' and none of '.join(missing)} yet to serve to other edges"
        yield Alarm("hub-empty", f"{what}; each keeps its last good one.", "edged status")
    if hub.front.ends and hub.front.ends - now < HUB_SOON_S:
        when = f"ends on {day(hub.front.ends)}" if hub.front.ends > now else f"ended on {day(hub.front.ends)}"
        sentence = f"The certificate of hub.tls {when}; from then on every edge refuses the hub."
        yield Alarm("hub-certificate-ending", sentence, "edged reload, once the renewed one is in its place")
    standings = hub.standings()
    silent, late = [s.report.edge for s in standings if s.silent], [s.report.edge for s in standings if s.late]
    if silent:
        what = f"{counted(len(silent), 'edge has', 'edges have')} not reported for {span(hub.settings.silent)}"
        yield Alarm("edge-silent", f"{what}: {_named(silent)}.", "edged fleet status", f"{what}.")
    if late:
        what = f"{counted(len(late), 'edge has', 'edges have')} had another list than this hub for {span(LATE_S)}"
        yield Alarm("edge-behind", f"{what}: {_named(late)}.", "edged fleet status", f"{what}.")


def _named(names: list[str]) -> str:
    """The first of ``names``, and how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


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
            f"edged plan --snapshot {status.held.id}, which says who; then {status.held.command}",
        )
    if status.stands_in:
        yield Alarm(
            "billing-fallback",
            f"The hub is silent, or billing is for it; edged asks billing itself: {status.source}.",
            "edged sync",
            "The hub is silent, or billing is for it; edged asks billing itself.",
        )
    online = house.office.online
    if online is not None and online.error and not status.error:
        yield Alarm(
            "sessions-unknown",
            f"Billing does not say who is online: {_ended(online.error)} Lines whose address changes open soon.",
            "edged status",
            "Billing does not say who is online. Lines whose address changes open soon.",
        )
    if status.health is Health.STALE:
        then = "every line is open" if status.opened else f"{_in_force(status, now)} stays in force"
        yield Alarm("billing-stale", f"Billing has been silent for {span(status.age)}; {then}.", "edged sync")
    elif status.error:
        stays = f"{_in_force(status, now)} stays in force."
        yield Alarm(
            "billing-unreachable",
            f"{_ended(status.error)} {stays}",
            "edged sync",
            f"A reading of billing failed. {stays}",
        )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def _in_force(status: BillingStatus, now: float) -> str:
    return f"The last good list ({span(now - status.read_at)} old)" if status.snapshot else "What was in force before"


def _policy_alarms(house: House, now: float) -> Iterator[Alarm]:
    contested = house.current.view.table.contested
    if contested:
        what = f"{counted(len(contested), 'prefix', 'prefixes')} of billing's list stand under two subscribers"
        better = "; the better treated of them has each."
        example = f", for example {', '.join(map(str, contested[:3]))}"
        yield Alarm("addresses-contested", what + example + better, f"edged explain {contested[0]}", what + better)
    names = house.current.view.table.contested_names
    if names:
        what = f"{counted(len(names), 'device or login stands', 'devices or logins stand')} under two subscribers of"
        what += " billing's list"
        example, better = f", for example {', '.join(sorted(names)[:3])}", "; the better treated of them has each."
        yield Alarm("names-contested", what + example + better, f"edged explain {quote(min(names))}", what + better)
    if is_hub_alone(house.loaded.config):
        return  # their lines are at other edges
    census = house.census.take(house.current.view, now)
    lineless = census.lineless if house.roster else tuple(sorted((*census.lineless, *census.offline)))
    keyed = _led_by_key(house, now) if lineless else frozenset()
    lineless = tuple(name for name in lineless if name not in keyed)
    if lineless:
        what = (
            f"{counted(len(lineless), 'blocked subscriber has', 'blocked subscribers have')} no device and no address"
        )
        what += " in subscribers.networks"
        example, so = f", for example {', '.join(lineless[:3])}", ": nothing is enforced on them."
        yield Alarm("lines-unknown", what + example + so, f"edged explain {quote(lineless[0])}", what + so)


def _led_by_key(house: House, now: float) -> frozenset[str]:
    """Subscribers with a good key: their devices are led to the page on the Wi-Fi's VLAN of the blocked."""
    served = served_interfaces(house.loaded.config)
    networks = house.loaded.config.mpsk.networks.items()
    led = {ssid for ssid, network in networks if network.blocked is not None and network.blocked.ends_at(served)}
    keys = house.mpsk.ring.keys.values() if led else ()
    return frozenset(s.key.subscriber for s in keys if s.key.ssid in led and fault_of(s, now) is None)


def _target_alarms(house: House) -> Iterator[Alarm]:
    if house.loaded.config.mode == "watch":
        return
    for name, health in house.enforce.status().items():
        if not health.ok and health.error:
            since = f", since {moment(health.since)}" if health.since else ""
            sentence = f"{name}: {health.error}{since}. What it enforces stays as it was."
            who, named = _held_back(house, name)
            yield Alarm(
                "target-failing", sentence + who + named, "edged doctor targets", f"{sentence}{who}." if who else ""
            )
    for name, warnings in house.enforce.warnings.items():
        yield from (in_the_way(name, warning) for warning in warnings)


def in_the_way(target: str, warning: str) -> Alarm:
    """The alarm of what stands in the way of ``target``; where one command mends it, with that command."""
    what, _, rule = warning.partition(MENDED_BY)
    if rule:
        keep = f"{rule}; then the same where your firewall keeps its rules"
        return Alarm("target-in-the-way", f"{target}: {what}: blocked lines see no page.", keep)
    look = "nft list ruleset" if target == "nftables" else "edged plan"
    look = "edged doctor portal" if " is on no interface " in warning else look
    return Alarm("target-in-the-way", f"{target}: {warning}.", look)


def _held_back(house: House, target: str) -> tuple[str, str]:
    """How many were lifted meanwhile, and who; both empty: nobody."""
    names = list(house.recorder.held_back(target))
    if not names:
        return "", ""
    who = counted(len(names), "subscriber")
    return f" {who} lifted since then may still be blocked behind it", f": {_named(names)}."


def _certificate_alarms(house: House, now: float) -> Iterator[Alarm]:
    files, standing = house.captive.certificate, house.acme.standing
    if files is None:
        return
    life = files.life
    if life is not None and life.is_ending(now):
        when = f"ends in {time_left(life, now)} ({day(life.ends)})" if life.ends > now else f"ended on {day(life.ends)}"
        yield Alarm(
            "certificate-ending",
            f"The portal's certificate {when}; from then on browsers refuse the page.",
            "edged status, and docs/certificates.md",
        )
    if standing is not None and standing.failures >= FAILURES:
        yield Alarm(
            "certificate-not-renewed",
            f"The certificate's {failed(standing)}: {_ended(standing.error)} Until it works:"
            f" {certified(life, now)}. Next try at {moment(standing.next_at)}.",
            "journalctl -u edged, and docs/certificates.md",
        )
    elif files.refused:
        first = files.refused[0]
        yield Alarm(
            "certificate-not-renewed",
            f"The changed certificate is not taken: {first.key}: {first.found}; expected {first.expected}. Until it is"
            f" mended: {certified(life, now)}.",
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
    for problem in (*house.warnings, *house.lifting.problems):
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


def database_set_aside(path: Path) -> Problem:
    """What is to be said while an empty database is in use, the damaged one being at ``path``."""
    found = f"the database was damaged and lies at {path}; an empty one is in use"
    return Problem("state", found, "overrides, passes and keys made by hand are gone; restore a backup", warning=True)
