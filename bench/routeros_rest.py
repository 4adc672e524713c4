# SPDX-License-Identifier: Apache-2.0
"""REST against the API of a RouterOS router: the same target, the same stand-in, the same time of the router's.

The target's own connection is exchanged for one that says the same by REST. Each way has a process and a stand-in of
its own, all ways in turn, several rounds. Never measured on a router; what HTTP, TLS and JSON cost it is in no figure.

python bench/routeros_rest.py [--lines 10000] [--rounds 2] [--latency rb5009 ...] [--plain] [--ways api rest-1 ...]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from yarl import URL

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.routeros import RULES, bring, resident_mb, target_is_read, took, wanted  # noqa: E402  # after the path
from edged.enforce.diff import diff  # noqa: E402
from edged.enforce.routeros.commands import ABSENT, Command  # noqa: E402
from edged.enforce.settings import RouterosSettings  # noqa: E402
from edged.enforce.targets.routeros import entries, thread  # noqa: E402
from edged.enforce.targets.routeros.api import Alternatives, Answer  # noqa: E402
from edged.enforce.targets.routeros.target import RouterosTarget  # noqa: E402
from edged.errors import UpstreamError  # noqa: E402

T = TypeVar("T")
NEVER = 1 << 30
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Way:
    """How the router is spoken to."""

    connections: int = 0
    """Of REST; 0: the API."""
    script: int = 0
    """Entries of a script; 0: each by itself."""


WAYS = {
    "api": Way(script=50),
    "api-single": Way(),
    "rest-1": Way(1),
    "rest-4": Way(4),
    "rest-16": Way(16),
    "rest-script-50": Way(1, script=50),
    "rest-script-100": Way(1, script=100),
}


# --- the target's connection, by REST --------------------------------------------------------------


class RestRouter:
    """What ``RouterThread`` asks of a ``Router``, over HTTP. Its loop has a thread of its own."""

    def __init__(self, url: str, context: ssl.SSLContext | None, connections: int) -> None:
        self._url, self._context, self._limit = url, context, connections
        self._session: aiohttp.ClientSession | None = None
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def check(self) -> None:
        """Nothing to read."""

    def connect(self) -> int:
        if self._session is None:
            self._wait(self._connect())
            self._connections += 1
        return self._connections

    async def _connect(self) -> None:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth("edged", "secret")},
            connector=aiohttp.TCPConnector(limit=self._limit, ssl=self._context or False),
            timeout=aiohttp.ClientTimeout(PATIENCE),
        )
        await self._answer(Command("/system/identity", "print"))

    def ask(self, _: int, command: Command, alternatives: Alternatives = (), *, patience: float = 1.0) -> Answer:  # noqa: ARG002
        return self._wait(self._answer(command, alternatives))

    def many(self, _: int, commands: Iterable[Command]) -> list[Answer]:
        return self._wait(self._all(list(commands)))

    async def _all(self, commands: list[Command]) -> list[Answer]:
        # the session has so many connections, and lets no more requests go at once
        return await asyncio.gather(*map(self._answer, commands))

    def begin(self, _: int, command: Command) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(self._answer(command), self._loop)

    def finish(self, _: int, begun: Future[Answer]) -> Answer:
        return begun.result(PATIENCE)

    def interrupt(self) -> None:
        """Nobody is cut off here."""

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            self._wait(session.close())

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(PATIENCE)

    async def _answer(self, command: Command, alternatives: Alternatives = ()) -> Answer:
        method, target, body = request_of(command, alternatives)
        if self._session is None:
            raise UpstreamError("not connected")
        # an asterisk that is encoded is none to the router
        url = URL(f"{self._url}{target}", encoded=True)
        async with self._session.request(method, url, json=body) as response:
            said = json.loads(octets) if (octets := await response.read()) else None
            return answer_of(method, response.status, said)


def request_of(command: Command, alternatives: Alternatives) -> tuple[str, str, dict[str, Any] | None]:
    """The method, the target and the JSON of a command."""
    menu, arguments = command.menu.rstrip("/"), dict(command.arguments)
    item = arguments.get(".id", "")
    match command.verb:
        case "add":
            return "PUT", menu, arguments
        case "set" if item and "," not in item:
            del arguments[".id"]
            return "PATCH", f"{menu}/{item}", arguments
        case "remove" if item and "," not in item:
            return "DELETE", f"{menu}/{item}", None
    words = list(query_words(alternatives))
    return "POST", f"{menu}/{command.verb}", arguments | ({".query": words} if words else {})


def query_words(alternatives: Alternatives) -> Iterator[str]:
    for mapping in alternatives:
        words = [f"{name}={value}" if value else name for name, values in mapping.items() for value in values]
        yield from words
        if len(words) > 1:
            yield "#" + "|" * (len(words) - 1)


def answer_of(method: str, status: int, said: Any) -> Answer:
    if status == 404:
        return Answer(trap=ABSENT)
    if status >= 400:
        return Answer(trap=said.get("detail", said["message"]))
    match said:
        case list():
            return Answer(said)
        case dict():
            return Answer(ret=said[".id"] if method == "PUT" else said.get("ret", ""))
    return Answer()


# --- one way, in a process of its own --------------------------------------------------------------


@contextmanager
def standing_in(latency: str, authority: Path) -> Iterator[tuple[dict[str, int], int]]:
    """The ports of a stand-in that is a process of its own, and its process."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.routeros.serve", "--latency", latency, "--rest", "--authority", str(authority)],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=ROOT,
    ) as process:  # fmt: skip
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "{}"), process.pid
        finally:
            process.terminate()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Spoken:
    """A target that speaks one way."""

    def __init__(self, way: Way, ports: dict[str, int], authority: Path, *, tls: bool) -> None:
        self._way, self._ports, self._tls = way, ports, tls
        self._context = ssl.create_default_context(cafile=str(authority)) if tls else None
        given = {
            "host": "127.0.0.1", "user": "edged", "password": "secret", "tls": tls, "rate": 100_000,
            "port": ports["ssl_port" if tls else "port"], "timeout": "60s", **({"ca": str(authority)} if tls else {}),
        }  # fmt: skip
        self.target = RouterosTarget(RouterosSettings.model_validate(given))
        entries.SCRIPTED, entries.SCRIPT = (200, way.script) if way.script else (NEVER, 1)
        thread.PIECE = max(100, 2 * way.script)
        self._exchange()

    def _exchange(self) -> None:
        if self._way.connections:
            scheme, port = ("https", "rest_ssl_port") if self._tls else ("http", "rest_port")
            url = f"{scheme}://127.0.0.1:{self._ports[port]}/rest"
            self.target._thread.router = RestRouter(url, self._context, self._way.connections)  # type: ignore[assignment]  # noqa: SLF001

    async def close(self) -> None:
        await self.target.close()
        await asyncio.sleep(0.2)
        self._exchange()


async def measure(name: str, latency: str, lines: int, *, tls: bool) -> dict[str, float]:
    """Seconds, milliseconds and megabytes of one way."""
    authority = Path(tempfile.mkdtemp()) / "ca.pem"
    with standing_in(latency, authority) as (ports, pid):
        spoken = Spoken(WAYS[name], ports, authority, tls=tls)
        target = spoken.target
        await target.start(RULES)
        whole, fewer = wanted(0, lines), wanted(1, lines)
        found = {"memory": -resident_mb()}
        found["all"], found["cpu"], found["stand-in"], admitted = await filled(
            target, lambda: bring(target, whole), pid
        )
        found["garden"], found["garden worst"] = statistics.median(admitted) * 1000, max(admitted) * 1000
        changes = sorted([await took(lambda v=v: bring(target, v)) for v in (fewer, whole) * 10])  # type: ignore[misc]
        found["one"], found["one worst"] = changes[10] * 1000, changes[-1] * 1000
        opened = [
            await took(lambda n=n: target.admit([(ip_address(f"203.0.113.{n}"), 60.0)]))  # type: ignore[misc]
            for n in range(100, 120)
        ]
        found["address"] = statistics.median(opened) * 1000
        await spoken.close()
        used = time.process_time()
        began = time.perf_counter()
        actual = await target.read()
        found["read"], found["read cpu"] = time.perf_counter() - began, time.process_time() - used
        found["memory"] += resident_mb()
        if not diff(whole, actual, target.carries).empty:
            raise RuntimeError(f"{name}: not all is there")
        await target.close()
    return found


async def filled(
    target: RouterosTarget, fill: Callable[[], Awaitable[object]], pid: int
) -> tuple[float, float, float, list[float]]:
    """Seconds, our CPU and the stand-in's, and seconds for a garden address each second meanwhile."""
    used, theirs = time.process_time(), cpu_of(pid)
    filling, admitted = asyncio.create_task(took(fill)), list[float]()
    while not filling.done():
        await asyncio.wait({filling}, timeout=1.0)
        if not filling.done() and await target_is_read(target):
            number = len(admitted)
            entry = (ip_address(f"198.51.{number // 250}.{number % 250 + 1}"), 60.0)
            admitted.append(await took(lambda entry=entry: target.admit([entry])))  # type: ignore[misc]
    return await filling, time.process_time() - used, cpu_of(pid) - theirs, admitted or [0.0]


# --- all ways in turn ------------------------------------------------------------------------------

COLUMNS = (
    "all", "cpu", "stand-in", "garden", "garden worst", "one", "one worst", "address", "read", "read cpu", "memory",
)  # fmt: skip


def run(given: argparse.Namespace, latency: str) -> None:
    results: dict[str, list[dict[str, float]]] = {name: [] for name in given.ways}
    for _ in range(given.rounds):
        for name in given.ways:
            arguments = [sys.executable, __file__, "--way", name, "--latency", latency, "--lines", str(given.lines)]
            done = subprocess.run(arguments + ["--plain"] * given.plain, check=True, stdout=subprocess.PIPE, cwd=ROOT)
            results[name].append(json.loads(done.stdout))
            print(f"{latency} {name} {done.stdout.decode().strip()}", file=sys.stderr, flush=True)
    print(f"{latency}, {given.lines:,} lines, {'plain' if given.plain else 'TLS'}, medians of {given.rounds}")
    print(f"{'':16}" + "".join(f"{column:>14}" for column in COLUMNS))
    medians = {n: {c: statistics.median(r[c] for r in rounds) for c in COLUMNS} for n, rounds in results.items()}
    for name, found in medians.items():
        print(f"{name:16}" + "".join(f"{found[column]:14.2f}" for column in COLUMNS))
    if "api" in medians:
        for name, found in medians.items():
            ratios = (found[column] / (medians["api"][column] or 1.0) for column in COLUMNS)
            print(f"{name + ' / api':16}" + "".join(f"{ratio:14.2f}" for ratio in ratios))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--latency", nargs="+", default=["rb5009"])
    arguments.add_argument("--ways", nargs="+", choices=sorted(WAYS), default=list(WAYS))
    arguments.add_argument("--plain", action="store_true", help="without TLS")
    arguments.add_argument("--way", choices=sorted(WAYS), help="one way, here, as JSON")
    given = arguments.parse_args()
    if given.way:
        found = asyncio.run(measure(given.way, given.latency[0], given.lines, tls=not given.plain))
        print(json.dumps(found))
        return
    for latency in given.latency:
        run(given, latency)


if __name__ == "__main__":
    main()
