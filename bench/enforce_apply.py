# SPDX-License-Identifier: Apache-2.0
"""Time to compute the sets, to compare them, and to bring them into a namespace's kernel. Needs root.

python bench/enforce_apply.py [HOSTS ...]
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

from edged.enforce.desired import desired
from edged.enforce.diff import diff
from edged.enforce.kernel.netlink import Netlink
from edged.enforce.rules import rules_of
from edged.enforce.targets.nftables import NftablesTarget
from edged.model import Snapshot, State, Subscriber
from edged.policy.access import View
from edged.policy.settings import SubscribersSettings
from edged.policy.table import compile_table
from edged.values import Prefix, host_prefix
from tests.e2e.lab import Lab

SETTINGS = SubscribersSettings.model_validate({"networks": ["100.64.0.0/10", "2001:db8::/32"]})
RULES = rules_of(portals=[ip_address("203.0.113.10"), ip_address("2001:db8::10")])
FIRST4, FIRST6 = int(IPv4Address("100.64.0.0")), int(IPv6Address("2001:db8:4000::"))


def view(count: int, *, prefixes: bool) -> View:
    """``count`` blocked subscribers, each with an IPv4 address and, if asked, a delegated /56."""
    lines = tuple(
        Subscriber(
            str(n),
            State.BLOCKED,
            addresses=(
                Prefix(4, FIRST4 + n, 32),
                *((Prefix(6, FIRST6 + (n << 72), 56),) if prefixes else ()),
            ),
        )
        for n in range(count)
    )
    return View(compile_table(Snapshot("s", "1", 0.0, lines), SETTINGS))


def took(start: float) -> str:
    return f"{(time.perf_counter() - start) * 1000:8.1f} ms"


async def timed(what: Callable[[], Awaitable[object]]) -> str:
    start = time.perf_counter()
    await what()
    return took(start)


async def measure(lab: Lab, count: int, *, prefixes: bool) -> None:
    lab.run("router", "nft", "flush", "ruleset")
    target = NftablesTarget()
    start = time.perf_counter()
    of = view(count, prefixes=prefixes)
    print(f"{count:,} subscribers, {'a host and a /56' if prefixes else 'a host'} each")
    print(f"  compile the policy  {took(start)}")
    start = time.perf_counter()
    value = desired(of, RULES, 1.0)
    print(f"  desired             {took(start)}")
    start = time.perf_counter()
    plan = diff(value, None)
    print(f"  diff                {took(start)}")
    print(f"  apply               {await timed(lambda: target.apply(value, plan))}")
    print(f"  read, first time    {await timed(target.read)}")
    print(f"  read, unchanged     {await timed(target.read)}")
    less = desired(view(count - 1, prefixes=prefixes), RULES, 1.0)
    one = diff(less, await target.read())
    print(f"  unblock one         {await timed(lambda: target.apply(less, one))}")
    print(f"  admit one address   {await timed(lambda: target.admit([(ip_address('203.0.113.20'), 30.0)]))}")


@contextmanager
def connections(lab: Lab, count: int) -> Iterator[None]:
    """``count`` tracked connections of somebody else's."""
    lab.run("router", "nft", "add table inet t; add chain inet t c { type filter hook output priority 0; }")
    lab.run("router", "nft", "add rule inet t c ct state new accept")
    lab.run("router", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600")
    # towards addresses that exist: an unresolved neighbour makes the sender wait
    for address in ("203.0.113.80", "2001:db8::80"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for port in range(1, count // 2 + 1):
                sender.sendto(b"?", (address, port))
    yield


async def forgetting(lab: Lab, count: int) -> None:
    with connections(lab, count), Netlink() as netlink:
        listed = lab.run("router", "sysctl", "-n", "net.netfilter.nf_conntrack_count").stdout.strip()
        for text in ("100.64.0.7", "2001:db8:100::7"):
            start = time.perf_counter()
            netlink.forget([host_prefix(ip_address(text))])
            print(f"forget {text} among {listed} connections {took(start)}")


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [1_000, 10_000, 100_000]
    with Lab(prefix=f"edged-b{os.getpid()}") as lab, lab.inside("router"):
        print(subprocess.run(["nft", "--version"], check=True, capture_output=True, text=True).stdout.strip())
        for count in counts:
            for prefixes in (False, True):
                asyncio.run(measure(lab, count, prefixes=prefixes))
        asyncio.run(forgetting(lab, 100_000))


if __name__ == "__main__":
    main()
