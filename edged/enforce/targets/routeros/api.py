# SPDX-License-Identifier: Apache-2.0
"""One connection to a RouterOS router's API, through routeros-api, which is loaded here alone. I/O, blocking.

It belongs to one thread. Traps are answers; whatever else goes wrong ends the connection and is an UpstreamError in
words of ours: the library's own quote the command, and so the password.
"""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from routeros_api.api import RouterOsApi
from routeros_api.api_communicator import ApiCommunicator
from routeros_api.api_communicator.base import ApiCommunicatorBase
from routeros_api.base_api import Connection
from routeros_api.exceptions import RouterOsApiCommunicationError, RouterOsApiConnectionError, RouterOsApiError
from routeros_api.query import HasValueQuery, IsEqualQuery, OrQuery

from edged.enforce.routeros.commands import Command
from edged.enforce.settings import RouterosSettings
from edged.errors import ConfigError, UpstreamError

WINDOW = 32
"""Commands that are under way at once: a router does one after the other, and answers those of others between."""
CONNECT_S = 5.0
"""Seconds to connect at the most: nothing can end this wait sooner."""
LONGEST = 6.0
"""So many times ``timeout`` one call may take, however lively the router dribbles."""
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_ENDED = "the connection ended"
_FAILURES = (RouterOsApiError, OSError, ValueError, LookupError, TypeError, AssertionError)
"""What the library raises at octets that it does not understand, and lets through from below."""

T = TypeVar("T")
Keep = Callable[[Mapping[str, str]], bool]
Alternatives = Sequence[Mapping[str, Sequence[str]]]
"""Each a property or several with the values that they may have; one of all of them must fit, of each mapping."""


@dataclass(slots=True)
class Answer:
    """What the router said to one command."""

    rows: list[dict[str, str]] = field(default_factory=list)
    ret: str = ""
    """The id of what was added, a count, a script's output."""
    trap: str = ""
    """Why it was not done, in the router's words; empty: it was."""


class Router:
    """A call says for which connection it is: what is known of one, ids above all, is not true of the next."""

    def __init__(self, settings: RouterosSettings) -> None:
        self._settings = settings
        self._api: Any = None
        """What sends and takes apart sentences, once the login is done. Its other layers keep each row three times."""
        self._stream: _Stream | None = None
        self._connections = 0
        self._is_over = False

    def check(self) -> None:
        """ConfigError when the files that it needs cannot be read."""
        if self._settings.tls:
            try:
                self._context()
            except (OSError, ssl.SSLError):
                raise ConfigError.of(
                    "enforce.routeros.ca", f"{self._settings.ca} cannot be read", "a file of certificates in PEM"
                ) from None

    @property
    def is_connected(self) -> bool:
        """True until the connection has failed."""
        return self._api is not None

    def connect(self) -> int:
        """The number of the connection: the one that there is, or a new one. UpstreamError when there can be none."""
        if self._api is None:
            self._safely(self._connect)
        return self._connections

    def ask(
        self,
        connection: int,
        command: Command,
        alternatives: Alternatives = (),
        *,
        patience: float = 1.0,
        keep: Keep = lambda _row: True,
    ) -> Answer:
        """One command, ``alternatives`` to be met where it is a print. UpstreamError: it was not answered.

        ``patience``: so many times the usual silence is waited for. ``keep``: which rows the answer has.
        """
        return self._on(connection, lambda: self._answer(self._send(command, alternatives), keep), patience)

    def many(self, connection: int, commands: Iterable[Command]) -> list[Answer]:
        """Every command, several under way at once; the answers in their order. UpstreamError: one was not answered."""
        return self._on(connection, lambda: list(self._pipelined(commands)))

    def begin(self, connection: int, command: Command) -> Any:
        """Send one command and wait for nothing; ``finish`` takes what this gives."""
        return self._on(connection, lambda: self._send(command))

    def finish(self, connection: int, begun: Any) -> Answer:
        """The answer to a command that was begun. UpstreamError: it was not answered."""
        return self._on(connection, lambda: self._answer(begun))

    def close(self) -> None:
        """Hang up; what the router does then is its own affair."""
        stream, self._stream, self._api = self._stream, None, None
        if stream is not None:
            stream.close()

    def interrupt(self) -> None:
        """Let a call that waits in the other thread fail now, and every later one; there is no more after this."""
        self._is_over = True
        stream = self._stream
        if stream is not None:
            stream.interrupt()

    # --- calls -------------------------------------------------------------------------------------

    def _on(self, connection: int, call: Callable[[], T], patience: float = 1.0) -> T:
        if self._api is None or self._stream is None or connection != self._connections:
            raise UpstreamError(_ENDED)
        self._stream.begin(self._settings.timeout * patience)
        return self._safely(call)

    def _safely(self, call: Callable[[], T]) -> T:
        """What ``call`` gives. The error is raised outside of the library's own, which has the password in it."""
        try:
            return call()
        except UpstreamError as error:
            failure = str(error)
        except _FAILURES as error:
            failure = _reason(error)
        self.close()
        raise UpstreamError(failure)

    def _send(self, command: Command, alternatives: Alternatives = ()) -> Any:
        arguments = {name.encode(): value.encode() for name, value in command.arguments.items()}
        path = command.menu.rstrip("/") + "/"
        return self._api.send(
            path.encode(), command.verb.encode(), arguments, additional_queries=tuple(_queries(alternatives))
        )

    def _answer(self, tag: Any, keep: Keep = lambda _row: True) -> Answer:
        response, rows = self._api.response_buffor[tag], list[dict[str, str]]()
        while True:
            # row by row: a router may track a hundred thousand connections
            rows += filter(keep, map(_row, response))
            response.clear()
            if response.done:
                break
            self._api.process_single_response()
        del self._api.response_buffor[tag]
        if response.error is not None:
            return Answer(trap=_said(response.error))
        return Answer(rows, _text(response.done_message.get(b"ret", b"")))

    def _pipelined(self, commands: Iterable[Command]) -> Iterator[Answer]:
        waiting: deque[Any] = deque()
        for command in commands:
            if len(waiting) >= WINDOW:
                yield self._answer(waiting.popleft())
            waiting.append(self._send(command))
        while waiting:
            yield self._answer(waiting.popleft())

    # --- connecting --------------------------------------------------------------------------------

    def _connect(self) -> None:
        settings = self._settings
        port = settings.port or (8729 if settings.tls else 8728)
        raw = socket.create_connection((settings.host, port), timeout=min(CONNECT_S, settings.timeout))
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _KEEPALIVE:
                raw.setsockopt(socket.IPPROTO_TCP, option, value)
            connected = self._wrapped(raw) if settings.tls else raw
        except BaseException:
            raw.close()
            raise
        self._stream = _Stream(connected)
        self._stream.begin(settings.timeout)
        if self._is_over:  # only now: from here on ``interrupt`` finds the stream
            raise UpstreamError(_ENDED)
        if isinstance(connected, ssl.SSLSocket):
            self._greet(connected)
        sentences = Connection(self._stream)
        api = RouterOsApi(ApiCommunicator(sentences))
        try:
            # a router before 6.43 answers this with its challenge, and the library goes on with it
            api.login(settings.user.encode(), settings.password.reveal(), plaintext_login=True)
        except RouterOsApiCommunicationError as error:
            refusal = _said(error.original_message)
        else:
            self._api = ApiCommunicatorBase(sentences)
            self._connections += 1
            return
        raise UpstreamError(f"the login of {settings.user} was refused: {refusal}")

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._settings.ca)
        if self._settings.fingerprint:
            # whoever signed it and whatever it is named for: it must be this very one
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _wrapped(self, raw: socket.socket) -> ssl.SSLSocket:
        return self._context().wrap_socket(raw, server_hostname=self._settings.host, do_handshake_on_connect=False)

    def _greet(self, secured: ssl.SSLSocket) -> None:
        """Nothing is said to whoever is not the router."""
        secured.do_handshake()
        expected = self._settings.fingerprint
        found = hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
        if expected and found != expected:
            raise UpstreamError(f"shows another certificate than the one that is pinned: its SHA-256 is {found}")


class _Stream:
    """What routeros-api asks of a socket: whole sentences go out, and octets come in from a buffer, both in time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._out = bytearray()
        self._in, self._at = b"", 0
        self._silence, self._deadline = CONNECT_S, 0.0

    def begin(self, silence: float) -> None:
        """A call begins: so many seconds of silence end it, and some times as many in all."""
        self._silence, self._deadline = silence, time.monotonic() + LONGEST * silence

    def send(self, octets: bytes) -> None:
        """One word; a sentence goes out with its end: a packet, not one for each word."""
        self._out += octets
        if octets == b"\0":
            whole, self._out = bytes(self._out), bytearray()
            self._socket.settimeout(self._left())
            self._socket.sendall(whole)

    def receive(self, length: int) -> bytes:
        """From one octet to ``length``."""
        if self._at == len(self._in):
            self._socket.settimeout(self._left())
            self._in, self._at = self._socket.recv(65_536), 0
            if not self._in:
                raise RouterOsApiConnectionError("closed")
        found = self._in[self._at : self._at + length]
        self._at += len(found)
        return found

    def _left(self) -> float:
        left = min(self._silence, self._deadline - time.monotonic())
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def interrupt(self) -> None:
        """End both directions: whoever waits for octets waits no more."""
        with contextlib.suppress(OSError):
            # not TLS's own, which forgets the encryption first: a word on its way would go out in clear
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the socket go."""
        with contextlib.suppress(OSError):
            self._socket.close()


def _queries(alternatives: Alternatives) -> Iterator[Any]:
    """One query for each mapping, since the library sends several in no order. All of them must be met."""
    for mapping in alternatives:
        words = [
            IsEqualQuery(name, value) if value else HasValueQuery(name)
            for name, values in mapping.items()
            for value in values
        ]
        yield words[0] if len(words) == 1 else OrQuery(*words)


def _row(row: Mapping[bytes, bytes]) -> dict[str, str]:
    return {sys.intern(_text(name)): _text(value) for name, value in row.items()}


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _said(octets: bytes) -> str:
    """What a router gives as its reason, fit for a log and a terminal."""
    return "".join(c if c.isprintable() else " " for c in _text(octets)[:200]).strip() or "no reason given"


def _reason(error: Exception) -> str:
    """What went wrong, in words that hold nothing of what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); name its authority as ca, or pin its fingerprint"
        )
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return "does not answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, OSError):
        return f"cannot be reached: {error.strerror or type(error).__name__}"
    if isinstance(error, RouterOsApiConnectionError):
        return _ENDED
    return f"answers what is no API of RouterOS ({type(error).__name__})"
