"""rtnetlink messages about addresses: which address may have a socket of its own."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.dns.listeners.addresses import LIST, LocalAddresses

NEW, DELETED, DONE, ERROR = 20, 21, 3, 2
LOCAL, PEER = 2, 1
TENTATIVE, OPTIMISTIC = 0x40, 0x04


def attribute(kind: int, value: bytes) -> bytes:
    octets = struct.pack("=HH", 4 + len(value), kind) + value
    return octets + bytes(-len(octets) % 4)


def told(kind: int, address: str, interface: int = 2, *, flags: int = 0, peer: str = "", bare: bool = False) -> bytes:
    """One message as linux/if_addr.h lays it out; IPv6 has IFA_LOCAL only on a point-to-point link."""
    packed = ip_address(address).packed
    body = struct.pack("=BBBBI", 2 if len(packed) == 4 else 10, 24, flags, 0, interface)
    body += attribute(PEER, ip_address(peer or address).packed)
    if not bare:
        body += attribute(LOCAL, packed)
    body += attribute(3, b"eth0\x00")
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def after(*messages: bytes) -> list[str]:
    local = LocalAddresses()
    for message in messages:
        local.apply(message)
    return [str(a) for version in (4, 6) for a in local.of(version)]


def test_the_request_is_the_dump_of_rtnetlink() -> None:
    # NLM_F_REQUEST | NLM_F_DUMP, RTM_GETADDR, an ifaddrmsg of AF_UNSPEC
    assert struct.unpack("=IHHII8s", LIST) == (24, 22, 0x301, 1, 0, bytes(8))


def test_addresses_come_and_go_and_a_list_ends() -> None:
    local = LocalAddresses()
    end = struct.pack("=IHHIIi", 20, DONE, 2, 1, 0, 0)

    assert not local.apply(told(NEW, "192.0.2.1") + told(NEW, "2001:db8::1", bare=True))
    assert local.apply(told(NEW, "192.0.2.2") + end)
    assert not local.apply(told(DELETED, "192.0.2.1"))
    assert not local.apply(told(DELETED, "192.0.2.99"))
    assert local.of(4) == [ip_address("192.0.2.2")]
    assert local.of(6) == [ip_address("2001:db8::1")]


def test_the_address_of_a_point_to_point_link_is_ours_and_not_the_other_ends() -> None:
    assert after(told(NEW, "192.0.2.1", peer="100.64.0.9")) == ["192.0.2.1"]
    assert after(told(NEW, "2001:db8::1", peer="2001:db8::2")) == ["2001:db8::1"]


def test_an_address_of_many_interfaces_stays_until_the_last_has_lost_it() -> None:
    many = [told(NEW, "192.0.2.1", n) for n in range(2, 6)]

    assert after(*many) == ["192.0.2.1"]
    assert after(*many, *(told(DELETED, "192.0.2.1", n) for n in range(2, 5))) == ["192.0.2.1"]
    assert after(*many, *(told(DELETED, "192.0.2.1", n) for n in range(2, 6))) == []


@pytest.mark.parametrize(
    ("flags", "usable"), [(0, True), (TENTATIVE, False), (TENTATIVE | OPTIMISTIC, True)], ids=["", "tentative", "opt."]
)
def test_a_tentative_address_is_none_yet(flags: int, usable: bool) -> None:
    assert bool(after(told(NEW, "2001:db8::1", flags=flags, bare=True))) is usable


def test_an_address_that_is_told_again_as_tentative_is_none_any_more() -> None:
    assert after(told(NEW, "2001:db8::1"), told(NEW, "2001:db8::1", flags=TENTATIVE)) == []


@pytest.mark.parametrize(
    ("address", "deserves"),
    [
        ("127.0.0.1", True),
        ("127.0.0.53", False),
        ("169.254.1.1", False),
        ("10.0.0.1", True),
        ("::1", True),
        ("fe80::1", False),
        ("fd00::1", True),
    ],
)
def test_loopback_but_the_usual_and_link_local_stay_with_the_wildcard(address: str, deserves: bool) -> None:
    assert bool(after(told(NEW, address, bare=":" in address))) is deserves


def test_a_refusal_ends_the_list() -> None:
    assert LocalAddresses().apply(struct.pack("=IHHIIi", 20, ERROR, 0, 1, 0, -1))


@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=8))
def test_no_octets_raise(head: bytes, cut: int, middle: bytes) -> None:
    whole = told(NEW, "192.0.2.1") + told(NEW, "2001:db8::1")

    LocalAddresses().apply(head)
    LocalAddresses().apply(whole[:cut] + middle + whole[cut:])
