from __future__ import annotations

import json
import pickle
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.values import Prefix, Secret, host_prefix, parse_address, parse_endpoint, parse_mac, parse_prefix


@pytest.mark.parametrize(
    "spelling",
    [
        "02005e100001",
        "02:00:5e:10:00:01",
        "02-00-5E-10-00-01",
        "0200.5e10.0001",
        "0200-5E10-0001",
        "02005e-100001",
    ],
)
def test_every_usual_spelling_of_a_mac_is_the_same_mac(spelling: str) -> None:
    assert parse_mac(spelling) == "02:00:5e:10:00:01"


@pytest.mark.parametrize(
    "text", ["", "02:00:5e:10:00", "02:00:5e:10:00:0g", "02:00-5e:10:00:01", "0" * 13, "\u0660" * 12]
)
def test_what_is_no_mac_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC"):
        parse_mac(text)


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_a_v4_prefix_agrees_with_the_standard_library(number: int, length: int) -> None:
    network = IPv4Network((number, length), strict=False)

    prefix = parse_prefix(str(network))

    assert prefix == Prefix(4, int(network.network_address), length)
    assert prefix.last == int(network.broadcast_address)
    assert str(prefix) == (str(network.network_address) if length == 32 else str(network))


@given(st.integers(0, 2**128 - 1), st.integers(0, 128))
def test_a_v6_prefix_agrees_with_the_standard_library(number: int, length: int) -> None:
    network = IPv6Network((number, length), strict=False)

    prefix = parse_prefix(str(network))

    assert prefix == Prefix(6, int(network.network_address), length)
    assert str(prefix) == (str(network.network_address) if length == 128 else str(network))


HEXTETS = st.sampled_from(
    ["", "0", "00", "1", "ff", "0db8", "DB8", "fffff", "g", " 1", "+1", "1_0", "1.2.3.4", "%eth0"]
)


@given(st.lists(HEXTETS, min_size=2, max_size=10).map(":".join))
def test_any_spelling_of_a_v6_address_is_what_the_standard_library_makes_of_it(text: str) -> None:
    try:
        expected = None if "%" in text else int(IPv6Address(text))
    except ValueError:
        expected = None
    try:
        found = parse_prefix(text).network
    except ValueError:
        found = None

    assert found == expected


@given(st.lists(st.sampled_from(["0", "1", "01", "255", "256", "", " 1", "1 ", "+1", "1_0", "\u0661"]), max_size=5))
def test_any_spelling_of_a_v4_address_is_what_the_standard_library_makes_of_it(octets: list[str]) -> None:
    text = ".".join(octets)
    try:
        expected = int(IPv4Address(text))
    except ValueError:
        expected = None
    try:
        found = parse_prefix(text).network
    except ValueError:
        found = None

    assert found == expected


@given(st.text(max_size=60))
def test_any_text_is_a_prefix_or_a_value_error(text: str) -> None:
    try:
        prefix = parse_prefix(text)
    except ValueError:
        return
    assert parse_prefix(str(prefix)) == prefix


def test_host_bits_after_the_prefix_are_named_with_the_right_spelling() -> None:
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/24"):
        parse_prefix("10.0.0.1/24")


def test_a_prefix_contains_its_hosts_and_not_its_neighbours() -> None:
    prefix = parse_prefix("100.64.0.0/24")

    assert prefix.contains(host_prefix(ip_address("100.64.0.255")))
    assert not prefix.contains(host_prefix(ip_address("100.64.1.0")))
    assert prefix.overlaps(parse_prefix("100.64.0.0/10"))


def test_a_mapped_address_is_the_ipv4_address() -> None:
    assert parse_address("::ffff:192.0.2.1") == IPv4Address("192.0.2.1")


@pytest.mark.parametrize("text", ["0.0.0.0:53", "[::]:53", "[2001:db8::1]:443"])
def test_an_endpoint_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_endpoint(text)) == text


@pytest.mark.parametrize("text", ["", "53", "::1:53", "localhost:53", "0.0.0.0:70000", "0.0.0.0:", "[::1]53"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        parse_endpoint(text)


def test_a_secret_never_shows() -> None:
    secret = Secret("correct horse")

    assert "correct" not in f"{secret} {secret!r} {[secret]} {(secret,)!s}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal_text() == "correct horse"


def test_equal_secrets_are_equal() -> None:
    assert Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
