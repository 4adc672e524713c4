from __future__ import annotations

from edged.dns.cookies import cookie_option

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
