"""The garden resolver on real sockets: fail-over, TLS, aliases, names resolved ahead, and how long all of it lives."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
import structlog
import trustme

from edged.dns import client, message
from edged.dns.ahead import service as ahead_service
from edged.dns.ahead.pace import round_seconds
from edged.dns.client import Resolver
from edged.dns.codes import Rcode
from edged.dns.service import GARDEN_GRACE, DnsService
from edged.dns.settings import DnsSettings, UpstreamSettings
from edged.dns.upstream import health
from edged.dns.upstream.encrypted import client as encrypted
from edged.errors import ConfigError, UpstreamError
from edged.model import Access
from edged.policy.settings import GardenSettings
from edged.state.current import Current
from tests.dns_lab import GARDEN, PORTAL_ADDRESSES, PORTAL_HOST, view_of
from tests.loopback.dns_upstream import TlsUpstream, Upstream
from tests.loopback.test_dns import Sets, running

RESOLVER_NAME = "resolver.example"
BROWSERS = 120
"""Seconds that a browser keeps a name, whatever its TTL."""


@contextlib.asynccontextmanager
async def resolving(*upstreams: object) -> AsyncIterator[Resolver]:
    resolver = Resolver(DnsSettings.model_validate({"upstreams": upstreams}).upstreams)
    try:
        yield resolver
    finally:
        await resolver.stop()


def plain(*upstreams: Upstream) -> tuple[str, ...]:
    return tuple(str(u.endpoint) for u in upstreams)


async def addresses(resolver: Resolver, name: str) -> list[str]:
    found = await resolver.find(message.ask(name))
    return [str(a) for a in found.answer.addresses]


def records(number: int, name: str = "n{}.example.", rdata: str = "198.51.100.{}") -> list[str]:
    return [f"{name.format(i)} 60 A {rdata.format(i)}" for i in range(1, number + 1)]


def closed_port() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def until(check: object) -> None:
    assert callable(check)
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.02)


async def rested(resolver: Resolver) -> None:
    """Until the first upstream may be tried again."""
    await until(lambda: time.monotonic() >= resolver.health[0].until)


@pytest.fixture
def pass_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds that go by for the resolver, its cache and its upstreams' health at once."""
    passed = [0.0]
    monkeypatch.setattr(client, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))

    def pass_by(seconds: float) -> None:
        passed[0] += seconds

    return pass_by


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the usual patience: these tests wait for silence."""
    for name in ("_TRY", "_PATIENCE", "_STALE_PATIENCE"):
        monkeypatch.setattr(client, name, getattr(client, name) / 5)


# --- fail-over -------------------------------------------------------------------------------------


async def test_a_silent_upstream_delays_one_question_and_none_after_it() -> None:
    async with Upstream() as dead, Upstream(*records(6)) as good, resolving(*plain(dead, good)) as resolver:
        dead.silent = True
        for i in range(1, 7):
            assert await addresses(resolver, f"n{i}.example") == [f"198.51.100.{i}"]

    assert len(dead.asked) == 1
    assert [h.asked for h in resolver.health] == [1, 6]
    assert [h.failed for h in resolver.health] == [1, 0]


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED])
async def test_an_upstream_that_refuses_what_another_answers_is_asked_last(rcode: Rcode) -> None:
    async with Upstream() as bad, Upstream(*records(4)) as good, resolving(*plain(bad, good)) as resolver:
        bad.rcode = rcode
        for i in range(1, 5):
            assert await addresses(resolver, f"n{i}.example") == [f"198.51.100.{i}"]

    assert len(bad.asked) == 1


async def test_a_name_on_which_all_fail_puts_no_upstream_last() -> None:
    async with Upstream() as first, Upstream() as second, resolving(*plain(first, second)) as resolver:
        first.rcode = second.rcode = Rcode.SERVFAIL
        with pytest.raises(client.RefusedError):
            await resolver.find(message.ask("bogus.example"))

    assert (len(first.asked), len(second.asked)) == (1, 1), "each is asked once"
    assert not any(h.in_a_row for h in resolver.health)


async def test_an_upstream_that_is_back_gets_a_copy_of_a_question_and_then_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "FIRST_REST", 0.1)
    async with (
        Upstream(*records(9)) as first,
        Upstream(*records(9)) as second,
        resolving(*plain(first, second)) as resolver,
    ):
        first.rcode = Rcode.REFUSED
        await addresses(resolver, "n1.example")
        await rested(resolver)
        first.silent = True
        begin = time.monotonic()
        await addresses(resolver, "n2.example")
        assert time.monotonic() - begin < 1.0, "nobody waits for the one that is tried"
        await until(lambda: resolver.health[0].failed == 2)
        first.rcode, first.silent = 0, False
        await rested(resolver)
        await addresses(resolver, "n3.example")
        await until(lambda: not resolver.health[0].in_a_row)
        before = len(second.asked)
        await addresses(resolver, "n4.example")

    assert [q.question[0].name.to_text().lower()[:2] for q in first.asked] == ["n1", "n2", "n3", "n4"]
    assert len(second.asked) == before


async def test_one_of_many_upstreams_is_enough() -> None:
    async with Upstream(*records(1)) as good:
        dead = [closed_port() for _ in range(5)]
        async with resolving(*dead, *plain(good)) as resolver:
            assert await addresses(resolver, "n1.example") == ["198.51.100.1"]


@pytest.mark.usefixtures("hasty")
async def test_silence_everywhere_ends_within_a_stubs_patience() -> None:
    async with contextlib.AsyncExitStack() as stack:
        all_dead = [await stack.enter_async_context(Upstream()) for _ in range(5)]
        for dead in all_dead:
            dead.silent = True
        resolver = await stack.enter_async_context(resolving(*plain(*all_dead)))
        with pytest.raises(UpstreamError):
            await resolver.find(message.ask("n1.example"))

        assert client._PATIENCE * 5 <= 4.5, "a stub asks again after five seconds"
        assert [len(u.asked) for u in all_dead] == [1, 1, 1, 0, 0]
        with pytest.raises(UpstreamError):
            await resolver.find(message.ask("n2.example"))
        assert all(u.asked for u in all_dead), "those that were never tried come first"


# --- DNS over TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)  # type: ignore[return-value]


def secure(upstream: TlsUpstream, ca: str, name: str = RESOLVER_NAME) -> dict[str, str]:
    return {"address": str(upstream.endpoint), "tls": name, "ca": ca}


async def test_questions_go_over_one_tls_connection_padded_and_never_in_the_clear(
    authority: trustme.CA, ca: str
) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(20)) as server,
        resolving(secure(server, ca)) as resolver,
    ):
        answers = await asyncio.gather(*(addresses(resolver, f"n{i}.example") for i in range(1, 21)))

    assert answers == [[f"198.51.100.{i}"] for i in range(1, 21)]
    assert server.connections == 1
    assert server.plain == 0
    assert {len(octets) % 128 for octets in server.octets} == {0}
    assert len({octets[:2] for octets in server.octets}) == 20, "random IDs, no two alike"


@pytest.mark.parametrize(
    ("name", "says"), [("other.example", "not valid for 'other.example'"), ("127.0.0.9", "not valid for '127.0.0.9'")]
)
async def test_a_certificate_of_another_name_is_refused_and_the_log_says_so(
    authority: trustme.CA, ca: str, name: str, says: str
) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(1)) as server,
        resolving(secure(server, ca, name)) as resolver,
    ):
        with structlog.testing.capture_logs() as logs, pytest.raises(UpstreamError):
            await resolver.find(message.ask("n1.example"))

    complaint = next(entry for entry in logs if entry["event"] == "dns-upstream-tls-failed")
    assert says in complaint["error"]
    assert complaint["endpoint"] == f"{server.endpoint} ({name})"
    assert server.plain == 0
    assert not server.octets


async def test_a_signer_that_is_not_trusted_gives_servfail_and_never_plain_dns(authority: trustme.CA) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), "www.example. 60 A 198.51.100.1") as server,
        running(Access.OPEN, upstreams=()) as lab,
    ):
        settings = {"upstreams": [{"address": str(server.endpoint), "tls": RESOLVER_NAME}]}
        lab.service.reconfigure(
            DnsSettings.model_validate(settings), GARDEN, portal_host=PORTAL_HOST, portal_addresses=()
        )
        with structlog.testing.capture_logs() as logs:
            reply = await lab.ask("www.example")

    assert reply.rcode() == dns.rcode.SERVFAIL
    assert any("unable to get local issuer certificate" in entry.get("error", "") for entry in logs)
    assert server.plain == 0
    assert not server.octets


async def test_answers_in_any_order_reach_their_questions(authority: trustme.CA, ca: str) -> None:
    async with TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(8)) as server:
        server.batch = 8
        async with resolving(secure(server, ca)) as resolver:
            answers = await asyncio.gather(*(addresses(resolver, f"n{i}.example") for i in range(1, 9)))

    assert answers == [[f"198.51.100.{i}"] for i in range(1, 9)]
    assert server.connections == 1


async def test_a_server_that_closes_in_the_middle_is_asked_again_on_a_new_connection(
    authority: trustme.CA, ca: str
) -> None:
    async with TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(4)) as server:
        server.batch, server.close_after = 4, 2
        async with resolving(secure(server, ca)) as resolver:
            asking = [asyncio.create_task(addresses(resolver, f"n{i}.example")) for i in range(1, 5)]
            answers = await asyncio.gather(*asking)

    assert answers == [[f"198.51.100.{i}"] for i in range(1, 5)]
    assert server.connections == 2
    assert resolver.health[0].failed == 0, "to close is no failure"
    assert server.plain == 0


async def test_a_connection_that_the_server_let_go_is_made_anew(authority: trustme.CA, ca: str) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(2)) as server,
        resolving(secure(server, ca)) as resolver,
    ):
        await addresses(resolver, "n1.example")
        server.hang_up()
        begin = time.monotonic()
        assert await addresses(resolver, "n2.example") == ["198.51.100.2"]

    assert time.monotonic() - begin < 1.0
    assert server.connections == 2


async def test_an_idle_connection_is_let_go(authority: trustme.CA, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted, "_IDLE", 0.1)
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(2)) as server,
        resolving(secure(server, ca)) as resolver,
    ):
        await addresses(resolver, "n1.example")
        await asyncio.sleep(0.3)
        assert await addresses(resolver, "n2.example") == ["198.51.100.2"]

    assert server.connections == 2


async def test_a_connection_on_which_nothing_comes_is_given_up(authority: trustme.CA, ca: str) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(3)) as server,
        resolving(secure(server, ca)) as resolver,
    ):
        await addresses(resolver, "n1.example")
        server.silent = True
        asking = asyncio.create_task(addresses(resolver, "n2.example"))
        while len(server.octets) < 2:
            await asyncio.sleep(0.01)
        server.silent = False
        assert await asking == ["198.51.100.2"]

    assert server.connections == 2, "the second try has a connection of its own"


async def test_a_server_that_shakes_no_hands_is_not_knocked_at_by_every_question() -> None:
    knocks = 0

    def closes(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal knocks
        knocks += 1
        writer.transport.abort()

    server = await asyncio.start_server(closes, "127.0.0.1", 0)
    spec = {"address": f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "tls": RESOLVER_NAME}
    begin = time.monotonic()
    async with server, resolving(spec) as resolver:
        for i in range(1, 30):
            with pytest.raises(UpstreamError):
                await resolver.find(message.ask(f"n{i}.example"))

    assert knocks <= 1 + int(time.monotonic() - begin), "again after a second at the soonest"


async def test_a_plain_upstream_stands_in_only_where_the_operator_lists_it(authority: trustme.CA, ca: str) -> None:
    async with (
        TlsUpstream(authority.issue_cert("other.example")) as server,
        Upstream(*records(1)) as second,
        resolving(secure(server, ca), *plain(second)) as resolver,
    ):
        assert await addresses(resolver, "n1.example") == ["198.51.100.1"]

    assert server.plain == 0


async def test_a_reload_keeps_the_connection_and_loses_no_question(authority: trustme.CA, ca: str) -> None:
    async with (
        TlsUpstream(authority.issue_cert(RESOLVER_NAME), *records(5)) as server,
        Upstream(*records(5)) as other,
        resolving(secure(server, ca)) as resolver,
    ):
        await addresses(resolver, "n1.example")
        kept = DnsSettings.model_validate({"upstreams": [secure(server, ca), *plain(other)]}).upstreams
        resolver.reconfigure(kept)
        await addresses(resolver, "n2.example")
        connections = server.connections
        server.batch = 2
        asking = asyncio.create_task(addresses(resolver, "n3.example"))
        await until(lambda: len(server.octets) == 3)
        resolver.reconfigure(DnsSettings.model_validate({"upstreams": plain(other)}).upstreams)
        assert await addresses(resolver, "n4.example") == ["198.51.100.4"]
        server.batch = 1
        server.answer_waiting()
        assert await asking == ["198.51.100.3"]

    assert connections == server.connections == 1
    assert len(other.asked) == 1


def test_old_versions_of_tls_are_refused(ca: str) -> None:
    assert encrypted.trust(Path(ca)).minimum_version is ssl.TLSVersion.TLSv1_2
    assert encrypted.trust(None).check_hostname
    assert encrypted.trust(None).verify_mode is ssl.CERT_REQUIRED


async def test_a_ca_file_that_cannot_be_read_is_the_operators_to_know(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        spec = {"address": "192.0.2.1", "tls": RESOLVER_NAME, "ca": str(tmp_path / name)}
        service = service_of(DnsSettings.model_validate({"upstreams": [spec]}), Sets())
        with pytest.raises(ConfigError) as caught:
            await service.start()
        assert caught.value.problems[0].key == "dns.upstreams[0].ca"


# --- aliases ---------------------------------------------------------------------------------------

CHAIN = (
    "pay.example.net. 300 CNAME a.cdn.example.",
    "a.cdn.example. 20 CNAME b.cdn.example.",
    "b.cdn.example. 90 A 198.51.100.1",
    "b.cdn.example. 90 AAAA 2001:db8::5",
    "pay.example.net. 300 MX 5 mx.example.net.",
    "x.gate.example. 60 MX 5 mx.example.net.",
)


async def test_a_chain_that_the_upstream_leaves_open_is_followed_into_the_sets() -> None:
    async with running(Access.BLOCKED, *CHAIN) as lab:
        lab.upstream.chases = False
        v4 = await lab.ask("pay.example.net")
        v6 = await lab.ask("pay.example.net", "AAAA")

    assert lab.addresses(v4) == ["198.51.100.1"]
    assert lab.addresses(v6) == ["2001:db8::5"]
    assert {r.name.to_text() for r in v4.answer + v6.answer} == {"pay.example.net."}
    assert v4.answer[0].ttl <= 20, "the least of the chain"
    assert [a for a, _ in lab.sets.entries] == ["198.51.100.1", "2001:db8::5"]


@pytest.mark.parametrize(
    "chain",
    [
        ("pay.example.net. 60 CNAME a.example.", "a.example. 60 CNAME pay.example.net."),
        ("pay.example.net. 60 CNAME c0.example.", *(f"c{i}.example. 60 CNAME c{i + 1}.example." for i in range(30))),
    ],
    ids=["loop", "long"],
)
async def test_a_chain_without_an_end_is_servfail_after_a_few_questions(chain: tuple[str, ...]) -> None:
    async with running(Access.BLOCKED, *chain) as lab:
        lab.upstream.chases = False
        reply = await lab.ask("pay.example.net")

    assert reply.rcode() == dns.rcode.SERVFAIL
    assert len(lab.upstream.asked) <= 8


@pytest.mark.parametrize("rtype", ["CNAME", "DNAME", "ANY", "HTTPS", "SVCB"])
async def test_no_query_is_asked_that_would_tell_the_target_of_a_garden_alias(rtype: str) -> None:
    async with running(Access.BLOCKED, *CHAIN) as lab:
        reply = await lab.ask("pay.example.net", rtype)

    assert reply.rcode() == dns.rcode.NOERROR
    assert b"cdn" not in reply.to_wire()
    assert not lab.upstream.asked


@pytest.mark.parametrize("rtype", ["MX", "TXT", "SRV"])
@pytest.mark.parametrize("chases", [True, False])
async def test_other_types_of_a_garden_alias_do_not_tell_its_target(rtype: str, chases: bool) -> None:
    async with running(Access.BLOCKED, *CHAIN[:4], "b.cdn.example. 90 MX 5 mx.cdn.example.") as lab:
        lab.upstream.chases = chases
        reply = await lab.ask("pay.example.net", rtype, use_edns=0)

    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.authority
    assert b"cdn" not in reply.to_wire()


async def test_other_types_of_a_plain_garden_name_are_relayed() -> None:
    async with running(Access.BLOCKED, *CHAIN) as lab:
        reply = await lab.ask("x.gate.example", "MX")

    assert lab.addresses(reply) == ["5 mx.example.net."]


async def test_a_garden_alias_to_nothing_is_nodata_that_does_not_tell_its_target() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 CNAME gone.example.") as lab:
        reply = await lab.ask("pay.example.net", use_edns=0)

    assert reply.rcode() == dns.rcode.NOERROR
    assert reply.authority
    assert not reply.options, "nothing was blocked here"
    assert b"gone" not in reply.to_wire()


# --- names resolved ahead --------------------------------------------------------------------------


def service_of(settings: DnsSettings, sets: Sets, garden: GardenSettings = GARDEN) -> DnsService:
    return DnsService(
        settings, garden, portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES,
        current=Current(view_of(Access.BLOCKED, "127.0.0.0/8")), admit=sets.admit,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def ahead(sets: Sets, upstream: Upstream | None, garden: GardenSettings = GARDEN) -> AsyncIterator[DnsService]:
    upstreams = [str(upstream.endpoint)] if upstream is not None else []
    settings = DnsSettings.model_validate({"listen": ["127.0.0.1:0"], "upstreams": upstreams})
    service = service_of(settings, sets, garden)
    await service.start()
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await service.stop()


BOTH = (
    "pay.example.net. 20 A 198.51.100.1", "pay.example.net. 20 AAAA 2001:db8::1",
    "both.example. 20 CNAME cdn.example.", "cdn.example. 20 A 198.51.100.2", "cdn.example. 20 AAAA 2001:db8::2",
    "gate.example. 20 A 198.51.100.3", "static.example.net. 20 A 198.51.100.4", "google.com. 20 A 192.168.7.7",
)  # fmt: skip


async def test_exact_names_and_apexes_are_in_the_sets_before_anybody_asks() -> None:
    sets = Sets()
    async with Upstream(*BOTH) as upstream, ahead(sets, upstream) as service:
        await until(lambda: service.ahead.counters.rounds == 1)

    assert sorted(a for a, _ in sets.entries) == ["198.51.100.1", "198.51.100.2", "2001:db8::1", "2001:db8::2"]
    asked = {q.question[0].name.to_text().lower() for q in upstream.asked}
    assert asked == {"pay.example.net.", "both.example.", "google.com."}, "no *.name, no fixed answer"
    assert min(life for _, life in sets.entries) >= round_seconds(3) + GARDEN_GRACE
    assert service.counters.admit_timeouts == 0


async def test_what_a_blocked_client_is_told_something_else_about_is_not_resolved_ahead() -> None:
    garden = GardenSettings.model_validate({
        "names": ["pay.example.net", "static.example.net", "dns.google", ".apex.internal"],
        "records": {"static.example.net": ["203.0.113.9"]},
    })  # fmt: skip
    sets = Sets()
    async with Upstream(*BOTH) as upstream, ahead(sets, upstream, garden) as service:
        await until(lambda: service.ahead.counters.rounds == 1)

    assert {q.question[0].name.to_text().lower() for q in upstream.asked} == {"pay.example.net."}


async def test_a_name_resolved_ahead_is_answered_at_once_and_refreshes_its_set() -> None:
    async with running(Access.BLOCKED, *BOTH) as lab:
        await lab.service._resolve_ahead("pay.example.net", 900.0)
        before = len(lab.upstream.asked)
        reply = await lab.ask("pay.example.net")

    assert lab.addresses(reply) == ["198.51.100.1"]
    assert len(lab.upstream.asked) == before
    assert next(life for a, life in lab.sets.entries if a == "198.51.100.1") == 900.0


async def test_nothing_is_resolved_ahead_without_upstreams() -> None:
    sets = Sets()
    async with ahead(sets, None) as service:
        await asyncio.sleep(0.2)

    assert service.ahead.counters.names == 0


async def test_a_reload_resolves_the_new_garden_at_once() -> None:
    sets = Sets()
    async with Upstream(*BOTH, "new.example. 20 A 198.51.100.9") as upstream, ahead(sets, upstream) as service:
        await until(lambda: service.ahead.counters.rounds == 1)
        settings = DnsSettings.model_validate({"listen": ["127.0.0.1:0"], "upstreams": [str(upstream.endpoint)]})
        garden = GardenSettings.model_validate({"names": ["new.example"]})
        service.reconfigure(settings, garden, portal_host=PORTAL_HOST, portal_addresses=PORTAL_ADDRESSES)
        await until(lambda: "198.51.100.9" in [a for a, _ in sets.entries])


async def test_thousands_of_names_are_paced_and_a_silent_upstream_delays_no_client() -> None:
    garden = GardenSettings.model_validate({"names": [f"n{i}.example" for i in range(5000)], "records": {}})
    sets = Sets()
    async with Upstream() as upstream, ahead(sets, upstream, garden) as service:
        begin = time.monotonic()
        await asyncio.sleep(0.5)
        asked, spent = len(upstream.asked), time.monotonic() - begin
        upstream.silent = True
        await asyncio.sleep(0.5)
        under_way = len(service.resolver._under_way)

    assert 2 <= asked <= 20 * spent + 4
    assert under_way <= ahead_service._AT_ONCE
    assert round_seconds(5000) == 500


async def test_names_are_resolved_when_the_sets_can_be_written_and_again_when_they_were_made_anew() -> None:
    resolved: list[str] = []
    sets: int | None = None

    async def resolve(name: str, _life: float) -> bool:
        resolved.append(name)
        return True

    rounds = ahead_service.Ahead(("a.example",), resolve, lambda: sets)
    task = asyncio.create_task(rounds.run())
    await asyncio.sleep(0.1)
    early = list(resolved)
    sets = 1
    await until(lambda: rounds.counters.rounds == 1)
    await asyncio.sleep(0.5)
    before = list(resolved)
    sets = 2
    await until(lambda: rounds.counters.rounds == 2)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert (early, before, resolved) == ([], ["a.example"], ["a.example"] * 2)


# --- lives -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hasty")
async def test_addresses_outlive_fresh_cached_coalesced_and_stale_answers_in_both_families(
    pass_by: Callable[[float], None],
) -> None:
    async with running(
        Access.BLOCKED, "pay.example.net. 1 A 198.51.100.1", "pay.example.net. 1 AAAA 2001:db8::1"
    ) as lab:
        lab.upstream.delay = 0.05
        for rtype in ("A", "AAAA"):
            coalesced = await asyncio.gather(*(lab.ask("pay.example.net", rtype) for _ in range(3)))
            cached = await lab.ask("pay.example.net", rtype)
            pass_by(1.1)
            lab.upstream.silent = True
            stale = await lab.ask("pay.example.net", rtype)
            lab.upstream.silent = False
            replies = [*coalesced, cached, stale]
            lives = [life for _, life in lab.sets.entries[-5:]]
            assert all(life >= reply.answer[0].ttl + BROWSERS for life, reply in zip(lives, replies, strict=True)), (
                rtype,
                lives,
            )
            assert stale.answer[0].ttl == 30

    assert len(lab.sets.entries) == 10
    assert lab.service.resolver.counters.coalesced >= 4


async def test_no_garden_answer_lives_longer_than_five_minutes() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 86400 A 198.51.100.1") as lab:
        replies = [await lab.ask("pay.example.net") for _ in range(2)]

    assert [r.answer[0].ttl for r in replies] == [300, 300]
    assert {life for _, life in lab.sets.entries} == {300.0 + GARDEN_GRACE}


async def test_a_stale_answer_bears_ede_3_and_thirty_seconds_whatever_its_ttl_was(
    pass_by: Callable[[float], None],
) -> None:
    async with running(Access.OPEN, "www.example. 1 A 198.51.100.1", "www.example. 9000 A 198.51.100.2") as lab:
        await lab.ask("www.example")
        pass_by(1.1)
        lab.upstream.rcode = Rcode.SERVFAIL
        reply = await lab.ask("www.example", use_edns=0)

    assert {r.ttl for r in reply.answer} == {30}
    assert [o.code for o in reply.options if isinstance(o, dns.edns.EDEOption)] == [3]


@pytest.mark.usefixtures("hasty")
async def test_clients_of_a_stale_answer_do_not_wait_again_and_again(pass_by: Callable[[float], None]) -> None:
    async with running(Access.OPEN, "www.example. 1 A 198.51.100.1") as lab:
        await lab.ask("www.example")
        pass_by(1.1)
        lab.upstream.silent = True
        await lab.ask("www.example")
        await until(lambda: not lab.service.resolver._under_way)
        asked = len(lab.upstream.asked)
        pass_by(1.1)
        await lab.ask("www.example")

    assert len(lab.upstream.asked) == asked, "answered without another try"


async def test_an_absence_is_remembered_as_long_as_its_soa_says() -> None:
    async with running(Access.OPEN) as lab:
        replies = [await lab.ask("gone.example", rtype) for rtype in ("A", "A", "AAAA")]

    assert all(r.rcode() == dns.rcode.NXDOMAIN for r in replies)
    assert len(lab.upstream.asked) == 2, "a type of its own each"
    assert replies[0].authority[0].ttl == 60


async def test_a_failure_is_remembered_for_a_second(pass_by: Callable[[float], None]) -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.rcode = Rcode.SERVFAIL
        first = [await lab.ask("www.example") for _ in range(3)]
        asked = len(lab.upstream.asked)
        lab.upstream.rcode = 0
        pass_by(1.1)
        later = await lab.ask("www.example")

    assert [r.rcode() for r in first] == [dns.rcode.SERVFAIL] * 3
    assert asked == 1
    assert later.answer


# --- what an upstream may say ----------------------------------------------------------------------


async def test_a_truncated_answer_whose_tcp_is_refused_is_servfail() -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1") as lab:
        lab.upstream.truncate = True
        lab.upstream.refuse_streams()
        reply = await lab.ask("www.example")

    assert reply.rcode() == dns.rcode.SERVFAIL
    assert not reply.answer


async def test_an_upstream_that_refuses_is_our_servfail() -> None:
    async with running(Access.OPEN) as lab:
        lab.upstream.rcode = Rcode.REFUSED
        reply = await lab.ask("www.example", use_edns=0)

    assert reply.rcode() == dns.rcode.SERVFAIL
    assert not reply.options, "somebody was reached"
    assert lab.service.counters.errors["servfail"] == 1


async def test_an_answer_to_another_question_is_not_believed() -> None:
    async with running(Access.OPEN, "www.example. 60 A 198.51.100.1", "wwx.example. 60 A 198.51.100.66") as lab:
        lab.upstream.spoil = lambda octets: octets[:15] + bytes((octets[15] ^ 0x0F,)) + octets[16:]
        asking = asyncio.create_task(lab.ask("www.example"))
        await until(lambda: lab.service.resolver.counters.mismatches == 1)
        assert not asking.done()
        lab.upstream.spoil = lambda octets: octets
        reply = await asking

    assert lab.addresses(reply) == ["198.51.100.1"]


@pytest.mark.parametrize(("number", "rcode"), [(255, dns.rcode.NOERROR), (256, dns.rcode.SERVFAIL)])
async def test_an_answer_of_more_records_than_any_honest_one_is_refused(number: int, rcode: int) -> None:
    """Of 256, with its OPT."""
    held = [f"big.example. 60 A 198.51.{i >> 8}.{i & 255}" for i in range(number)]
    async with running(Access.OPEN, *held) as lab:
        lab.upstream.truncate = True
        reply = await lab.ask("big.example", tcp=True)

    assert reply.rcode() == rcode
    assert len(lab.addresses(reply)) == (number if rcode == dns.rcode.NOERROR else 0)


@pytest.mark.parametrize(
    ("rtype", "inside", "outside"),
    [
        ("A", ("10.0.0.1", "169.254.1.1", "127.0.0.1", "203.0.113.10"), "198.51.100.1"),
        ("AAAA", ("fd00::1", "fe80::1", "::1", "2001:db8::10", "::ffff:10.0.0.1", "64:ff9b::a00:1"), "2001:db8::1"),
    ],
)
async def test_what_a_garden_name_may_not_point_to_is_left_out_of_answer_and_sets(
    rtype: str, inside: tuple[str, ...], outside: str
) -> None:
    held = [f"pay.example.net. 60 {rtype} {address}" for address in (*inside, outside)]
    async with running(Access.BLOCKED, *held) as lab:
        reply = await lab.ask("pay.example.net", rtype)

    assert lab.addresses(reply) == [outside]
    assert [a for a, _ in lab.sets.entries] == [outside]
    assert lab.service.counters.rebinding == len(inside)


async def test_a_garden_name_that_points_inside_alone_says_that_it_was_blocked() -> None:
    async with running(Access.BLOCKED, "pay.example.net. 60 A 10.0.0.1") as lab:
        reply = await lab.ask("pay.example.net", use_edns=0)

    assert not reply.answer
    assert [o.code for o in reply.options if isinstance(o, dns.edns.EDEOption)] == [15]


@pytest.mark.parametrize("listen", ["[::1]", "[::]"])
async def test_edged_is_not_its_own_upstream_over_ipv6(listen: str) -> None:
    async with running(listen=("[::1]:0",)) as taken:
        port = taken.endpoint.port
    service = service_of(
        DnsSettings.model_validate({"listen": [f"{listen}:{port}"], "upstreams": [f"[::1]:{port}"]}), Sets()
    )

    with pytest.raises(ConfigError, match="edged itself"):
        await service.start()


def test_an_upstream_is_an_address_or_a_mapping() -> None:
    specs = ["9.9.9.9", {"address": "2620:fe::fe", "tls": "dns.quad9.net"}, {"address": "10.0.0.1:8853", "tls": "a.b"}]
    found = DnsSettings.model_validate({"upstreams": specs}).upstreams

    assert [(str(u.endpoint), u.tls) for u in found] == [
        ("9.9.9.9:53", None), ("[2620:fe::fe]:853", "dns.quad9.net"), ("10.0.0.1:8853", "a.b")
    ]  # fmt: skip
    assert isinstance(found[0], UpstreamSettings)


@pytest.mark.parametrize(
    "spec",
    [5, "dns.quad9.net", {"tls": "a.b"}, {"address": "9.9.9.9", "tls": ""}, {"address": "9.9.9.9", "tls": "a b"},
     {"address": "9.9.9.9", "ca": "/x"}, {"address": "9.9.9.9", "port": 53}],
)  # fmt: skip
def test_an_upstream_that_is_neither_is_refused(spec: object) -> None:
    with pytest.raises(ValueError, match="upstreams"):
        DnsSettings.model_validate({"upstreams": [spec]})
