# SPDX-License-Identifier: Apache-2.0
"""A hub between billing and edges, each of them the real thing."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import socket
import ssl
import threading
import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

from edged.billing import signing
from edged.billing.sources.hub import HubSource
from edged.billing.status import Outcome
from edged.billing.webhook import Hint
from edged.config.loading import load
from edged.errors import ConfigError, UpstreamError
from edged.hub import feed as wire
from edged.hub.answer import Asked
from edged.hub.http.service import HubFront
from edged.hub.reports import service as reports
from edged.hub.served import History, difference
from edged.model import State
from edged.state.files import write_atomically
from edged.values import Secret
from tests.loopback import feed_server
from tests.loopback.billing_edge import names, people
from tests.loopback.feed_server import Feed, FeedServer, ToldFeedServer
from tests.loopback.house import at_work, written
from tests.loopback.hub_scene import (
    BEARER,
    EDGE,
    HUB,
    PASSPHRASE,
    Got,
    Scene,
    billing_of,
    blocked,
    key,
    listed,
    scene,
    until,
)


def source_of(at: Scene, *, bearer: str = BEARER, wait: int = 20) -> HubSource:
    return HubSource(at.url, Secret(bearer), publics=(b64decode(at.hub.public_key),), wait=wait)


def verified(at: Scene, got: Got) -> None:
    """What another implementation of RFC 9421 says of an answer."""
    public = b64decode(at.hub.public_key)

    class Keys(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
            assert key_id == hashlib.sha256(public).hexdigest()[:16]
            return Ed25519PublicKey.from_public_bytes(public)

    class Asked:
        url = f"https://hub.example.net{got.path}" + (f"?{got.query}" if got.query else "")
        method = "GET"
        headers: ClassVar[dict[str, str]] = {}

    class Answer:
        request, headers, status_code = Asked, got.headers, got.status

    [result] = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys()).verify(
        Answer, expect_tag=None, max_age=None
    )
    assert result.covered_components.keys() >= {'"@path";req', '"@query";req', '"x-edged-digest"', '"x-edged-read-at"'}


def plain(got: Got) -> bytes:
    return gzip.decompress(got.octets) if got.headers.get("Content-Encoding") == "gzip" else got.octets


async def test_an_edge_has_the_lists_of_the_hub_and_billing_saw_one_client(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work("tower-1") as one, at.edge_at_work("tower-2") as two:
        await until(lambda: blocked(one) == blocked(two) == names(1, 2))
        await until(lambda: all(len(house.mpsk.ring.keys) == 2 for house in (one, two)))  # they come after the lines
        for house in (one, two):
            passphrases = {stored.key.passphrase for stored in await house.keys.all()}
            assert passphrases == {Secret(f"{PASSPHRASE}-1"), Secret(f"{PASSPHRASE}-2")}
        assert len([r for r in at.billing.requests if r == "GET /subscribers"]) == 1


async def test_a_payment_is_at_every_edge_in_a_moment(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work("tower-1") as one, at.edge_at_work("tower-2") as two:
        await until(lambda: blocked(one) == blocked(two) == names(1, 2))
        await until(lambda: at.hub.waiting == 2)
        at.billing.feed = Feed(people(2), keys=[key(2)], known=100, active={"1"})
        began = time.monotonic()
        await at.house.office._heard(hint("1"))
        await until(lambda: blocked(one) == blocked(two) == names(2))
        assert time.monotonic() - began < 2.0


def hint(*subscribers: str) -> Any:
    return Hint(id="x", at=time.time(), subscribers=subscribers, keys=(), proven=True)


async def test_a_key_that_billing_takes_back_is_gone_at_an_edge_in_a_moment(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work() as edge:
        await until(lambda: at.hub.waiting == 1)
        at.billing.feed = Feed(people(1, 2, addresses=("100.64.0.9",)), keys=[key(2)], known=100)
        began = time.monotonic()
        await at.sync()

        async def live() -> set[str]:
            return {stored.key.id for stored in await edge.keys.all() if not stored.revoked}

        async with asyncio.timeout(10):
            while await live() != {"k-2"}:
                await asyncio.sleep(0.02)
        assert time.monotonic() - began < 3.0


async def test_an_edge_whose_keys_are_older_is_not_kept_waiting(tmp_path: Path) -> None:
    """Billing changes a key between two questions of an edge."""
    async with scene(tmp_path) as at:
        source = source_of(at)
        reading = await source.read(None)
        assert reading is not None
        at.billing.feed = Feed(people(1, 2, addresses=("100.64.0.9",)), keys=[key(2)], known=100)
        await at.sync()
        async with asyncio.timeout(5):
            changed = await source.read(reading)
        assert changed is not None
        assert [each.id for each in changed.snapshot.keys or ()] == ["k-2"]
        waits = asyncio.create_task(source.read(changed))
        await until(lambda: at.hub.waiting == 1)
        source.hurry()
        assert await waits is None
        await source.close()


async def test_one_question_to_billing_answers_all_edges_that_ask_about_one_subscriber(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.billing.requests.clear()
        sources = [source_of(at) for _ in range(20)]
        said = await asyncio.gather(*(source.read_one("1") for source in sources))
        assert {one.state for one in said if one is not None} == {State.BLOCKED}
        assert at.billing.requests == ["GET /subscribers/1"]
        for source in sources:
            await source.close()


async def test_what_billing_says_of_one_subscriber_is_in_force_at_the_hub_and_told_signed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        source = source_of(at)
        at.billing.feed = Feed(people(2), keys=[], known=100, active={"1"})
        paid = await source.read_one("1")
        assert paid is not None
        assert paid.state is State.ACTIVE
        assert blocked(at.house) == names(2)
        assert await source.read_one("no such one") is None
        got = await at.get("/subscribers/no%20such%20one")
        assert (got.status, json.loads(got.octets)) == (404, {"id": "no such one", "state": "unknown"})
        verified(at, got)
        at.billing.faults.add("error")
        with pytest.raises(UpstreamError, match="503"):
            await source.read_one("2")
        await source.close()


async def test_every_kind_of_answer_is_signed_as_another_implementation_wants_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        revision = at.hub.revisions["subscribers"]
        for path in ("/subscribers", "/keys", f"/subscribers?since={revision}", "/subscribers/1", "/keys?page=9"):
            for coding in ("gzip", "identity"):
                got = await at.get(path, Accept_Encoding=coding)
                assert got.status == 200
                verified(at, got)
                assert got.headers[signing.DIGEST] == signing.digest(plain(got))
        tag = f'W/"{revision}"'
        unchanged = await at.get("/subscribers", If_None_Match=f'"other", {tag}')
        assert (unchanged.status, unchanged.octets) == (304, b"")
        assert unchanged.headers[signing.DIGEST] == (await at.get("/subscribers")).headers[signing.DIGEST]
        verified(at, unchanged)


async def test_a_head_counts_and_has_no_body(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        got = await at.get("/subscribers", method="HEAD")
        assert (got.status, got.octets, got.headers["X-Total-Count"]) == (200, b"", "2")
        verified(at, got)


async def test_an_answer_is_compressed_for_whoever_takes_that_and_plain_for_others(tmp_path: Path) -> None:
    async with scene(tmp_path, Feed(people(*range(100)), known=1000)) as at:
        codings = ("gzip", "br, gzip;q=0.5", "identity", "gzip;q=0", "")
        given = [(await at.get("/subscribers", Accept_Encoding=coding)) for coding in codings]
        coded = [got.headers.get("Content-Encoding", "") for got in given]
        assert coded == ["gzip", "gzip", "", "", ""]
        assert len({plain(got) for got in given}) == 1
        assert {got.headers["Vary"] for got in given} == {"Accept-Encoding"}


async def test_a_list_of_many_pages_is_whole_although_it_changes_meanwhile(tmp_path: Path) -> None:
    count = 2 * wire.PAGE + 7
    async with scene(tmp_path, Feed(people(*range(count)), keys=[], known=100_000), floor=100_000) as at:
        first = json.loads(plain(await at.get("/subscribers")))
        assert (first["total"], len(first["subscribers"])) == (count, wire.PAGE)
        at.billing.feed = Feed(people(*range(5, count)), keys=[], known=100_000)
        await at.sync()
        seen, following = [s["id"] for s in first["subscribers"]], first["next"]
        while following:
            page = json.loads(plain(await at.get(following)))
            assert (page["revision"], page["total"]) == (first["revision"], count)
            seen += [s["id"] for s in page["subscribers"]]
            following = page.get("next", "")
        assert sorted(seen) == sorted(map(str, range(count)))
        source = source_of(at)
        reading = await source.read(None)
        assert reading is not None
        assert len(reading.snapshot.subscribers) == len({s.id for s in listed(at.house)})
        await source.close()


async def test_pages_of_a_list_that_is_long_gone_are_those_of_now_under_their_own_revision(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        got = json.loads(plain(await at.get("/subscribers?revision=0123456789abcdef0123456789abcdef&page=2")))
        assert got["revision"] == at.hub.revisions["subscribers"]


async def test_a_difference_names_who_is_new_who_is_another_and_who_is_gone(tmp_path: Path) -> None:
    async with scene(tmp_path, Feed(people(1, 2, 3), keys=[], known=100)) as at:
        before = at.hub.revisions["subscribers"]
        at.billing.feed = Feed([*people(2, state="notice"), *people(3, 4)], keys=[], known=100)
        await at.sync()
        got = json.loads(plain(await at.get(f"/subscribers?since={before}")))
        assert {s["id"]: s["state"] for s in got["subscribers"]} | dict.fromkeys(got["removed"], "gone") == {
            "1": "gone", "2": "notice", "4": "blocked",
        }  # fmt: skip
        assert got["total"] == len(got["subscribers"])
        assert got["revision"] == at.hub.revisions["subscribers"]


async def test_a_revision_that_is_not_known_is_gone_and_the_edge_reads_everything(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, at.edge_at_work() as edge:
        assert (await at.get("/subscribers?since=never-heard-of")).status == 410
        await until(lambda: blocked(edge) == names(1, 2) and at.hub.waiting == 1)
        previous = billing_of(edge)._previous
        assert previous is not None
        previous.marks["subscribers.revision"] = "of-another-hub"
        at.billing.feed = Feed(people(2), keys=[key(2)], known=100, active={"1"})
        await at.sync()
        billing_of(edge)._source.hurry()
        await until(lambda: blocked(edge) == names(2))


async def test_one_list_has_one_revision_whatever_way_it_was_come_by(tmp_path: Path) -> None:
    billing = FeedServer(Feed(people(1, 2, addresses=("100.64.0.9",)), keys=[key(1), key(2)], known=100))
    at = Scene(tmp_path, billing)
    async with feed_server.serve(billing):
        async with at.hub_at_work():
            before = dict(at.hub.revisions)
            billing.feed = Feed(people(1, 2, 3, addresses=("100.64.0.9",)), keys=[key(1), key(2)], known=100)
            await at.sync()
            assert at.hub.revisions["subscribers"] != before["subscribers"]
            billing.feed = Feed(people(2, 1, addresses=("100.64.0.9",)), keys=[key(2), key(1)], known=100)
            await at.sync()
            assert {s.id for s in listed(at.house) if s.state is not State.ACTIVE} == names(1, 2)
        # and after a restart, from disk and then from billing
        async with at.billing_away(), at.hub_at_work():
            from_disk = dict(at.hub.revisions)
            assert from_disk["keys"] == before["keys"]
            billing.faults.discard("error")
            assert (await at.billing_here.sync()).outcome is not Outcome.FAILED
            await until(lambda: not at.hub._stirred.is_set())
            assert at.hub.revisions == from_disk


async def test_a_hub_that_starts_while_billing_is_away_serves_lists_and_keys_of_before_with_their_time(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as at:
        await until(lambda: at.house.mpsk.key_list is not None)
        async with asyncio.timeout(10):
            while len(await at.house.keys.all()) < 2:
                await asyncio.sleep(0.02)
        confirmed = at.billing_here.current_at
        revisions = dict(at.hub.revisions)
        await asyncio.sleep(1.1)
    async with at.billing_away(), at.hub_at_work(), at.edge_at_work() as edge:
        assert at.hub.revisions == revisions
        await until(lambda: blocked(edge) == names(1, 2))
        async with asyncio.timeout(10):
            while len(await edge.keys.all()) < 2:
                await asyncio.sleep(0.02)
        assert abs(billing_of(edge).current_at - confirmed) < 1.0


async def test_a_hub_whose_billing_has_no_keys_serves_an_empty_list_of_them_after_a_restart_too(tmp_path: Path) -> None:
    billing = FeedServer(Feed(people(1, 2), keys=None, known=100))
    async with feed_server.serve(billing):
        at = Scene(tmp_path, billing)
        async with at.hub_at_work():
            revisions = dict(at.hub.revisions)
        billing.faults.add("error")
        async with at.hub_at_work():
            await until(lambda: not at.hub._stirred.is_set())
            assert not at.hub.revisions["keys"]
            billing.faults.discard("error")
            # what billing said before: no list is published, and nobody tells the hub of a change
            assert (await at.billing_here.sync()).outcome is Outcome.UNCHANGED
            await until(lambda: at.hub.revisions == revisions)


async def test_a_hub_without_any_list_says_later_and_takes_nothing_from_anybody(tmp_path: Path) -> None:
    at_first = Feed(people(1, 2), keys=[key(1)], known=100)
    async with scene(tmp_path, at_first) as at, at.edge_at_work() as edge:
        await until(lambda: blocked(edge) == names(1, 2))
        port = at.heard_at
        public = at.hub.public_key
    private = (tmp_path / "hub" / "state" / "hub.key").read_bytes()
    fresh = Scene(tmp_path / "fresh", at.billing, port=port)
    (tmp_path / "fresh" / "hub" / "state").mkdir(parents=True)
    (tmp_path / "fresh" / "hub" / "state" / "hub.key").write_bytes(private)
    async with fresh.billing_away(), fresh.hub_at_work():
        assert fresh.hub.public_key == public
        for path in ("/subscribers", "/keys", "/subscribers?since=x"):
            got = await fresh.get(path)
            assert (got.status, got.headers["Retry-After"]) == (503, "5")
        source = source_of(fresh)
        with pytest.raises(UpstreamError, match="503"):
            await source.read(None)
        await source.close()


async def test_a_source_without_keys_is_served_as_a_list_of_none(tmp_path: Path) -> None:
    async with scene(tmp_path, Feed(people(1), keys=None, known=100)) as at, at.edge_at_work() as edge:
        await until(lambda: blocked(edge) == names(1))
        assert json.loads(plain(await at.get("/keys")))["keys"] == []


async def test_a_hub_of_billing_without_keys_that_starts_again_serves_everything_although_nothing_has_changed(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path, Feed(people(1), keys=None, known=100)) as at:
        pass
    at.billing.faults.add("error")
    async with feed_server.serve(at.billing), at.hub_at_work():
        await asyncio.sleep(0.3)
        assert at.hub.revisions["subscribers"]
        at.billing.faults.discard("error")
        assert (await at.billing_here.sync()).outcome is Outcome.UNCHANGED
        await until(lambda: bool(at.hub.revisions["keys"]))


async def test_a_hub_that_has_lost_its_keys_and_holds_what_billing_says_takes_none_from_the_edges(
    tmp_path: Path,
) -> None:
    feed = Feed(people(*range(20)), keys=[key(1)], known=1000)
    async with scene(tmp_path, feed) as at:
        pass
    for file in (tmp_path / "hub" / "state").glob("edged.sqlite*"):
        file.unlink()
    at.billing.feed = Feed(people(*range(400)), keys=[key(1)], known=1000)
    async with feed_server.serve(at.billing):
        values = {"billing": at.billing.url, "bearer": BEARER, "more": "", "every": "1d", "full": "1d"}
        house = at.house = written(tmp_path / "hub", HUB, port="0", floor="5", **values)
        async with at_work(house):
            await until(lambda: billing_of(house).held is not None)
            at.hub.stir()
            await asyncio.sleep(0.5)
            assert (await at.get("/subscribers")).status == 200
            assert (await at.get("/keys")).status == 503


async def test_a_reading_that_the_hub_holds_reaches_nobody_until_a_person_has_accepted_it(tmp_path: Path) -> None:
    feed = Feed(people(*range(20)), keys=[], known=1000)
    async with scene(tmp_path, feed) as at, at.edge_at_work() as edge:
        await until(lambda: blocked(edge) == names(*range(20)))
        at.billing.feed = Feed(people(*range(400)), keys=[], known=1000)
        result = await at.billing_here.sync()
        assert result.outcome is Outcome.HELD
        await billing_of(edge).sync()
        assert blocked(edge) == names(*range(20))
        await at.billing_here.accept(result.snapshot)
        await until(lambda: blocked(edge) == names(*range(400)))


async def test_who_pays_while_a_reading_is_held_is_open_at_the_edges_although_nothing_had_changed_for_an_hour(
    tmp_path: Path,
) -> None:
    feed = Feed(people(*range(20)), keys=[], known=1000)
    async with scene(tmp_path, feed) as at, at.edge_at_work() as edge:
        await until(lambda: blocked(edge) == names(*range(20)))
        ledger = at.billing_here._ledger
        assert ledger.good is not None
        # read an hour ago, and confirmed at every look since
        ledger.good = replace(ledger.good, read_at=ledger.good.read_at - 3600)
        at.hub.stir()
        await at.billing_here._look(full=False)
        await billing_of(edge).sync()
        assert billing_of(edge)._error == ""
        at.billing.feed = Feed(people(*range(1, 400)), keys=[], known=1000, active={"0"})
        result = await at.billing_here.sync()
        assert result.outcome is Outcome.HELD
        await until(lambda: blocked(edge) == names(*range(1, 20)))


async def test_nobody_is_heard_without_a_key_and_either_of_two_lets_in(tmp_path: Path) -> None:
    async with scene(tmp_path, more=", path: /hub.2/v1") as at:
        for given in ("Bearer wrong", f"Basic {BEARER}", "", f"Bearer {BEARER}x", "Bearer", "Bearer \xff"):
            got = await at.get("/keys", Authorization=given)
            assert (got.status, got.octets) == (401, b"")
            assert got.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await at.get("/keys")).status == 200
        at.hub.reconfigure(at.hub.settings.model_copy(update={"keys": (Secret("x" * 16), Secret(BEARER))}))
        assert (await at.get("/keys")).status == 200
        assert (await at.get("/keys", Authorization=f"Bearer {'x' * 16}")).status == 200
        at.hub.reconfigure(at.hub.settings.model_copy(update={"keys": (Secret("x" * 16),)}))
        assert (await at.get("/keys")).status == 401


async def test_subscribers_may_be_left_with_a_proxy_for_a_moment_and_keys_never(tmp_path: Path) -> None:
    async with scene(tmp_path, more=", cache: 2s") as at:
        assert (await at.get("/subscribers")).headers["Cache-Control"] == "public, max-age=2"
        assert (await at.get("/keys")).headers["Cache-Control"] == "private, no-cache"
        assert (await at.get("/subscribers/1")).headers["Cache-Control"] == "no-store"
        revision = at.hub.revisions["subscribers"]
        waited = await at.get(f"/subscribers?since={revision}", Prefer="wait=1")
        assert (waited.headers["Cache-Control"], waited.headers["Preference-Applied"]) == ("no-store", "wait=1")


STRANGE = {
    "nothing below the base": ("GET", "/", 404),
    "another list": ("GET", "/subscribers2", 404),
    "deeper than anything": ("GET", "/subscribers/1/2", 404),
    "an id longer than any": ("GET", f"/subscribers/{'a' * 129}", 404),
    "a method that changes": ("DELETE", "/subscribers/1", 405),
    "a report that is asked for": ("GET", "/report", 405),
    "the first page otherwise": ("GET", "/subscribers?page=0000001", 400),
    "events that no database takes": ("POST", "/events", 400),
    "a page that is none": ("GET", "/subscribers?page=-1", 400),
    "a page beyond all": ("GET", "/subscribers?page=99999999999", 400),
    "octets that are no text": ("GET", "/subscribers/%ff", 404),
    "a report that is none": ("POST", "/report", 400),
}


LONE_SURROGATE = json.dumps({
    "events": [
        {"id": "1", "type": "pass.started", "at": "2026-11-18T12:00:00Z", "edge": "tower-1", "subscriber": "\ud800"}
    ]
}).encode()  # fmt: skip


async def test_pages_beyond_the_last_are_made_and_kept_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for number in (2, 3, 77, 999_999):
            got = await at.get(f"/subscribers?page={number}")
            assert (got.status, json.loads(plain(got))["subscribers"]) == (200, [])
        assert len(at.hub._shelf._bodies) == 1


async def test_what_a_large_change_was_is_looked_up_once_for_all_edges_that_it_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    threads: list[threading.Thread] = []
    since = History.since

    def elsewhere(*said: Any) -> bytes:
        threads.append(threading.current_thread())
        return difference(*said)

    def counted(self: History[Any], earlier: str) -> frozenset[str] | None:
        looked.append(earlier)
        return since(self, earlier)

    async with scene(tmp_path, Feed(people(*range(3000)), keys=[], known=9000), floor=9000) as at:
        revision = at.hub.revisions["subscribers"]
        monkeypatch.setattr(History, "since", counted)
        monkeypatch.setattr("edged.hub.service.difference", elsewhere)
        waiting = [asyncio.create_task(at.get(f"/subscribers?since={revision}", Prefer="wait=20")) for _ in range(20)]
        await until(lambda: at.hub.waiting == 20)
        at.billing.feed = Feed(people(*range(500, 3000)), keys=[], known=9000)
        await at.sync()
        answers = await asyncio.gather(*waiting)
        assert {len(json.loads(plain(got))["removed"]) for got in answers} == {500}
        assert looked == [revision]
        assert len(threads) == 1
        assert threads[0] is not threading.main_thread()


async def test_a_list_is_as_old_as_it_is_although_billing_has_confirmed_a_newer_one_meanwhile(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        ledger = at.billing_here._ledger
        assert ledger.good is not None
        ledger.good, ledger._confirmed = replace(ledger.good, read_at=time.time() - 3600), 0.0
        at.hub.stir()
        await until(lambda: at.hub._seen is not None and at.hub._seen[0] is ledger.good)
        before = await at.get("/subscribers")
        go_on, take = asyncio.Event(), at.hub._take

        async def slow(kind: str, listed: Any) -> bool:
            await go_on.wait()
            return await take(kind, listed)

        at.hub._take = slow  # type: ignore[method-assign]
        at.billing.feed = Feed(people(2), keys=[key(2)], known=100)
        await at.billing_here.sync()
        during = await at.get("/subscribers")
        assert plain(during) == plain(before)
        assert time.time() - float(during.headers[signing.READ_AT]) > 3000
        go_on.set()
        await until(lambda: at.hub._seen is not None and at.hub._seen[0] is ledger.good)
        after = await at.get("/subscribers")
        assert time.time() - float(after.headers[signing.READ_AT]) < 30
        old = json.loads(plain(before))["revision"]
        begun = await at.get(f"/subscribers?revision={old}&page=1")
        assert json.loads(plain(begun))["revision"] == old
        assert float(begun.headers[signing.READ_AT]) <= float(after.headers[signing.READ_AT])


@pytest.mark.parametrize("name", ["%2e", "%2E%2e"])
async def test_no_edge_makes_the_hub_ask_billing_for_anything_but_one_subscriber(name: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        del at.billing.requests[:]
        status = b""
        reader, writer = await asyncio.open_connection("127.0.0.1", at.heard_at)
        ask = f"GET /edged/subscribers/{name} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {BEARER}\r\n\r\n"
        writer.write(ask.encode())
        async with asyncio.timeout(5):
            status = await reader.readline()
        writer.close()
        assert status.split()[1] == b"503"
        assert at.billing.requests == []


async def test_whoever_has_no_key_keeps_no_connection(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.heard_at)
        writer.write(b"GET /edged/keys HTTP/1.1\r\nHost: hub\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_answers_that_nobody_reads_are_bounded_in_octets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.hub.http.service._UNREAD", 4 * 1024 * 1024)
    async with scene(tmp_path, Feed(people(*range(6000)), keys=[], known=9000), floor=9000) as at:
        monkeypatch.setattr(wire, "PAGE", 6000)
        ask = f"GET /edged/subscribers HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {BEARER}\r\n\r\n".encode()
        assert at.hub.front._listener is not None
        at.hub.front._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # those it takes have the same
        idle = []
        for _ in range(80):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", at.heard_at))
            sock.sendall(ask)
            idle.append(sock)
        await until(lambda: at.hub.counters.answers.get((Asked.LIST, 503), 0) > 0)
        assert (await at.get("/subscribers")).status == 503
        assert at.hub.front.unread <= 4 << 20
        for sock in idle:
            sock.close()
        await until(lambda: at.hub.front.unread == 0)
        assert (await at.get("/subscribers")).status == 200


async def test_an_edge_that_is_forgotten_while_the_others_are_written_down_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, slow = write_atomically, threading.Event()

    def slowly(path: Path, chunks: list[bytes]) -> None:
        if b"tower-1" in chunks[0]:
            slow.wait(5)
        write(path, chunks)

    kept = reports.Reports(tmp_path)
    kept.hear(b'{"edge": "tower-1"}', {})
    monkeypatch.setattr(reports, "write_atomically", slowly)
    first = asyncio.create_task(kept.save())
    await asyncio.sleep(0.05)
    kept.fleet.forget("tower-1")
    second = asyncio.create_task(kept.save())
    await asyncio.sleep(0.1)
    slow.set()
    await asyncio.gather(first, second)
    assert json.loads((tmp_path / "fleet.json").read_bytes()) == []


async def test_reports_of_edges_beyond_the_bound_are_no_reason_to_write_the_others_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.hub.fleet._EDGES", 1)
    async with scene(tmp_path) as at:
        assert at.hub.reports.hear(b'{"edge": "tower-1"}', {}) == 204
        at.hub.reports._news.clear()
        assert at.hub.reports.hear(b'{"edge": "tower-2"}', {}) == 507
        assert not at.hub.reports._news.is_set()


@pytest.mark.parametrize("what", STRANGE)
async def test_a_request_that_no_edge_makes_gets_a_status_and_nothing_else(what: str, tmp_path: Path) -> None:
    method, path, status = STRANGE[what]
    async with scene(tmp_path) as at:
        body = LONE_SURROGATE if path == "/events" else b"[1]"
        got = await at.get(path, method=method, body=body if method == "POST" else None)
        assert (got.status, got.octets) == (status, b"")
        assert ("Allow" in got.headers) is (status == 405)


async def test_what_is_no_http_or_too_large_ends_the_connection_and_others_are_served(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for octets in (b"\x16\x03\x01 hello\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"\0" * 100_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.heard_at)
            writer.write(octets)
            async with asyncio.timeout(15):
                assert not (await reader.read(100_000)).startswith(b"HTTP/1.1 200")
            writer.close()
        assert (await at.get("/report", method="POST", body=b"x" * 300_000)).status in {400, 413}
        assert (await at.get("/subscribers")).status == 200
        assert at.hub.counters.malformed > 0
        assert at.hub.counters.faults == 0


async def test_a_hub_that_can_let_nobody_in_any_more_ends_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(sock: socket.socket) -> None:
        sock.close()
        raise RuntimeError("a bug of ours")

    async with scene(tmp_path) as at:
        front = HubFront(at.hub.settings, at.hub._answer)
        monkeypatch.setattr(front, "_welcome", fault)
        endpoint = await front.open(at.hub.settings.listen, at.hub._fds)
        _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError, match="a bug of ours"):
                await front.run()
        writer.close()
        await front.close()


async def test_who_asks_nothing_makes_room_for_who_does(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        front = HubFront(at.hub.settings, at.hub._answer, connections=4)
        endpoint = await front.open(at.hub.settings.listen, at.hub._fds)
        silent = [await asyncio.open_connection("127.0.0.1", endpoint.port) for _ in range(12)]
        await until(lambda: front.under_way == 4)
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://{endpoint}/edged/keys", headers={"Authorization": f"Bearer {BEARER}"}) as response,
        ):
            assert response.status == 200
        assert front.counters.cut >= 8
        for _, writer in silent:
            writer.close()
        await front.close()


async def test_an_edge_that_waits_and_leaves_costs_nothing_any_more(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        revision = at.hub.revisions["subscribers"]
        asking = [asyncio.create_task(at.get(f"/subscribers?since={revision}", Prefer="wait=50")) for _ in range(10)]
        await until(lambda: at.hub.waiting == 10)
        for task in asking:
            task.cancel()
        await until(lambda: at.hub.waiting == 0)
        await until(lambda: at.hub.front.under_way == 0)


async def test_reports_say_how_every_edge_is_and_are_known_after_a_restart(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        async with at.edge_at_work("tower-1") as one, at.edge_at_work("tower-2"):
            await until(lambda: blocked(one) == names(1, 2))
            await until(lambda: len(at.hub.fleet) == 2)
        report = {"edge": "tower-3", "subscribers": at.hub.revisions["subscribers"], "keys": at.hub.revisions["keys"]}
        assert (await at.get("/report", method="POST", body=json.dumps(report).encode())).status == 204
    async with at.hub_at_work():
        standings = {each.report.edge: each for each in at.hub.standings()}
        assert standings.keys() == {"tower-1", "tower-2", "tower-3"}
        assert standings["tower-3"].behind == 0
        assert not standings["tower-3"].silent


async def test_an_edge_is_known_although_the_hub_is_killed_a_moment_later(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        assert (await at.get("/report", method="POST", body=b'{"edge": "tower-3"}')).status == 204
        kept = tmp_path / "hub" / "state" / "fleet.json"
        await until(lambda: kept.exists() and b"tower-3" in kept.read_bytes(), 5)


async def test_what_an_edge_tells_billing_goes_on_with_the_name_of_the_edge_and_once(tmp_path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    event = {"id": "e-1", "type": "pass.started", "subscriber": "1", "at": now, "edge": "tower-9"}
    async with scene(tmp_path, told=True) as at:
        body = json.dumps({"events": [event, event | {"id": "e-2", "edge": "tower-8"}]}).encode()
        for _ in range(3):
            assert (await at.get("/events", method="POST", body=body)).status == 204
        billing = at.billing
        assert isinstance(billing, ToldFeedServer)
        await until(lambda: len(billing.told) >= 2)
        await asyncio.sleep(0.3)
        assert {(e["id"], e["edge"], e["subscriber"], e["at"]) for e in billing.told} == {
            ("e-1", "tower-9", "1", now), ("e-2", "tower-8", "1", now),
        }  # fmt: skip
        for wrong in (b"", b"{}", b'{"events": [{}]}', json.dumps({"events": [event | {"type": "other"}]}).encode()):
            assert (await at.get("/events", method="POST", body=wrong)).status == 400


async def test_an_edge_of_a_hub_whose_billing_is_no_feed_is_told_that_nobody_takes_events(tmp_path: Path) -> None:
    (tmp_path / "billing.yaml").write_text("subscribers: []\n")
    text = HUB.replace("source: rest\n  url: {billing}", "source: file\n  path: {directory}/billing.yaml")
    house = written(tmp_path, text, billing="", bearer=BEARER, more="", every="1d", full="1d", port="0", floor="5")
    assert house.office.hub is not None
    assert house.office.hub._relay is None


async def test_a_hub_of_a_hub_hands_on_the_time_at_which_billing_was_reached(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        text = EDGE + 'hub: {{listen: "127.0.0.1:0", keys: [another-bearer-key-below]}}\n'
        values = {"site": "region", "url": at.url, "bearer": BEARER, "public": at.hub.public_key}
        (tmp_path / "region").mkdir()
        async with at_work(written(tmp_path / "region", text, **values)) as region:
            hub = region.office.hub
            assert hub is not None
            await until(lambda: bool(hub.revisions["keys"]))
            source = HubSource(
                f"http://{hub.endpoint}/edged", Secret("another-bearer-key-below"),
                publics=(b64decode(hub.public_key),),
            )  # fmt: skip
            reading = await source.read(None)
            assert reading is not None
            assert {s.id for s in reading.snapshot.subscribers} == names(1, 2)
            assert source.confirmed_at == int(at.billing_here.current_at)
            await source.close()


async def test_whoever_never_begins_with_tls_makes_room_for_who_does(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    (tmp_path / "hub.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    (tmp_path / "hub.key").write_bytes(leaf.private_key_pem.bytes())
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    async with scene(tmp_path, more=f", tls: {{chain: {tmp_path}/hub.pem, key: {tmp_path}/hub.key}}") as at:
        front = HubFront(at.hub.settings, at.hub._answer, handshakes=4)
        endpoint = await front.open(at.hub.settings.listen, at.hub._fds)
        silent = [await asyncio.open_connection("127.0.0.1", endpoint.port) for _ in range(12)]
        await until(lambda: front.counters.cut == 8)
        async with asyncio.timeout(5):
            assert [await reader.read() for reader, _ in silent[:8]] == [b""] * 8
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {BEARER}"}) as client,
            client.get(f"https://{endpoint}/edged/keys", ssl=context) as response,
        ):
            assert response.status == 200
        for _, writer in silent:
            writer.close()
        await front.close()
        assert front.under_way == 0


async def test_the_hub_speaks_tls_with_its_own_certificate_and_with_a_renewed_one_after_a_reload(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()

    def certify(name: str) -> None:
        leaf = authority.issue_cert("127.0.0.1", common_name=name)
        (tmp_path / "hub.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (tmp_path / "hub.key").write_bytes(leaf.private_key_pem.bytes())

    certify("first")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    tls = f", tls: {{chain: {tmp_path}/hub.pem, key: {tmp_path}/hub.key}}"
    async with scene(tmp_path, more=tls) as at:
        url = at.url.replace("http://", "https://")
        source = HubSource(
            url, Secret(BEARER), publics=(b64decode(at.hub.public_key),), authority=tmp_path / "ca.pem", wait=0
        )
        assert await source.read(None) is not None
        await source.close()

        async def shown() -> str:
            context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
            _, writer = await asyncio.open_connection("127.0.0.1", at.heard_at, ssl=context)
            subject = dict(pair[0] for pair in writer.get_extra_info("peercert")["subject"])
            writer.close()
            return str(subject["commonName"])

        assert await shown() == "first"
        certify("second")
        await at.house.reload()
        assert at.house.reload_state.ok
        assert await shown() == "second"
        (tmp_path / "hub.key").write_text("nothing")
        await at.house.reload()
        assert [problem.key for problem in at.house.reload_state.problems] == ["hub.tls"]
        assert await shown() == "second"


async def test_no_passphrase_and_no_bearer_key_is_in_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with scene(tmp_path) as at, at.edge_at_work() as edge:
        await until(lambda: blocked(edge) == names(1, 2))
        await at.get("/keys", Authorization="Bearer wrong-and-secret-anyhow")
    printed = "".join(capsys.readouterr())
    assert "hub-listening" in printed
    assert not [word for word in (PASSPHRASE, BEARER, "wrong-and-secret") if word in printed]


async def test_a_hub_without_billing_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "edged.yaml").write_text(f'hub: {{listen: "127.0.0.1:0", keys: [{BEARER}]}}\n')
    with pytest.raises(ConfigError, match="billing: nothing; expected where the list comes from"):
        load(tmp_path / "edged.yaml")


async def test_an_edge_that_comes_to_the_other_of_two_hubs_goes_on_where_it_was(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        other = Scene(tmp_path / "other", at.billing)
        (tmp_path / "other" / "hub" / "state").mkdir(parents=True)
        private = (tmp_path / "hub" / "state" / "hub.key").read_bytes()
        (tmp_path / "other" / "hub" / "state" / "hub.key").write_bytes(private)
        async with other.hub_at_work():
            assert other.hub.public_key == at.hub.public_key
            assert other.hub.revisions == at.hub.revisions
            source = source_of(at, wait=0)
            reading = await source.read(None)
            assert reading is not None
            at.billing.feed = Feed(people(2), keys=[key(2)], known=100, active={"1"})
            await other.sync()
            source._base = other.url
            changed = await source.read(reading)
            assert changed is not None
            assert {s.id for s in changed.snapshot.subscribers if s.state is State.BLOCKED} == names(2)
            assert other.hub.counters.answers[Asked.CHANGES, 200] == 2
            assert (Asked.LIST, 200) not in other.hub.counters.answers
            # the first hub has not looked yet: it is one change behind, and does not know the revision
            source._base = at.url
            again = await source.read(changed)
            assert at.hub.counters.answers[Asked.CHANGES, 410] >= 1
            assert again is not None
            await source.close()
