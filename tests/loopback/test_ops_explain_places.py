# SPDX-License-Identifier: Apache-2.0
"""``edged explain`` of a network, a RADIUS client, a host name, an alarm's code; and what completion is offered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.cli import main
from edged.daemon import House
from edged.model import State, Subscriber
from edged.ops import text
from edged.ops.completable import OFFERED, offered
from edged.ops.control import Refused
from edged.ops.explain.places import NAMED
from edged.values import parse_prefix
from tests.loopback.house import Facts, ask, at_work, written

CONFIGURATION = """\
site: tower-12
state: {{directory: {directory}/state}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["127.0.0.0/8", "2001:db8:100::/40"]}}
garden: {{names: [pay.example.net]}}
portal:
  url: https://localhost
  addresses: ["127.0.0.1"]
  listen: {{http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}}
dns: {{listen: ["127.0.0.1:0"]}}
radius:
  auth: ["127.0.0.1:0"]
  clients: [{{name: building-7, networks: ["192.0.2.0/24"], secret: the-new-secret-0002}}]
enforce: []
ops: {{socket: {directory}/control.sock}}
"""
SUBSCRIBERS = (
    *(Subscriber(f"20{n:03}", State.BLOCKED, "unpaid", 0.0, (parse_prefix(f"127.0.1.{n}"),)) for n in range(30)),
    Subscriber("30000", State.NOTICE, "unpaid", 0.0, (parse_prefix("127.0.1.200"), parse_prefix("127.0.2.1"))),
    Subscriber("30001", State.BLOCKED, "quota", 0.0, (parse_prefix("2001:db8:100:700::/56"),)),
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with at_work(written(tmp_path, CONFIGURATION, *SUBSCRIBERS)) as house:
        yield house


async def explained(house: House, subject: str, name: str | None = None) -> Facts:
    return await ask(house, "explain", subject=subject, name=name)


async def test_a_network_says_who_is_in_it_the_blocked_first(house: House) -> None:
    facts = await explained(house, "127.0.1.0/24")

    assert facts["headline"] == "127.0.1.0/24 holds 31 listed subscribers, 30 of them BLOCKED"
    assert facts["who"][0] == "20000 is BLOCKED for unpaid: 127.0.1.0"
    assert facts["who"][-1] == f"and {31 - NAMED} more"
    assert len(facts["who"]) == NAMED + 1
    smaller = await explained(house, "127.0.1.192/26")
    assert smaller["who"] == ["30000 is notice for unpaid: 127.0.1.200"]
    assert (smaller["listed"], smaller["blocked"]) == (1, 0)
    assert "127.0.1.192/26 holds 1 listed subscriber, 0 of them BLOCKED" in text.explain(smaller)


@pytest.mark.parametrize("prefix", ["2001:db8:100:700::/56", "2001:db8:100:700::/64"])
async def test_a_prefix_within_one_line_is_that_line(house: House, prefix: str) -> None:
    facts = await explained(house, prefix)

    assert (facts["access"], facts["subscriber"]) == ("blocked", "30001")


async def test_a_radius_client_is_known_by_its_name(house: House) -> None:
    facts = await explained(house, "building-7")
    assert facts["headline"] == (
        "building-7 is a RADIUS client (radius.clients); nobody was heard since the start"
    )  # fmt: skip

    assert house.radius is not None
    heard = house.radius.clients.hearing.of("192.0.2.7")
    heard.client, heard.asked = "building-7", 1_800_000_000.0
    heard.verified(access=True, signed=False)
    facts = await explained(house, "building-7")
    assert facts["headline"].endswith("; 1 NAS heard since the start")
    (row,) = facts["who"]
    assert row.startswith("192.0.2.7: last heard ")
    assert row.endswith("1 request; does NOT sign")


async def test_a_host_name_alone_is_what_a_blocked_line_gets_for_it(house: House) -> None:
    open_, shut = await explained(house, "pay.example.net"), await explained(house, "www.example.com")

    assert open_["headline"] == "pay.example.net is REACHABLE for a blocked line"
    assert shut["headline"] == "www.example.com is NOT reachable for a blocked line"
    for facts in (open_, shut):
        line = await explained(house, "127.0.1.7", facts["subject"])
        assert facts["verdict"] == line["verdict"]
        assert "taken for a host name: billing and the key store know nothing" in text.explain(facts)
        assert "edged explain ADDRESS" in text.explain(facts)
    with pytest.raises(Refused, match="is no address, and neither billing nor the key store knows it"):
        await explained(house, "not-a-name")


async def test_an_alarms_code_says_whether_it_is_up_now(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    async def of(code: str) -> Facts:
        capsys.readouterr()
        assert await asyncio.to_thread(main, ["explain", code, "--json", "-c", house.loaded.document.path]) == 0
        out = capsys.readouterr().out
        return dict(json.loads(out[out.index("{\n") :]))

    async with asyncio.timeout(5):
        while not (up := await of("billing-unreachable"))["standing"]:
            await asyncio.sleep(0.02)
    assert "billing.yaml: No such file or directory" in up["standing"]
    assert up["headline"] == f"billing-unreachable: {up['standing']}"
    assert (await of("billing-held"))["headline"] == "billing-held: not up now"


async def test_completion_is_offered_names_of_the_house_the_first_in_order(house: House) -> None:
    assert offered(house, "subscribers", "3000") == [("30000", "notice unpaid"), ("30001", "blocked quota")]
    assert ("building-7", "a RADIUS client") in offered(house, "subjects", "b")
    assert offered(house, "garden", "") == [("pay.example.net", "in the garden")]
    assert offered(house, "held", "") == offered(house, "keys", "") == offered(house, "xyzzy", "") == []
    answer = await ask(house, "names", kind="subscribers", beginning="2")
    assert [name for name, _ in answer["names"]] == [f"20{n:03}" for n in range(30)]
    assert len(answer["names"]) < OFFERED
