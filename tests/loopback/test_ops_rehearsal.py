"""What a whole house says of a made-up blocked subscriber and of its own keys, for `edged doctor`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edged.captive.probes import PROBES
from edged.config import load
from edged.daemon import House
from edged.ops.control import call
from edged.ops.doctor.rehearsal import rehearse

CONFIGURATION = """\
site: tower-12
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8:100::/40"], exempt: [{exempt}]}}
portal:
  url: https://portal.example.net
  addresses: ["203.0.113.10", "2001:db8::10"]
  listen: {{http: [], https: []}}
dns: {{ttl: {ttl}, upstreams: ["192.0.2.53"]}}
radius: {{auth: ["127.0.0.1:0"], clients: [{{name: a, networks: [127.0.0.0/8], secret: "0123456789abcdef"}}]}}
mpsk: {{networks: {{Residence: {{}}}}}}
ops: {{socket: {directory}/control.sock}}
"""


@asynccontextmanager
async def house_in(directory: Path, *, exempt: str = "", ttl: str = "5s") -> AsyncIterator[House]:
    """A house that listens nowhere but on its control socket."""
    (directory / "billing.yaml").write_text("subscribers: []\n")
    path = directory / "edged.yaml"
    path.write_text(CONFIGURATION.format(directory=directory, exempt=exempt, ttl=ttl))
    (directory / "state").mkdir()
    house = House(load(path))
    await house.open()
    try:
        yield house
    finally:
        await house.close()


async def test_a_made_up_blocked_subscriber_meets_the_page_in_both_families_and_leaves_no_trace(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        told = (await asyncio.to_thread(call, house.control.path, "rehearse"))["made_up"]

        assert told["unblockable"] == []
        answers = {
            (":" in row["from"], row["type"]): (row["rcode"], row["addresses"], row["ttl"]) for row in told["dns"]
        }
        assert answers == {
            (family, kind): (0, [address], 5)
            for family in (False, True)
            for kind, address in (("A", "203.0.113.10"), ("AAAA", "2001:db8::10"))
        }
        assert told["redirect"] == {"status": 302, "location": "https://portal.example.net/"}
        assert told["page"]["status"] == 200
        assert 5_000 < told["page"]["octets"] < 30_000
        assert {row["client"] for row in told["checks"]} == {probe.client for probe in PROBES}
        assert {row["headers"]["location"] for row in told["checks"]} == {"https://portal.example.net/"}
        assert not sum(house.dns.counters.answers.values())
        assert not sum(house.captive.counters.pages.values())
        assert not house.current.view.table.subscribers


async def test_a_network_that_exempt_holds_whole_is_named_for_nobody_there_can_be_blocked(tmp_path: Path) -> None:
    async with house_in(tmp_path, exempt='"100.64.0.0/10"', ttl="2h") as house:
        told = (await rehearse(house))["made_up"]

        assert told["unblockable"] == ["100.64.0.0/10"]
        assert {row["ttl"] for row in told["dns"]} == {7200}
        assert all(":" in row["from"] for row in told["dns"])


async def test_only_an_export_that_all_local_keys_can_be_restored_from_counts_as_a_backup(tmp_path: Path) -> None:
    async def kept() -> dict[str, Any]:
        keys: dict[str, Any] = (await rehearse(house))["keys"]
        return keys

    async def asked(action: str, **arguments: Any) -> None:
        await asyncio.to_thread(call, house.control.path, "keys", **{"action": action, "who": "desk"} | arguments)

    async with house_in(tmp_path) as house:
        assert await kept() == {"local": 0, "newer": 0, "exported_at": None}
        await asked("add", ssid="Residence", id="k-1")
        await asked("export", origin="local")
        await asked("export", origin="local", reveal=True, site="building-7")
        await asked("export", origin="billing", reveal=True)
        assert await kept() == {"local": 1, "newer": 1, "exported_at": None}

        before = time.time()
        await asked("export", origin="local", reveal=True)
        exported = await kept()
        assert (exported["local"], exported["newer"]) == (1, 0)
        assert before <= exported["exported_at"] <= time.time()
        await asked("add", ssid="Residence", id="k-2")
        assert (await kept())["newer"] == 1
