# SPDX-License-Identifier: Apache-2.0
"""A challenge and many PMKs -> the place of the one that made its MIC. Pure; bounded by a count.

One octet string of PMKs, 32 octets each, in and one integer out: it crosses to a worker process in one piece.
"""

from __future__ import annotations

from hmac import compare_digest, digest

from edged.mpsk.wpa import PMK_OCTETS, SUITES, Challenge

MISS = -1
MAX_CANDIDATES = 200_000
"""About one second of one core: an access point gives up on message 2 after one to four."""


def cost(challenge: Challenge, candidates: int) -> int:
    """The work of so many candidates, in units of ``psk-sha1``."""
    return candidates * SUITES[challenge.suite].cost


def search_all(challenge: Challenge, pools: tuple[bytes, ...]) -> tuple[int, int] | None:
    """Pool and index of the first PMK that verifies, the pools in turn; None when none does in the limit."""
    left = MAX_CANDIDATES // SUITES[challenge.suite].cost
    for number, pmks in enumerate(pools):
        index = search(challenge, pmks, limit=left)
        if index != MISS:
            return number, index
        left = max(0, left - len(pmks) // PMK_OCTETS)
    return None


def search(challenge: Challenge, pmks: bytes, start: int = 0, limit: int = MAX_CANDIDATES) -> int:
    """Index of the first PMK from ``start`` on that verifies; MISS when none of ``limit`` does."""
    stop = min(len(pmks) // PMK_OCTETS, start + limit)
    if challenge.suite == "psk-sha1":
        return _search_psk_sha1(challenge, pmks, start, stop)
    suite, context, frame, wanted = SUITES[challenge.suite], challenge.context, challenge.frame, challenge.mic
    kck, mic = suite.kck, suite.mic
    for index in range(start, stop):
        position = index * PMK_OCTETS
        if compare_digest(mic(kck(context, pmks[position : position + PMK_OCTETS]), frame), wanted):
            return index
    return MISS


def _search_psk_sha1(challenge: Challenge, pmks: bytes, start: int, stop: int) -> int:
    """The loop above with its calls written out: nearly every handshake takes it, a call costs a tenth."""
    (message,), frame, wanted = challenge.context, challenge.frame, challenge.mic
    for index in range(start, stop):
        position = index * PMK_OCTETS
        kck = digest(pmks[position : position + PMK_OCTETS], message, "sha1")[:16]
        if compare_digest(digest(kck, frame, "sha1")[:16], wanted):
            return index
    return MISS
