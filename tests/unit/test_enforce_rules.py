# SPDX-License-Identifier: Apache-2.0
"""Listen and portal addresses become the ports that traffic is steered to; interface names are checked."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edged.enforce.rules import Portal, rules_of
from edged.enforce.settings import NftablesSettings
from edged.values import parse_address, parse_endpoint

PORTALS = [parse_address("203.0.113.10"), parse_address("203.0.113.11"), parse_address("2001:db8::10")]


def test_the_first_portal_address_of_each_family_is_steered_to() -> None:
    listen = [parse_endpoint("0.0.0.0:53"), parse_endpoint("[::]:5300")]
    rules = rules_of(portals=PORTALS, dns=listen)
    assert rules.portal4 == Portal(PORTALS[0], dns=53, http=0, https=0)
    assert rules.portal6 == Portal(PORTALS[2], dns=5300, http=0, https=0)
    assert rules.portals == tuple(PORTALS)
    assert not rules.warnings


def test_a_listener_on_the_portal_address_itself_wins_over_a_wildcard() -> None:
    listen = [
        parse_endpoint("0.0.0.0:80"),
        parse_endpoint("203.0.113.10:8080"),
        parse_endpoint("127.0.0.1:81"),
    ]
    rules = rules_of(portals=PORTALS, http=listen)
    assert rules.portal4 is not None
    assert rules.portal4.http == 8080


def test_a_family_without_a_portal_address_is_a_warning() -> None:
    rules = rules_of(portals=PORTALS[:1])
    assert rules.portal6 is None
    assert "IPv6" in rules.warnings[0]


@pytest.mark.parametrize("name", ["lan0", "br-lan.20", "ppp*", "*", "enp0s31f6@x"])
def test_an_interface_name_is_taken(name: str) -> None:
    assert NftablesSettings.model_validate({"interfaces": [name]}).interfaces == (name,)


@pytest.mark.parametrize("name", ["", "lan 0", 'x"', "sixteen-octets--", "p*p", "lan0\n"])
def test_what_is_no_interface_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="a network interface"):
        NftablesSettings.model_validate({"interfaces": [name]})
