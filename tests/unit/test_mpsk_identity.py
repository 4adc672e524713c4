# SPDX-License-Identifier: Apache-2.0
"""The name of a key in RADIUS, there and back, whatever its id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.mpsk.identity import MAX_OCTETS, identity_of, key_of_identity
from edged.state.keys import BILLING, LOCAL, RETIRED, KeyId

ORIGINS = st.sampled_from((BILLING, LOCAL))
ANY_TEXT = st.text(st.characters(), max_size=300)  # lone surrogates too: JSON may spell them


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        (KeyId(LOCAL, "local-1a2b3c4d"), "key:local:local-1a2b3c4d"),
        (KeyId(BILLING, "unit 101:é"), "key:billing:unit%20101%3A%C3%A9"),
        (KeyId(BILLING, "k-1" + RETIRED), "key:billing:k-1~old"),
        (KeyId(LOCAL, "#" * 3), "key:local:%23%23%23"),
    ],
)
def test_a_key_is_named_in_readable_ascii(name: KeyId, spelt: str) -> None:
    assert identity_of(name) == spelt
    assert key_of_identity(spelt) == name


@given(ORIGINS, ANY_TEXT)
def test_every_id_survives_the_way_there_and_back(origin: str, key_id: str) -> None:
    name = KeyId(origin, key_id)
    spelt = identity_of(name)

    assert 1 <= len(spelt.encode("ascii")) <= MAX_OCTETS
    assert key_of_identity(spelt, [KeyId(LOCAL, "another"), name]) == name


@given(ORIGINS, ANY_TEXT, ORIGINS, ANY_TEXT)
def test_no_two_keys_are_named_alike(origin: str, key_id: str, other_origin: str, other_id: str) -> None:
    left, right = KeyId(origin, key_id), KeyId(other_origin, other_id)

    assert (identity_of(left) == identity_of(right)) is (left == right)


def test_an_id_too_long_to_spell_is_found_among_the_known_ones_alone() -> None:
    name = KeyId(BILLING, "ü" * 128)
    spelt = identity_of(name)

    assert spelt.startswith("key:billing:#")
    assert len(spelt) <= MAX_OCTETS
    assert key_of_identity(spelt) is None
    assert key_of_identity(spelt, [KeyId(LOCAL, name.id), KeyId(BILLING, "ö" * 128), name]) == name


@pytest.mark.parametrize(
    "text",
    ["", "02005e100001", "key:", "key:radius:x", "Key:local:x", "key:local:%2x", "key:local:%41", "key:local:%ff",
     "key:local:é", "key:local:#", "key:local:a b", "resident@example.net"],
)  # fmt: skip
def test_what_we_did_not_write_names_no_key(text: str) -> None:
    assert key_of_identity(text, [KeyId(LOCAL, "x")]) is None


@given(st.text(max_size=80))
def test_any_user_name_is_a_key_in_its_one_spelling_or_none(text: str) -> None:
    name = key_of_identity(text)

    assert name is None or identity_of(name) == text
