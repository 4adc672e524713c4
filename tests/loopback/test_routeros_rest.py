# SPDX-License-Identifier: Apache-2.0
"""The REST API of the stand-in of a RouterOS router, judged by curl and by what is published of it.

edged itself does not use it (docs/decisions/0039): it is here so that bench/routeros_rest.py has something to measure.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.routeros.console import Console
from tests.routeros.latency import Latency
from tests.routeros.rest import KEPT, RestFront, serve_rest
from tests.routeros.server import PASSWORD, router

CONVERSATIONS = yaml.safe_load((Path(__file__).parents[1] / "vectors" / "routeros_rest.yaml").read_text("utf-8"))[
    "conversations"
]
LIST = "/ip/firewall/address-list"
JSON = "Content-Type: application/json"
SOON = 10.0
SLOW = Latency(command=0.1)
"""A command is 0.1 s of the router's."""


@pytest.fixture
async def front() -> AsyncIterator[RestFront]:
    async with serve_rest(router()) as found:
        yield found


async def curl(
    front: RestFront,
    target: str,
    method: str = "GET",
    data: str | None = None,
    *,
    header: str = JSON,
    user: str = "edged",
    more: tuple[str, ...] = (),
) -> tuple[int, Any]:
    """The status and the JSON that curl gets; None: no body."""
    base = f"http://127.0.0.1:{front.port}/rest"
    sent = ("-H", header, "--data", data) if data is not None else ()
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-g", "-u", f"{user}:{PASSWORD}", "-X", method, "-w", "\n%{http_code}", *more, *sent,
        target if target.startswith("http") else base + target, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    body, _, status = (await asyncio.wait_for(process.communicate(), SOON))[0].decode().rpartition("\n")
    return int(status), json.loads(body) if body.startswith(("{", "[")) else body or None


@pytest.mark.parametrize("said", CONVERSATIONS, ids=lambda said: said["name"])
async def test_curl_gets_what_is_published(front: RestFront, said: dict[str, Any]) -> None:
    for line in said.get("hand", ()):
        command, *arguments = line.split()
        front.router.console.hand(command, **dict(pair.split("=", 1) for pair in arguments))
    for step in said["steps"]:
        data = step.get("data", json.dumps(step["json"]) if "json" in step else None)
        status, body = await curl(front, step["path"], step.get("method", "GET"), data, header=step.get("header", JSON))
        assert status == step["status"], (step, body)
        if "holds" in step:
            assert step["holds"].items() <= body.items(), step
        else:
            assert body == (None if step.get("empty") else step["body"]), step


async def test_what_rest_changes_is_what_the_api_shows(front: RestFront) -> None:
    console = front.router.console
    console.hand(f"{LIST}/add", list="a", address="192.0.2.1")
    await curl(front, LIST, "PUT", '{"list":"a","address":"192.0.2.2"}')
    await curl(front, f"{LIST}/*1", "DELETE")
    assert [row["address"] for row in console.items(LIST)] == ["192.0.2.2"]


async def test_a_new_record_says_where_it_is(front: RestFront) -> None:
    _, headers = await curl(
        front, LIST, "PUT", '{"list":"a","address":"192.0.2.1"}', more=("-D", "-", "-o", "/dev/null")
    )
    assert f"Location: http://127.0.0.1:{front.port}/rest{LIST}/*1" in headers.splitlines()


# --- who may ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "reading", "adding"),
    [
        ("read,write,api,rest-api", (200, ""), (201, "")),
        ("read,write,api", (401, ""), (401, "")),
        ("read,write,rest-api", (500, "std failure: not allowed (9)"), (500, "std failure: not allowed (9)")),
        ("read,api,rest-api", (200, ""), (500, "not enough permissions (9)")),
    ],
)
async def test_a_client_needs_the_rights_of_the_api_and_of_rest(
    front: RestFront, policy: str, reading: tuple[int, str], adding: tuple[int, str]
) -> None:
    hand = front.router.console.hand
    hand("/user/group/add", name="rest", policy=policy)
    hand("/user/add", name="client", password=PASSWORD, group="rest")
    sent = (LIST, "GET", None), (LIST, "PUT", '{"list":"a","address":"192.0.2.1"}')
    for (target, method, data), (status, detail) in zip(sent, (reading, adding), strict=True):
        found, body = await curl(front, target, method, data, user="client")
        assert (found, body.get("detail", "") if isinstance(body, dict) else "") == (status, detail)


async def test_a_record_is_neither_changed_nor_deleted_by_who_may_only_read(front: RestFront) -> None:
    console = front.router.console
    console.hand(f"{LIST}/add", list="a", address="192.0.2.1")
    console.hand("/user/add", name="reader", password=PASSWORD, group="read")
    before = console.items(LIST)
    for method, data in (("PATCH", '{"comment":"x"}'), ("DELETE", None)):
        status, body = await curl(front, f"{LIST}/*1", method, data, user="reader")
        assert (status, body["detail"]) == (400, "missing or invalid resource identifier")
    assert console.items(LIST) == before


async def test_a_password_counts_from_the_next_request_and_a_right_when_the_login_is_renewed() -> None:
    clock = [0.0]
    server = router()
    server.console = Console(clock=lambda: clock[0])
    hand = server.console.hand
    hand("/user/group/add", name="rest", policy="read,write,api,rest-api")
    hand("/user/add", name="edged", password=PASSWORD, group="rest")
    async with serve_rest(server) as front:
        assert (await curl(front, LIST))[0] == 200
        hand("/user/group/set", id="rest", policy="read,rest-api")
        assert (await curl(front, LIST))[0] == 200
        clock[0] = KEPT
        assert (await curl(front, LIST))[0] == 500
        hand("/user/set", id="edged", password="another")
        assert (await curl(front, LIST))[0] == 401


@pytest.mark.parametrize(
    ("version", "plain", "secured"), [("6.49.10", 404, 404), ("7.0", 404, 404), ("7.8", 404, 200), ("7.9", 200, 200)]
)
async def test_rest_came_with_7_1_and_without_tls_with_7_9(version: str, plain: int, secured: int) -> None:
    async with serve_rest(router(version)) as front:
        assert (await curl(front, LIST))[0] == plain
        assert (await curl(front, f"https://127.0.0.1:{front.ssl_port}/rest{LIST}", more=("-k",)))[0] == secured


async def test_curl_trusts_the_certificate_of_the_authority_and_no_other(front: RestFront, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(front.router.certificates.pem)
    at, trusting = f"https://127.0.0.1:{front.ssl_port}/rest{LIST}", ("--cacert", str(authority), "-s")
    assert (await curl(front, at, more=trusting)) == (200, [])
    front.router.faults.add("other-certificate")
    assert (await curl(front, at, more=trusting))[0] == 0
    assert front.seen == [f"GET /rest{LIST}"]


# --- when ------------------------------------------------------------------------------------------


async def test_more_connections_make_nothing_faster(front: RestFront) -> None:
    front.router.latency = SLOW
    began = time.monotonic()
    await asyncio.gather(*(curl(front, LIST) for _ in range(4)))
    assert time.monotonic() - began >= 4 * SLOW.command


async def test_a_request_that_takes_too_long_is_ended_and_those_behind_it_of_the_same_user(front: RestFront) -> None:
    front.limit = 0.3
    front.router.console.hand("/user/add", name="other", password=PASSWORD, group="full")
    endless = asyncio.create_task(curl(front, f"{LIST}/listen", "POST", "{}"))
    await asyncio.wait_for(front.heard.wait(), SOON)
    behind, beside = await asyncio.gather(curl(front, LIST), curl(front, LIST, user="other"))
    closed = (400, {"error": 400, "message": "Bad Request", "detail": "Session closed"})
    assert (await endless, behind, beside) == (closed, closed, (200, []))
    assert (await curl(front, LIST)) == (200, [])


async def test_what_a_client_gave_up_is_done_all_the_same_and_the_next_request_waits_for_it(front: RestFront) -> None:
    front.router.latency = SLOW
    began = time.monotonic()
    gives_up = await asyncio.create_subprocess_exec(
        "curl", "-s", "-u", f"edged:{PASSWORD}", "-X", "PUT", "-H", JSON,
        "--data", '{"list":"a","address":"192.0.2.1"}', f"http://127.0.0.1:{front.port}/rest{LIST}",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await asyncio.wait_for(front.heard.wait(), SOON)
    gives_up.kill()
    assert await gives_up.wait() != 0
    assert (await curl(front, f"{LIST}?.proplist=list")) == (200, [{".id": "*1", "list": "a"}])
    assert time.monotonic() - began >= 2 * SLOW.command
