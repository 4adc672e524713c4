"""The DNS service on real sockets, asked by real clients, with a real upstream behind it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from edged.dns import service as dns_service
from edged.dns.listeners import service as listeners_service
from edged.dns.service import DnsService
from edged.dns.settings import DnsSettings
from edged.errors import ConfigError
from edged.model import Access, Snapshot, State, Subscriber
from edged.native import datagrams
from edged.policy.access import View
from edged.policy.settings import GardenSettings, SubscribersSettings
from edged.policy.table import compile_table
from edged.state.current import Current
from edged.values import Endpoint, IpAddress, parse_prefix
from tests.dns_lab import GARDEN, PORTAL_ADDRESSES, PORTAL_HOST, view_of
from tests.loopback.dns_upstream import Upstream
from tests.native import BOTH, twin


@pytest.fixture(autouse=True, params=BOTH)
def native_twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here runs on both twins of edged/native."""
    kind = twin(request.param)
    monkeypatch.setattr(datagrams, "COMPILED", None if kind is datagrams.Portable else kind)


Entries = Sequence[tuple[IpAddress, float]]


class Sets:
    """A garden set that remembers what is in it, and may be slow or broken."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, float]] = []
        self.wait: asyncio.Event | None = None
        self.fails = False

    async def admit(self, entries: Entries) -> None:
        if self.wait is not None:
            await self.wait.wait()
        if self.fails:
            raise OSError("no such set")
        self.entries += [(str(address), ttl) for address, ttl in entries]


class Lab:
    """A running service with its policy, its sets and its upstream."""

    def __init__(self, service: DnsService, current: Current, sets: Sets, upstream: Upstream) -> None:
        self.service, self.current, self.sets, self.upstream = service, current, sets, upstream

    @property
    def endpoint(self) -> Endpoint:
        return self.service.endpoints[0]

    async def ask(
        self, name: str, rtype: str = "A", *, tcp: bool = False, timeout: float = 10, **options: Any
    ) -> dns.message.Message:
        query = dns.message.make_query(name, rtype, **options)
        where, port = str(self.endpoint.address), self.endpoint.port
        ask = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await ask(query, where, port=port, timeout=timeout)

    def addresses(self, reply: dns.message.Message) -> list[str]:
        return [rdata.to_text() for rrset in reply.answer for rdata in rrset]


@contextlib.asynccontextmanager
async def running(
    access: Access = Access.BLOCKED,
    *records: str,
    listen: tuple[str, ...] = ("127.0.0.1:0",),
    limit: int = 100_000,
    workers: int = 1,
    upstreams: tuple[str, ...] | None = None,
) -> AsyncIterator[Lab]:
    async with Upstream(*records) as upstream:
        settings = DnsSettings.model_validate({
            "listen": list(listen),
            "upstreams": list(upstreams or ()) + ([] if upstreams == () else [str(upstream.endpoint)]),
            "ttl": "10s",
            "workers": workers,
            "limit": {"per_subscriber": limit, "per_prefix": 10_000_000},
        })  # fmt: skip
        current, sets = Current(view_of(access, "127.0.0.0/8", "::1")), Sets()
        service = DnsService(
            settings, GARDEN, portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES,
            current=current, admit=sets.admit, sets=lambda: None,
        )  # fmt: skip
        await service.start()
        task = asyncio.create_task(service.run())
        await asyncio.sleep(0)
        try:
            yield Lab(service, current, sets, upstream)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await service.stop()
            await service.stop()


async def dig(endpoint: Endpoint, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "dig", f"@{endpoint.address}", "-p", str(endpoint.port), "+tries=1", "+time=5", *arguments,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_gets_the_portal_on_either_family_and_transport(listen: str, transport: str) -> None:
    async with running(listen=(listen,)) as lab:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(lab.endpoint.address), str(lab.endpoint.address))
        endpoint = Endpoint(ip_address(host), lab.endpoint.port)

        v4 = await dig(endpoint, transport, "+short", "www.example.com", "A")
        v6 = await dig(endpoint, transport, "+short", "www.example.com", "AAAA")
        https = await dig(endpoint, transport, "www.example.com", "HTTPS")

    assert v4.strip() == "203.0.113.10"
    assert v6.strip() == "2001:db8::10"
    assert "status: NOERROR" in https
    assert "SOA" in https
    assert "(good)" in https, "dig checks our cookie"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "127.0.0.1:0"])
async def test_the_reply_leaves_from_the_address_that_was_asked(listen: str) -> None:
    async with running(listen=(listen,)) as lab:
        asked = "127.0.0.77" if listen.startswith("0") else "127.0.0.1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            # connected: the kernel drops a reply from any other address
            client.connect((asked, lab.endpoint.port))
            client.send(dns.message.make_query("www.example.com", "A").to_wire())
            octets = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 512), 2)

    assert lab.addresses(dns.message.from_wire(octets)) == ["203.0.113.10"]


async def test_where_netlink_is_forbidden_the_wildcard_serves_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> socket.socket:
        raise PermissionError(errno.EPERM, "not in this sandbox")

    monkeypatch.setattr(listeners_service, "_subscribe", refuse)
    async with running(listen=("0.0.0.0:0",)) as lab:
        answers = [await dig(Endpoint(ip_address(a), lab.endpoint.port), "+short", "www.example.com")
                   for a in ("127.0.0.1", "127.0.0.77")]  # fmt: skip

    assert answers == ["203.0.113.10\n"] * 2


async def test_a_change_of_state_shows_in_the_next_answer() -> None:
    async with running(Access.BLOCKED, "www.example. 60 A 198.51.100.1") as lab:
        before = await lab.ask("www.example")
        lab.current.publish(view_of(Access.OPEN, "127.0.0.0/8"))
        after = await lab.ask("www.example")

    assert lab.addresses(before) == ["203.0.113.10"]
    assert lab.addresses(after) == ["198.51.100.1"]


async def test_a_paying_subscriber_gets_the_truth_of_every_type() -> None:
    records = (
        "www.example. 60 HTTPS 1 . alpn=h2",
        "www.example. 60 TXT hello",
        "v6.example. 60 AAAA 2001:db8::7",
    )
    async with running(Access.OPEN, *records) as lab:
        https = await lab.ask("www.example", "HTTPS")
        text = await lab.ask("wWw.eXample", "TXT", use_edns=0)
        missing = await lab.ask("nowhere.example")

    assert https.answer
    assert lab.addresses(text) == ['"hello"']
    assert text.question[0].name.to_text() == "wWw.eXample."
    assert missing.rcode() == dns.rcode.NXDOMAIN
    assert missing.authority


async def test_a_garden_answer_leaves_after_its_addresses_are_in_the_sets() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.sets.wait = asyncio.Event()
        asking = asyncio.create_task(lab.ask("pay.example.net"))
        await asyncio.sleep(dns_service.ADMIT_BUDGET / 2)
        early = asking.done(), list(lab.sets.entries)
        lab.sets.wait.set()
        reply = await asking

    assert early == (False, [])
    assert lab.service.counters.garden_lookups == 1
    assert lab.addresses(reply) == ["198.51.100.1"]
    assert reply.answer[0].ttl == 60
    assert [address for address, _ in lab.sets.entries] == ["198.51.100.1"]
    assert lab.service.counters.admit_timeouts == 0


async def test_the_sets_are_refreshed_on_every_answer_cached_ones_too() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        replies = [await lab.ask("pay.example.net") for _ in range(3)]

    assert len(lab.upstream.asked) == 1
    assert len(lab.sets.entries) == 3
    for (_, life), reply in zip(lab.sets.entries, replies, strict=True):
        assert life >= reply.answer[0].ttl + 120, "browsers keep a name for two minutes whatever its TTL"


async def test_an_answer_goes_without_the_sets_when_they_take_too_long() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.sets.wait = asyncio.Event()
        begin = time.monotonic()
        reply = await lab.ask("pay.example.net")
        spent = time.monotonic() - begin
        lab.sets.wait.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert lab.addresses(reply) == ["198.51.100.1"]
    assert dns_service.ADMIT_BUDGET <= spent < 1
    assert lab.service.counters.admit_timeouts == 1
    assert lab.sets.entries, "the sets are still filled, late"


async def test_an_answer_goes_without_the_sets_when_they_fail() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.sets.fails = True
        reply = await lab.ask("pay.example.net")

    assert lab.addresses(reply) == ["198.51.100.1"]
    assert lab.service.counters.admit_failures == 1


async def test_a_garden_answer_lives_no_longer_than_five_minutes() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 86400 A 198.51.100.1") as lab:
        reply = await lab.ask("pay.example.net")

    assert reply.answer[0].ttl == dns_service.GARDEN_TTL == 300


async def test_a_name_with_a_fixed_answer_is_not_resolved_ahead() -> None:
    async with running(Access.BLOCKED, "static.example.net. 60 A 198.51.100.99") as lab:
        assert await lab.service._resolve_ahead("static.example.net", 60.0)

    assert not lab.upstream.asked
    assert lab.sets.entries == []


async def test_whoever_waits_for_the_sets_at_the_end_is_let_go() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 198.51.100.1") as lab:
        lab.sets.wait = asyncio.Event()
        await lab.ask("pay.example.net")
        waiting = [task for task in asyncio.all_tasks() if "admit" in repr(task.get_coro())]

    assert len(waiting) == 1
    await asyncio.wait(waiting, timeout=10)
    assert waiting[0].cancelled()


async def test_more_questions_than_may_wait_get_servfail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_service, "_IN_FLIGHT", 2)
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.silent = True
        waiting = [asyncio.create_task(lab.ask(f"n{n}.example")) for n in range(2)]
        async with asyncio.timeout(10):
            while len(lab.upstream.asked) < 2:
                await asyncio.sleep(0.01)
        beyond = await lab.ask("n3.example")
        early = [task.done() for task in waiting]
        await asyncio.wait(waiting)
        lab.upstream.silent = False
        later = await lab.ask("www.example")

    assert beyond.rcode() == dns.rcode.SERVFAIL
    assert early == [False, False]
    assert lab.addresses(later) == ["198.51.100.1"], "whoever was answered waits no more"


async def test_a_garden_alias_outside_the_garden_is_followed_and_hidden() -> None:
    records = (
        "pay.example.net. 300 CNAME edge.cdn.example.",
        "edge.cdn.example. 30 A 198.51.100.1",
        "edge.cdn.example. 30 A 198.51.100.2",
        "edge.cdn.example. 30 AAAA 2001:db8::5",
    )
    async with running(Access.BLOCKED, *records) as lab:
        v4 = await lab.ask("pay.example.net", "A")
        v6 = await lab.ask("pay.example.net", "AAAA")

    assert sorted(lab.addresses(v4)) == ["198.51.100.1", "198.51.100.2"]
    assert lab.addresses(v6) == ["2001:db8::5"]
    assert {r.name.to_text() for r in v4.answer + v6.answer} == {"pay.example.net."}
    assert v4.answer[0].ttl == 30
    assert sorted(a for a, _ in lab.sets.entries) == ["198.51.100.1", "198.51.100.2", "2001:db8::5"]


async def test_a_garden_name_that_points_inside_opens_nothing() -> None:
    records = (
        "pay.example.net. 60 A 192.168.1.1",
        "x.gate.example. 60 A 127.0.0.1",
        "y.gate.example. 60 A 203.0.113.10",
    )
    async with running(Access.BLOCKED, *records) as lab:
        replies = [await lab.ask(n) for n in ("pay.example.net", "x.gate.example", "y.gate.example")]

    assert [lab.addresses(r) for r in replies] == [[], [], []]
    assert all(r.rcode() == 0 and r.authority for r in replies)
    assert lab.sets.entries == []
    assert lab.service.counters.rebinding == 3


async def test_the_first_upstream_that_answers_is_used() -> None:
    async with Upstream() as dead:
        dead.silent = True
        async with running(Access.OPEN, "www.example. 60 A 198.51.100.1", upstreams=(str(dead.endpoint),)) as lab:
            first = await lab.ask("www.example")
            second = await lab.ask("other.example")

    assert lab.addresses(first) == ["198.51.100.1"]
    assert second.rcode() == dns.rcode.NXDOMAIN
    assert len(dead.asked) == 1, "the one that answered is asked first from then on"


async def test_servfail_when_there_is_nobody_to_ask() -> None:
    async with running(Access.OPEN, upstreams=()) as lab:
        reply = await lab.ask("www.example", use_edns=0)

    assert reply.rcode() == dns.rcode.SERVFAIL
    assert lab.service.counters.upstream_failures == 1


async def test_a_truncated_upstream_answer_is_fetched_over_tcp_and_truncated_for_udp_clients() -> None:
    records = [f"big.example. 60 A 198.51.100.{i}" for i in range(1, 200)]
    async with running(Access.OPEN, *records) as lab:
        lab.upstream.truncate = True
        over_udp = await lab.ask("big.example", use_edns=0)
        over_tcp = await lab.ask("big.example", tcp=True)

    assert lab.upstream.tcp == 1
    assert over_udp.flags & dns.flags.TC
    assert not over_udp.answer
    assert len(over_tcp.answer[0]) == 199


async def test_questions_to_upstreams_have_random_ports_ids_and_case_and_no_client_options() -> None:
    async with running(Access.OPEN) as lab:
        option = dns.edns.ECSOption("192.0.2.0", 24)
        for i in range(20):
            await lab.ask(f"abcdefghijkl{i}.example", use_edns=0, options=[option])

    assert len(set(lab.upstream.ports)) > 15
    assert len({q.id for q in lab.upstream.asked}) > 15
    assert len({q.question[0].name.to_text()[:12] for q in lab.upstream.asked}) > 15
    assert not any(q.options for q in lab.upstream.asked)


@pytest.mark.parametrize("at", [0, 14], ids=["id", "case"])
async def test_an_answer_that_does_not_match_is_not_believed(at: int) -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.spoil = lambda octets: octets[:at] + bytes((octets[at] ^ 0x20,)) + octets[at + 1 :]
        asking = asyncio.create_task(lab.ask("www.example"))
        await asyncio.sleep(0.2)
        assert not asking.done()
        lab.upstream.spoil = lambda octets: octets
        reply = await asking

    assert lab.addresses(reply) == ["198.51.100.1"]
    assert lab.service.resolver.counters.mismatches == 1


async def test_identical_questions_are_asked_once() -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.delay = 0.1
        replies = await asyncio.gather(*(lab.ask("www.example") for _ in range(50)))

    assert len(lab.upstream.asked) == 1
    assert all(lab.addresses(r) == ["198.51.100.1"] for r in replies)


async def test_stale_answers_stand_in_for_silent_upstreams() -> None:
    async with running(Access.OPEN, "www.example. 1 A 198.51.100.1") as lab:
        await lab.ask("www.example")
        await asyncio.sleep(1.1)
        lab.upstream.silent = True
        begin = time.monotonic()
        reply = await lab.ask("www.example", use_edns=0)
        spent = time.monotonic() - begin

    assert spent < 2.5, "a stub gives up after five seconds"
    assert lab.addresses(reply) == ["198.51.100.1"]
    assert reply.answer[0].ttl == 30


async def test_an_answer_to_us_is_never_answered() -> None:
    async with running() as lab:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", lab.endpoint.port))
            client.send(dns.message.make_response(dns.message.make_query("a.example", "A")).to_wire())
            client.send(b"short")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 512), 0.2)

    assert lab.service.counters.dropped["response"] == 1
    assert lab.service.counters.dropped["short"] == 1


async def test_a_flood_is_drained_without_starving_tcp() -> None:
    async with running() as lab:
        query = dns.message.make_query("www.example.com", "A").to_wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(5000):
                client.sendto(query, ("127.0.0.1", lab.endpoint.port))
            reply = await lab.ask("www.example.com", tcp=True)
            while lab.service.counters.received < 5001:
                await asyncio.sleep(0.01)

    assert reply.answer
    assert lab.service.counters.answers["sinkhole"] == 5001


FLOOD = """
import socket, sys
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
for sock in socks:
    sock.bind(("127.0.0.3", 0))
    sock.connect(("127.0.0.1", int(sys.argv[1])))
query = bytes.fromhex("0001010000010000000000000377777707657861 6d706c650000010001")
print("flooding", flush=True)
while True:
    for sock in socks:
        sock.send(query)
"""


async def test_a_change_of_state_shows_while_another_floods_us() -> None:
    def view(state: State) -> View:
        ours, other = (parse_prefix(a) for a in ("127.0.0.1", "127.0.0.3"))
        held = (Subscriber("1", state, addresses=(ours,)), Subscriber("3", State.BLOCKED, addresses=(other,)))
        served = SubscribersSettings.model_validate({"networks": ["127.0.0.0/8"]})
        return View(compile_table(Snapshot("s", "r", 0.0, held), served))

    async with running(Access.BLOCKED, "www.example. 60 A 198.51.100.1", limit=10_000_000) as lab:
        lab.current.publish(view(State.BLOCKED))
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FLOOD, str(lab.endpoint.port), stdout=asyncio.subprocess.PIPE
        )
        assert flood.stdout is not None
        await flood.stdout.readline()
        seen: list[list[str]] = []
        for state in (State.BLOCKED, State.ACTIVE, State.BLOCKED):
            lab.current.publish(view(state), frozenset({"1"}))
            for _ in range(20):
                with contextlib.suppress(dns.exception.Timeout):
                    seen.append(lab.addresses(await lab.ask("www.example", timeout=1)))
                    break
        flood.kill()
        await flood.wait()

    assert seen == [["203.0.113.10"], ["198.51.100.1"], ["203.0.113.10"]]


async def test_several_workers_answer_by_one_policy() -> None:
    async with running(Access.BLOCKED, "www.example. 60 A 198.51.100.1", workers=3) as lab:
        # a socket, and so a port, for each question: the kernel chooses the worker by it
        blocked = [lab.addresses(await lab.ask("www.example")) for _ in range(40)]
        lab.current.publish(view_of(Access.OPEN, "127.0.0.0/8"))
        paid = [lab.addresses(await lab.ask("www.example")) for _ in range(40)]
        counters = lab.service.counters

    assert blocked == [["203.0.113.10"]] * 40
    assert paid == [["198.51.100.1"]] * 40
    assert (counters.answers["sinkhole"], counters.answers["forward"]) == (40, 40)


async def test_a_reload_changes_answers_and_keeps_the_sockets() -> None:
    async with running(Access.BLOCKED, "new.example.net. 60 A 198.51.100.1") as lab:
        before = lab.service.endpoints
        settings = DnsSettings.model_validate({"upstreams": [str(lab.upstream.endpoint)], "ttl": "3s"})
        garden = GardenSettings.model_validate({"names": ["new.example.net"]})
        lab.service.reconfigure(settings, garden, portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES)
        opened = await lab.ask("new.example.net")
        sunk = await lab.ask("pay.example.net")

    assert lab.service.endpoints == before
    assert lab.addresses(opened) == ["198.51.100.1"]
    assert lab.addresses(sunk) == ["203.0.113.10"]
    assert sunk.answer[0].ttl == 3


async def test_a_port_in_use_is_the_operators_to_know() -> None:
    async with running() as lab:
        service = DnsService(
            DnsSettings.model_validate({"listen": [str(lab.endpoint)]}), GARDEN,
            portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES, current=Current(), admit=Sets().admit,
        )  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            await service.start()

    assert caught.value.problems[0].key == "dns.listen[0]"
    assert "in use" in caught.value.problems[0].found


def port_for_both() -> int:
    """A port that is free for UDP and TCP."""
    for _ in range(16):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
            contextlib.suppress(OSError),
        ):
            datagrams.bind(("0.0.0.0", 0))
            streams.bind(("0.0.0.0", datagrams.getsockname()[1]))
            return int(streams.getsockname()[1])
    raise AssertionError("no port is free for both")


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
async def test_edged_is_not_its_own_upstream(listen: str) -> None:
    port = port_for_both()
    service = DnsService(
        DnsSettings.model_validate({"listen": [f"{listen}:{port}"], "upstreams": [f"127.0.0.1:{port}"]}),
        GARDEN,
        portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES, current=Current(), admit=Sets().admit,
    )  # fmt: skip

    with pytest.raises(ConfigError, match="edged itself"):
        await service.start()


async def test_random_case_comes_back_exactly_ten_thousand_times() -> None:
    chooser = random.Random(7)
    async with running() as lab:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.1", lab.endpoint.port))
            for _ in range(10_000):
                label = bytes(chooser.choice(b"abcXYZ") for _ in range(12))
                sent = bytes.fromhex("000101000001000000000000") + b"\x0c" + label + b"\x03CoM\x00\x00\x01\x00\x01"
                client.send(sent)
                got = await asyncio.wait_for(loop.sock_recv(client, 512), 2)
                assert got[12 : len(sent)] == sent[12:]
