# SPDX-License-Identifier: Apache-2.0
"""A hub behind nginx, by the configuration that is shipped: TLS, one answer for many, nothing unsigned believed."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme

from edged.billing.sources.hub import HubSource
from edged.errors import UpstreamError
from edged.values import Secret
from tests.loopback.billing_edge import names, people
from tests.loopback.feed_server import Feed
from tests.loopback.hub_scene import BEARER, Scene, blocked, key, scene, until

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "hub" / "nginx.conf"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def nginx(at: Scene, directory: Path) -> AsyncIterator[str]:
    """The base URL of the hub behind nginx; ``directory`` has ca.pem afterwards."""
    authority, port = trustme.CA(), free_port()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(directory / "leaf.pem")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    text = SHIPPED.read_text("utf-8")
    for was, now in (
        (r"/var/cache/nginx/edged-hub", f"{directory}/cache"),
        (r"127\.0\.0\.1:9443", f"127.0.0.1:{at.heard_at}"),
        (r"listen \[::\]:443 [^;]*;", ""),
        (r"listen 443 ", f"listen 127.0.0.1:{port} "),
        (r"/etc/ssl/hub\.example\.net\.pem", f"{directory}/leaf.pem"),
        (r"/etc/ssl/private/hub\.example\.net\.key", f"{directory}/leaf.pem"),
    ):
        text, count = re.subn(was, now, text)
        assert count == 1, was
    (directory / "hub.conf").write_text(text)
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(
        f"daemon off; {user} pid {directory}/nginx.pid; error_log {directory}/error.log; worker_processes 1;"
        f" events {{ worker_connections 1024; }} http {{ access_log off; {temporary} include {directory}/hub.conf; }}\n"
    )
    process = await asyncio.create_subprocess_exec(
        "nginx", "-c", f"{directory}/nginx.conf", "-e", f"{directory}/error.log", "-p", str(directory),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(10):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        assert process.returncode is None, (directory / "error.log").read_text()
        yield f"https://127.0.0.1:{port}{at.hub.settings.path}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def behind(at: Scene, url: str, directory: Path, *, wait: int = 0) -> HubSource:
    return HubSource(
        url, Secret(BEARER), publics=(b64decode(at.hub.public_key),), authority=directory / "ca.pem", wait=wait
    )


async def test_edges_behind_nginx_have_the_list_and_each_change_in_a_moment(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, nginx(at, tmp_path) as url:
        source = behind(at, url, tmp_path, wait=20)
        reading = await source.read(None)
        assert reading is not None
        assert {s.id for s in reading.snapshot.subscribers} == names(1, 2)
        change = asyncio.create_task(source.read(reading))
        await until(lambda: at.hub.waiting == 1)
        at.billing.feed = Feed(people(2, addresses=("100.64.0.9",)), keys=[key(2)], known=100, active={"1"})
        await at.sync()
        async with asyncio.timeout(5):
            changed = await change
        assert changed is not None
        assert source.waits
        assert await source.read_one("no such one") is None
        assert (await source.read(None)) is not None
        await source.close()


async def test_many_edges_that_read_everything_at_once_wait_for_nobody_and_the_next_ones_ask_nginx(
    tmp_path: Path,
) -> None:
    feed = Feed(people(*range(400)), keys=[key(1)], known=9000)
    async with scene(tmp_path, feed, more=", cache: 30s") as at, nginx(at, tmp_path) as url:

        async def read_by(count: int) -> int:
            """So many new edges read everything; how many lists the hub was asked for."""
            before = sum(count for (what, _), count in at.hub.counters.answers.items() if what == "list")
            sources = [behind(at, url, tmp_path) for _ in range(count)]
            async with asyncio.timeout(5):
                readings = await asyncio.gather(*(source.read(None) for source in sources))
            assert [len(r.snapshot.subscribers) for r in readings if r is not None] == [400] * count
            # and a second reading is a 304 of nginx's own, which stands for the list that is there
            again = await asyncio.gather(*(source.read(None) for source in sources))
            assert all(reading is not None for reading in again)
            for source in sources:
                await source.close()
            return sum(count for (what, _), count in at.hub.counters.answers.items() if what == "list") - before

        await read_by(20)
        # keys are asked of the hub by everyone, twice; subscribers by nobody
        assert await read_by(20) == 40


async def test_what_nginx_keeps_is_given_to_nobody_without_the_key(tmp_path: Path) -> None:
    async with (
        scene(tmp_path, more=", cache: 60s") as at,
        nginx(at, tmp_path) as url,
        aiohttp.ClientSession() as client,
    ):
        for bearer, status in ((BEARER, 200), ("somebody-elses-key", 401), (BEARER, 200), ("", 401)):
            headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
            async with client.get(f"{url}/subscribers", headers=headers, ssl=False) as response:
                assert response.status == status


async def test_a_hub_that_starts_again_behind_nginx_is_followed_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as at, nginx(at, tmp_path) as url, at.edge_at_work(url=at.url) as edge:
        await until(lambda: blocked(edge) == names(1, 2))
        port = at.heard_at
        source = behind(at, url, tmp_path)
        reading = await source.read(None)
        await at.hub.stop()
        with pytest.raises(UpstreamError, match="502"):
            await source.read(reading)
        at.hub.settings = at.hub.settings.model_copy(update={"listen": at.hub.settings.listen._replace(port=port)})
        await at.hub.start()
        assert await source.read(reading) is None
        await source.close()
