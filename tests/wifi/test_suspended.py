# SPDX-License-Identifier: Apache-2.0
"""A resident is suspended while on the Wi-Fi of hostapd 2.10, meets the page in Chromium, pays, and is back on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, sync_playwright

from tests.e2e.chromium import launched
from tests.e2e.edge import GARDEN_HOST, PORTAL_HOST
from tests.wifi.air import AccessPoint, Station
from tests.wifi.residence import (
    ANA,
    ANA_BLOCKED_ADDRESSES,
    ANA_KEY,
    ANA_VLAN,
    BLOCKED_VLAN,
    BOB_KEY,
    BOB_VLAN,
    SSID,
    Object,
    Residence,
    gateway,
)

MOVE_S, CACHED_S = 32.0, 30.0
"""So long a change may take in modes 1 and 2 (docs/wifi.md), for hostapd answers from memory so long."""
REJOIN_S = 3.0
"""And so long the device may take to come back."""
PAY = "a[href='/pay']"
OUT = Path("/run/out")

LINES: dict[str, Callable[[Station], Object]] = {
    "devices": lambda station: {"devices": [station.mac]},
    "addresses": lambda _: {"addresses": list(ANA_BLOCKED_ADDRESSES)},
    "nothing": lambda _: {},
}
"""What billing knows a resident's line by."""


class Flat:
    """Ana's device on the Wi-Fi, her account at billing, and Bob's device next door, which is to notice nothing."""

    def __init__(self, residence: Residence, mode: int, known_by: str) -> None:
        self.residence = residence
        self.point = residence.point(mode=mode)
        self.ana, self.bob = residence.device("phone1"), residence.device("phone2")
        self._keys = [{**ANA_KEY, "devices": [self.ana.mac]}, {**BOB_KEY, "devices": [self.bob.mac]}]
        self._account = {**ANA, **LINES[known_by](self.ana)}
        residence.give(*self._keys, subscribers=({**self._account, "state": "active"},))
        self.ana.join(SSID, ANA_KEY["passphrase"])
        self.bob.join(SSID, BOB_KEY["passphrase"])
        settled(residence, self.point, self.ana, ANA_VLAN)
        settled(residence, self.point, self.bob, BOB_VLAN)
        assert "the internet" in residence.sees(self.ana)
        self._bob_since = self.bob.control.mark()

    def suspend(self) -> float:
        """Billing blocks Ana: seconds until her device is in the VLAN of the blocked, with addresses there."""
        mark = self.ana.control.mark()
        self.residence.tell(self._account, keys=self._keys)
        seconds = moved(self.point, self.ana, mark, BLOCKED_VLAN)
        # the first Disconnect comes at once, and hostapd lets it on again as it was, from memory
        assert times(self.ana, mark, "CTRL-EVENT-DISCONNECTED") == times(self.ana, mark, "CTRL-EVENT-CONNECTED") == 2
        settled(self.residence, self.point, self.ana, BLOCKED_VLAN)
        assert "VLAN 666" in self.residence.explained(self.ana)
        return seconds

    def pay(self) -> float:
        """Billing says that Ana has paid: seconds until her device is in her own VLAN, with addresses there."""
        mark = self.ana.control.mark()
        self.residence.tell({**self._account, "state": "active"}, keys=self._keys)
        seconds = moved(self.point, self.ana, mark, ANA_VLAN)
        settled(self.residence, self.point, self.ana, ANA_VLAN)
        return seconds

    def meet_the_page(self) -> None:
        """Without a browser: it is the first that Ana's device gets, and over IPv6 too."""
        assert "Your internet is paused" in self.residence.sees(self.ana)
        assert self.residence.slaac(self.ana).startswith(gateway(BLOCKED_VLAN)[1].removesuffix(":1"))
        self.residence.wait_for(
            "the page over IPv6",
            lambda: "Your internet is paused" in self.residence.sees(self.ana, family=6),
            timeout=20.0,
        )

    def leave_bob_alone(self) -> None:
        """Bob's device has been on all the time."""
        assert times(self.bob, self._bob_since, "CTRL-EVENT-DISCONNECTED") == 0
        assert "the internet" in self.residence.sees(self.bob)


@contextmanager
def chromium(residence: Residence, folder: Path) -> Iterator[BrowserContext]:
    """The browser of the first device."""
    pins = f"--ignore-certificate-errors-spki-list={','.join(residence.pins)}"
    with sync_playwright() as driver, launched(driver, residence.lab, folder, pins, namespace="phone1") as context:
        yield context


def moved(point: AccessPoint, station: Station, mark: int, vlan: int) -> float:
    """Seconds until the device, which comes and goes since ``mark``, is on ``vlan``."""
    begun = time.monotonic()
    while True:
        station.control.wait(mark, "CTRL-EVENT-CONNECTED", timeout=begun + MOVE_S + REJOIN_S - time.monotonic())
        mark = station.control.mark()
        member = point.member(station.mac)
        if member is not None and member.vlan == vlan:
            return time.monotonic() - begun


def settled(residence: Residence, point: AccessPoint, station: Station, vlan: int) -> None:
    """As a phone that has come to a network: an address of that VLAN."""
    assert residence.dhcp(station).rpartition(".")[0] == gateway(vlan)[0].rpartition(".")[0]
    assert residence.on_bridge(point, station) == vlan


def times(station: Station, mark: int, event: str) -> int:
    """How often the station has reported ``event`` since ``mark``."""
    return sum(event in said for said in station.control.events(mark))


def test_a_suspended_residents_browser_shows_the_page_at_its_first_request_and_the_internet_after_payment(
    residence: Residence, tmp_path: Path
) -> None:
    flat = Flat(residence, mode=2, known_by="devices")
    to_block = flat.suspend()
    with chromium(residence, tmp_path) as browser:
        page = browser.pages[0]
        page.goto("http://example.com/", timeout=30_000)
        assert page.url == f"https://{PORTAL_HOST}/"
        page.screenshot(path=OUT / "pay-page.png")
        said = page.inner_text("body")
        assert "North Fibre" in said
        assert "Your internet is paused" in said
        # who else holds the phone is not told whose it is, and what is owed
        assert not re.search(r"Ana|49.90", said)

        with browser.expect_page(timeout=10_000) as opened, pytest.raises(Error, match="ERR_SSL_PROTOCOL_ERROR"):
            page.goto("https://www.example.org/", timeout=15_000)
        opened.value.wait_for_url(f"https://{PORTAL_HOST}/", timeout=10_000)
        opened.value.locator(PAY).click()
        opened.value.wait_for_url(f"https://{GARDEN_HOST}/pay/7f3a", timeout=15_000)
        assert "the customer portal" in opened.value.inner_text("body")

        to_open = flat.pay()

        page.goto("http://example.com/", timeout=15_000)
        assert page.url == "http://example.com/"
        assert "the internet" in page.inner_text("body")
    flat.leave_bob_alone()
    print(f"billing to the VLAN: blocked {to_block:.1f} s, open {to_open:.1f} s")


@pytest.mark.parametrize(("mode", "known_by"), [(1, "addresses"), (2, "nothing")])
def test_whatever_billing_knows_a_resident_by_they_are_moved_to_the_page_and_back(
    residence: Residence, mode: int, known_by: str
) -> None:
    flat = Flat(residence, mode, known_by)

    to_block = flat.suspend()
    flat.meet_the_page()
    assert "the customer portal" in residence.sees(flat.ana, f"https://{GARDEN_HOST}/")
    to_open = flat.pay()

    assert "the internet" in residence.sees(flat.ana)
    flat.leave_bob_alone()
    print(f"billing to the VLAN ({known_by}, mode {mode}): blocked {to_block:.1f} s, open {to_open:.1f} s")


def test_with_reject_the_device_is_sent_away_and_refused_and_comes_back_by_itself_after_payment(
    residence: Residence,
) -> None:
    residence.change("{blocked: reject}")
    point, ana = residence.point(mode=2), residence.device()
    keys = [{**ANA_KEY, "devices": [ana.mac]}]
    residence.give(*keys, subscribers=({**ANA, "state": "active"},))
    ana.join(SSID, ANA_KEY["passphrase"])
    time.sleep(CACHED_S + 1.0)
    mark, begun = ana.control.mark(), time.monotonic()

    residence.tell(ANA, keys=keys)
    ana.control.wait(mark, "CTRL-EVENT-DISCONNECTED")
    ana.control.wait(mark, "CTRL-EVENT-AUTH-REJECT")
    to_block = time.monotonic() - begun

    # with nothing in hostapd's memory the first Disconnect is enough
    assert times(ana, mark, "CTRL-EVENT-DISCONNECTED") == 1
    assert times(ana, mark, "CTRL-EVENT-CONNECTED") == 0
    assert point.members() == set()
    assert "reason blocked" in residence.explained(ana)

    paid = time.monotonic()
    residence.tell({**ANA, "state": "active"}, keys=keys)
    # the reject too is remembered, and the device takes its time to try again
    ana.control.wait(mark, "CTRL-EVENT-CONNECTED", timeout=3 * CACHED_S)
    to_open = time.monotonic() - paid
    settled(residence, point, ana, ANA_VLAN)
    assert "the internet" in residence.sees(ana)
    print(f"billing to the reject: {to_block:.1f} s; payment to the own VLAN: {to_open:.1f} s")
