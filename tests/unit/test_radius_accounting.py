# SPDX-License-Identifier: Apache-2.0
"""What an Accounting-Request says of a session."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from edged.errors import WireError
from edged.radius.accounting import SessionEvent, read
from edged.radius.attributes import Attribute, Attributes, attribute
from edged.radius.packet import Code, Packet
from edged.state.sessions import Status
from edged.values import parse_prefix


def _read(*attributes: Attribute) -> SessionEvent | None:
    return read(Packet(Code.ACCOUNTING_REQUEST, 1, bytes(16), attributes))


START = (attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "81a0"))


def test_an_interim_update_is_read_whole() -> None:
    event = _read(
        attribute("Acct-Status-Type", 3),
        attribute("Acct-Session-Id", "81a0"),
        attribute("User-Name", "resident@example.net"),
        attribute("Calling-Station-Id", "8A-B3-A0-EB-D5-E5"),
        attribute("NAS-Identifier", "bng-1"),
        attribute("Framed-IP-Address", IPv4Address("100.64.7.9")),
        attribute("Framed-IPv6-Address", IPv6Address("2001:db8::9")),
        attribute("Framed-IPv6-Prefix", parse_prefix("2001:db8:0:1::/64")),
        attribute("Delegated-IPv6-Prefix", parse_prefix("2001:db8:100::/56")),
        attribute("Delegated-IPv6-Prefix", parse_prefix("2001:db8:200::/56")),
        attribute("Acct-Input-Octets", 5),
        attribute("Acct-Output-Octets", 7),
        attribute("Acct-Output-Gigawords", 2),
        attribute("Acct-Session-Time", 3600),
        attribute("Acct-Delay-Time", 4),
    )
    assert event == SessionEvent(
        status=Status.INTERIM,
        session_id="81a0",
        user_name="resident@example.net",
        calling_station_id="8A-B3-A0-EB-D5-E5",
        nas_identifier="bng-1",
        ipv4=IPv4Address("100.64.7.9"),
        ipv6=IPv6Address("2001:db8::9"),
        ipv6_prefixes=(parse_prefix("2001:db8:0:1::/64"),),
        delegated_prefixes=(parse_prefix("2001:db8:100::/56"), parse_prefix("2001:db8:200::/56")),
        octets_in=5,
        octets_out=(2 << 32) + 7,
        session_time=3600,
        delay=4,
    )
    assert [str(prefix) for prefix in event.prefixes] == [
        "100.64.7.9",
        "2001:db8::9",
        "2001:db8:0:1::/64",
        "2001:db8:100::/56",
        "2001:db8:200::/56",
    ]


@pytest.mark.parametrize("host", ["255.255.255.255", "255.255.255.254", "0.0.0.0"])
def test_an_address_that_asks_for_an_address_is_none(host: str) -> None:
    event = _read(*START, attribute("Framed-IP-Address", IPv4Address(host)))
    assert event is not None
    assert event.ipv4 is None
    assert event.prefixes == ()


@pytest.mark.parametrize("status", [7, 8])
def test_a_nas_that_starts_or_stops_needs_no_session(status: int) -> None:
    event = _read(attribute("Acct-Status-Type", status))
    assert event is not None
    assert event.status is Status(status)


@pytest.mark.parametrize("status", [9, 15, 0, 4_000_000_000])
def test_a_status_of_no_session_is_to_be_acknowledged(status: int) -> None:
    assert _read(attribute("Acct-Status-Type", status)) is None


@pytest.mark.parametrize(
    "attributes", [(), (Attribute(40, b"\1"),), (START[0],), (START[0], attribute("Acct-Session-Id", ""))]
)
def test_what_the_standard_demands_and_is_missing_is_a_wire_error(attributes: Attributes) -> None:
    with pytest.raises(WireError):
        _read(*attributes)
