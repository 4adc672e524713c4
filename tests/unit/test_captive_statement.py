"""Signed tokens: made, read, refused."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.captive.statement import MAX_ID_OCTETS, MAX_TOKEN, Purpose, make_link, make_token, verify_token
from edged.state.files import secret_file
from tests.captive_scene import KEY, NOW

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("id_", ["1", "1001", "Kundë-7", "x" * MAX_ID_OCTETS])
def test_a_token_names_its_subscriber_until_it_expires(id_: str, purpose: Purpose) -> None:
    token = make_token(KEY, purpose, id_, NOW + 10)

    assert len(token) <= MAX_TOKEN
    assert verify_token(KEY, purpose, token, NOW) == id_
    assert verify_token(KEY, purpose, token, NOW + 10) is None


def test_the_token_of_a_button_tells_billings_id_to_nobody() -> None:
    token = make_token(KEY, Purpose.BUTTON, "1001", NOW + 10)

    octets = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"1001" not in octets
    assert int(NOW + 10).to_bytes(5, "big") not in octets


def test_a_token_of_another_key_or_purpose_is_nothing() -> None:
    token = make_token(KEY, Purpose.LINK, "1001", NOW + 10)

    assert verify_token(bytes(32), Purpose.LINK, token, NOW) is None
    assert verify_token(KEY, Purpose.BUTTON, token, NOW) is None


@pytest.mark.parametrize("purpose", Purpose)
def test_a_token_with_any_character_changed_is_nothing(purpose: Purpose) -> None:
    token = make_token(KEY, purpose, "100", NOW + 10)  # 24 octets: every bit of the text counts

    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert verify_token(KEY, purpose, changed, NOW) is None


@pytest.mark.parametrize("token", ["", "=", "é", "a b", "A" * 5000, "AAAA", "%2e%2e", "A" * 31])
@pytest.mark.parametrize("purpose", Purpose)
def test_what_is_no_token_is_refused(token: str, purpose: Purpose) -> None:
    assert verify_token(KEY, purpose, token, NOW) is None


@pytest.mark.parametrize("id_", ["", "x" * (MAX_ID_OCTETS + 1)])
def test_an_id_that_fits_no_link_is_refused(id_: str) -> None:
    with pytest.raises(ValueError, match="subscriber id"):
        make_token(KEY, Purpose.LINK, id_, NOW)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_short_key_is_refused(purpose: Purpose) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        make_token(b"short", purpose, "1", NOW)


def test_a_link_stands_under_the_portal() -> None:
    link = make_link(KEY, "https://portal.example.net", "1001", NOW + 10)

    prefix = "https://portal.example.net/s/"
    assert link.startswith(prefix)
    assert verify_token(KEY, Purpose.LINK, link.removeprefix(prefix), NOW) == "1001"


# --- what docs/page-links.md promises to whoever makes links elsewhere --------------------------------

VECTORS = yaml.safe_load((ROOT / "tests" / "vectors" / "captive_links.yaml").read_text("utf-8"))["links"]
MANUAL = (ROOT / "docs" / "page-links.md").read_text("utf-8")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: str(v["subscriber"])[:8])
def test_a_token_is_the_one_that_was_computed_elsewhere(vector: dict[str, Any]) -> None:
    subscriber, expires, token = vector["subscriber"], vector["expires"], vector["token"]

    assert make_token(KEY, Purpose.LINK, subscriber, expires) == token
    assert verify_token(KEY, Purpose.LINK, token, expires - 1) == subscriber


@pytest.mark.parametrize("id_", ["1001", "Kundë-7"])
def test_the_lines_of_the_manual_make_a_link_that_is_ours(tmp_path: Path, id_: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL)
    assert code.count("\n") <= 10
    key = tmp_path / "links.key"
    secret = secret_file(key).reveal()  # as edged writes it
    space: dict[str, Any] = {}
    exec(code, space)  # noqa: S102  # our own manual
    now = time.time()

    link = space["page_link"]("https://portal.example.net", str(key), id_)

    prefix = "https://portal.example.net/s/"
    assert link.startswith(prefix)
    assert verify_token(secret, Purpose.LINK, link.removeprefix(prefix), now + 29.9 * 86400) == id_
    assert verify_token(secret, Purpose.LINK, link.removeprefix(prefix), now + 30.1 * 86400) is None


def test_a_new_key_ends_every_link_and_button_of_the_old_one(tmp_path: Path) -> None:
    before = secret_file(tmp_path / "links.key").reveal()
    (tmp_path / "links.key").unlink()
    after = secret_file(tmp_path / "links.key").reveal()

    for purpose in Purpose:
        assert verify_token(after, purpose, make_token(before, purpose, "1001", NOW + 60), NOW) is None


def test_the_example_of_the_manual_has_the_form_of_a_link() -> None:
    (token,) = re.findall(r"/s/([\w-]{20,})", MANUAL)

    assert len(token) == len(make_token(KEY, Purpose.LINK, "1001", NOW))
