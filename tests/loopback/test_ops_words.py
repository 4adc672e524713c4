# SPDX-License-Identifier: Apache-2.0
"""block, unblock and pass, asked of a whole house over its control socket: what is answered, kept, shown and ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from edged.cli import main
from edged.daemon import House
from edged.model import Access, State, Subscriber
from edged.ops.control import Refused
from edged.ops.words import DAY_S
from edged.state.overrides import Kind
from edged.values import MacAddress, parse_prefix
from tests.loopback.house import ONE_LIST, Facts, ask, at_work, written

ANA = Subscriber(
    "1001",
    State.BLOCKED,
    "unpaid",
    0.0,
    (parse_prefix("127.0.0.2"),),
    (MacAddress("02:00:5e:10:00:01"),),
    ("ana@fibre",),
)
BEN = Subscriber("1002", State.BLOCKED, "unpaid", 0.0, (parse_prefix("127.0.0.3"),))
MIA = Subscriber("1004", State.NOTICE, "unpaid", 0.0, (parse_prefix("127.0.0.4"),))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with at_work(written(tmp_path, ONE_LIST, ANA, BEN, MIA)) as house:
        yield house


async def say(house: House, command: str, subscriber: str, **more: Any) -> Facts:
    return await ask(house, command, **{"subscriber": subscriber, "why": "ticket 4471", "who": "desk"} | more)


async def refusal(house: House, command: str, subscriber: str, **more: Any) -> tuple[str, int]:
    with pytest.raises(Refused) as raised:
        await say(house, command, subscriber, **more)
    return str(raised.value), raised.value.status


async def typed(house: House, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "-c", house.loaded.document.path])


def printed_by(capsys: pytest.CaptureFixture[str]) -> str:
    """What the command printed, without the daemon's log, which comes the same way here."""
    return "".join(line for line in capsys.readouterr().out.splitlines(keepends=True) if not line.startswith("20"))


def access(house: House, subscriber: str) -> Access:
    return house.current.view.decide_id(subscriber, time.time()).access


# --- kinds and ends ------------------------------------------------------------------------------------------------


async def test_an_opening_is_a_promise_of_two_hours_unless_said(house: House) -> None:
    answer = await say(house, "unblock", "1001")

    assert answer["kind"] == "promise"
    assert answer["until"] == pytest.approx(time.time() + 7200, abs=5)
    assert access(house, "1001") is Access.OPEN
    assert house.overrides.kinds == {"1001": Kind.PROMISE}


@pytest.mark.parametrize(
    ("command", "kind", "days"),
    [("block", None, 31), ("unblock", None, 31), ("unblock", "promise", 31), ("unblock", "exemption", 366)],
)
async def test_each_kind_has_its_longest_and_nothing_is_for_ever(
    house: House, command: str, kind: str | None, days: int
) -> None:
    for end in ({"seconds": days * DAY_S + 60}, {"until": time.time() + days * DAY_S + 60}, {"seconds": 1e999}):
        sentence, status = await refusal(house, command, "1001", kind=kind, **end)
        assert f"between a moment and {days} days" in sentence
        assert status == 2
    assert house.current.view.learned.overrides == {}

    await say(house, command, "1001", kind=kind, seconds=days * DAY_S - 60)

    assert set(house.current.view.learned.overrides) == {"1001"}


async def test_a_promise_that_is_too_long_is_told_what_may_be_longer(house: House) -> None:
    sentence, _ = await refusal(house, "unblock", "1001", seconds=90 * DAY_S)

    assert "--kind exemption" in sentence


@pytest.mark.parametrize("end", [{"seconds": 0}, {"seconds": -1}, {"until": 1.0}, {"seconds": float("nan")}])
async def test_an_end_that_is_past_is_refused_as_usage(house: House, end: Facts) -> None:
    assert (await refusal(house, "unblock", "1001", **end))[1] == 2


@pytest.mark.parametrize("odd", [{"kind": "forever"}, {"kind": 7}, {"seconds": "soon"}, {"until": []}, {"why": "  "}])
async def test_odd_arguments_on_the_socket_are_refused_as_usage(house: House, odd: Facts) -> None:
    assert (await refusal(house, "unblock", "1001", **odd))[1] == 2


async def test_the_kind_outlives_a_restart(house: House) -> None:
    await say(house, "unblock", "1001", kind="exemption", seconds=90 * DAY_S)

    house.overrides.kinds = {}
    await house.overrides.alive(time.time())

    assert house.overrides.kinds == {"1001": Kind.EXEMPTION}


async def test_typed_with_a_day_a_word_lasts_to_the_end_of_that_day_here(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    day = (datetime.now().astimezone() + timedelta(days=2)).date()

    status = await typed(house, "unblock", "1001", "--until", day.isoformat(), "--why", "pays then", "--json")

    end = datetime.fromtimestamp(json.loads(printed_by(capsys))["until"]).astimezone()
    assert status == 0
    assert (end.date(), end.hour, end.minute) == (day + timedelta(days=1), 0, 0)


async def test_typed_with_a_moment_a_word_lasts_to_it(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)

    assert await typed(house, "block", "1004", "--until", moment.isoformat(), "--why", "x", "--json") == 0

    assert json.loads(printed_by(capsys))["until"] == moment.timestamp()
    assert access(house, "1004") is Access.BLOCKED


async def test_a_word_is_taken_back_by_end(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    await say(house, "unblock", "1001", kind="exemption", seconds=3600)

    assert await typed(house, "unblock", "1001", "--end", "--why", "they paid") == 0

    assert "billing's word holds for 1001 again; here the line is blocked" in printed_by(capsys)
    assert (await refusal(house, "unblock", "1001", end=True))[1] == 1


# --- what is shown -------------------------------------------------------------------------------------------------


async def test_status_counts_the_words_and_lists_them_the_next_to_end_first(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await ask(house, "status"))["words"] == {
        "blocks": 0, "openings": 0, "promises": 0, "exemptions": 0, "next_end": None, "ending_soon": 0, "list": [],
    }  # fmt: skip
    await say(house, "unblock", "1001", seconds=3 * 3600)
    await say(house, "unblock", "1002", kind="exemption", seconds=90 * DAY_S)
    await say(house, "block", "1004", seconds=3600, why="abuse desk")

    words = (await ask(house, "status"))["words"]

    assert [words[n] for n in ("blocks", "openings", "promises", "exemptions", "ending_soon")] == [1, 2, 1, 1, 2]
    assert [(w["subscriber"], w["kind"], w["who"], w["why"]) for w in words["list"]] == [
        ("1004", "block", "desk", "abuse desk"),
        ("1001", "promise", "desk", "ticket 4471"),
        ("1002", "exemption", "desk", "ticket 4471"),
    ]
    assert words["next_end"] == words["list"][0]["until"]
    assert await typed(house, "status") == 0
    printed = printed_by(capsys)
    assert "operators     1 block   2 openings (1 promise, 1 exemption)" in printed
    assert "ends next     block of 1004, " in printed
    assert "within 24 h   1004 (block), 1001 (promise)\n" in printed


async def test_the_ops_address_is_told_figures_and_nobodys_name(house: House) -> None:
    await say(house, "unblock", "1001")

    facts = await house.answers.status_facts()

    assert facts["words"]["promises"] == 1
    assert "list" not in facts["words"]


async def test_the_list_of_words_is_bounded(house: House) -> None:
    for number in range(130):
        await say(house, "unblock", f"9{number:03}")

    words = (await ask(house, "status"))["words"]

    assert words["promises"] == 130
    assert len(words["list"]) == 100


async def test_of_an_open_line_it_is_said_that_billing_blocks_nobody_and_not_that_it_knows_nobody(house: House) -> None:
    facts = await ask(house, "explain", subject="127.0.0.9")  # whoever is active may be there, and need not be listed

    said = next(step["said"] for step in facts["ladder"] if step["rule"] == "billing")
    assert said.startswith("blocks and reminds nobody there; billing was reached ")


@pytest.mark.parametrize("subject", ["1001", "127.0.0.2"])
async def test_explain_says_who_when_why_what_kind_and_until_when(house: House, subject: str) -> None:
    answer = await say(house, "unblock", "1001", kind="exemption", seconds=90 * DAY_S, why="court order")

    facts = await ask(house, "explain", subject=subject)

    assert facts["word"] == {
        "subscriber": "1001", "kind": "exemption", "who": "desk", "why": "court order",
        "at": facts["word"]["at"], "until": answer["until"],
    }  # fmt: skip
    said = next(step["said"] for step in facts["ladder"] if step["rule"] == "override")
    assert said.startswith("exemption by desk, ")
    assert said.endswith(": court order")
    assert " until " in said
    assert facts["recently"][0]["what"] == "unblock (exemption) by desk: court order"


async def test_explain_of_a_subscriber_without_a_word_has_none(house: House) -> None:
    assert "word" not in await ask(house, "explain", subject="1002")


# --- the end -------------------------------------------------------------------------------------------------------


async def test_a_word_that_ends_is_logged_and_noted_once_and_billings_holds(house: House) -> None:
    await say(house, "unblock", "1001", seconds=0.05, why="until noon")
    await asyncio.sleep(0.1)

    with capture_logs() as logged:
        for _ in range(3):
            await house.relearn()

    ended = [entry for entry in logged if entry["event"] == "override-ended"]
    assert [(entry["subject"], entry["kind"], entry["log_level"]) for entry in ended] == [("1001", "promise", "info")]
    assert access(house, "1001") is Access.BLOCKED
    trail = await house.overrides.recent("1001")
    assert [(row.action, row.who, row.why) for row in trail] == [
        ("ended", "edged", "promise: until noon"),
        ("unblock (promise)", "desk", "until noon"),
    ]


# --- pass ----------------------------------------------------------------------------------------------------------


async def test_a_pass_opens_a_blocked_line_for_fifteen_minutes_and_is_audited(house: House) -> None:
    answer = await say(house, "pass", "127.0.0.2", why="the bank's page does not load")

    assert answer["until"] == pytest.approx(time.time() + 900, abs=5)
    assert access(house, "1001") is Access.PASS
    (row,) = await house.overrides.recent("1001")
    assert (row.action, row.who, row.why) == ("pass", "desk", "the bank's page does not load")


async def test_a_pass_of_an_operator_costs_the_subscriber_none_of_theirs(house: House) -> None:
    await say(house, "pass", "1001", seconds=60)

    assert await house.overrides.pass_starts(0.0) == {}


async def test_a_longer_pass_takes_the_place_of_a_shorter_one(house: House) -> None:
    await say(house, "pass", "1001", seconds=60)
    await say(house, "pass", "1001", seconds=600)

    sentence, status = await refusal(house, "pass", "1001", seconds=60)
    assert (status, "has a pass until" in sentence) == (1, True)
    assert house.current.view.learned.passes["1001"] == pytest.approx(time.time() + 600, abs=5)


@pytest.mark.parametrize("seconds", [0, -5, DAY_S + 60, 1e999])
async def test_a_pass_lasts_at_most_a_day(house: House, seconds: float) -> None:
    sentence, status = await refusal(house, "pass", "1001", seconds=seconds)

    assert status == 2
    assert "24 hours" in sentence
    assert access(house, "1001") is Access.BLOCKED


async def test_there_is_no_pass_for_a_line_that_billing_does_not_block(house: House) -> None:
    for subscriber in ("1004", "nobody"):
        sentence, status = await refusal(house, "pass", subscriber)
        assert status == 1
        assert "billing does not block" in sentence


async def test_a_pass_does_not_open_what_an_operator_blocked_and_is_not_wanted_where_one_opened(house: House) -> None:
    await say(house, "block", "1001")
    assert "an operator's word blocks 1001" in (await refusal(house, "pass", "1001"))[0]

    await say(house, "unblock", "1001")
    assert "by an operator's word already" in (await refusal(house, "pass", "1001"))[0]


async def test_a_pass_is_typed_like_the_others(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert await typed(house, "pass", "1001", "--for", "5m", "--why", "on the phone") == 0
    assert printed_by(capsys).startswith("1001 has a pass until ")
    assert await typed(house, "pass", "1004", "--why", "on the phone") == 1


@pytest.mark.parametrize("subject", ["ana@fibre", " 1001 ", "127.0.0.2", "02:00:5e:10:00:01"])
async def test_a_login_an_address_or_a_device_stands_for_whose_it_is(house: House, subject: str) -> None:
    answer = await say(house, "unblock", subject)

    assert answer["sentence"].startswith("1001 is open until")
    assert access(house, "1001") is Access.OPEN


@pytest.mark.parametrize("subject", ["", "  "])
async def test_nobody_is_not_opened(house: House, subject: str) -> None:
    assert await refusal(house, "unblock", subject) == (
        "name a subscriber: billing's id, or an address, a login or a device of theirs", 2
    )  # fmt: skip


async def test_a_network_is_not_a_subscriber(house: House) -> None:
    sentence, status = await refusal(house, "unblock", "127.0.0.0/8")

    assert (sentence, status) == ("127.0.0.0/8 is a network, not a subscriber: give an id or one address", 2)


async def test_a_device_or_an_address_that_billing_does_not_list_is_refused(house: House) -> None:
    assert await refusal(house, "unblock", "127.0.0.77") == ("billing lists nobody at 127.0.0.77", 1)
    assert await refusal(house, "unblock", "02:00:5e:99:99:99") == ("billing lists no device 02:00:5e:99:99:99", 1)


async def test_opening_whom_billing_does_not_list_says_that_nothing_was_opened_and_what_was_perhaps_meant(
    house: House,
) -> None:
    sentence = (await say(house, "unblock", "#01001"))["sentence"]

    assert sentence.startswith(
        'billing lists no subscriber "#01001" now, so nothing was closed that could be opened. Did you mean "1001"?'
    )
    assert access(house, "1001") is Access.BLOCKED


async def test_a_subscriber_is_read_or_a_reading_accepted_but_not_both(house: House) -> None:
    with pytest.raises(Refused, match="not both at once") as raised:
        await ask(house, "sync", subscriber="1001", accept="8812.aa")
    assert raised.value.status == 2


async def test_reading_somebody_whom_billing_does_not_know_says_nothing_of_a_line(house: House) -> None:
    Path(house.loaded.config.billing.path or "").write_text(
        "subscribers: []\n"
    ) if house.loaded.config.billing else None

    answer = await ask(house, "sync", subscriber="nobody")

    assert (answer["done"], answer["sentence"]) == (False, 'billing knows no subscriber "nobody" now')


async def test_what_a_reading_that_waits_would_do_is_said_where_somebody_asks(house: House) -> None:
    many = "".join(f"- {{id: n{n}, state: blocked, addresses: [127.0.1.{n}]}}\n" for n in range(100))
    Path(house.loaded.document.path).with_name("billing.yaml").write_text(f"known: 100\nsubscribers:\n{many}")
    with suppress(Refused):
        await ask(house, "sync")

    with pytest.raises(Refused, match="a reading that waits says n7 is blocked: edged status"):
        await ask(house, "explain", subject="n7")
    facts = await ask(house, "explain", subject="127.0.1.7")
    assert facts["access"] == "open"
    assert "a reading that waits says n7 is blocked: edged status" in facts["who"]
