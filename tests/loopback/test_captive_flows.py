# SPDX-License-Identifier: Apache-2.0
"""The whole house, its billing and a slow packet filter: what the page says after each button is so."""

from __future__ import annotations

import asyncio
import html
import json
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from edged import daemon
from edged.captive.answers import Topic
from edged.captive.page.locales import LOCALES
from edged.captive.reception import service as reception
from edged.captive.selfsigned import self_signed
from edged.config import load
from edged.enforce.desired import Desired
from edged.enforce.diff import Plan
from edged.enforce.targets.memory import MemoryTarget
from edged.model import Access
from edged.ops.explain.explainer import Explainer
from edged.policy.access import Override
from edged.values import parse_prefix
from tests.captive_oracle import Answer
from tests.loopback.feed_server import Feed, ToldFeedServer, serve
from tests.loopback.house import at_work

CONFIGURATION = """\
site: tower-12
mode: enforce
state: {{directory: {directory}/state}}
billing:
  source: rest
  url: {url}
  poll: {{changes: 1h, full: 1h}}
  guard: {{first: accept}}
subscribers: {{networks: ["127.0.0.0/8"]}}
portal:
  url: https://portal.example.net
  certificate: {{chain: {directory}/chain.pem, key: {directory}/key.pem}}
  listen: {{http: ["127.0.0.1:0"], https: ["127.0.0.1:0"]}}
  pass: {{length: 10m, per_day: 1}}
  brands: {{default: {{name: Example ISP, link: "https://customer.example.net/login"}}}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
"""
ANA = {
    "id": "1001", "state": "blocked", "reason": "unpaid", "addresses": ["127.0.0.2"], "name": "Ana Kowalska",
    "amount_due": "49.90", "currency": "EUR", "pay_url": "https://pay.example.com/7f3a", "invoice": "2026-1001",
}  # fmt: skip
BEN = {"id": "1002", "state": "blocked", "reason": "unpaid", "addresses": ["127.0.0.3"]}


class Gated(MemoryTarget):
    """A packet filter that changes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.may.set()
        self.log: list[str] = []

    async def apply(self, desired: Desired, plan: Plan) -> bool:
        await self.may.wait()
        done = await super().apply(desired, plan)
        self.log.append("applied")
        return done


class Billing(ToldFeedServer):
    """The feed, what it was told and asked, and whether it is there."""

    def __init__(self) -> None:
        super().__init__(Feed([ANA, BEN], known=100))

    @property
    def one_asked(self) -> list[str]:
        """Whom edged has asked about alone."""
        return [r.rpartition("/")[2] for r in self.requests if r.startswith("GET /subscribers/")]

    def is_paid(self) -> None:
        self.feed = Feed([BEN], known=100, active={"1001"})


@dataclass
class Scene:
    """Everything, and a browser."""

    house: daemon.House
    billing: Billing
    target: Gated
    folder: Path

    async def curl(self, path: str, *more: str, source: str = "127.0.0.2") -> Answer:
        port = self.house.captive.endpoints.https[0].port
        process = await asyncio.create_subprocess_exec(
            "curl", "-si", "--max-time", "20", "--connect-to", f"::127.0.0.1:{port}", "--cacert",
            str(self.folder / "chain.pem"), "--interface", source, *more, f"https://portal.example.net{path}",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        head, _, body = output.partition(b"\r\n\r\n")
        status, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}
        return Answer(int(status.split()[1]), headers, body)

    async def press(self, button: str, *, source: str = "127.0.0.2", link: str = "", follow: bool = True) -> Answer:
        """Open the page, press a button of it, and go where that leads."""
        page = await self.curl(f"/s/{link}" if link else "/", source=source)
        token = re.search(rb'name="token" value="([^"]+)"', page.body)
        assert token, page.body
        form = f"token={token[1].decode()}&link={link}"
        answer = await self.curl(f"/{button}", "-d", form, source=source)
        if not follow:
            return answer
        assert answer.status == 303
        return await self.curl(answer.headers["location"].removeprefix("https://portal.example.net"), source=source)

    @property
    def access(self) -> Access:
        return self.house.current.view.decide_id("1001", time.time()).access

    @property
    def pages(self) -> dict[Topic, int]:
        return self.house.captive.counters.pages


def topic(answer: Answer) -> str:
    """Which page it is, by its heading."""
    heading = re.search(rb"<h1>(.*?)</h1>", answer.body)
    assert heading
    said = html.unescape(re.sub("<[^>]*>", "", heading[1].decode()))
    until = re.escape(SAID.get("pass.title.until", PASS)).replace(r"\{time\}", ".+")
    return PASS if re.fullmatch(until, said) else said


SAID = LOCALES["en"].texts
LOOKING, UNSEEN, AWAY, USED_UP, OPENING, ONLINE, FAULT = (
    SAID[f"{name}.title"] for name in ("looking", "unseen", "away", "used-up", "opening", "restored", "fault")
)
PAUSED, PASS = SAID["blocked.unpaid.title"], SAID["pass.title"]


@asynccontextmanager
async def scene(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str] | None = None
) -> AsyncIterator[Scene]:
    target = Gated()
    monkeypatch.setattr(daemon, "targets", lambda *_: {"memory": target})
    chain, key = self_signed("portal.example.net", [ip_address("127.0.0.1")], time.time())
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    (folder / "key.pem").chmod(0o600)
    billing = Billing()
    async with serve(billing):
        text = CONFIGURATION.format(directory=folder, url=billing.url)
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        (folder / "edged.yaml").write_text(text)
        async with at_work(daemon.House(load(folder / "edged.yaml"))) as house:
            await until(lambda: house.enforce.status()["memory"].actual == 2)
            yield Scene(house, billing, target, folder)
            assert house.captive.counters.faults == 0


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with scene(tmp_path, monkeypatch) as found:
        yield found


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


# --- I have paid ------------------------------------------------------------------------------------


async def test_whoever_has_paid_reads_that_they_are_online_once_the_filter_says_so_too(here: Scene) -> None:
    here.billing.is_paid()
    here.target.may.clear()

    pressing = asyncio.create_task(here.press("check"))
    await until(lambda: here.access is not Access.BLOCKED)
    done, _ = await asyncio.wait({pressing}, timeout=0.5)
    assert not done, "billing has said so, the line does not work yet, and the page waits"
    here.target.may.set()

    assert topic(await pressing) == ONLINE
    assert not await here.target.contains(ip_address("127.0.0.2"))
    assert here.pages[Topic.RESTORED] == 1


async def test_a_filter_that_is_too_slow_is_no_reason_to_lie(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "LIFT_WAIT", 0.3)
    here.billing.is_paid()
    here.target.may.clear()

    assert topic(await here.press("check")) == OPENING
    assert topic(await here.curl("/")) == OPENING, "whatever way they come"
    here.target.may.set()
    await until(lambda: here.house.enforce.status()["memory"].actual == 1)
    assert topic(await here.curl("/?done=check")) == ONLINE


async def test_a_filter_that_is_down_is_no_reason_to_lie(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "LIFT_WAIT", 0.3)
    here.billing.is_paid()
    here.target.broken = True

    assert topic(await here.press("check")) == OPENING
    assert here.house.enforce.counters.failed > 0


async def test_old_connections_that_are_still_tracked_keep_the_page_waiting(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "LIFT_WAIT", 0.3)
    here.billing.is_paid()
    here.target.lingering = (parse_prefix("127.0.0.2"),)

    assert topic(await here.press("check")) == OPENING
    here.target.lingering = ()
    assert topic(await here.curl("/?done=check")) == ONLINE


async def test_a_payment_that_billing_does_not_know_of_is_looked_for_and_then_not_to_be_seen(here: Scene) -> None:
    pressed = await here.press("check")
    assert topic(pressed) == LOOKING
    assert b"49.90" not in pressed.body
    inquiry = here.house.captive._reception.inquiries.get("1001") if here.house.captive._reception else None
    assert inquiry is not None
    inquiry.first -= 119
    assert topic(await here.curl("/?done=check")) == LOOKING
    inquiry.first -= 2

    assert topic(await here.curl("/?done=check")) == UNSEEN
    assert topic(await here.curl("/")) == PAUSED, "only who has pressed is told so"
    assert here.billing.one_asked == ["1001"]


async def test_when_billing_is_away_the_page_says_that_and_looks_again_at_the_next_press(here: Scene) -> None:
    here.billing.faults.add("error")
    assert topic(await here.press("check")) == AWAY
    assert here.pages[Topic.AWAY] == 1
    here.billing.faults.clear()
    inquiry = here.house.captive._reception.inquiries.get("1001") if here.house.captive._reception else None
    assert inquiry is not None
    assert inquiry.at == 0.0
    inquiry.last -= 6

    assert topic(await here.press("check")) == LOOKING


async def test_two_devices_of_a_line_ask_once_and_read_the_same(here: Scene) -> None:
    link = here.house.captive.link("1001").rpartition("/")[2]

    first, second = await asyncio.gather(here.press("check"), here.press("check", source="127.0.0.9", link=link))

    assert topic(first) == topic(second) == LOOKING
    assert here.billing.one_asked == ["1001"]


async def test_by_a_signed_link_from_elsewhere_the_line_that_counts_is_the_subscribers(here: Scene) -> None:
    link = here.house.captive.link("1001").rpartition("/")[2]
    here.billing.is_paid()
    here.target.may.clear()

    pressing = asyncio.create_task(here.press("check", source="127.0.0.9", link=link))
    await until(lambda: here.access is not Access.BLOCKED)
    done, _ = await asyncio.wait({pressing}, timeout=0.5)
    assert not done
    here.target.may.set()

    assert topic(await pressing) == ONLINE


async def test_who_has_paid_is_forgotten_and_their_next_block_begins_anew(here: Scene) -> None:
    service = here.house.captive._reception
    assert service is not None
    await here.press("check")
    inquiry = service.inquiries.get("1001")
    assert inquiry is not None
    inquiry.first -= 500
    here.billing.is_paid()
    assert here.house.billing is not None
    await here.house.billing.recheck("1001")
    await until(lambda: inquiry.freed > 0)
    here.billing.feed = Feed([ANA, BEN], known=100)
    await here.house.billing.recheck("1001")
    await until(lambda: here.access is Access.BLOCKED)

    assert topic(await here.curl("/?done=check")) == PAUSED, "nobody has pressed since"
    assert topic(await here.press("check")) == LOOKING


async def test_an_open_line_that_a_filter_is_known_to_hold_is_not_said_to_work(here: Scene) -> None:
    here.target.may.clear()
    now = time.time()
    await here.house.overrides.put(Override("1001", blocked=False, until=now + 60, why="pays", who="noc", at=now))
    await here.house.relearn()

    assert topic(await here.curl("/")) == OPENING
    here.target.may.set()
    await until(lambda: here.house.enforce.status()["memory"].actual == 1)
    assert topic(await here.curl("/")) == SAID["open.title"]


async def test_a_question_that_billing_is_slow_to_answer_is_not_asked_twice(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "CHECK_WAIT", 0.1)
    asked, answers, check = list[str](), asyncio.Event(), here.house.clerk.check

    async def slowly(subscriber_id: str) -> None:
        asked.append(subscriber_id)
        await answers.wait()
        await check(subscriber_id)

    monkeypatch.setattr(here.house.clerk, "check", slowly)
    assert topic(await here.press("check")) == LOOKING, "the reader does not wait for ever"
    inquiry = here.house.captive._reception.inquiries.get("1001") if here.house.captive._reception else None
    assert inquiry is not None
    inquiry.last -= 6
    assert topic(await here.press("check")) == LOOKING
    here.billing.is_paid()
    answers.set()

    await until(lambda: here.access is not Access.BLOCKED)
    assert asked == ["1001"]


async def test_waiting_readers_are_bounded_and_the_others_are_told_at_once(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "_WAITING", 2)
    monkeypatch.setattr(reception, "LIFT_WAIT", 3.0)
    here.billing.is_paid()
    assert here.house.billing is not None
    here.target.may.clear()
    await here.house.billing.recheck("1001")

    began = time.monotonic()
    answers = [asyncio.create_task(here.curl("/?done=check")) for _ in range(6)]
    done, waiting = await asyncio.wait(answers, timeout=2.0)
    assert (len(done), len(waiting)) == (4, 2)
    assert {topic(task.result()) for task in done} == {OPENING}
    here.target.may.set()
    assert {topic(answer) for answer in await asyncio.gather(*waiting)} == {ONLINE}
    assert time.monotonic() - began < 5


async def test_who_is_blocked_again_a_moment_after_a_payment_is_asked_about_at_the_next_press(here: Scene) -> None:
    here.billing.is_paid()
    assert topic(await here.press("check")) == ONLINE
    here.billing.feed = Feed([ANA, BEN], known=100)
    assert here.house.billing is not None
    await here.house.billing.recheck("1001")
    await until(lambda: here.access is Access.BLOCKED)
    here.billing.is_paid()

    assert topic(await here.press("check")) == ONLINE


# --- the pass ---------------------------------------------------------------------------------------


async def test_a_pass_is_open_at_the_filter_before_the_reader_is_led_on(here: Scene) -> None:
    here.target.may.clear()

    pressing = asyncio.create_task(here.press("pass", follow=False))
    await until(lambda: here.access is Access.PASS)
    done, _ = await asyncio.wait({pressing}, timeout=0.5)
    assert not done, "the bank's page would meet a closed line"
    here.target.may.set()
    answer = await pressing

    assert (answer.status, answer.headers["location"]) == (303, "https://portal.example.net/?done=pass")
    assert not await here.target.contains(ip_address("127.0.0.2"))
    page = await here.curl("/?done=pass")
    assert topic(page) == PASS
    api = await here.curl("/.well-known/captive-portal")
    assert 500 < json.loads(api.body)["seconds-remaining"] <= 600
    click = await here.curl("/pay")
    assert (click.status, click.headers["location"]) == (303, "https://pay.example.com/7f3a")


async def test_a_pass_at_a_filter_that_does_not_open_is_not_said_to_be_open(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "LIFT_WAIT", 0.3)
    here.target.broken = True

    assert topic(await here.press("pass")) == OPENING


async def test_the_passes_of_a_day_end_and_the_page_says_so(here: Scene) -> None:
    now = time.time()
    await here.house.overrides.start_pass("1001", now - 1000, now - 400)
    await here.house.clerk.open(here.house.loaded.config.portal.pass_)

    assert topic(await here.curl("/?done=pass")) == USED_UP
    assert topic(await here.curl("/?done=pass", source="127.0.0.3")) == PAUSED, "1002 has one left"


async def test_no_pass_is_spent_on_a_line_that_an_operator_blocks(here: Scene) -> None:
    page = await here.curl("/")
    token = re.search(rb'name="token" value="([^"]+)"', page.body)
    assert token
    now = time.time()
    word = Override("1001", blocked=True, until=now + 60, why="a check", who="noc", at=now, reason="unpaid")
    await here.house.overrides.put(word)
    await here.house.relearn()

    answer = await here.curl("/pass", "-d", f"token={token[1].decode()}&link=")

    assert answer.status == 303
    assert here.house.clerk.passes_left("1001") == 1
    assert b"/pass" not in (await here.curl("/")).body, "nor is one offered"


async def test_two_presses_at_once_are_one_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path, monkeypatch, {"per_day: 1": "per_day: 3"}) as here:
        pages = await asyncio.gather(here.press("pass"), here.press("pass"), here.press("pass"))

        assert {topic(page) for page in pages} == {PASS}
        assert here.house.clerk.passes_left("1001") == 2


async def test_a_pass_that_cannot_be_kept_is_not_given_and_the_page_says_so(here: Scene) -> None:
    await here.house.database.run(lambda connection: connection.execute("PRAGMA busy_timeout = 50"))
    with closing(sqlite3.connect(here.house.database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = await here.press("pass", follow=False)
        other.execute("ROLLBACK")

    assert answer.status == 503
    assert topic(answer) == FAULT
    assert here.access is Access.BLOCKED
    assert topic(await here.press("pass")) == PASS, "another press has more luck"


async def test_who_pays_on_a_pass_may_ask_and_is_told(here: Scene) -> None:
    page = await here.curl("/")
    token = re.search(rb'name="token" value="([^"]+)"', page.body)
    assert token
    form = f"token={token[1].decode()}&link="
    await here.curl("/pass", "-d", form)
    await here.curl("/check", "-d", form)
    assert topic(await here.curl("/?done=check")) == LOOKING
    here.billing.is_paid()
    assert here.house.billing is not None
    await here.house.billing.recheck("1001")

    assert topic(await here.curl("/?done=check")) == ONLINE


# --- the pay button ---------------------------------------------------------------------------------


async def test_a_click_leads_on_is_counted_and_told_of_once(here: Scene) -> None:
    link = here.house.captive.link("1001").rpartition("/")[2]
    for path, source in (("/pay", "127.0.0.2"), (f"/s/{link}/pay", "127.0.0.9")):
        answer = await here.curl(path, source=source)
        assert (answer.status, answer.headers["location"]) == (303, "https://pay.example.com/7f3a")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.body == b""
    await here.curl("/pay", "-I")
    prefetch = await here.curl("/pay", "-H", "Sec-Purpose: prefetch")
    assert (prefetch.status, "location" in prefetch.headers) == (503, False)
    await here.curl("/pay", "-H", "Sec-Fetch-Site: cross-site")
    await here.curl("/pay", "-H", "Sec-Fetch-Dest: image")

    assert here.house.captive.counters.clicks == 2
    await until(lambda: bool([e for e in here.billing.told if e["type"] == "pay.clicked"]))
    (event,) = [event for event in here.billing.told if event["type"] == "pay.clicked"]
    assert event.keys() == {"id", "type", "subscriber", "at", "edge"}
    assert "pay.example.com" not in json.dumps(here.billing.told)


async def test_the_brands_link_stands_in_and_an_open_line_is_led_home(here: Scene) -> None:
    brand = await here.curl("/pay", source="127.0.0.3")
    nobody = await here.curl("/pay", source="127.0.0.9")
    forged = await here.curl("/s/AAAA/pay", source="127.0.0.9")

    assert brand.headers["location"] == "https://customer.example.net/login"
    assert (nobody.status, nobody.headers["location"]) == (303, "https://portal.example.net/")
    assert forged.status == 404


# --- what a page says of itself ---------------------------------------------------------------------


async def test_the_reference_of_a_page_finds_its_subscriber_and_billing_was_read_a_moment_ago(
    here: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    render = here.house.captive._pages.render

    def seen(page: Any, *more: Any) -> Any:
        shown.append(page)
        return render(page, *more)

    monkeypatch.setattr(here.house.captive._pages, "render", seen)
    link = here.house.captive.link("1001").rpartition("/")[2]
    for path, source in (
        ("/", "127.0.0.2"),
        (f"/s/{link}", "127.0.0.9"),
        ("/", "127.0.0.9"),
        ("/nowhere", "127.0.0.2"),
    ):
        await here.curl(path, source=source)

    own, signed, stranger, missing = shown
    assert own.reference == signed.reference == missing.reference == here.house.captive.reference("1001")
    assert own.reference.startswith("T12-")
    assert stranger.reference == ""
    assert 0 <= time.time() - own.at < 30
    assert stranger.at == 0.0
    facts = await Explainer(here.house).explain(own.reference.lower(), None)
    assert facts["subscriber"] == "1001"


async def test_a_reload_of_the_site_is_in_force_on_the_page_and_at_the_help_desk(here: Scene) -> None:
    file, before = here.folder / "edged.yaml", here.house.captive.reference("1001")
    file.write_text(file.read_text().replace("site: tower-12", "site: harbour-3"))

    await here.house.reload()

    assert here.house.reload_state.ok
    reference = here.house.captive.reference("1001")
    assert (before[:4], reference[:3]) == ("T12-", "H3-")
    assert reference.encode() in (await here.curl("/")).body
    assert (await Explainer(here.house).explain(reference, None))["subscriber"] == "1001"


async def test_a_reload_keeps_what_the_page_is_made_with(here: Scene) -> None:
    file, link = here.folder / "edged.yaml", here.house.captive.link("1001").rpartition("/")[2]
    here.house.acme.challenges.serve("token", "token.thumb")
    file.write_text(file.read_text().replace("subscribers: {", "subscribers: {notice: {sign_in: true}, "))

    for _ in range(2):
        await here.house.reload()

        assert here.house.reload_state.ok
        assert here.house.captive._portal.sign_in, "of the settings, at every reload"
        assert (await here.curl(f"/s/{link}", source="127.0.0.9")).status == 200
        assert (await here.curl("/.well-known/acme-challenge/token")).body == b"token.thumb"


async def test_a_stop_waits_for_nobody_who_waits_for_a_line(here: Scene) -> None:
    def waiting() -> bool:
        return any("_handle_request" in repr(task.get_coro()) for task in asyncio.all_tasks())

    here.target.may.clear()
    pressed = asyncio.create_task(here.press("pass", follow=False))
    await until(lambda: here.house.captive._reception and here.house.captive._reception._readers)
    assert waiting()

    await here.house.captive.stop()

    await until(lambda: not waiting(), 1.0)
    here.target.may.set()
    await asyncio.gather(pressed, return_exceptions=True)
