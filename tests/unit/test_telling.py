# SPDX-License-Identifier: Apache-2.0
"""What the rooms tell billing: which things, with which fields, and nothing of what anybody looks at."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edged.captive.service import CaptiveService
from edged.captive.settings import PassSettings
from edged.captive.statement import make_link
from edged.clerk import Clerk
from edged.errors import UpstreamError
from edged.model import Event, EventType, State
from edged.mpsk.desk import Desk
from edged.state.current import Current
from edged.state.database import Database
from edged.state.keys import BILLING, LOCAL, StoredKey
from edged.state.overrides import OverrideStore
from edged.values import IpAddress, parse_address
from tests import captive_scene, mpsk_world


def test_an_event_has_the_fields_of_the_feed_and_no_other() -> None:
    assert {field.name for field in fields(Event)} == {"type", "at", "subscriber", "key", "device"}
    assert {kind.value for kind in EventType} == {"pass.started", "page.opened", "pay.clicked", "device.learned"}


# --- the clerk ------------------------------------------------------------------------------------


async def test_a_pass_is_told_of_once_it_is_given_and_not_when_the_disk_refuses_it(tmp_path: Path) -> None:
    async def relearn() -> None:
        pass

    told: list[Event] = []
    database = Database(tmp_path / "edged.sqlite")
    await database.open()
    clerk = Clerk(OverrideStore(database), None, relearn, told.append)
    await clerk.open(PassSettings(per_day=1))

    assert await clerk.start_pass("1001")
    assert not await clerk.start_pass("1001"), "used up"
    await database.close()
    with pytest.raises(UpstreamError):
        await clerk.start_pass("1002")

    assert [(event.type, event.subscriber, event.key, event.device) for event in told] == [
        (EventType.PASS_STARTED, "1001", "", "")
    ]


# --- the page -------------------------------------------------------------------------------------

HERE, ELSEWHERE, OUTSIDE = (parse_address(a) for a in ("127.0.0.1", "127.0.0.2", "192.0.2.7"))


async def asked(
    target: str, address: IpAddress, state: State = State.BLOCKED, *, host: str = "", **more: Any
) -> list[Event]:
    told: list[Event] = []
    current = Current()
    current.publish(captive_scene.view(captive_scene.subscriber(state=state)))
    service = CaptiveService(
        captive_scene.settings(), current=current, link_key=captive_scene.KEY, clock=lambda: captive_scene.NOW,
        tell=told.append,
    )  # fmt: skip
    request = captive_scene.get(host or captive_scene.PORTAL.host, target, https=not host, **more)
    await service._answer(request, address)
    return told


@pytest.mark.parametrize("state", [State.BLOCKED, State.NOTICE])
async def test_whoever_opens_the_page_about_their_debt_is_told_of(state: State) -> None:
    assert await asked("/", HERE, state) == [Event(EventType.PAGE_OPENED, captive_scene.NOW, "1001")]


async def test_whoever_follows_the_signed_link_from_elsewhere_is_told_of_as_the_links_subscriber() -> None:
    link = make_link(captive_scene.KEY, "", "1001", captive_scene.NOW + 60)

    assert [event.subscriber for event in await asked(link, ELSEWHERE)] == ["1001"]


@pytest.mark.parametrize("address", [ELSEWHERE, OUTSIDE], ids=["an open line", "a stranger"])
async def test_nobody_is_told_of_an_open_line_or_a_stranger(address: IpAddress) -> None:
    assert await asked("/", address) == []


async def test_nobody_is_told_of_an_active_subscriber_or_of_a_page_that_does_not_exist() -> None:
    assert await asked("/", HERE, State.ACTIVE) == []
    assert await asked("/nowhere", HERE) == []


async def test_nobody_is_told_of_what_a_blocked_subscriber_looks_for_elsewhere() -> None:
    assert await asked("/private?q=secret", HERE, host="news.example.org") == []


async def test_only_a_person_who_looks_is_told_of() -> None:
    assert await asked("/", HERE, method="HEAD") == []
    assert await asked("/", HERE, purpose="prefetch") == []


async def test_a_click_on_the_pay_button_is_told_of_by_address_and_by_link() -> None:
    link = make_link(captive_scene.KEY, "", "1001", captive_scene.NOW + 60)

    for target, address in (("/pay", HERE), (f"{link}/pay", ELSEWHERE)):
        assert await asked(target, address) == [Event(EventType.PAY_CLICKED, captive_scene.NOW, "1001")]


@pytest.mark.parametrize(
    "more",
    [
        {"method": "HEAD"},
        {"purpose": "prefetch;prerender"},
        {"fetch_dest": "image"},
        {"fetch_dest": "iframe"},
        {"fetch_site": "cross-site"},
    ],
    ids=str,
)
async def test_what_is_no_click_of_a_person_is_not_told_of(more: dict[str, Any]) -> None:
    assert await asked("/pay", HERE, **more) == []


# --- the key server -------------------------------------------------------------------------------


def learned(key: StoredKey, times: int = 2) -> list[Event]:
    told: list[Event] = []
    desk = Desk(mpsk_world.mpsk_settings(), told.append)
    desk.ring = mpsk_world.ring_of(key)
    assert key.pmk is not None
    for number in range(times):
        packet = mpsk_world.handshake_request(key.pmk.reveal(), attempt=str(number))
        now = mpsk_world.NOW + number * 7200.0
        mpsk_world.answered(desk, packet, mpsk_world.client(), now=now)
    return told


def test_a_device_that_proves_a_key_of_billing_is_told_of_once() -> None:
    key = mpsk_world.stored("k-501", origin=BILLING, subscriber="1001")

    assert learned(key) == [Event(EventType.DEVICE_LEARNED, mpsk_world.NOW, "1001", "k-501", mpsk_world.MAC)]


def test_a_device_of_a_key_that_was_made_here_is_nothing_to_billing() -> None:
    assert learned(mpsk_world.stored("local-1", origin=LOCAL, subscriber="1001")) == []
