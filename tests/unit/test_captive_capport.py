# SPDX-License-Identifier: Apache-2.0
"""The captive portal API by the rules of RFC 8908, and its options as foreign decoders read them (RFC 8910)."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.captive.answers import Response
from edged.captive.capport import API_PATHS, MEDIA_TYPE, capport_options
from edged.captive.respond import respond
from edged.model import Access
from tests.captive_scene import NOW, PORTAL, decision, get

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.dhcp import DHCP
    from scapy.layers.dhcp6 import DHCP6_Reply
    from scapy.layers.inet6 import ICMPv6ND_RA

KEYS: dict[str, type] = {
    "captive": bool,
    "user-portal-url": str,
    "venue-info-url": str,
    "can-extend-session": bool,
    "seconds-remaining": int,
    "bytes-remaining": int,
}
"""RFC 8908 section 5 and its registry."""


def asked(access: Access, path: str = "/.well-known/captive-portal", **more: Any) -> Response:
    until = NOW + more.pop("left", 90)
    found = respond(get(PORTAL.host, path, https=True, **more), PORTAL, decision(access, until=until), NOW, _nobody)
    assert isinstance(found, Response)
    return found


def _nobody(_id: str) -> Any:
    return decision(Access.OPEN)


@pytest.mark.parametrize("path", sorted(API_PATHS))
@pytest.mark.parametrize("access", Access)
def test_in_every_state_of_a_line_the_answer_keeps_the_rules(access: Access, path: str) -> None:
    answer, headers = asked(access, path), dict(asked(access, path).headers)
    assert isinstance(answer.body, bytes)
    facts = json.loads(answer.body)

    assert answer.status == 200
    assert headers["Content-Type"] == MEDIA_TYPE == "application/captive+json"
    assert headers["Cache-Control"] == "private, no-store"
    assert all(type(value) is KEYS[name] for name, value in facts.items())
    assert facts["captive"] is (access is Access.BLOCKED)
    assert facts["user-portal-url"].startswith("https://")
    assert ("seconds-remaining" in facts) is ("can-extend-session" in facts) is (access is Access.PASS)
    assert not facts["captive"] or not facts.keys() & {"seconds-remaining", "bytes-remaining"}
    assert len(answer.body) < 4096, "Android reads no more"


def test_the_seconds_of_a_pass_are_counted_and_never_negative() -> None:
    bodies = [json.loads(asked(Access.PASS, left=left).body) for left in (90, 0.4, 0, -5)]  # type: ignore[arg-type]

    assert [body.get("seconds-remaining") for body in bodies] == [90, 0, None, None]


@pytest.mark.parametrize("accept", ["", "*/*", "application/captive+json", "text/html", "application/json;q=0.1"])
def test_whoever_asks_is_answered_alike_whatever_they_accept_so_nothing_varies(accept: str) -> None:
    answer = asked(Access.BLOCKED, accept=accept)

    assert answer == asked(Access.BLOCKED)
    assert "Vary" not in dict(answer.headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_refused_and_told_which_there_are(method: str) -> None:
    answer = asked(Access.BLOCKED, method=method)

    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET, HEAD")


def test_a_head_is_answered_as_a_get_is() -> None:
    assert asked(Access.BLOCKED, method="HEAD") == asked(Access.BLOCKED)


# --- RFC 8910 ---------------------------------------------------------------------------------------

URI = "https://portal.example.net/.well-known/captive-portal"
urls = st.from_regex(r"https://[a-z]([a-z0-9-]{0,60}[a-z0-9])?\.[a-z]{2,40}(\.[a-z]{2,60}){0,2}/?", fullmatch=True)


def test_all_three_options_name_the_same_uri() -> None:
    options = capport_options("https://portal.example.net")

    assert options.uri == URI
    # written down from the RFC by hand: code, length, text
    assert options.dhcpv4 == b"\x72\x35" + URI.encode()
    assert options.dhcpv6 == b"\x00\x67\x00\x35" + URI.encode()
    assert options.ra == b"\x25\x07" + URI.encode() + b"\x00"


@given(urls)
def test_a_foreign_decoder_reads_option_114_as_we_meant_it(url: str) -> None:
    options = capport_options(url)

    (code, value), end = DHCP(options.dhcpv4 + b"\xff").options

    assert (code, value, end) == ("captive-portal", options.uri.encode(), "end")


@given(urls)
def test_a_foreign_decoder_reads_option_103_as_we_meant_it(url: str) -> None:
    options = capport_options(url)

    reply = DHCP6_Reply(bytes(DHCP6_Reply(trid=1)) + options.dhcpv6)

    option = reply.payload
    assert (option.optcode, option.optlen, option.URI) == (103, len(options.uri), options.uri.encode())
    assert not bytes(option.payload), "nothing is left over"


@given(urls)
def test_a_foreign_decoder_reads_option_37_of_a_router_advertisement_as_we_meant_it(url: str) -> None:
    options = capport_options(url)

    option = ICMPv6ND_RA(bytes(ICMPv6ND_RA()) + options.ra).payload

    assert (option.type, option.len * 8, option.URI) == (37, len(options.ra), options.uri.encode())
    assert len(options.ra) - 2 - len(options.uri) < 8, "no more filling than is needed"


def test_a_uri_of_exactly_255_octets_fits_and_one_more_does_not() -> None:
    rest = 255 - len(URI) + len("portal")
    host = "a" * 63 + "." + "b" * 63 + "."
    fits = f"https://{host}{'c' * (rest - len(host))}.example.net"

    assert len(capport_options(fits).uri) == 255
    assert capport_options(fits).dhcpv4[1] == 255
    with pytest.raises(ValueError, match="256 octets"):
        capport_options(fits.replace("https://a", "https://aa"))


@pytest.mark.parametrize("url", ["https://203.0.113.10", "https://[2001:db8::10]"])
def test_an_address_in_place_of_a_name_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must not hold an address"):
        capport_options(url)


def test_http_is_refused() -> None:
    with pytest.raises(ValueError, match="https alone"):
        capport_options("http://portal.example.net")
