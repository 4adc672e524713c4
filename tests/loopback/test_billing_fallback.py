"""A hub and billing itself as one source: who is asked when, and whose limits count."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edged.billing.settings import BillingSettings
from edged.billing.sources import open_source
from edged.billing.sources.fallback import FallbackSource
from edged.billing.sources.hub import HubSource
from edged.billing.sources.rest import RestSource
from edged.billing.status import Outcome
from tests.loopback import feed_server, signed_server
from tests.loopback.billing_edge import OWN, edge, names, people
from tests.loopback.feed_server import Feed, FeedServer
from tests.loopback.signed_server import PUBLIC, SignedServer

AFTER = 900.0


@asynccontextmanager
async def both(hub: SignedServer, billing: FeedServer) -> AsyncIterator[FallbackSource]:
    async with signed_server.serve(hub), feed_server.serve(billing):
        source = FallbackSource(
            HubSource(hub.url, None, publics=(PUBLIC,), wait=0),
            RestSource(billing.url, None),
            after=AFTER,
            chance=random.Random(7),
        )
        try:
            yield source
        finally:
            await source.close()


def later(source: FallbackSource, seconds: float) -> None:
    """The silence began, and the last look at the hub was, so much earlier."""
    assert source._silent_from is not None
    source._silent_from -= seconds
    source._hub_again -= seconds


async def test_billing_is_asked_after_a_while_of_each_edges_own_and_the_hub_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    hub, billing = SignedServer(people(1)), FeedServer(Feed(people(1, 2)))
    async with both(hub, billing) as source, edge(tmp_path, source) as e:
        await e.service.sync()
        hub.down = True
        assert (await e.service.sync()).outcome is Outcome.FAILED
        later(source, AFTER)
        assert (await e.service.sync()).outcome is Outcome.FAILED
        assert billing.requests == []
        assert 0 < source._extra < AFTER
        later(source, source._extra)
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        assert e.blocked == names(1, 2)
        assert e.service.status().stands_in
        assert "in place of" in e.service.status().source

        asked = len(hub.requests)
        billing.feed = Feed(people(2))
        await e.service._look(full=False)
        assert e.blocked == names(2)
        assert billing.requests[-2].startswith("GET /subscribers?since=")
        assert len(hub.requests) == asked  # not at every look
        hub.down = False
        later(source, 61)
        await e.service._look(full=False)
        assert not e.service.status().stands_in
        assert e.blocked == names(1)


async def test_who_paid_while_billing_stood_in_is_not_blocked_by_a_hub_that_is_back_and_has_not_looked_since(
    tmp_path: Path,
) -> None:
    started = time.time()
    hub, billing = SignedServer(people(1, 2, 3)), FeedServer(Feed(people(1, 2, 3)))
    async with both(hub, billing) as source, edge(tmp_path, source) as e:
        await e.service.sync()
        hub.down = True
        await e.service.sync()
        later(source, 3 * AFTER)
        await e.service.sync()
        assert e.service.status().stands_in
        billing.feed = Feed(people(2, 3))
        await e.service._look(full=False)
        assert e.blocked == names(2, 3)

        hub.down, hub.read_at = False, lambda: started - 60  # as it was when its host went down
        later(source, 61)
        await e.service._look(full=False)
        assert e.blocked == names(2, 3)
        assert e.service.status().stands_in

        billing.feed = Feed(people(3), active={"2"})
        await e.service.recheck("2")
        assert e.blocked == names(3)
        later(source, 61)
        await e.service._look(full=False)
        assert e.blocked == names(3)

        hub.change("subscribers", people(3))
        hub.read_at = time.time
        later(source, 61)
        await e.service._look(full=False)
        assert not e.service.status().stands_in
        assert e.blocked == names(3)


async def test_a_hub_that_has_not_reached_billing_for_long_is_silent_too(tmp_path: Path) -> None:
    now = time.time()
    hub, billing = SignedServer(people(1), read_at=lambda: now - AFTER - 1), FeedServer(Feed(people(2)))
    async with both(hub, billing) as source, edge(tmp_path, source, now=now) as e:
        await e.service.sync()
        assert e.blocked == names(1)
        later(source, source._extra)
        await e.service.sync()
        assert e.blocked == names(2)
        billing.faults = {"error"}
        hub.read_at = lambda: now
        later(source, 61)
        await e.service.sync()
        assert e.blocked == names(1)


async def test_with_both_down_the_list_in_force_stays_and_both_are_named(tmp_path: Path) -> None:
    hub, billing = SignedServer(people(1)), FeedServer(Feed())
    async with both(hub, billing) as source, edge(tmp_path, source) as e:
        await e.service.sync()
        hub.down, billing.faults = True, {"error"}
        await e.service.sync()
        later(source, 2 * AFTER)
        result = await e.service.sync()
        assert result.text == "127.0.0.1 answered 503; 127.0.0.1 answered 500"
        assert e.blocked == names(1)
        assert not e.service.status().stands_in


async def test_amounts_are_left_to_the_hub_and_never_to_who_stands_in_for_it(tmp_path: Path) -> None:
    guard = {"leave_to_hub": True, "first": "hold"}
    settings = BillingSettings.model_validate(HUB | {"guard": guard})
    hub, billing = SignedServer(people(*range(500))), FeedServer(Feed(people(*range(500, 900)), known=1000))
    async with both(hub, billing) as source, edge(tmp_path, source) as e:
        e.service.reconfigure(settings, OWN)
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        hub.change("subscribers", [])
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        hub.change("subscribers", people(*range(500)))
        assert (await e.service.sync()).outcome is Outcome.ACCEPTED
        hub.change("subscribers", people(*range(500)) + people("wide", addresses=("100.64.0.0/10",)))
        wide = await e.service.sync()
        assert wide.outcome is Outcome.HELD
        assert [reason.rule.value for reason in wide.reasons] == ["too-wide"]
        hub.change("subscribers", people(*range(500)) + people("own", addresses=("203.0.113.10",)))
        assert [reason.rule.value for reason in (await e.service.sync()).reasons] == ["own-address"]
        hub.down = True
        await e.service.sync()
        later(source, 2 * AFTER)
        held = await e.service.sync()
        assert held.outcome is Outcome.HELD
        assert {"blocked", "vanished"} & {reason.rule.value for reason in held.reasons}
        assert e.blocked == names(*range(500))


async def test_without_leave_to_hub_an_edge_judges_the_hubs_amounts_itself(tmp_path: Path) -> None:
    hub, billing = SignedServer(people(1)), FeedServer(Feed())
    async with both(hub, billing) as source, edge(tmp_path, source) as e:
        await e.service.sync()
        hub.change("subscribers", people(*range(300)))
        assert (await e.service.sync()).outcome is Outcome.HELD


HUB = {
    "source": "hub",
    "url": "https://hub.example.net/edged",
    "signed_by": ["fdLEsUdGvuw3r3cfbfZaxBaWZPBWxtjh1Grn/MLgPYg="],
}
REST = {"source": "rest", "url": "https://billing.example.net"}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"source": "hub", "url": "https://hub.example.net"}, "signed_by"),
        (REST | {"signed_by": HUB["signed_by"]}, "source: hub beside signed_by"),
        (REST | {"fallback": REST}, "source: hub beside fallback"),
        (REST | {"guard": {"leave_to_hub": True}}, "source: hub beside guard.leave_to_hub"),
        (HUB | {"signed_by": ["c2hvcnQ="]}, "32 octets"),
        (HUB | {"fallback": {"source": "uisp", "url": "https://uisp.example.net"}}, "beside source: uisp"),
        (HUB | {"fallback": HUB}, "signed_by"),
    ],
)
def test_what_does_not_go_together_is_refused(document: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BillingSettings.model_validate(document)


async def test_a_fallback_is_opened_as_the_source_that_it_names() -> None:
    source = open_source(BillingSettings.model_validate(HUB | {"fallback": REST}))
    assert isinstance(source, FallbackSource)
    assert (source.name, source._billing.name) == ("hub.example.net", "billing.example.net")
    assert isinstance(open_source(BillingSettings.model_validate(HUB)), HubSource)
