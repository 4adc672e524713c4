"""The first octets of TLS clients; the hellos are made by the standard library's own client."""

from __future__ import annotations

import ssl

import pytest

from edged.captive.tls import MAX_HELLO, Alert, Hello, NeedMore, alert, parse_client_hello
from edged.errors import WireError


def hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def records(octets: bytes, size: int) -> bytes:
    """The same handshake message cut into records of ``size`` octets."""
    message = octets[5:]
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(octets[:3] + len(part).to_bytes(2, "big") + part for part in parts)


def test_the_server_name_is_read() -> None:
    assert parse_client_hello(hello("News.Example.com")) == Hello("news.example.com")


def test_a_client_without_a_name_is_read_too() -> None:
    assert parse_client_hello(hello(None)) == Hello("")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_hello_may_be_cut_into_records_anywhere(size: int) -> None:
    assert parse_client_hello(records(hello("a.example.com"), size)) == Hello("a.example.com")


@pytest.mark.parametrize("size", [3, 100_000])
def test_every_beginning_of_a_hello_needs_more(size: int) -> None:
    octets = records(hello("a.example.com"), size)

    assert all(isinstance(parse_client_hello(octets[:end]), NeedMore) for end in range(len(octets)))


def test_octets_after_the_hello_do_not_matter() -> None:
    assert isinstance(parse_client_hello(hello("a.example.com") + b"\x00" * 40), Hello)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", "not-tls"),
        (b"\x16\x02\x00\x00\x01", "not-tls"),
        (b"\x16\x03\x01\x00\x00", "not-tls"),
        (b"\x16\x03\x01\xff\xff", "not-tls"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "not-tls"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "not-a-hello"),
        (b"\x16\x03\x01\x00\x04\x01\x00\xff\xff", "hello-too-long"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "hello-malformed"),
    ],
)
def test_what_is_no_hello_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        parse_client_hello(octets)

    assert caught.value.reason == reason


def test_a_hello_that_never_ends_is_cut() -> None:
    endless = b"\x16\x03\x01\x40\x00\x01\x00\x40\x00" + b"\x00" * MAX_HELLO

    with pytest.raises(WireError):
        parse_client_hello(endless[:MAX_HELLO])


def test_the_same_extension_twice_is_malformed() -> None:
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    extension = b"\x00\x17\x00\x00"
    body += (2 * len(extension)).to_bytes(2, "big") + 2 * extension
    message = b"\x01" + len(body).to_bytes(3, "big") + body

    with pytest.raises(WireError, match="hello-malformed"):
        parse_client_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)


def test_the_alert_is_fatal_and_one_record() -> None:
    assert alert(Alert.INTERNAL_ERROR) == bytes.fromhex("15 0303 0002 02 50")
