# SPDX-License-Identifier: Apache-2.0
"""Who is let in: the BlastRADIUS rows, and the memory behind ``auto``."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

import pytest

from edged.errors import WireError
from edged.radius.admission import ACCOUNTING, AUTHENTICATION, SignedSources, admit, refusal
from edged.radius.attributes import Attribute, Attributes, attribute
from edged.radius.authenticator import Signature, sign_request
from edged.radius.clients import Source
from edged.radius.counters import Discard
from edged.radius.hiding import hide_password
from edged.radius.packet import Code, Packet, encode
from edged.radius.settings import ClientSettings
from edged.values import Secret

HOST = IPv4Address("192.0.2.1")
SECRET = Secret("testing123")
RANDOM = bytes(range(16))
STATE, EAP = Attribute(33, b"state"), Attribute(79, b"eap")
ACCESS, STATUS, ACCT = Code.ACCESS_REQUEST, Code.STATUS_SERVER, Code.ACCOUNTING_REQUEST
MISSING, UNSIGNED = Discard.NO_MESSAGE_AUTHENTICATOR, Discard.PROXY_STATE_UNSIGNED
BAD = Discard.BAD_MESSAGE_AUTHENTICATOR
ABSENT, VALID, INVALID = Signature.ABSENT, Signature.VALID, Signature.INVALID
PASSWORD = Attribute(2, hide_password(Secret("bob"), SECRET, RANDOM))
Requirement = Literal["auto", "require", "optional"]


def _source(requirement: Requirement = "auto") -> Source:
    client = ClientSettings.model_validate(
        {"name": "ap", "networks": ["192.0.2.0/24"], "secret": SECRET, "message_authenticator": requirement}
    )
    return Source(HOST, client, str(HOST))


Row = tuple[Requirement, Code, Attributes, Signature, bool, Discard | None]


@pytest.mark.parametrize(
    "row",
    [
        # a bad one is never forgiven
        ("auto", ACCESS, (), INVALID, False, BAD),
        ("require", ACCESS, (), INVALID, False, BAD),
        ("optional", ACCESS, (), INVALID, False, BAD),
        ("optional", ACCT, (), INVALID, False, BAD),
        # a good one lets everything in
        ("auto", ACCESS, (STATE,), VALID, True, None),
        ("require", ACCESS, (STATE, EAP), VALID, False, None),
        # require
        ("require", ACCESS, (), ABSENT, False, MISSING),
        ("require", ACCESS, (STATE,), ABSENT, False, MISSING),
        # auto: a newcomer may do without, but not with the attacker's room for a prefix
        ("auto", ACCESS, (PASSWORD,), ABSENT, False, None),
        ("auto", ACCESS, (PASSWORD, STATE), ABSENT, False, UNSIGNED),
        # nor without anything that was made with the secret
        ("auto", ACCESS, (), ABSENT, False, MISSING),
        ("auto", ACCESS, (STATE,), ABSENT, False, UNSIGNED),
        # auto: who has signed once always signs
        ("auto", ACCESS, (PASSWORD,), ABSENT, True, MISSING),
        ("auto", ACCESS, (PASSWORD, STATE), ABSENT, True, MISSING),
        # optional: never missed
        ("optional", ACCESS, (), ABSENT, True, None),
        ("optional", ACCESS, (STATE,), ABSENT, True, None),
        # standards that always want one
        ("optional", ACCESS, (EAP,), ABSENT, False, MISSING),
        ("auto", ACCESS, (EAP,), ABSENT, False, MISSING),
        ("optional", STATUS, (), ABSENT, False, MISSING),
        ("auto", STATUS, (), ABSENT, False, MISSING),
        # accounting is covered by its own authenticator
        ("require", ACCT, (STATE,), ABSENT, True, None),
    ],
)
def test_admission(row: Row) -> None:
    requirement, code, extra, signature, before, expected = row
    request = Packet(code, 1, RANDOM, (attribute("User-Name", "bob"), *extra))
    assert refusal(request, signature, requirement, signed_before=before) is expected


def test_once_signed_always_required_from_that_address() -> None:
    signed = SignedSources()
    request = Packet(ACCESS, 1, RANDOM, (attribute("User-Name", "bob"), PASSWORD))
    plain, good = encode(request), sign_request(request, SECRET)
    assert isinstance(admit(plain, _source(), AUTHENTICATION, signed), Packet)
    assert isinstance(admit(good, _source(), AUTHENTICATION, signed), Packet)
    assert admit(plain, _source(), AUTHENTICATION, signed) is MISSING
    other = Source(IPv4Address("192.0.2.2"), _source().client, "192.0.2.2")
    assert isinstance(admit(plain, other, AUTHENTICATION, signed), Packet)


def test_a_host_in_a_clients_network_that_has_no_secret_asks_for_no_key() -> None:
    """As a MikroTik that never signed would ask, in whose dialect the key comes back in clear."""
    given = (
        attribute("User-Name", "02:00:5E:10:00:01"),
        attribute("Called-Station-Id", "02-00-5E-00-00-01:Residence"),
        attribute("Mikrotik-Rate-Limit", "1M/1M"),
    )
    request = encode(Packet(ACCESS, 1, RANDOM, given))

    assert admit(request, _source(), AUTHENTICATION, SignedSources()) is MISSING
    assert isinstance(admit(request, _source("optional"), AUTHENTICATION, SignedSources()), Packet)


def test_the_memory_survives_a_restart() -> None:
    signed = SignedSources()
    admit(sign_request(Packet(ACCESS, 1, RANDOM), SECRET), _source(), AUTHENTICATION, signed)
    before = signed.changed
    again = SignedSources(signed.export())
    assert (before, signed.changed) == (True, False)
    assert admit(encode(Packet(ACCESS, 1, RANDOM)), _source(), AUTHENTICATION, again) is MISSING


def test_neither_a_status_server_nor_a_forgery_teaches_anything() -> None:
    signed = SignedSources()
    admit(sign_request(Packet(STATUS, 1, RANDOM), SECRET), _source(), AUTHENTICATION, signed)
    forged = sign_request(Packet(ACCESS, 1, RANDOM), Secret("another-secret"))
    assert admit(forged, _source(), AUTHENTICATION, signed) is BAD
    assert not signed.changed
    assert signed.export() == frozenset()


def test_the_memory_is_bounded_and_the_oldest_gives_way() -> None:
    signed = SignedSources(capacity=2)
    for last in range(5):
        signed.add(f"192.0.2.{last}")
    assert signed.export() == {IPv4Address("192.0.2.3"), IPv4Address("192.0.2.4")}


def test_each_port_takes_its_own_codes() -> None:
    signed = SignedSources()
    access = encode(Packet(ACCESS, 1, RANDOM))
    accounting = sign_request(Packet(ACCT, 1, RANDOM), SECRET)
    assert admit(access, _source(), ACCOUNTING, signed) is Discard.UNEXPECTED_CODE
    assert admit(accounting, _source(), AUTHENTICATION, signed) is Discard.UNEXPECTED_CODE
    assert isinstance(admit(accounting, _source(), ACCOUNTING, signed), Packet)
    reply = encode(Packet(Code.ACCESS_ACCEPT, 1, RANDOM))
    assert admit(reply, _source(), AUTHENTICATION, signed) is Discard.UNEXPECTED_CODE


def test_accounting_with_another_secret_is_dropped() -> None:
    octets = sign_request(Packet(ACCT, 1, RANDOM), Secret("another-secret"))
    assert admit(octets, _source(), ACCOUNTING, SignedSources()) is Discard.BAD_AUTHENTICATOR


def test_the_password_arrives_in_clear_and_an_impossible_one_is_malformed() -> None:
    hidden = Attribute(2, hide_password(Secret("bob"), SECRET, RANDOM))
    admitted = admit(encode(Packet(ACCESS, 1, RANDOM, (hidden,))), _source(), AUTHENTICATION, SignedSources())
    assert isinstance(admitted, Packet)
    assert admitted.attributes == (Attribute(2, b"bob"),)
    with pytest.raises(WireError):
        admit(
            encode(Packet(ACCESS, 1, RANDOM, (Attribute(2, b"x"),))),
            _source(),
            AUTHENTICATION,
            SignedSources(),
        )
