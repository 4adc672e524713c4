# SPDX-License-Identifier: Apache-2.0
"""The stand-in of a RouterOS router on its sockets: what comes when, and what its faults and its time are like."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.routeros.faults import FAULTS
from tests.routeros.latency import Latency
from tests.routeros.sentences import to_text
from tests.routeros.server import PASSWORD, RouterServer, router, serve
from tests.routeros.words import Decoder, encode

LIST = "/ip/firewall/address-list"
SOON = 10.0


class Client:
    """Says and hears sentences; judges nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._decoder, self._heard = Decoder(), list[list[str]]()

    def say(self, *words: str) -> None:
        self.writer.write(encode([word.encode() for word in words]))

    async def hear(self) -> list[str]:
        """The next sentence; an empty one when the connection has ended."""
        while not self._heard:
            octets = await asyncio.wait_for(self._reader.read(4096), SOON)
            if not octets:
                return []
            self._heard += [[to_text(word) for word in words] for words in self._decoder.feed(octets)]
        return self._heard.pop(0)

    async def ask(self, *words: str) -> list[list[str]]:
        """Everything until the end of a command without a tag."""
        self.say(*words)
        found = [await self.hear()]
        while found[-1] and found[-1][0] not in {"!done", "!fatal"}:
            found.append(await self.hear())
        return found


@pytest.fixture
async def server() -> AsyncIterator[RouterServer]:
    async with serve(router()) as found:
        yield found


Connect = Callable[[], Awaitable[Client]]


@pytest.fixture
async def client(server: RouterServer) -> AsyncIterator[Connect]:
    """Another client of ``server`` that has logged in."""
    made: list[Client] = []

    async def connect() -> Client:
        made.append(Client(*await asyncio.open_connection(server.host, server.port)))
        assert (await made[-1].ask("/login", "=name=edged", f"=password={PASSWORD}"))[-1] == ["!done"]
        return made[-1]

    yield connect
    for each in made:
        each.writer.close()
        with suppress(OSError):
            await each.writer.wait_closed()


async def test_changes_of_others_are_told_to_who_listens(server: RouterServer, client: Connect) -> None:
    listener, other = await client(), await client()
    listener.say(f"{LIST}/listen", ".tag=l")
    await asyncio.sleep(0)
    assert await listener.ask("/system/identity/print") == [["!re", "=name=MikroTik"], ["!done"]]
    await other.ask(f"{LIST}/add", "=list=a", "=address=192.0.2.1")
    await other.ask(f"{LIST}/remove", "=.id=*1")
    server.console.hand(f"{LIST}/add", list="a", address="192.0.2.2")

    heard = [await listener.hear() for _ in range(3)]
    assert [words[:3] for words in heard] == [
        ["!re", ".tag=l", "=.id=*1"], ["!re", ".tag=l", "=.id=*1"], ["!re", ".tag=l", "=.id=*2"]
    ]  # fmt: skip
    assert "=.dead=true" in heard[1]
    listener.writer.close()
    await other.ask(f"{LIST}/remove", "=.id=*2")


async def test_pipelined_commands_are_answered_in_order_and_out_of_it_when_asked_for(
    server: RouterServer, client: Connect
) -> None:
    ours = await client()

    async def order() -> list[str]:
        for number in range(20):
            ours.say("/system/identity/print", f".tag={number}", "=.proplist=none")
        heard = [await ours.hear() for _ in range(40)]
        return [words[1].removeprefix(".tag=") for words in heard if words[0] == "!done"]

    assert await order() == [str(number) for number in range(20)]
    server.faults.add("out-of-order")
    assert sorted(found := await order(), key=int) == [str(number) for number in range(20)]
    assert found != sorted(found, key=int)


async def test_replies_to_two_commands_come_in_turn(server: RouterServer, client: Connect) -> None:
    for number in range(3):
        server.console.hand(f"{LIST}/add", list="a", address=f"192.0.2.{number}")
    server.faults.add("interleaved")
    ours = await client()
    ours.say(f"{LIST}/print", ".tag=1", "=.proplist=.id")
    ours.say(f"{LIST}/print", ".tag=2", "=.proplist=.id")
    heard = [await ours.hear() for _ in range(8)]

    assert [words[1] for words in heard] == [".tag=1", ".tag=2"] * 4
    assert [words[2:] for words in heard[::2]] == [words[2:] for words in heard[1::2]]


async def test_the_router_does_one_thing_after_the_other_whoever_asks(server: RouterServer, client: Connect) -> None:
    server.latency = Latency(written=0.02)
    clients = [await client() for _ in range(4)]
    began = time.monotonic()
    await asyncio.gather(
        *(of.ask(f"{LIST}/add", "=list=a", f"=address=192.0.2.{number}") for number, of in enumerate(clients))
    )

    assert time.monotonic() - began >= 4 * 0.02


async def test_power_comes_back_on_the_same_ports(server: RouterServer, client: Connect) -> None:
    ours, ports = await client(), (server.port, server.ssl_port)
    await server.power_off()
    with pytest.raises(OSError):
        await asyncio.open_connection(server.host, server.port)
    with pytest.raises(ConnectionError):
        await ours.ask("/system/identity/print")
    server.console.reboot()
    await server.power_on()

    assert (server.port, server.ssl_port) == ports
    assert await (await client()).ask("/system/identity/print")


@pytest.mark.parametrize("octets", [b"\xff", b"\xf0\xff\xff\xff\xff", b"\xc0\x40\x00"])
async def test_what_is_no_sentence_ends_the_connection(server: RouterServer, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(octets)

    assert await asyncio.wait_for(reader.read(), SOON) == b""
    writer.close()


async def test_a_command_before_the_login_is_fatal(server: RouterServer) -> None:
    ours = Client(*await asyncio.open_connection(server.host, server.port))

    assert await ours.ask(f"{LIST}/print") == [["!fatal", "not logged in"]]
    assert await ours.hear() == []
    ours.writer.close()


async def test_a_fault_of_one_turn_is_over_after_it(server: RouterServer, client: Connect) -> None:
    ours = await client()
    server.turns.extend(["", "full", "read-only", ""])
    said = [await ours.ask(f"{LIST}/add", "=list=a", f"=address=192.0.2.{number}") for number in range(4)]

    assert [words[0][0] for words in said] == ["!done", "!trap", "!trap", "!done"]
    assert said[2][0][-1] == "=message=not enough permissions (9)"
    assert [row[".id"] for row in server.console.items(LIST)] == ["*1", "*2"]


async def test_a_reset_is_one_and_a_cut_is_an_end(server: RouterServer, client: Connect) -> None:
    ours, other = await client(), await client()
    server.turns.extend(["cut-after", "reset"])
    assert await ours.ask("/system/identity/print") == [[]]
    with pytest.raises(ConnectionResetError):
        await other.ask("/system/identity/print")


async def test_a_late_reply_comes_though_the_client_has_asked_again(server: RouterServer, client: Connect) -> None:
    ours, server.late = await client(), 0.05
    server.turns.append("late")
    ours.say("/system/identity/print", ".tag=1")
    ours.say("/system/resource/print", ".tag=2")
    heard = [await ours.hear() for _ in range(4)]

    assert [words[1] for words in heard] == [".tag=2", ".tag=2", ".tag=1", ".tag=1"]


async def test_a_command_that_the_router_works_on_is_cancelled(server: RouterServer, client: Connect) -> None:
    server.latency = Latency(walked=0.05)
    ours = await client()
    for tag in "12":
        ours.say("/ip/firewall/nat/print", f".tag={tag}", "=count-only=")
    ours.say("/cancel", "=tag=1", ".tag=3")
    heard = [await ours.hear() for _ in range(4)]

    assert heard[:3] == [
        ["!trap", ".tag=1", "=category=2", "=message=interrupted"], ["!done", ".tag=3"], ["!done", ".tag=1"]
    ]  # fmt: skip
    assert heard[3] == ["!done", ".tag=2", "=ret=0"], "the cancelled one says nothing more"
    server.latency = Latency(walked=SOON)
    ours.say("/ip/firewall/nat/print", ".tag=4")
    ours.say("/cancel")
    assert [(await ours.hear())[0] for _ in range(3)] == ["!trap", "!done", "!done"]


async def test_a_reboot_in_the_middle_of_a_plan_ends_all_of_it(server: RouterServer, client: Connect) -> None:
    ours, other = await client(), await client()
    await ours.ask(f"{LIST}/add", "=list=a", "=address=192.0.2.1", "=timeout=1d")
    await ours.ask(f"{LIST}/add", "=list=a", "=address=192.0.2.2")
    server.turns.append("reboot")
    for each in (ours, other):
        with pytest.raises(ConnectionResetError):
            await each.ask(f"{LIST}/add", "=list=a", "=address=192.0.2.3")

    assert [row["address"] for row in server.console.items(LIST)] == ["192.0.2.2"]


async def test_who_does_not_read_keeps_nobody_up(server: RouterServer, client: Connect) -> None:
    for number in range(300):
        server.console.hand(f"{LIST}/add", list="a", address=f"10.0.{number // 200}.{number % 200}", comment="x" * 900)
    deaf, other = await client(), await client()
    for _ in range(60):
        deaf.say(f"{LIST}/print")
    await deaf.writer.drain()

    assert await other.ask("/system/identity/print") == [["!re", "=name=MikroTik"], ["!done"]]
    began = time.monotonic()
    await server.power_off()
    assert time.monotonic() - began < SOON


def test_every_fault_is_played_somewhere() -> None:
    here = Path(__file__).parents[1]
    code = "".join(
        (here / "routeros" / name).read_text("utf-8") for name in ("server.py", "faults.py", "certificate.py")
    )
    body = code.replace(code[code.index("FAULTS = {") : code.index("}\nSTORM")], "")

    assert not [name for name in FAULTS if f'"{name}"' not in body]
