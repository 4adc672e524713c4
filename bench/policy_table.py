"""Compile time, memory and look-up cost of the policy table, in a fresh process per size.

``python bench/policy_table.py [SIZE ...]``; with ``--one SIZE`` prints one JSON line for that size (a test reads it).
The whole daemon is imported first, so the memory is what a router would see.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SIZES = (1_000, 10_000, 100_000)
LOOKUPS = 200_000


def _rss() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def measure(size: int) -> dict[str, float]:
    """One size, in this process: seconds to compile, megabytes of the whole process, microseconds a look-up."""
    # structlog imports rich where a developer has it; a router's environment has none (requirements.lock)
    sys.modules["rich"] = None  # type: ignore[assignment]  # this is how an import is refused
    import edged.daemon  # noqa: F401  # its memory counts
    from edged.model import Snapshot, State, Subscriber
    from edged.policy.access import View
    from edged.policy.settings import SubscribersSettings
    from edged.policy.table import compile_table
    from edged.values import Prefix

    before = _rss()
    v4, v6 = int(ip_address("100.64.0.0")), int(ip_address("2001:db8:100::"))
    subscribers = tuple(
        Subscriber(
            str(100_000 + n),
            State.BLOCKED,
            "unpaid",
            1.7e9 + n,
            (Prefix(4, v4 + n, 32), Prefix(6, v6 + (n << 72), 56)),
        )
        for n in range(size)
    )
    settings = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10", "2001:db8:100::/40"]})
    begun = time.process_time()
    table = compile_table(Snapshot("1.0", "1", 0.0, subscribers, size), settings)
    compiled = time.process_time() - begun
    view, address = View(table), ip_address(v4 + size // 2)
    begun = time.process_time()
    for _ in range(LOOKUPS):
        view.decide(address, 1.0)
    looked = time.process_time() - begun
    return {
        "size": size,
        "compile_s": round(compiled, 3),
        "process_mb": round(_rss(), 1),
        "table_mb": round(_rss() - before, 1),
        "lookup_us": round(looked / LOOKUPS * 1e6, 2),
    }


def main() -> None:
    """Print a row a size."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]))))
        return
    sizes = [int(s) for s in sys.argv[1:]] or list(SIZES)
    print(f"{'subscribers':>12} {'compile s':>10} {'table MB':>10} {'process MB':>12} {'look-up us':>11}")
    for size in sizes:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(size)], check=True, capture_output=True, text=True
        )
        row = json.loads(done.stdout)
        table, process = row["table_mb"], row["process_mb"]
        print(f"{size:>12,} {row['compile_s']:>10} {table:>10} {process:>12} {row['lookup_us']:>11}")


if __name__ == "__main__":
    main()
