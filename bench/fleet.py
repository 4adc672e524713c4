# SPDX-License-Identifier: Apache-2.0
"""A fleet of edges at one hub, in virtual time: how many requests a second it gets after an outage.

    python bench/fleet.py [--edges 1000] [--seed 1]

No network and no clock: each edge is its own pacing (edged/billing/pacing.py) on a heap of events. A second part makes
lists of the size of docs/fleet.md and packs them as a hub does.
"""

from __future__ import annotations

import argparse
import gzip
import heapq
import json
import random
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edged.billing.pacing import following  # after the path

EVERY, WAIT, REQUESTS = 30.0, 25.0, 2
"""``poll.changes``; seconds that a hub keeps a question; requests of one look: subscribers and keys."""


class InStep(random.Random):
    """No chance at all: what a fleet would do without jitter."""

    def uniform(self, a: float, b: float) -> float:
        """The middle."""
        return (a + b) / 2


@dataclass(frozen=True, slots=True)
class Herd:
    """What the hub saw from the moment on at which it was back."""

    steady: float
    """Requests a second in the minute before the outage."""
    peak: int
    """Requests in the busiest second afterwards, those that make an edge current and those that follow."""
    first: int
    """Requests in the first second."""
    current: float
    """Seconds until every edge had an answer."""


def outage(edges: int, seconds: float, chance: random.Random, *, start: float = 300.0) -> Herd:
    """A hub that is away for ``seconds``: kept questions break off together, each edge tries again by its own pace."""
    end, horizon = start + seconds, start + seconds + 900.0
    phase = random.Random(0)  # edges were started at different moments
    # (when, edge, is this the end of a question that was kept?)
    events: list[tuple[float, int, bool]] = [(phase.uniform(0.0, WAIT), n, False) for n in range(edges)]
    heapq.heapify(events)
    failures, answered = [0] * edges, [0.0] * edges
    load: Counter[int] = Counter()
    while events and events[0][0] < horizon:
        now, edge, kept = heapq.heappop(events)
        away = start <= now < end
        if not kept and not away:
            load[int(now - end)] += REQUESTS
            failures[edge] = 0
            if now >= end and not answered[edge]:
                answered[edge] = now
            # who was away for long has missed changes: that answer comes at once, the next one is kept
            until = now + (0.0 if answered[edge] == now else WAIT)
            heapq.heappush(events, (start if now < start <= until else until, edge, True))
        elif away:
            failures[edge] += 1
            heapq.heappush(events, (now + following(EVERY, failures[edge], chance), edge, False))
        else:
            heapq.heappush(events, (now + following(EVERY, 0, chance), edge, False))
    before = sum(count for second, count in load.items() if -seconds - 60 <= second < -seconds)
    after = {second: count for second, count in load.items() if second >= 0}
    return Herd(before / 60, max(after.values()), after.get(0, 0), max(answered) - end)


def change(edges: int, chance: random.Random) -> Herd:
    """Billing is back, or a payment came: every kept question is answered at once, and the next ones follow."""
    load: Counter[int] = Counter({0: edges})  # the keys of each; the subscribers were asked for before
    for _ in range(edges):
        load[int(10 * following(EVERY, 0, chance))] += REQUESTS
    tenths = max(count for tenth, count in load.items() if tenth)
    return Herd(edges * REQUESTS / (WAIT + 1.0), tenths * 10, edges, 0.0)


def turned(edges: int, after: float, chance: random.Random) -> tuple[int, float]:
    """Edges that turn to billing itself in the busiest second of a silence, and seconds from the first to the last."""
    moments = [after + chance.uniform(0.0, after) for _ in range(edges)]
    return max(Counter(map(int, moments)).values()), max(moments) - min(moments)


def subscribers(count: int, chance: random.Random) -> Iterator[dict[str, object]]:
    """Blocked subscribers as a hub lists them."""
    for n in range(count):
        yield {
            "id": str(100_000 + n),
            "state": "blocked",
            "reason": "unpaid",
            "since": f"2026-11-{chance.randint(1, 28):02}T06:00:00Z",
            "addresses": [f"100.{64 + (n >> 16)}.{n >> 8 & 255}.{n & 255}/32", f"2001:db8:{n & 0xFFFF:x}::/56"],
            "name": f"{chance.choice(('Ana', 'Luca', 'Mia', 'Noah'))} {chance.getrandbits(40):x}",
            "amount_due": f"{chance.randint(5, 200)}.{chance.randint(0, 99):02}",
            "currency": "EUR",
            "pay_url": f"https://pay.example.net/i/{chance.getrandbits(64):016x}",
        }


def keys(count: int, chance: random.Random) -> Iterator[dict[str, object]]:
    """Keys of residents, each with a passphrase of its own."""
    for n in range(count):
        yield {
            "id": f"k{n}", "ssid": "Residents", "subscriber": str(100_000 + n), "vlan": 100 + n % 3900,
            "passphrase": f"{chance.getrandbits(80):020x}", "device_limit": 10,
        }  # fmt: skip


def packed(objects: Iterator[dict[str, object]]) -> tuple[int, int]:
    """Octets of a list as canonical JSON, and with gzip at level 1."""
    octets = json.dumps(list(objects), sort_keys=True, separators=(",", ":")).encode()
    return len(octets), len(gzip.compress(octets, 1, mtime=0))


def main() -> None:
    """Print the figures of docs/fleet.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    given = parser.parse_args()
    print(f"edges {given.edges}, seed {given.seed}")
    for seconds in (3.0, 30.0, 600.0, 7200.0):
        for name, chance in (("jitter", random.Random(given.seed)), ("in step", InStep())):
            herd = outage(given.edges, seconds, chance)
            print(
                f"hub away {seconds:5.0f} s, {name:8} steady {herd.steady:5.1f}/s  first second {herd.first:5}"
                f"  busiest second {herd.peak:5}  all current after {herd.current:5.0f} s"
            )
    herd = change(given.edges, random.Random(given.seed))
    print(f"a change for all: {herd.first} answers at once, then {herd.peak}/s in the busiest tenth of a second")
    most, span = turned(given.edges, 900.0, random.Random(given.seed))
    print(f"fallback after 15m: {most} edges in the busiest second, all within {span:.0f} s")
    for what, count, made in (("subscribers", 150, subscribers), ("subscribers", 150_000, subscribers),
                              ("keys", 1000, keys), ("keys", 1_000_000, keys)):  # fmt: skip
        plain, gzipped = packed(made(count, random.Random(given.seed)))
        print(f"{count:9,} {what:11} {plain:12,} octets, gzip {gzipped:12,} ({plain / gzipped:.1f} to 1)")


if __name__ == "__main__":
    main()
