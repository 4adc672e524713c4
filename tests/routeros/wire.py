"""A connection without a socket: octets go in and come out in the caller's own thread, on whatever time there is.

It has what routeros-api asks of its socket (``send``, ``receive``, ``close``, ``settimeout``), so that a simulated day
can have a router. Its faults are those that a caller without a second thread can meet: ``WIRE_FAULTS``, and those that
lie in what the router says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tests.routeros.console import Console
from tests.routeros.faults import answered
from tests.routeros.latency import LATENCIES, Latency
from tests.routeros.sentences import Reply
from tests.routeros.session import Session
from tests.routeros.words import Decoder, Sentence, encode

WIRE_FAULTS = frozenset({"silence", "deaf", "cut", "cut-before", "cut-after"})


class Wire:
    """One client's. ``wait`` lets seconds pass; ``random`` gives octets for a challenge."""

    def __init__(
        self,
        console: Console,
        *,
        latency: Latency = LATENCIES["none"],
        wait: Callable[[float], None] = lambda _seconds: None,
        timeout: float = 15.0,
        random: Callable[[int], bytes] = bytes,
    ) -> None:
        self.turns: deque[str] = deque()
        """One fault for each of the next commands; empty for none."""
        self._session = Session(console, random, self._tell)
        self._decoder = Decoder()
        self._latency, self._wait, self._timeout = latency, wait, timeout
        self._octets = bytearray()
        self._owed = 0.0
        self._is_over = False

    def send(self, octets: bytes) -> None:
        """What the client says. ConnectionError when nobody is there."""
        if self._is_over:
            raise ConnectionResetError
        for sentence in self._decoder.feed(octets):
            if not self._is_over:
                self._hear(sentence)

    def receive(self, length: int) -> bytes:
        """At most so many octets. TimeoutError when none come in time, ConnectionError when none will."""
        if self._octets:
            if self._owed:
                owed, self._owed = self._owed, 0.0
                if owed > self._timeout:
                    self._wait(self._timeout)
                    self._octets.clear()
                    raise TimeoutError
                self._wait(owed)
            found = bytes(self._octets[:length])
            del self._octets[:length]
            return found
        if self._is_over:
            raise ConnectionResetError
        self._wait(self._timeout)
        raise TimeoutError

    def close(self) -> None:
        """Nobody talks any more."""
        self._is_over = True
        self._octets.clear()
        self._session.close()

    def settimeout(self, seconds: float) -> None:
        """How long ``receive`` waits."""
        self._timeout = seconds

    def _hear(self, sentence: Sentence) -> None:
        fault = self.turns.popleft() if self.turns else ""
        if fault == "cut-before":
            self._is_over = True
        if fault in {"cut-before", "deaf"}:
            return
        answer = answered(self._session, sentence, {fault})
        self._owed += self._latency.seconds(answer.work)
        replies = b"".join(encode(reply.sentence()) for reply in answer.replies)
        if fault == "cut":
            replies = replies[: len(replies) // 2]
        if fault not in {"silence", "cut-after"}:
            self._octets += replies
        self._is_over = answer.is_last or fault in {"cut", "cut-after"}

    def _tell(self, replies: list[Reply]) -> None:
        self._octets += b"".join(encode(reply.sentence()) for reply in replies)
