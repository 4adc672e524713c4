# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""``python -m edged.phone``: a job, then waves of orders, one JSON object a line; facts out the same way. I/O.

Job ``{"interface", "mac", "frames", "seconds", "capture", "ca"}``, answered by ``{"ready": true}`` or ``{"error"}``.
Wave ``{"own": [ADDRESS], "orders": {NAME: ORDER}}``, answered by ``{"facts": {NAME: FACTS}, "sent": FRAMES}``. It ends
with its input, when its seconds are over, or when its frames are sent.
"""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import sys
import time
from typing import Any

from edged.phone.exchanges import Connection, Datagram, Exchange, Order, Question, QuestionByTcp
from edged.phone.link import Link, TooMuch
from edged.phone.settling import Announcement, Arp, Dhcp, Dhcp6, Neighbour, Router, link_local
from edged.phone.stream import Stream, Talk
from edged.phone.talks import Hello, Nothing, Plain, Secure, whole_http

_LINK = {
    "announcement": Announcement,
    "arp": Arp, "neighbour": Neighbour, "router": Router, "dhcp": Dhcp, "dhcp6": Dhcp6, "datagram": Datagram,
    "dns": Question,
}  # fmt: skip


def main() -> int:
    """Serve one job; the exit status."""
    job = json.loads(sys.stdin.readline())
    # whatever happens, nothing is sent any more after that
    signal.alarm(int(job["seconds"]) + 1)
    try:
        trust = ssl.create_default_context()
        if job.get("ca"):
            # beside those that the system trusts
            trust.load_verify_locations(job["ca"])
        with Link(job["interface"], job["mac"], frames=job["frames"], capture=job.get("capture") or "") as link:
            _say({"ready": True})
            for line in sys.stdin:
                _say(_wave(link, json.loads(line), trust))
    except OSError as error:
        _say({"error": error.strerror or str(error)})
        return 1
    return 0


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _wave(link: Link, wave: dict[str, Any], trust: ssl.SSLContext) -> dict[str, Any]:
    """All orders at once, until each is answered or its time is over."""
    link.own = {*wave["own"], link_local(link.mac)}
    exchanges = {name: _exchange(order, link.mac, trust) for name, order in wave["orders"].items()}
    answer: dict[str, Any] = {}
    try:
        _exchanged(link, list(exchanges.values()))
    except TooMuch:
        answer["error"] = "enough frames were sent; the rest was left out"
    return {**answer, "facts": {name: one.facts() for name, one in exchanges.items()}, "sent": link.sent}


def _exchanged(link: Link, exchanges: list[Exchange]) -> None:
    begun = time.monotonic()
    heard = dict.fromkeys(range(len(exchanges)), begun)
    ends = {n: begun + one.order["wait"] for n, one in enumerate(exchanges)}
    for one in exchanges:
        link.send(one.frames())
    while pending := [n for n in ends if not exchanges[n].done and time.monotonic() < ends[n]]:
        until = min(min(ends[n], heard[n] + exchanges[n].resend_s) for n in pending)
        for frame in link.received(until):
            for n in pending:
                if not exchanges[n].done and (replies := exchanges[n].take(frame)):
                    heard[n] = time.monotonic()
                    link.send(replies)
        for n in pending:
            if not exchanges[n].done and time.monotonic() >= heard[n] + exchanges[n].resend_s:
                heard[n] = time.monotonic()
                link.send(exchanges[n].again())
    for one in exchanges:
        link.send(one.finish())


def _exchange(order: Order, mac: str, trust: ssl.SSLContext) -> Exchange:
    kind = order["kind"]
    if kind in _LINK:
        return _LINK[kind](order, mac)
    if kind == "dns-tcp":
        return QuestionByTcp(order, mac, _connected)
    talk: Talk
    if kind == "connect":
        talk = Nothing()
    elif kind == "hello":
        talk = Hello(order["name"])
    elif kind == "https":
        talk = Secure(order["name"], order["request"].encode(), trust)
    else:
        talk = Plain(order["request"].encode(), whole_http)
    return Connection(order, mac, _connected(talk))


def _connected(talk: Talk) -> Stream:
    return Stream(talk, secrets.randbelow(1 << 32))


if __name__ == "__main__":
    raise SystemExit(main())
