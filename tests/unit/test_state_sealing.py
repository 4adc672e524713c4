# SPDX-License-Identifier: Apache-2.0
"""Secrets at rest: each opens with its key, in its place, unaltered, and in no other way."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.errors import UpstreamError
from edged.state.sealing import KEY_OCTETS, Seal
from edged.values import Secret

SEAL = Seal(Secret(bytes(range(KEY_OCTETS))))
PLACE = "keys.passphrase:local:3:k-1"
PASSPHRASE = "copper-otter-violin-42"

secrets = st.binary(max_size=200).map(Secret)
places = st.text(max_size=60)


def refusal(seal: Seal, sealed: bytes, place: str = PLACE) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        seal.open(sealed, place)
    return raised.value


@given(secrets, places)
def test_what_was_closed_opens_in_its_place(secret: Secret, place: str) -> None:
    assert SEAL.open(SEAL.close(secret, place), place) == secret


@given(st.binary(min_size=4, max_size=200))
def test_the_sealed_octets_never_hold_the_secret(octets: bytes) -> None:
    sealed = SEAL.close(Secret(octets), PLACE)

    assert octets not in sealed
    assert octets.hex().encode() not in sealed


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealed = {SEAL.close(Secret(PASSPHRASE), PLACE) for _ in range(100)}

    assert len(sealed) == 100


@given(secrets, places, places)
def test_a_sealed_value_moved_to_another_place_does_not_open(secret: Secret, place: str, other: str) -> None:
    sealed = SEAL.close(secret, place)

    if other != place:
        assert "does not open" in str(refusal(SEAL, sealed, other))


@given(st.binary(min_size=KEY_OCTETS, max_size=KEY_OCTETS))
def test_another_key_does_not_open_it(key: bytes) -> None:
    if key != bytes(range(KEY_OCTETS)):
        assert "another sealing key" in str(refusal(Seal(Secret(key)), SEAL.close(Secret(PASSPHRASE), PLACE)))


@given(secrets, st.data())
def test_a_single_altered_octet_anywhere_is_refused(secret: Secret, data: st.DataObject) -> None:
    sealed = SEAL.close(secret, PLACE)
    position = data.draw(st.integers(0, len(sealed) - 1))
    change = data.draw(st.integers(1, 255))

    refusal(SEAL, sealed[:position] + bytes([sealed[position] ^ change]) + sealed[position + 1 :])


@given(secrets, st.data())
def test_a_shortened_or_lengthened_value_is_refused(secret: Secret, data: st.DataObject) -> None:
    sealed = SEAL.close(secret, PLACE)
    kept = data.draw(st.integers(0, len(sealed) - 1))

    refusal(SEAL, sealed[:kept])
    refusal(SEAL, sealed + data.draw(st.binary(min_size=1, max_size=20)))


@given(st.binary(max_size=100))
def test_any_octets_are_a_secret_or_an_upstream_error(octets: bytes) -> None:
    refusal(SEAL, octets)
    refusal(SEAL, b"\x01" + octets)


def test_a_value_of_a_later_version_is_refused_by_its_version() -> None:
    sealed = SEAL.close(Secret(PASSPHRASE), PLACE)

    assert "unknown version" in str(refusal(SEAL, b"\x02" + sealed[1:]))


@pytest.mark.parametrize("octets", [0, 16, 31, 33, 64])
def test_a_sealing_key_of_another_length_is_refused(octets: int) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        Seal(Secret(bytes(octets)))


def test_no_error_and_no_repr_shows_a_secret_or_a_key() -> None:
    key = Secret(b"the-key-of-the-house-32-octets!!")
    seal = Seal(key)
    sealed = seal.close(Secret(PASSPHRASE), PLACE)
    shown = [repr(seal), str(seal), repr(key), repr(Secret(PASSPHRASE)), f"{Secret(PASSPHRASE)}"]
    for octets in (sealed[:-1], b"\x02" + sealed[1:], b""):
        error = refusal(seal, octets)
        shown += [str(error), repr(error), "".join(traceback.format_exception(error))]

    for text in shown:
        assert PASSPHRASE not in text
        assert "the-key-of-the-house" not in text
        assert sealed.hex() not in text
