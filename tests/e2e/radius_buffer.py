# SPDX-License-Identifier: Apache-2.0
"""For test_radius_batches.py, in a network of its own: a RADIUS server whose send buffer is full, and what came of it.

The kernel keeps what it sends to a neighbour that does not answer ARP and counts it against the socket, so a small
buffer is full after a few replies.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess

from edged.radius.attributes import attribute
from edged.radius.authenticator import reply_is_authentic, sign_request
from edged.radius.counters import Discard
from edged.radius.packet import Answer, Code, Packet
from edged.radius.service import RadiusService
from edged.radius.settings import RadiusSettings
from edged.values import Secret

SECRET = Secret("edged-test-secret-0001")
REQUESTS = 40
NAS = "192.0.2.99"


def ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True)


async def main() -> None:
    ip("link", "set", "lo", "up")
    ip("link", "add", "edge", "type", "veth", "peer", "name", "street")
    for name in ("edge", "street"):
        ip("link", "set", name, "up")
    for address in ("192.0.2.1", NAS):
        ip("address", "add", f"{address}/24", "dev", "edge")
    gate = asyncio.Event()
    asked = 0

    async def authorize(*_: object) -> Answer:
        nonlocal asked
        asked += 1
        await gate.wait()
        return Answer(Code.ACCESS_ACCEPT, (attribute("Reply-Message", "x" * 250),))

    async def account(*_: object) -> bool:
        raise NotImplementedError

    settings = RadiusSettings.model_validate(
        {"auth": ["192.0.2.1:0"], "clients": [{"name": "ap", "networks": ["192.0.2.0/24"], "secret": SECRET}]}
    )
    service = RadiusService(settings, authorize=authorize, account=account)
    await service.start()
    running = asyncio.create_task(service.run())
    sock = service._listeners[0].socket
    requests = [
        sign_request(Packet(Code.ACCESS_REQUEST, number, bytes(15) + bytes([number])), SECRET)
        for number in range(REQUESTS)
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nas:
        nas.bind((NAS, 0))
        nas.connect(sock.getsockname())
        nas.settimeout(0)
        async with asyncio.timeout(20):
            for octets in requests:
                nas.send(octets)
            while asked < REQUESTS:
                await asyncio.sleep(0.01)
            room = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            ip("address", "del", f"{NAS}/24", "dev", "edge")
            gate.set()
            while service.counters.in_flight:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            unsendable = service.counters.discards[Discard.UNSENDABLE]
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
            ip("address", "add", f"{NAS}/24", "dev", "edge")
            for octets in requests:
                nas.send(octets)
            replies = [await asyncio.get_running_loop().sock_recv(nas, 4096) for _ in requests]
    authentic = sum(
        reply_is_authentic(reply, octets[4:20], SECRET) for reply, octets in zip(replies, requests, strict=True)
    )
    replayed = service.counters.replayed
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.stop()
    print(json.dumps({"asked": asked, "unsendable": unsendable, "replayed": replayed, "authentic": authentic}))


if __name__ == "__main__":
    asyncio.run(main())
