# SPDX-License-Identifier: Apache-2.0
"""The ops address on a real socket: what a monitor reads of a whole house, and that it can read nothing more."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from edged.billing.events.service import DROPS as EVENT_DROPS
from edged.billing.status import Health
from edged.billing.webhook import Fault
from edged.captive.answers import Kind, Topic
from edged.captive.counters import DROPPED
from edged.daemon import House
from edged.dns.counters import DROPS, ERRORS, Limited
from edged.dns.upstream.counters import UpstreamCounters
from edged.dns.verdict import Kind as Verdict
from edged.errors import ConfigError
from edged.model import Access, EventType, State, Subscriber
from edged.mpsk.disconnect import End
from edged.mpsk.outcome import Reason
from edged.ops import alarms
from edged.ops.metrics import Exposition, Sample
from edged.ops.service import OpsService
from edged.radius.counters import Discard
from edged.radius.packet import Code
from edged.values import Endpoint, parse_endpoint, parse_prefix
from tests.loopback.house import EVERY_ROOM, at_work, written

Facts = dict[str, Any]

# each stands in the source, none is made up at run time
ALARMS = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', Path(alarms.__file__).read_text("utf-8")))
CODES = {code.name.lower() for code in Code}
CLOSED: dict[str, dict[str, set[str] | None]] = {
    "edged_info": {"version": None, "site": None, "mode": {"watch", "enforce"}},
    "edged_subscribers": {"state": set(State), "access": set(Access)},
    "edged_billing_health": {"health": set(Health)},
    "edged_billing_readings": {"outcome": {"accepted", "unchanged", "held", "refused"}},
    "edged_billing_words": {"outcome": {"in-force", "held"}},
    "edged_hook_refused": {"reason": set(Fault)},
    "edged_events": {"type": set(EventType)},
    "edged_events_dropped": {"reason": set(EVENT_DROPS)},
    "edged_dns_answers": {"verdict": set(Verdict)},
    "edged_dns_errors": {"kind": set(ERRORS)},
    "edged_dns_dropped": {"reason": set(DROPS)},
    "edged_dns_ratelimited": {"by": set(Limited)},
    "edged_dns_resolver": {"event": {field.name for field in fields(UpstreamCounters)}},
    "edged_dns_upstream_up": {"upstream": None},  # as the configuration names them
    "edged_dns_upstream_asked": {"upstream": None},
    "edged_dns_upstream_failed": {"upstream": None},
    "edged_pages": {"topic": set(Topic)},
    "edged_http_answers": {"kind": set(Kind)},
    "edged_http_dropped": {"reason": set(DROPPED)},
    "edged_radius_requests": {"code": CODES},
    "edged_radius_answers": {"code": CODES},
    "edged_radius_discards": {"reason": set(Discard)},
    "edged_key_rejects": {"reason": set(Reason)},
    "edged_disconnects": {"end": set(End)},
    "edged_target_up": {"target": {"nftables"}},
    "edged_target_wanted": {"target": {"nftables"}},
    "edged_target_actual": {"target": {"nftables"}},
    "edged_alarm": {"code": ALARMS},
}
"""Family to its labels, and each label to the values it may ever have; None: the operator's own word."""

CONFIGURATION = (
    EVERY_ROOM
    + """\
mode: watch
enforce: [nftables: {{interfaces: [lo]}}]
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""
)
ANA = Subscriber("1001", State.BLOCKED, "unpaid", 0.0, (parse_prefix("127.0.0.2"),))
MIA = Subscriber("1004", State.NOTICE, "unpaid", 0.0, (parse_prefix("127.0.0.4"),))


@asynccontextmanager
async def house_in(directory: Path) -> AsyncIterator[House]:
    """Every room of a house, at work; its last good list is there from before."""
    async with at_work(written(directory, CONFIGURATION, ANA, MIA)) as house:
        yield house


def counted() -> list[Sample]:
    return [
        Sample("edged_things", "Things, by kind.", "counter", 7, (("kind", "a"),)),
        Sample("edged_level", "How high it stands.", "gauge", 0.5),
        Sample("edged_things", "Things, by kind.", "counter", 9, (("kind", 'odd"\\\n'),)),
    ]


async def nothing() -> Facts:
    return {"schema": 1, "verdict": "all well"}


@asynccontextmanager
async def serving(
    listen: str | None = "127.0.0.1:0",
    *,
    healthy: Callable[[], bool] = lambda: True,
    status: Callable[[], Awaitable[Facts]] = nothing,
) -> AsyncIterator[OpsService]:
    service = OpsService(
        parse_endpoint(listen) if listen else None, exposition=Exposition(counted), healthy=healthy, status=status
    )
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def get(endpoint: Endpoint | None, path: str, method: str = "GET", **more: Any) -> tuple[int, str, str]:
    """Status, Content-Type and text."""
    async with aiohttp.ClientSession() as session, session.request(method, f"http://{endpoint}{path}", **more) as said:
        return said.status, said.headers.get("Content-Type", ""), await said.text()


def families(text: str) -> dict[str, Metric]:
    """As Prometheus reads it; no series stands there twice."""
    found = {family.name: family for family in text_string_to_metric_families(text)}
    series = [(s.name, tuple(sorted(s.labels.items()))) for family in found.values() for s in family.samples]
    assert len(series) == len(set(series))
    return found


# --- metrics ---------------------------------------------------------------------------------------


async def test_samples_of_one_family_stand_together_under_one_help_with_their_labels_escaped() -> None:
    async with serving() as service:
        status, kind, text = await get(service.endpoint, "/metrics")

    found = families(text)
    assert (status, kind) == (200, "text/plain; version=0.0.4")
    assert text.count("# HELP edged_things_total Things, by kind.") == 1
    things = {sample.labels["kind"]: sample.value for sample in found["edged_things"].samples}
    assert things == {"a": 7.0, 'odd"\\\n': 9.0}
    assert (found["edged_things"].type, found["edged_level"].type) == ("counter", "gauge")
    assert found["edged_level"].samples[0].value == 0.5


async def test_every_family_of_a_whole_house_has_its_help_and_a_closed_set_of_labels(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        _, _, text = await get(house.ops.endpoint, "/metrics")

    for name, family in families(text).items():
        assert name.startswith(("edged_", "process_")), name
        assert family.documentation.endswith("."), name
        assert family.type in {"counter", "gauge", "histogram"}, name
        labels = CLOSED.get(name, {})
        for sample in family.samples:
            said = {label: value for label, value in sample.labels.items() if label != "le"}
            assert set(said) == set(labels), name
            for label, value in said.items():
                allowed = labels[label]
                assert allowed is None or value in allowed, f"{name}: {label}={value}"


async def test_the_figures_are_those_of_the_list_in_force(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        found = families((await get(house.ops.endpoint, "/metrics"))[2])

    subscribers = {tuple(s.labels.values()): s.value for s in found["edged_subscribers"].samples}
    assert subscribers == {("blocked", "blocked"): 1.0, ("notice", "notice"): 1.0}
    assert found["edged_info"].samples[0].labels["site"] == "tower-12"
    assert {s.labels["code"] for s in found["edged_alarm"].samples} >= {"page-incomplete"}
    assert [s.labels for s in found["edged_target_up"].samples] == [{"target": "nftables"}]


QUERY = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07private\x07example\x00\x00\x01\x00\x01"


def ports_of(house: House) -> list[int]:
    assert house.radius is not None
    assert house.ops.endpoint is not None
    web = house.captive.endpoints
    found = [*house.dns.endpoints, *web.http, *web.https, *(endpoint for _, endpoint in house.radius.endpoints)]
    return [endpoint.port for endpoint in (*found, house.ops.endpoint)]


def strange_words(port: int) -> None:
    """A stranger speaks DNS, HTTP and nonsense to one port."""
    for octets in (b"www.private.example", QUERY):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(octets, ("127.0.0.1", port))
    with socket.socket() as tcp, suppress(OSError):
        tcp.settimeout(0.2)
        tcp.connect(("127.0.0.1", port))
        tcp.send(b"GET /private/path HTTP/1.1\r\nHost: www.private.example\r\n\r\n")
        tcp.recv(100)


async def test_no_word_of_a_stranger_becomes_a_label_or_a_fact(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        before = families((await get(house.ops.endpoint, "/metrics"))[2])
        for port in ports_of(house):
            await asyncio.to_thread(strange_words, port)
        _, _, text = await get(house.ops.endpoint, "/metrics")
        _, _, status = await get(house.ops.endpoint, "/status")

    after = families(text)
    assert set(after) == set(before)
    for name in after:
        assert {tuple(s.labels.items()) for s in after[name].samples} == {
            tuple(s.labels.items()) for s in before[name].samples
        }
    assert sum(s.value for s in after["edged_dns_answers"].samples) > 0
    assert sum(s.value for s in after["edged_radius_discards"].samples) > 0
    assert "private" not in text + status


# --- health and status -----------------------------------------------------------------------------


async def test_health_is_200_while_every_room_is_at_work_and_503_when_one_has_stopped() -> None:
    rooms = [True]
    async with serving(healthy=lambda: all(rooms)) as service:
        assert (await get(service.endpoint, "/healthz"))[::2] == (200, "ok\n")
        rooms[0] = False
        assert (await get(service.endpoint, "/healthz"))[::2] == (503, "a room has stopped\n")


async def test_a_whole_house_is_healthy_though_billing_cannot_be_read(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        assert not (tmp_path / "billing.yaml").exists()
        assert (await get(house.ops.endpoint, "/healthz"))[0] == 200


async def test_status_is_what_the_edged_command_shows_as_json(tmp_path: Path) -> None:
    async with house_in(tmp_path) as house:
        status, kind, text = await get(house.ops.endpoint, "/status")

    facts = json.loads(text)
    assert status == 200
    assert kind.startswith("application/json")
    assert (facts["schema"], facts["site"], facts["mode"]) == (1, "tower-12", "watch")
    assert facts["subscribers"]["known"] == 100
    assert facts["subscribers"]["states"] == {"active": 98, "notice": 1, "blocked": 1}
    assert facts["subscribers"]["reasons"] == {"unpaid": 1}
    assert {part["name"] for part in facts["parts"]} >= {"billing", "dns", "portal", "radius", "nftables", "store"}
    assert all(alarm["try"] for alarm in facts["alarms"])


async def test_a_bug_in_a_question_is_a_500_that_is_heard_of_and_the_next_question_is_answered() -> None:
    async def broken() -> Facts:
        raise ZeroDivisionError

    async with serving(status=broken) as service:
        with capture_logs() as logs:
            assert (await get(service.endpoint, "/status"))[::2] == (500, "")
        assert (await get(service.endpoint, "/healthz"))[0] == 200

    assert [(entry["event"], entry["path"]) for entry in logs] == [("ops-fault", "/status")]


# --- everything else -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/metrics/", "/admin", "/status/x", "/../etc/passwd", "/%00", "/" + "x" * 4000])
async def test_what_is_not_there_is_a_404(path: str) -> None:
    async with serving() as service:
        assert (await get(service.endpoint, path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_monitor_only_reads(method: str) -> None:
    async with serving() as service:
        assert (await get(service.endpoint, "/status", method, data=b"x" * 100_000))[0] == 405


@pytest.mark.parametrize(
    "octets", [b"\x00" * 64, b"\xff" * 70_000, b"GET /metrics HTTP/9\r\n\r\n", b"GET " + b"/" * 20_000, b"\r\n" * 50]
)
async def test_rubbish_ends_nothing(octets: bytes) -> None:
    async with serving() as service:
        assert service.endpoint is not None
        _, writer = await asyncio.open_connection(str(service.endpoint.address), service.endpoint.port)
        writer.write(octets)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

        assert (await get(service.endpoint, "/healthz"))[0] == 200


# --- the socket ------------------------------------------------------------------------------------


async def test_without_an_address_nothing_listens() -> None:
    async with serving(None) as service:
        assert service.endpoint is None


async def test_it_listens_on_ipv6_as_well() -> None:
    async with serving("[::1]:0") as service:
        assert (await get(service.endpoint, "/healthz"))[0] == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_a_port_in_use_is_the_operators_to_mend_and_the_first_goes_on(address: str) -> None:
    async with serving(f"{address}:0") as first:
        assert first.endpoint is not None
        with pytest.raises(ConfigError, match="in use") as raised:
            async with serving(f"{address}:{first.endpoint.port}"):
                pass
        (problem,) = raised.value.problems
        assert (problem.key, problem.expected) == ("ops.listen", "a free port")
        assert (await get(first.endpoint, "/healthz"))[0] == 200


async def test_an_address_of_another_host_is_the_operators_to_mend() -> None:
    with pytest.raises(ConfigError, match=r"ops\.listen"):
        async with serving("192.0.2.1:0"):
            pass


async def test_stopping_twice_is_stopping_once_and_the_port_is_free_again() -> None:
    async with serving() as service:
        assert service.endpoint is not None
        port = service.endpoint.port
        await service.stop()
        await service.stop()

    async with serving(f"127.0.0.1:{port}") as again:
        assert (await get(again.endpoint, "/healthz"))[0] == 200
