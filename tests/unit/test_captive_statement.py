"""Signed tokens: made, read, refused."""

from __future__ import annotations

import pytest

from edged.captive.statement import MAX_ID_OCTETS, MAX_TOKEN, Purpose, make_link, make_token, verify_token
from tests.captive_scene import KEY, NOW


@pytest.mark.parametrize("id_", ["1", "1001", "Kundë-7", "x" * MAX_ID_OCTETS])
def test_a_token_names_its_subscriber_until_it_expires(id_: str) -> None:
    token = make_token(KEY, Purpose.LINK, id_, NOW + 10)

    assert len(token) <= MAX_TOKEN
    assert verify_token(KEY, Purpose.LINK, token, NOW) == id_
    assert verify_token(KEY, Purpose.LINK, token, NOW + 10) is None


def test_a_token_of_another_key_or_purpose_is_nothing() -> None:
    token = make_token(KEY, Purpose.LINK, "1001", NOW + 10)

    assert verify_token(bytes(32), Purpose.LINK, token, NOW) is None
    assert verify_token(KEY, Purpose.BUTTON, token, NOW) is None


def test_a_token_with_any_character_changed_is_nothing() -> None:
    token = make_token(KEY, Purpose.LINK, "100", NOW + 10)  # 24 octets: every bit of the text counts

    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert verify_token(KEY, Purpose.LINK, changed, NOW) is None


@pytest.mark.parametrize("token", ["", "=", "é", "a b", "A" * 5000, "AAAA", "%2e%2e", "A" * 31])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert verify_token(KEY, Purpose.LINK, token, NOW) is None


@pytest.mark.parametrize("id_", ["", "x" * (MAX_ID_OCTETS + 1)])
def test_an_id_that_fits_no_link_is_refused(id_: str) -> None:
    with pytest.raises(ValueError, match="subscriber id"):
        make_token(KEY, Purpose.LINK, id_, NOW)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 octets"):
        make_token(b"short", Purpose.LINK, "1", NOW)


def test_a_link_stands_under_the_portal() -> None:
    link = make_link(KEY, "https://portal.example.net", "1001", NOW + 10)

    prefix = "https://portal.example.net/s/"
    assert link.startswith(prefix)
    assert verify_token(KEY, Purpose.LINK, link.removeprefix(prefix), NOW) == "1001"
