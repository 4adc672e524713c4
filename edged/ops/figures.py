# SPDX-License-Identifier: Apache-2.0
"""The rooms' counters in, samples for ``/metrics`` out. docs/metrics.md has a line for each. Pure reading."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from enum import IntEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from edged import __version__
from edged.billing.status import Health
from edged.dns.counters import DnsCounters
from edged.enforce.targets.radius import RadiusTarget
from edged.native.datagrams import PLACES
from edged.ops.alarms import alarms
from edged.ops.fleet.edges import tally
from edged.ops.metrics import Sample
from edged.ops.nases import old_secrets
from edged.ops.record.recorder import BUCKETS

if TYPE_CHECKING:
    from edged.ops.rooms import House
    from edged.radius.radsec.service import RadSecService
    from edged.state.shared.standing import Standing

Kind = Literal["counter", "gauge"]


def figures(house: House) -> Iterator[Sample]:
    """Every sample, family by family."""
    now, config = time.time(), house.loaded.config
    facts = (("version", __version__), ("site", config.site), ("mode", config.mode))
    yield Sample("edged_info", "Version, site and mode.", "gauge", 1, facts)
    yield from _policy(house, now)
    yield from _billing(house, now)
    yield from _hooks(house)
    yield from _events(house)
    yield from _hub(house)
    yield from _dns(house)
    yield from _portal(house)
    yield from _radius(house)
    yield from _keys(house)
    yield from _targets(house)
    yield _restores(house)
    yield from _store(house.sharing.standing, now)
    reloaded = house.reload_state.ok
    yield _gauge("edged_config_last_reload_successful", "1: the file in force is the newest one.", reloaded)
    yield _gauge(
        "edged_config_loaded_timestamp_seconds", "When the file in force was read.", house.reload_state.loaded_at
    )
    codes = Counter(alarm.code for alarm in alarms(house, now))
    yield from _family("gauge", "edged_alarm", "Things that need a person, by code.", "code", codes)


def _gauge(name: str, text: str, value: float) -> Sample:
    return Sample(name, text, "gauge", value)


def _count(name: str, text: str, value: float) -> Sample:
    return Sample(name, text, "counter", value)


def _family(kind: Kind, name: str, text: str, label: str, values: Mapping[Any, float]) -> Iterator[Sample]:
    """One series a key; the keys are closed sets: enums, and the names of targets."""
    for key, value in values.items():
        word = key.name.lower() if isinstance(key, IntEnum) else str(key)
        yield Sample(name, text, kind, value, ((label, word),))


def _policy(house: House, now: float) -> Iterator[Sample]:
    text = "Subscribers billing lists, by state and access."
    for (state, access), count in sorted(house.census.take(house.current.view, now).by.items()):
        yield Sample("edged_subscribers", text, "gauge", count, (("state", str(state)), ("access", str(access))))
    yield _count("edged_policy_version", "Counts every change of the policy in force.", house.current.version)


def _billing(house: House, now: float) -> Iterator[Sample]:
    if house.billing is None:
        return
    status, counters = house.billing.status(), house.billing.counters
    if status.read_at:
        yield _gauge("edged_snapshot_age_seconds", "Age of the list in force.", now - status.read_at)
    if status.contact:
        yield _gauge("edged_billing_contact_age_seconds", "Since billing was last reached.", status.age)
    yield _gauge("edged_pull_held", "1: a reading waits for a person.", status.held is not None)
    health = {health: health is status.health for health in Health}
    yield from _family("gauge", "edged_billing_health", "1 at the health that holds.", "health", health)
    yield _gauge("edged_sessions", "Sessions that NASes and billing have reported.", len(house.roster))
    words = {"in-force": counters.words, "held": counters.words_held}
    yield from _family("counter", "edged_billing_words", "Answers about single subscribers.", "outcome", words)
    outcomes = {
        "accepted": counters.accepted, "unchanged": counters.unchanged,
        "held": counters.held, "refused": counters.refused,
    }  # fmt: skip
    yield from _family("counter", "edged_billing_readings", "Readings, by what became of them.", "outcome", outcomes)


def _hooks(house: House) -> Iterator[Sample]:
    if house.office.hooks is None:
        return
    hooks = house.office.hooks.counters
    yield _count("edged_hook_posts_accepted", "Webhook posts taken for a hint to read.", hooks.accepted)
    yield _count("edged_hook_pings", "Webhook pings and tests.", hooks.pings)
    yield from _family("counter", "edged_hook_refused", "Webhook posts refused, by reason.", "reason", hooks.refused)
    yield _count("edged_hook_readings", "Hints handed on; many posts may be one.", hooks.readings)
    yield _count("edged_hook_readings_failed", "Hints for which billing could not be asked.", hooks.failed)
    yield _count("edged_hook_ids_unkept", "Times that ids of posts could not be written.", hooks.unkept)
    yield _count("edged_hook_faults", "Our own bugs, met while answering a post.", hooks.faults)
    yield _gauge("edged_hook_waiting", "Names that wait to be read.", house.office.hooks.waiting)


def _events(house: House) -> Iterator[Sample]:
    if house.office.reports is not None:
        reports = house.office.reports.counters
        yield _count("edged_reports_posted", "Reports that the hub took.", reports.posted)
        yield _count("edged_reports_failed", "Reports that the hub did not take.", reports.failed)
    if house.office.events is None:
        return
    events = house.office.events.counters
    yield from _family("counter", "edged_events", "Events that rooms told, by type.", "type", events.told)
    yield _count("edged_events_posted", "Events that billing accepted.", events.posted)
    yield _count("edged_events_posts_failed", "Posts of events without success.", events.failed)
    yield from _family("counter", "edged_events_dropped", "Events given up, by reason.", "reason", events.dropped)
    yield _gauge("edged_events_waiting", "Events on disk that billing has not accepted.", events.waiting)


def _hub(house: House) -> Iterator[Sample]:
    hub = house.office.hub
    if hub is None:
        return
    for (asked, status), count in hub.counters.answers.items():
        labels = (("asked", str(asked)), ("status", str(status)))
        yield Sample("edged_hub_answers", "Answers to edges, by what was asked.", "counter", count, labels)
    yield _count("edged_hub_octets", "Octets of these answers' bodies, as they were sent.", hub.counters.octets)
    yield _gauge("edged_hub_connections", "Connections of edges.", hub.front.under_way)
    yield _gauge("edged_hub_waiting", "Edges whose question waits for a change.", hub.waiting)
    yield _count("edged_hub_cut", "Connections that were too slow, or too many.", hub.counters.cut)
    yield _count("edged_hub_malformed", "Requests that are not HTTP/1.1.", hub.counters.malformed)
    yield _count("edged_hub_faults", "Our own bugs, met while answering an edge.", hub.counters.faults)
    if hub.front.ends:
        text = "When the certificate of hub.tls ends, epoch seconds."
        yield _gauge("edged_hub_certificate_expires_seconds", text, hub.front.ends)
    counts = tally(hub.standings())
    yield _gauge("edged_fleet_edges", "Edges that have reported.", counts.known)
    yield _gauge("edged_fleet_silent", "Of these, silent for longer than hub.silent.", counts.silent)
    yield _gauge("edged_fleet_behind", "Of these, with another list for five minutes.", counts.behind)
    yield _gauge("edged_fleet_alarming", "Of these, with alarms of their own.", counts.alarming)
    yield _gauge("edged_fleet_fallback", "Of these, asking billing itself.", counts.fallback)
    yield _count("edged_fleet_turned_away", "Reports of edges beyond ten thousand.", hub.fleet.turned_away)


def _dns(house: House) -> Iterator[Sample]:
    dns, not_admitted = house.dns.counters, house.enforce.counters.admit_failed
    yield from _family("counter", "edged_dns_answers", "DNS answers, by verdict.", "verdict", dns.answers)
    yield _took(dns)
    yield from _family("counter", "edged_dns_errors", "DNS error replies, by kind.", "kind", dns.errors)
    yield from _family("counter", "edged_dns_dropped", "DNS packets without a reply, by reason.", "reason", dns.dropped)
    yield from _family("counter", "edged_dns_ratelimited", "Queries above a rate, by whose.", "by", dns.ratelimited)
    yield _count("edged_dns_garden_lookups", "Garden names asked of an upstream or the cache.", dns.garden_lookups)
    yield _count("edged_dns_upstream_failures", "Upstream queries that failed.", dns.upstream_failures)
    yield _count("edged_dns_admit_failures", "Garden answers whose addresses did not get into the sets.", not_admitted)
    yield _count("edged_dns_admit_timeouts", "Garden answers that did not wait for the sets.", dns.admit_timeouts)
    yield _gauge("edged_dns_tcp_connections_open", "DNS connections over TCP.", dns.tcp_open)
    yield _count("edged_dns_tcp_connections", "DNS connections over TCP since the start.", dns.tcp_connections)
    yield _count("edged_dns_tcp_closed", "Of these, closed by edged: idle, too slow, too many.", dns.tcp_closed)
    yield from _resolver(house)


_FIRST, _LAST = 6, PLACES - 2
"""Of the places that answers are counted in, those that are a bucket: from 64 microseconds to four seconds."""


def _took(dns: DnsCounters) -> Sample:
    text = "From reading a query to sending its answer."
    counts = list(accumulate(dns.took))
    buckets = tuple((str(2**place / 1e6), float(counts[place])) for place in range(_FIRST, _LAST + 1))
    return Sample(
        "edged_dns_answer_seconds", text, "histogram", dns.took_seconds, buckets=(*buckets, ("+Inf", float(counts[-1])))
    )


def _resolver(house: House) -> Iterator[Sample]:
    resolver, ahead, rebinding = house.dns.resolver, house.dns.ahead.counters, house.dns.counters.rebinding
    families: tuple[tuple[Kind, str, str, dict[str, float]], ...] = (
        ("gauge", "edged_dns_upstream_up", "1: it answers.", {h.name: not h.down for h in resolver.health}),
        ("counter", "edged_dns_upstream_asked", "Questions to it.", {h.name: h.asked for h in resolver.health}),
        ("counter", "edged_dns_upstream_failed", "Of these, without use.", {h.name: h.failed for h in resolver.health}),
    )
    for kind, name, text, values in families:
        yield from _family(kind, name, text, "upstream", values)
    events = asdict(resolver.counters)
    yield from _family("counter", "edged_dns_resolver", "What the resolver did, by event.", "event", events)
    yield _count("edged_dns_rebinding", "Addresses that a garden name must not have, left out.", rebinding)
    yield _count("edged_dns_ahead_names", "Garden names resolved before anybody asked.", ahead.names)
    yield _count("edged_dns_ahead_failed", "Of these, without an answer.", ahead.failed)


def _store(shared: Standing | None, now: float) -> Iterator[Sample]:
    if shared is None:
        return
    yield _gauge("edged_store_connected", "1: the shared store answers.", shared.connected)
    text = "Since all was exchanged last, or since the start."
    yield _gauge("edged_store_exchange_age_seconds", text, shared.age(now))
    yield _gauge("edged_store_waiting", "Rows that other edges were not told yet.", shared.waiting)
    yield _count("edged_store_joins", "Connections that came to an exchange.", shared.joins)
    rows = {
        "sent": shared.sent, "received": shared.merged, "refused": shared.refused, "unsendable": shared.unsendable,
        "unsealed": shared.unsealed, "doubled": shared.doubled,
    }  # fmt: skip
    yield from _family("counter", "edged_store_rows", "Rows of the exchange, by what became of them.", "outcome", rows)


def _portal(house: House) -> Iterator[Sample]:
    web = house.captive.counters
    yield from _family("counter", "edged_pages", "Pages shown, by topic.", "topic", web.pages)
    yield from _family("counter", "edged_http_answers", "HTTP answers, by kind.", "kind", web.answers)
    yield from _family(
        "counter", "edged_http_dropped", "Connections without an answer, by reason.", "reason", web.dropped
    )
    yield _count("edged_pay_clicks", "People who followed the pay button.", web.clicks)
    yield _count("edged_http_malformed", "Requests that are not HTTP/1.1.", web.malformed)
    yield _count("edged_http_faults", "Our own bugs, met while answering.", web.faults)
    yield _count("edged_tls_alerts", "TLS clients for a foreign name that were sent away.", web.alerts + web.resets)
    yield _count("edged_tls_handshakes_failed", "Failed handshakes on the portal's own name.", web.handshakes_failed)
    files, standing = house.captive.certificate, house.acme.standing
    if files is not None and files.life is not None:
        text = "When the portal's certificate ends, epoch seconds."
        yield _gauge("edged_certificate_expires_seconds", text, files.life.ends)
    if standing is not None:
        yield _gauge("edged_certificate_failures", "Orders of a certificate failed in a row.", standing.failures)


def _radius(house: House) -> Iterator[Sample]:
    if house.radius is None:
        return
    radius = house.radius.counters
    yield from _family("counter", "edged_radius_requests", "Verified new requests, by code.", "code", radius.requests)
    yield from _family("counter", "edged_radius_answers", "Answers, by code.", "code", radius.answers)
    yield from _family(
        "counter", "edged_radius_discards", "Datagrams without an answer, by reason.", "reason", radius.discards
    )
    yield _count("edged_radius_replayed", "Duplicates answered from memory.", radius.replayed)
    yield _gauge(
        "edged_radius_strangers", "Addresses that asked and that no client covers.", len(house.radius.arrivals())
    )
    text = "NASes that still use secret_before, by client that has one."
    yield from _family("gauge", "edged_radius_old_secret", text, "client", old_secrets(house))
    if house.radsec is not None and house.loaded.config.radius.tls is not None:
        yield from _radsec(house.radsec)


def _radsec(radsec: RadSecService) -> Iterator[Sample]:
    tls = radsec.counters
    yield _gauge("edged_radsec_open", "Connections of RADIUS over TLS.", tls.open)
    yield _count("edged_radsec_connections", "Handshakes that ended well.", tls.accepted)
    yield from _family("counter", "edged_radsec_refused", "Connections not taken in, by reason.", "reason", tls.refused)
    yield from _family("counter", "edged_radsec_closed", "Connections ended, by reason.", "reason", tls.closed)
    text = "When the certificate of radius.tls ends, epoch seconds."
    yield _gauge("edged_radsec_certificate_expires_seconds", text, radsec.ends)


def _keys(house: House) -> Iterator[Sample]:
    keys = house.mpsk.counters
    yield _count("edged_key_accepts", "Devices let on.", keys.accepts)
    yield from _family("counter", "edged_key_rejects", "Devices refused, by reason.", "reason", keys.rejects)
    yield _gauge("edged_keys", "Keys in the keyring.", keys.keys)
    yield _gauge("edged_key_pmks_pending", "PMKs still to derive.", keys.pmks_pending)
    yield _count("edged_key_searches", "Handshakes put to more keys than the device's own.", keys.searches)
    yield _count("edged_key_search_seconds", "Time spent in searches.", keys.search_seconds)
    disconnections = house.mpsk.grants.disconnections
    ends = {end.value: count for end, count in disconnections.ends.items()}
    yield from _family("counter", "edged_disconnects", "Devices sent away, by how it ended.", "end", ends)
    yield _gauge("edged_disconnects_waiting", "Devices that are to leave and have not.", disconnections.waiting)


def _targets(house: House) -> Iterator[Sample]:
    status, enforce = house.enforce.status(), house.enforce.counters
    families = (
        ("edged_target_up", "1: the target is as it should be.", {n: h.ok for n, h in status.items()}),
        ("edged_target_wanted", "What should be blocked there.", {n: h.wanted for n, h in status.items()}),
        ("edged_target_actual", "What is blocked there.", {n: h.actual for n, h in status.items()}),
    )
    for name, text, values in families:
        yield from _family("gauge", name, text, "target", values)
    yield _count("edged_enforce_applied", "Changes carried out.", enforce.applied)
    yield _count("edged_enforce_failed", "Attempts that failed.", enforce.failed)
    yield _count("edged_enforce_drifted", "Comparisons that found somebody else's change.", enforce.drifted)
    for bng in house.bngs:
        yield from _bng(bng)


def _restores(house: House) -> Sample:
    text = "From billing's word to a line that is open on every target, for subscribers whom billing opened."
    bounds, counts = (*map(str, BUCKETS), "+Inf"), accumulate(house.recorder.restores)
    buckets = tuple((bound, float(count)) for bound, count in zip(bounds, counts, strict=True))
    return Sample("edged_restore_seconds", text, "histogram", house.recorder.restore_seconds, buckets=buckets)


def _bng(bng: RadiusTarget) -> Iterator[Sample]:
    target, counters = ("target", bng.name), bng.requests
    for (asked, outcome), count in counters.requests.items():
        labels = (target, ("asked", asked), ("outcome", outcome))
        yield Sample("edged_bng_requests", "Requests to a BNG, by how they ended.", "counter", count, labels)
    for state, count in bng.sessions.items():
        yield Sample("edged_bng_sessions", "Sessions of a BNG, by state.", "gauge", count, (target, ("state", state)))
    yield Sample(
        "edged_bng_reverted", "Sessions found otherwise than acknowledged.", "counter", counters.reverted, (target,)
    )
    yield Sample(
        "edged_bng_confirmed", "Sessions that accounting has confirmed.", "counter", counters.confirmed, (target,)
    )
