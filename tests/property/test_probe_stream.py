"""The phone's TCP under any cut, order and repetition of what the peer sends."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edged.phone.stream import ACK, FIN, SYN, Segment, Stream
from edged.phone.talks import Plain

OURS, PEER = 2**32 - 5, 2**32 - 11
"""Both sides' numbers pass zero on the way."""


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 300), max_size=12), st.randoms())
def test_every_octet_is_heard_once_and_in_order(octets: bytes, cuts: list[int], random: object) -> None:
    edges = sorted({0, len(octets), *(c % len(octets) for c in cuts)})
    pieces = [(a, octets[a:b]) for a, b in itertools.pairwise(edges)]
    # overlaps and repetitions, as a path that loses packets makes them
    sent = [*pieces, *((max(0, a - 3), octets[max(0, a - 3) : a + len(p)]) for a, p in pieces[::2])]
    random.shuffle(sent)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    talk = Plain(b"?", lambda heard: len(heard) > len(octets))
    stream = Stream(talk, OURS)
    stream.start()
    stream.take(Segment(SYN | ACK, PEER, (OURS + 1) % 2**32))
    end = Segment(FIN | ACK, (PEER + 1 + len(octets)) % 2**32, 0)
    stream.take(end)
    for at, payload in sent:
        stream.take(Segment(ACK, (PEER + 1 + at) % 2**32, 0, payload))
    stream.take(end)

    assert talk.octets == octets
    assert (stream.outcome, stream.done) == ("answer", True)
