"""Octets in, sentences out, and back: RouterOS' length-prefixed words, as the vendor's API manual has them. Pure.

A length takes one to five octets (switch points 0x80, 0x4000, 0x200000, 0x10000000), most significant first; a word of
length zero ends a sentence, an empty sentence is ignored, and a first octet from 0xF8 on is reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Sentence = tuple[bytes, ...]

_FORMS = ((0x80, 0x00), (0x4000, 0x80), (0x200000, 0xC0), (0x10000000, 0xE0), (0x100000000, 0xF0))
"""For each number of octets: the first length that is too long for it, and the bits that mark it."""
_SHORT = [bytes((length,)) for length in range(0x80)]


class WordError(Exception):
    """What came is no sentence, or more than anybody wants to read."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a sentence may hold. The manual says that there are bounds before login, not which: these are ours."""

    word: int
    words: int


BEFORE_LOGIN = Bounds(word=4_096, words=32)
LOGGED_IN = Bounds(word=1 << 20, words=4_096)


def encode_length(length: int) -> bytes:
    """One to five octets. ValueError below 0 and from 0x100000000 on."""
    if 0 <= length < 0x80:
        return _SHORT[length]
    for octets, (end, mark) in enumerate(_FORMS, start=1):
        if 0 <= length < end:
            low = length.to_bytes(octets if octets < 5 else 4, "big")
            return b"\xf0" + low if octets == 5 else bytes((low[0] | mark,)) + low[1:]
    raise ValueError(f"no word has the length {length}")


def length_octets(first: int) -> int:
    """How many octets the length takes that begins with ``first``. WordError for a reserved one."""
    for octets, end in enumerate((0x80, 0xC0, 0xE0, 0xF0, 0xF8), start=1):
        if first < end:
            return octets
    raise WordError(f"reserved control octet {first:#04x}")


def decode_length(octets: bytes) -> int:
    """The length that exactly these octets spell."""
    count = len(octets)
    if count == 5:
        return int.from_bytes(octets[1:], "big")
    return int.from_bytes(octets, "big") & ~(_FORMS[count - 1][1] << 8 * (count - 1))


def encode(sentence: Iterable[bytes]) -> bytes:
    """The octets of one sentence, its end included."""
    return b"".join(encode_length(len(word)) + word for word in sentence) + b"\0"


class Decoder:
    """A stream, however it is cut, as sentences; ``bounds`` may be changed while it is read."""

    def __init__(self, bounds: Bounds = LOGGED_IN) -> None:
        self.bounds = bounds
        self._octets = bytearray()
        self._words: list[bytes] = []

    def __len__(self) -> int:
        """How many octets wait for the rest of their word."""
        return len(self._octets)

    def feed(self, octets: bytes) -> Iterator[Sentence]:
        """Every sentence that ``octets`` completes. WordError, and nothing can be read any more, when it is none."""
        self._octets += octets
        position = 0
        try:
            while (word := self._word(position)) is not None:
                position, content = word
                if content:
                    self._words.append(content)
                    if len(self._words) > self.bounds.words:
                        raise WordError(f"a sentence of more than {self.bounds.words} words")
                elif self._words:
                    sentence, self._words = tuple(self._words), []
                    yield sentence
        finally:
            del self._octets[:position]

    def _word(self, start: int) -> tuple[int, bytes] | None:
        if start >= len(self._octets):
            return None
        begins = start + length_octets(self._octets[start])
        if begins > len(self._octets):
            return None
        length = decode_length(bytes(self._octets[start:begins]))
        if length > self.bounds.word:
            raise WordError(f"a word of {length} octets")
        if begins + length > len(self._octets):
            return None
        return begins + length, bytes(self._octets[begins : begins + length])
