# SPDX-License-Identifier: Apache-2.0
"""Where the parts of the room meet: what is answered at once and what is not, who leaves early, what a reload keeps."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edged.captive.admission import Deadlines
from edged.captive.answers import Kind
from edged.captive.http import service as front
from edged.captive.reception.service import CHECK_WAIT, LIFT_WAIT
from edged.captive.settings import CertificateFiles
from edged.model import Access
from tests.captive_scene import settings
from tests.dns_lab import view_of
from tests.loopback.test_captive import HOST, House, dialled, running, said, until
from tests.loopback.test_captive_doors import inside
from tests.unit.test_captive_tls import hello


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with running(tmp_path) as found:
        yield found


def without_certificate(house: House, folder: Path) -> None:
    """A reload to a host whose certificate is still to come: the page comes over HTTP."""
    to_come = CertificateFiles(chain=folder / "to-come.pem", key=folder / "to-come.key")
    listen = {"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]}
    house.service.reconfigure(
        settings(url="https://new.example.net", listen=listen, certificate={"chain": to_come.chain, "key": to_come.key})
    )


@pytest.mark.parametrize(
    ("target", "kind"), [("/.well-known/captive-portal", Kind.API), ("/pay", Kind.PAY), ("/", Kind.PAGE)]
)
async def test_an_answer_is_counted_once_whichever_way_it_takes(
    house: House, tmp_path: Path, target: str, kind: Kind
) -> None:
    without_certificate(house, tmp_path)

    fields = "Sec-Fetch-Site: cross-site\r\nConnection: close\r\n"
    answer = await said(house.http, f"GET {target} HTTP/1.1\r\nHost: new.example.net\r\n{fields}\r\n".encode())

    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 303 "))
    assert house.service.counters.answers == {**dict.fromkeys(Kind, 0), kind: 1}


async def test_a_client_that_leaves_before_its_alert_is_no_bug_of_ours(house: House) -> None:
    malformed = bytearray(hello("www.example.com"))
    malformed[9 + 34] = 33  # a session id longer than one may be
    gone = house.service.counters.dropped["gone"]
    for octets in (malformed, b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"):
        with socket.socket() as sock:
            # before the loop looks: what came is there to be read, and nobody is there to be answered
            sock.connect(("127.0.0.1", house.https))
            sock.send(octets)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await until(lambda: house.service.counters.connections and inside(house) == 0)
        await asyncio.sleep(0.05)

    assert house.service.counters.faults == 0
    assert house.service.counters.dropped["gone"] >= gone


async def test_who_leaves_while_the_answer_waits_leaves_nothing_behind(house: House) -> None:
    house.current.publish(view_of(Access.OPEN, "127.0.0.0/8"))
    before = len(asyncio.all_tasks())
    for _ in range(100):
        async with dialled(house.http) as (_, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/html\r\n\r\n")
            await writer.drain()
            await until(lambda: inside(house) == 1)
    await until(lambda: inside(house) == 0)
    async with asyncio.timeout(1.0):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)


def test_no_page_that_waits_meets_the_end_of_its_connection() -> None:
    longest = CHECK_WAIT + LIFT_WAIT

    assert front.FRESH + front.KEEP_ALIVE + longest < Deadlines().lifetime


async def test_a_connection_that_has_been_here_long_takes_no_further_request(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(cafile=house.files.chain)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.https, ssl=context, server_hostname=HOST)
    heads = []
    for fresh in (front.FRESH, 0.0):
        monkeypatch.setattr(front, "FRESH", fresh)
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        heads.append(await reader.readuntil(b"\r\n\r\n"))
    assert await reader.read() == b""
    writer.close()

    assert [b"Connection: close" in head for head in heads] == [False, True]
