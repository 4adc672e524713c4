# SPDX-License-Identifier: Apache-2.0
"""The control socket: one JSON object a line each way, over a Unix socket. Both ends. I/O.

Request ``{"command": NAME, ...arguments}``; answer ``{"ok": true, "result": ...}`` or ``{"ok": false, "error":
SENTENCE, "exit": STATUS}``, and before it any number of ``{"progress": [WHAT, DONE, OF]}``. Who may open the socket
file may command: mode 0660, owner and group of edged.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from edged.errors import ConfigError, UpstreamError

log = structlog.get_logger(__name__)

SCHEMA = 1
"""Of every JSON answer; a field may be added within it, never changed or taken away."""
REQUEST_OCTETS = 8 * 1024 * 1024
"""A CSV of 50,000 keys fits; more is a slip or an attack."""
ANSWER_OCTETS = 256 * 1024 * 1024
"""Of one line, ten times the longest that is known: who answers in edged's place does not fill the memory of root."""
REQUEST_S = 30.0
"""How long a peer may take to finish its line."""
_CALL_S = 660.0
"""How long a command waits for its next line: a reading of billing may take ten minutes, and says so on its way."""
_CONNECTIONS = 32
_TELL_EVERY_S = 0.2
_ROWS = 100
"""A list longer than this is written row by row."""

Tell = Callable[[str, int, int | None], None]
"""Of what, how many are done, of how many (None: not known)."""
Command = Callable[[dict[str, Any], Tell], Awaitable[Any]]


class Refused(Exception):  # noqa: N818  # a refusal is an answer, not a fault
    """A command that cannot be done as asked: the sentence for the operator, and the exit status."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        self.status = status
        super().__init__(sentence)


class ControlServer:
    """Serves ``commands`` on a Unix socket."""

    def __init__(self, path: Path, commands: Mapping[str, Command], *, request_s: float = REQUEST_S) -> None:
        self.path = path
        self._commands = commands
        self._request_s = request_s
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self) -> None:
        """Listen; a socket file left behind by a dead daemon is replaced, a living one's is not. ConfigError."""
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if self.path.is_socket():
                if _answers(self.path):
                    raise ConfigError.of("ops.socket", f"{self.path} is served by another edged", "one edged a socket")
                self.path.unlink()
            previous = os.umask(0o117)
            try:
                self._server = await asyncio.start_unix_server(self._serve, self.path, limit=REQUEST_OCTETS)
            finally:
                os.umask(previous)
        except OSError as error:
            raise ConfigError.of(
                "ops.socket", f"{self.path}: {error.strerror or error}", "a path that edged may create"
            ) from None

    async def stop(self) -> None:
        """Close and remove the socket file."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            line = await self._received(reader) if self._open <= _CONNECTIONS else b""
            if line:
                answer = await self.answer(line, _teller(writer))
                writer.write(await asyncio.to_thread(_encoded, answer))
                await self._sent(writer)
        except asyncio.CancelledError:
            pass  # the daemon stops; asyncio's streams would log a cancelled task as a fault
        finally:
            self._open -= 1
            writer.close()

    async def _received(self, reader: asyncio.StreamReader) -> bytes:
        """One line; empty from a peer that stalls, floods or goes away: there is nothing to tell it."""
        try:
            async with asyncio.timeout(self._request_s):
                return await reader.readline()
        except (TimeoutError, ValueError, OSError):
            return b""

    async def _sent(self, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._request_s):
                await writer.drain()
        except (TimeoutError, OSError):
            # closing would wait for a peer that does not read
            writer.transport.abort()

    async def answer(self, line: bytes, tell: Tell = lambda *_: None) -> dict[str, Any]:
        """The answer to one request line, whatever it is; ``tell`` hears of what takes long."""
        try:
            request = json.loads(line)
            name = request.pop("command")
            command = self._commands[name]
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return {"ok": False, "error": "not a command that this edged knows", "exit": 2}
        try:
            return {"ok": True, "result": await command(request, tell)}
        except Refused as refusal:
            return {"ok": False, "error": str(refusal), "exit": refusal.status}
        except ConfigError as error:
            problems = [f"{p.key}: {p.found}; expected {p.expected}" for p in error.problems]
            return {"ok": False, "error": "; ".join(problems), "exit": 78}
        except UpstreamError as error:
            return {"ok": False, "error": str(error), "exit": 1}
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            # arguments of the wrong shape from a program that speaks to the socket itself
            log.warning("control-arguments", action=name, error=type(error).__name__)
            return {"ok": False, "error": f"the arguments of {name} are not of its form: {error}", "exit": 2}


def _encoded(answer: dict[str, Any]) -> bytes:
    """One line of JSON, a long list row by row: in one call ten thousand keys would hold every thread up."""
    return b"".join(_pieces(answer)) + b"\n"


def _pieces(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict) and any(isinstance(inner, (dict, list)) for inner in value.values()):
        for index, (name, inner) in enumerate(value.items()):
            yield f"{', ' if index else '{'}{json.dumps(name)}: ".encode()
            yield from _pieces(inner)
        yield b"}"
    elif isinstance(value, list) and len(value) > _ROWS:
        for index, row in enumerate(value):
            yield f"{', ' if index else '['}{json.dumps(row)}".encode()
        yield b"]"
    else:
        yield json.dumps(value).encode()


def _teller(writer: asyncio.StreamWriter) -> Tell:
    """Progress onto the socket, a few times a second, and never more than a peer takes."""
    told_at = 0.0

    def tell(what: str, done: int, of: int | None) -> None:
        nonlocal told_at
        now = asyncio.get_running_loop().time()
        if now - told_at >= _TELL_EVERY_S and not writer.transport.get_write_buffer_size():
            told_at = now
            writer.write(json.dumps({"progress": [what, done, of]}).encode() + b"\n")

    return tell


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def call(path: Path, command: str, *, tell: Tell | None = None, patience: float = _CALL_S, **arguments: Any) -> Any:
    """The result of one command of the running daemon. ``Refused``, with status 69 when none answers.

    ``patience``: how many seconds it may take to its next line.
    """
    request = json.dumps({"command": command, **arguments}).encode() + b"\n"
    if len(request) > REQUEST_OCTETS:
        raise Refused(f"that is over {REQUEST_OCTETS // 2**20} MiB, more than the daemon takes at once", 2)
    strange = Refused(f"what answers on {path} is not edged", 69)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(patience)
            connection.connect(str(path))
            connection.sendall(request)
            with connection.makefile("rb") as file:
                line = _final_line(file, tell)
    except PermissionError:
        raise Refused(f"you may not open {path}; become root or join the group edged", 69) from None
    except OSError:
        raise Refused("the daemon does not answer on its control socket (not running?)", 69) from None
    except (ValueError, KeyError, TypeError):
        raise strange from None
    if not line.endswith(b"\n"):
        raise Refused("the daemon closed the connection without an answer", 69)
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        refusal = Refused(str(answer["error"]), int(answer["exit"]))
    except (ValueError, KeyError, TypeError):
        raise strange from None
    raise refusal


def _final_line(file: BinaryIO, tell: Tell | None) -> bytes:
    """The answer; the progress before it is handed to ``tell``."""
    while line := file.readline(ANSWER_OCTETS):
        if not line.startswith(b'{"progress"'):
            return line
        if tell is not None:
            tell(*json.loads(line)["progress"])
    return b""
