"""What the worst packets cost: CPU time of one answer, beside that of an ordinary query.

    .venv/bin/python bench/dns_packets.py

No network: octets in, octets out. The best of several rounds, so that a busy machine does not count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from edged.dns import answer, message  # noqa: E402  # after the path
from edged.dns.settings import LimitSettings  # noqa: E402
from edged.dns.zone import Zone, compile_zone  # noqa: E402
from edged.errors import WireError  # noqa: E402
from edged.model import Access  # noqa: E402
from edged.policy.settings import GardenSettings  # noqa: E402
from tests.dns_lab import CLIENT, NOW, PORTAL_ADDRESSES, PORTAL_HOST, SETTINGS, lab_sinkhole, view_of  # noqa: E402
from tests.dns_worst import queries, replies  # noqa: E402

ROUNDS, SECONDS = 7, 0.02
GARDEN_NAMES = 500
LIMIT = 0.001
"""Seconds that no packet may cost."""


def cost(do: Callable[[], object]) -> float:
    """Seconds of CPU for one call: the best of some rounds."""
    do()
    best = float("inf")
    for _ in range(ROUNDS):
        calls, begin = 0, time.process_time()
        while time.process_time() - begin < SECONDS:
            do()
            calls += 1
        best = min(best, (time.process_time() - begin) / calls)
    return best


def table(title: str, rows: list[tuple[str, int, float]]) -> bool:
    """Print; the first row is the ordinary one. True when none is above the limit."""
    print(f"{title:<44} {'octets':>7} {'µs':>9} {'ratio':>8}")
    for what, octets, seconds in rows:
        mark = "  above the limit" if seconds > LIMIT else ""
        print(f"{what:<44} {octets:>7,} {seconds * 1e6:>9.1f} {seconds / rows[0][2]:>8.1f}{mark}")
    print()
    return all(seconds <= LIMIT for _, _, seconds in rows)


def read(octets: bytes, sent: bytes) -> Callable[[], object]:
    def attempt() -> object:
        try:
            return answer.parse(octets, sent)
        except WireError as error:
            return error

    return attempt


def ask(octets: bytes, zone: Zone) -> Callable[[], object]:
    """As if neither the packet nor its sender had ever been seen; some 10 µs of each figure are that."""
    sinkhole, view = lab_sinkhole(), view_of(Access.BLOCKED)
    sinkhole.configure(zone, LimitSettings(per_subscriber=1_000_000_000, per_prefix=1_000_000_000))

    def attempt() -> object:
        sinkhole.adopt(view)
        sinkhole._packets.clear()  # noqa: SLF001  # as it is after a reload
        return sinkhole.answer(octets, CLIENT, NOW, stream=True)

    return attempt


def main() -> None:
    garden = GardenSettings.model_validate({"names": [f"*.garden{i}.example" for i in range(GARDEN_NAMES)]})
    zone = compile_zone(SETTINGS, garden, PORTAL_HOST, PORTAL_ADDRESSES)
    asked = [(what, len(octets), cost(ask(octets, zone))) for what, octets in queries()]
    fine = table("a query", asked)
    sent = answer.query(message.ask("www.shop.example"), 7, b"\x03www\x04shop\x07example\0")
    fine &= table(
        "a reply of an upstream",
        [(what, len(o), cost(read(o, sent))) for what, o in replies(sent)],
    )
    if not fine:
        raise SystemExit("a packet costs more than it may")


if __name__ == "__main__":
    main()
