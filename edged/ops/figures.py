# SPDX-License-Identifier: Apache-2.0
"""The rooms' counters in, samples for ``/metrics`` out. docs/metrics.md has a line for each. Pure reading."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from edged import __version__
from edged.billing.status import Health
from edged.ops.metrics import Sample
from edged.ops.parts import alarms

if TYPE_CHECKING:
    from edged.ops.rooms import House

Kind = Literal["counter", "gauge"]


def figures(house: House) -> Iterator[Sample]:
    """Every sample, family by family."""
    now = time.time()
    yield Sample("edged_info", "Version, site and mode.", "gauge", 1, _labels(
        version=__version__, site=house.loaded.config.site, mode=house.loaded.config.mode))  # fmt: skip
    yield from _policy(house, now)
    yield from _billing(house, now)
    yield from _dns(house)
    yield from _portal(house)
    yield from _radius(house)
    yield from _targets(house)
    yield Sample(
        "edged_config_last_reload_successful",
        "1: the file in force is the newest one.",
        "gauge",
        house.reload_state.ok,
    )
    codes = Counter(alarm.code for alarm in alarms(house, now))
    for code in sorted(codes):
        yield Sample("edged_alarm", "Things that need a person, by code.", "gauge", codes[code], _labels(code=code))


def _labels(**labels: str) -> tuple[tuple[str, str], ...]:
    return tuple(labels.items())


def _family(name: str, text: str, kind: Kind, label: str, values: Mapping[str, int]) -> Iterator[Sample]:
    for value, count in values.items():
        yield Sample(name, text, kind, count, ((label, str(value)),))


def _policy(house: House, now: float) -> Iterator[Sample]:
    for (state, access), count in sorted(house.census.take(house.current.view, now).by.items()):
        labels = _labels(state=state.value, access=access.value)
        yield Sample("edged_subscribers", "Subscribers billing lists, by state and access.", "gauge", count, labels)
    yield Sample(
        "edged_policy_version",
        "Counts every change of the policy in force.",
        "counter",
        house.current.version,
    )


def _billing(house: House, now: float) -> Iterator[Sample]:
    if house.billing is None:
        return
    status, counters = house.billing.status(), house.billing.counters
    if status.read_at:
        yield Sample("edged_snapshot_age_seconds", "Age of the list in force.", "gauge", now - status.read_at)
    if status.contact:
        yield Sample("edged_billing_contact_age_seconds", "Since billing was last reached.", "gauge", status.age)
    yield Sample("edged_pull_held", "1: a reading waits for a person.", "gauge", status.held is not None)
    yield from _family(
        "edged_billing_health",
        "1 at the health that holds.",
        "gauge",
        "health",
        {h.value: h is status.health for h in Health},
    )
    outcomes = {
        "accepted": counters.accepted,
        "unchanged": counters.unchanged,
        "held": counters.held,
        "refused": counters.refused,
    }
    yield from _family("edged_billing_readings", "Readings, by what became of them.", "counter", "outcome", outcomes)


def _dns(house: House) -> Iterator[Sample]:
    counters = house.dns.counters
    yield from _family("edged_dns_answers", "DNS answers, by verdict.", "counter", "verdict", counters.answers)
    yield from _family("edged_dns_errors", "DNS error replies, by kind.", "counter", "kind", counters.errors)
    yield from _family(
        "edged_dns_dropped", "DNS packets without a reply, by reason.", "counter", "reason", counters.dropped
    )
    yield Sample("edged_dns_ratelimited", "Queries above a subscriber's rate.", "counter", counters.ratelimited)
    yield Sample(
        "edged_dns_garden_lookups",
        "Garden names asked of an upstream or the cache.",
        "counter",
        counters.garden_lookups,
    )
    yield Sample("edged_dns_upstream_failures", "Upstream queries that failed.", "counter", counters.upstream_failures)
    yield Sample(
        "edged_dns_admit_failures",
        "Garden answers whose addresses did not get into the sets.",
        "counter",
        house.enforce.counters.admit_failed,
    )
    yield Sample(
        "edged_dns_admit_timeouts",
        "Garden answers that left before the sets were known to be filled.",
        "counter",
        counters.admit_timeouts,
    )
    yield Sample("edged_dns_tcp_connections_open", "DNS connections over TCP.", "gauge", counters.tcp_open)


def _portal(house: House) -> Iterator[Sample]:
    counters = house.captive.counters
    yield from _family(
        "edged_pages",
        "Pages shown, by topic.",
        "counter",
        "topic",
        {t.value: n for t, n in counters.pages.items()},
    )
    yield from _family(
        "edged_http_answers",
        "HTTP answers, by kind.",
        "counter",
        "kind",
        {k.value: n for k, n in counters.answers.items()},
    )
    yield from _family(
        "edged_http_dropped",
        "Connections ended without an answer, by reason.",
        "counter",
        "reason",
        counters.dropped,
    )
    yield Sample(
        "edged_tls_alerts",
        "TLS clients for a foreign name that got an alert or a reset.",
        "counter",
        counters.alerts + counters.resets,
    )
    yield Sample("edged_http_malformed", "Requests that are not HTTP/1.1.", "counter", counters.malformed)
    yield Sample("edged_http_faults", "Our own bugs, met while answering.", "counter", counters.faults)
    yield Sample(
        "edged_tls_handshakes_failed",
        "Failed handshakes on the portal's own name.",
        "counter",
        counters.handshakes_failed,
    )


def _radius(house: House) -> Iterator[Sample]:
    keys = house.mpsk.counters
    if house.radius is not None:
        counters = house.radius.counters
        yield from _family(
            "edged_radius_requests",
            "Verified new requests, by code.",
            "counter",
            "code",
            {c.name.lower(): n for c, n in counters.requests.items()},
        )
        yield from _family(
            "edged_radius_answers",
            "Answers, by code.",
            "counter",
            "code",
            {c.name.lower(): n for c, n in counters.answers.items()},
        )
        yield from _family(
            "edged_radius_discards",
            "Datagrams without an answer, by reason.",
            "counter",
            "reason",
            {d.value: n for d, n in counters.discards.items()},
        )
        yield Sample("edged_radius_replayed", "Duplicates answered from memory.", "counter", counters.replayed)
    yield Sample("edged_key_accepts", "Devices let on.", "counter", keys.accepts)
    yield from _family(
        "edged_key_rejects",
        "Devices refused, by reason.",
        "counter",
        "reason",
        {r.value: n for r, n in keys.rejects.items()},
    )
    yield Sample("edged_keys", "Keys in the keyring.", "gauge", keys.keys)
    yield Sample("edged_key_pmks_pending", "PMKs still to derive.", "gauge", keys.pmks_pending)
    yield Sample("edged_key_searches", "Handshakes put to more keys than the device's own.", "counter", keys.searches)
    yield Sample("edged_key_search_seconds", "Time spent in searches.", "counter", keys.search_seconds)


def _targets(house: House) -> Iterator[Sample]:
    status = house.enforce.status()
    rows = (
        ("edged_target_up", "1: the target is as it should be.", {n: h.ok for n, h in status.items()}),
        (
            "edged_target_wanted",
            "Hosts, prefixes and devices that should be blocked there.",
            {n: h.wanted for n, h in status.items()},
        ),
        (
            "edged_target_actual",
            "Hosts, prefixes and devices that are.",
            {n: h.actual for n, h in status.items()},
        ),
    )
    for name, text, values in rows:
        yield from _family(name, text, "gauge", "target", values)
    counters = house.enforce.counters
    yield Sample("edged_enforce_applied", "Changes carried out.", "counter", counters.applied)
    yield Sample("edged_enforce_failed", "Attempts that failed.", "counter", counters.failed)
    yield Sample("edged_enforce_drifted", "Comparisons that found somebody else's change.", "counter", counters.drifted)
