# SPDX-License-Identifier: Apache-2.0
"""Each kernel of keysearch.c against its twin: any PMKs, messages and frames, of any length, in any place."""

from __future__ import annotations

from functools import cache
from hashlib import pbkdf2_hmac, sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.native.keysearch import CHECKS, MISS, NAME, ROUNDS, Challenge, Compiled, Portable, kernels
from tests.native import KERNELS, kernel

COMPILED = [name for name in KERNELS if name]
BEHIND_NAME = 33
"""Octets that fit behind the label and the first name into the block that is hashed to PMKR1Name."""
COUNTS = st.one_of(st.integers(0, 40), st.sampled_from([127, 128, 129, 255, 256, 257, 511, 512, 513, 530]))
"""Around every width, and around the 128, 256 and 512 keys that AES works on at a time."""


@pytest.fixture(params=COMPILED)
def chosen(request: pytest.FixtureRequest) -> str:
    return kernel(request.param)


def pmks(count: int, seed: int) -> bytes:
    return b"".join(sha256(f"{seed} {i}".encode()).digest() for i in range(count))


@st.composite
def challenges(draw: st.DrawFn) -> Challenge:
    suite = draw(st.sampled_from(list(CHECKS)))
    lengths = st.one_of(st.integers(0, 140), st.integers(0, 1024))
    octets = lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))
    context = tuple(draw(octets) for _ in range(3 if suite == "ft-psk" else 1))
    frame = draw(octets)[: BEHIND_NAME if suite == NAME else None]
    return Challenge(suite, context, frame, draw(st.binary(min_size=16, max_size=16)))


@settings(deadline=None)
@given(challenges(), COUNTS, st.integers(0, 99), st.data())
def test_a_kernel_says_what_its_twin_says(wanted: Challenge, count: int, seed: int, data: st.DataObject) -> None:
    keys = pmks(count, seed)
    if count and data.draw(st.booleans(), label="one of them made the MIC"):
        place = data.draw(st.integers(0, count - 1), label="place")
        kck, mic = CHECKS[wanted.suite]
        made = mic(kck(wanted.context, keys[32 * place : 32 * place + 32]), wanted.frame)
        wanted = Challenge(wanted.suite, wanted.context, wanted.frame, made)
    said = Portable(keys).search(wanted)

    for name in kernels():
        assert Compiled.of(keys, name).search(wanted) == said


@pytest.mark.parametrize("suite", list(CHECKS))
def test_frames_and_messages_of_every_length(chosen: str, suite: str) -> None:
    octets, keys = sha256(b"octets").digest() * 32, pmks(35, 1)
    searched = Compiled.of(keys, chosen)
    kck, mic = CHECKS[suite]
    for length in (*range(131), 180, 256, 511, 512, 513, 1023, 1024):
        context = (octets[:length],) * (3 if suite == "ft-psk" else 1)
        for place in (0, 33):
            frame = octets[: min(length, BEHIND_NAME) if suite == NAME else length]
            made = mic(kck(context, keys[32 * place : 32 * place + 32]), frame)
            assert searched.search(Challenge(suite, context, frame, made)) == place, length
            # each octet of the MIC counts, whatever the length: tried where a block ends or begins, too
            for at in range(16) if length % 16 in {0, 1, 15} else (length % 16,):
                bent = made[:at] + bytes((made[at] ^ 1,)) + made[at + 1 :]
                assert searched.search(Challenge(suite, context, frame, bent)) == MISS, (length, at)


@pytest.mark.parametrize("suite", list(CHECKS))
def test_a_key_is_found_in_every_place(chosen: str, suite: str) -> None:
    context = (b"context",) * (3 if suite == "ft-psk" else 1)
    kck, mic = CHECKS[suite]
    for count in (1, 3, 4, 5, 15, 16, 17, 511, 512, 513):
        keys = pmks(count, 2)
        searched = Compiled.of(keys, chosen)
        for place in {*range(min(count, 40)), count // 2, count - 2, count - 1} - {-1}:
            made = mic(kck(context, keys[32 * place : 32 * place + 32]), b"frame")
            assert searched.search(Challenge(suite, context, b"frame", made)) == place, (count, place)


@pytest.mark.parametrize("suite", list(CHECKS))
def test_the_first_of_two_equal_keys_is_found_and_none_behind_the_last(chosen: str, suite: str) -> None:
    context = (b"context",) * (3 if suite == "ft-psk" else 1)
    kck, mic = CHECKS[suite]
    wanted = Challenge(suite, context, b"frame", mic(kck(context, bytes(32)), b"frame"))

    assert Compiled.of(pmks(9, 3) + bytes(64), chosen).search(wanted) == 9
    # behind the last PMK there are zeros in memory: they are no key
    assert Compiled.of(pmks(9, 3), chosen).search(wanted) == MISS


@pytest.mark.parametrize("ssid", [b"", b"Residence", b"Z" * 32])
def test_passphrases_of_every_length_make_the_pmk_of_the_library(chosen: str, ssid: bytes) -> None:
    from edged.native._keysearch import derive

    passphrases = [sha256(bytes((length,))).hexdigest().encode()[:length] for length in range(65)]

    made = derive(chosen, b"".join(p.ljust(64, b"\0") for p in passphrases), ssid)

    assert [made[i : i + 32] for i in range(0, len(made), 32)] == [_of_the_library(p, ssid) for p in passphrases]


@cache
def _of_the_library(passphrase: bytes, ssid: bytes) -> bytes:
    return pbkdf2_hmac("sha1", passphrase, ssid, ROUNDS, 32)


STATES = bytes(16 * 40)


@pytest.mark.parametrize(
    "arguments",
    [
        ("sse9", 1, STATES, 0, 1, (b"",), b"", bytes(16)),
        ("plain", -1, STATES, 0, 1, (b"",), b"", bytes(16)),
        ("plain", 1, STATES, 0, 17, (b"",), b"", bytes(16)),
        ("plain", 1, STATES, 2, 1, (b"",), b"", bytes(16)),
        ("plain", 1, STATES, -1, 1, (b"",), b"", bytes(16)),
        ("plain", 1, STATES[:-40], 0, 1, (b"",), b"", bytes(16)),
        ("plain", 2, STATES, 0, 16, (b"",), b"", bytes(16)),
        ("plain", 1, STATES, 0, 1, (bytes(1025),), b"", bytes(16)),
        ("plain", 1, STATES, 0, 1, (b"",), bytes(1025), bytes(16)),
        ("plain", 1, STATES, 0, 1, (b"",), b"", bytes(15)),
        ("plain", 1, STATES, 0, 1, (), b"", bytes(16)),
        ("plain", 3, bytes(16 * 64), 0, 1, (b"",), b"", bytes(16)),
        ("plain", 4, bytes(16 * 64), 0, 1, (b"",) * 3, b"", bytes(16)),
        ("plain", 4, bytes(16 * 64), 0, 1, (b"",), bytes(BEHIND_NAME + 1), bytes(16)),
        ("plain", 5, bytes(16 * 64), 0, 1, (b"",), b"", bytes(16)),
    ],
)
def test_what_does_not_fit_is_refused(
    chosen: str, arguments: tuple[str, int, bytes, int, int, tuple[bytes, ...], bytes, bytes]
) -> None:
    from edged.native import _keysearch

    with pytest.raises(ValueError, match=r"kernel|suite|states|message|frame"):
        _keysearch.search(*arguments)
    with pytest.raises(ValueError, match="octets"):
        _keysearch.derive(chosen, bytes(63), b"")
    with pytest.raises(ValueError, match="octets"):
        _keysearch.derive(chosen, bytes(64), bytes(33))
    with pytest.raises(ValueError, match="octets"):
        _keysearch.prepare(chosen, 1, bytes(31))
    with pytest.raises(ValueError, match="suite"):
        _keysearch.prepare(chosen, 5, bytes(32))
