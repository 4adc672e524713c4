from __future__ import annotations

import dns.edns
import dns.message
import dns.rcode
import pytest

from edged.dns.cookies import cookie_option, valid
from tests.dns_lab import NOW, lab_sinkhole

SECRET = bytes(range(32))
CLIENT = b"\x01\x02\x03\x04\x05\x06\x07\x08"
ADDRESS = b"\x64\x40\x00\x09"


def test_a_server_cookie_has_the_layout_of_rfc_9018() -> None:
    got = cookie_option(CLIENT, ADDRESS, SECRET, 0x65000000)

    assert len(got) == 24
    assert got[:8] == CLIENT
    assert got[8:16] == b"\x01\x00\x00\x00\x65\x00\x00\x00"


def test_a_cookie_belongs_to_its_address_its_time_and_our_secret() -> None:
    got = cookie_option(CLIENT, ADDRESS, SECRET, 1000.0)

    assert got == cookie_option(CLIENT, ADDRESS, SECRET, 1000.9)
    assert got != cookie_option(CLIENT, ADDRESS, SECRET, 1001.0)
    assert got[16:] != cookie_option(CLIENT, b"\x64\x40\x00\x0a", SECRET, 1000.0)[16:]
    assert got[16:] != cookie_option(CLIENT, ADDRESS, bytes(32), 1000.0)[16:]


def test_the_server_part_a_client_sends_is_never_echoed_unchecked() -> None:
    forged = CLIENT + b"\xff" * 32

    assert cookie_option(forged, ADDRESS, SECRET, 1000.0)[8:] == cookie_option(CLIENT, ADDRESS, SECRET, 1000.0)[8:]


def full(stamp: float, address: bytes = ADDRESS, secret: bytes = SECRET) -> bytes:
    return cookie_option(CLIENT, address, secret, stamp)


@pytest.mark.parametrize("age", [0, 1, 3600, -1, -300])
def test_a_cookie_of_ours_is_good_for_an_hour_and_for_a_clock_five_minutes_ahead(age: int) -> None:
    assert valid(full(NOW - age), ADDRESS, SECRET, NOW)


@pytest.mark.parametrize("age", [3601, 86_400, -301, 1 << 31, -(1 << 31) + 1])
def test_a_cookie_that_is_too_old_or_from_the_future_is_not_good(age: int) -> None:
    assert not valid(full(NOW - age), ADDRESS, SECRET, NOW)


def test_the_age_of_a_cookie_is_right_across_the_end_of_its_clock() -> None:
    assert valid(full((1 << 32) - 10), ADDRESS, SECRET, (1 << 32) + 10)
    assert valid(full((1 << 32) + 10), ADDRESS, SECRET, (1 << 32) - 10)
    assert not valid(full((1 << 32) - 10), ADDRESS, SECRET, (1 << 32) + 3600)


@pytest.mark.parametrize("octet", range(24))
def test_no_octet_of_a_cookie_can_be_changed(octet: int) -> None:
    changed = bytearray(full(NOW))
    changed[octet] ^= 1

    assert not valid(bytes(changed), ADDRESS, SECRET, NOW)


def test_a_cookie_is_good_for_its_address_and_our_secret_alone() -> None:
    assert not valid(full(NOW), b"\x64\x40\x00\x0a", SECRET, NOW)
    assert not valid(full(NOW), ADDRESS + bytes(12), SECRET, NOW)
    assert not valid(full(NOW), ADDRESS, bytes(32), NOW)


@pytest.mark.parametrize("length", [0, 8, 16, 23, 25, 40])
def test_what_is_no_whole_cookie_of_ours_is_not_good(length: int) -> None:
    assert not valid((full(NOW) + bytes(16))[:length], ADDRESS, SECRET, NOW)


def asked_for(cookie: bytes, host: str = "100.64.0.9") -> dns.message.Message:
    query = dns.message.Message(id=1)
    query.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
    got = lab_sinkhole().answer(query.to_wire(), host, NOW)
    assert isinstance(got, bytes)
    return dns.message.from_wire(got)


def cookie_of(reply: dns.message.Message) -> bytes:
    (option,) = reply.options
    return option.to_wire() or b""


def test_a_client_may_ask_for_a_cookie_and_then_whether_it_is_good() -> None:
    first = asked_for(CLIENT)
    again = asked_for(cookie_of(first))
    elsewhere = asked_for(cookie_of(first), "100.64.0.10")

    assert (first.rcode(), again.rcode(), elsewhere.rcode()) == (0, 0, 23)
    assert cookie_of(elsewhere)[:8] == CLIENT
    assert asked_for(cookie_of(elsewhere), "100.64.0.10").rcode() == 0


def test_a_stranger_is_refused_a_cookie_alone_as_anything_else() -> None:
    assert asked_for(CLIENT, "198.51.100.1").rcode() == dns.rcode.REFUSED
