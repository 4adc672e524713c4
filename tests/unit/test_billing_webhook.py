# SPDX-License-Identifier: Apache-2.0
"""Posts to the webhook and what becomes of them; what waits to be read; what is remembered against replay."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from edged.billing.events.batch import Fate, Readers, fate, written
from edged.billing.hook.counters import Budget
from edged.billing.hook.pending import BATCH, LIMIT, RETRY, SPACING, SPACING_ALL, Pending
from edged.billing.hook.seen import KEEP, Seen
from edged.billing.settings import BillingSettings
from edged.billing.webhook import HOOKS, Fault, Hint, Ping, Post, Refused, Verdict
from edged.model import Event, EventType
from edged.state.outbox import Stored
from edged.values import Secret

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "billing_webhook.yaml"
SECRET = Secret("correct-horse-battery")
NOW = datetime.fromisoformat("2026-11-22T10:00:00Z").timestamp()


@dataclass(frozen=True)
class Row:
    name: str
    source: str
    body: str = ""
    headers: Mapping[str, str | list[str]] = field(default_factory=dict)
    octets: str = ""
    before: str = ""
    piece: str = ""
    times: int = 0
    after: str = ""
    hint: dict[str, Any] | None = None
    ping: bool = False
    refused: int = 0
    fault: str = ""
    says: str = ""

    @property
    def post(self) -> Post:
        text = self.before + self.piece * self.times + self.after if self.times else self.body
        named = {n.lower(): tuple(v) if isinstance(v, list) else (v,) for n, v in self.headers.items()}
        return Post(bytes.fromhex(self.octets) if self.octets else text.encode(), named)


ROWS = [Row(**row) for row in yaml.safe_load(VECTORS.read_text("utf-8"))]


def seen(post_id: str, _at: float) -> bool:
    return post_id == "seen-1"


def read(source: str, post: Post, now: float = NOW) -> Verdict:
    return HOOKS[source].read(post, SECRET, now, seen)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_post_of_the_table_gets_its_verdict(row: Row) -> None:
    verdict = read(row.source, row.post)

    if row.ping:
        assert verdict == Ping()
    elif row.refused:
        assert isinstance(verdict, Refused)
        assert (verdict.status, verdict.fault) == (row.refused, row.fault)
        assert row.says in verdict.sentence
    else:
        assert isinstance(verdict, Hint)
        said = dict(row.hint or {})
        assert verdict.subscribers == tuple(said.get("subscribers", ()))
        assert verdict.keys == tuple(said.get("keys", ()))
        assert (verdict.id, verdict.everything, verdict.proven) == (
            said.get("id", ""), said.get("everything", False), said.get("proven", True),
        )  # fmt: skip


def test_there_is_a_way_to_be_told_for_every_source_that_the_settings_know() -> None:
    assert set(HOOKS) == set(get_args(BillingSettings.model_fields["source"].annotation))


def test_no_verdict_repeats_the_secret_or_what_was_posted() -> None:
    for row in ROWS:
        verdict = read(row.source, row.post)
        if isinstance(verdict, Refused):
            assert SECRET.reveal_text() not in verdict.sentence
            assert "1001" not in verdict.sentence
            assert len(verdict.sentence) < 120


# --- whatever arrives -----------------------------------------------------------------------------

TEXT = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["id", "at", "subscribers", "keys", "type", "call", "data", "uuid", "changeType", "entity",
                         "entityId", "extraData", "customer_id", "model", "action", "attributes"])  # fmt: skip
SHAPED = st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=5), max_size=8)
BODIES = st.binary(max_size=200) | (SHAPED | JSON).map(lambda value: json.dumps(value).encode())
# what the HTTP library may hand on: text with surrogates for octets that are no UTF-8
HEADER = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=90)


def signed(source: str, body: bytes) -> dict[str, tuple[str, ...]]:
    key = SECRET.reveal()
    if source == "splynx":
        return {"x-splynx-signature": (hmac.new(key, body, hashlib.sha1).hexdigest(),)}
    if source == "uisp":
        return {"authorization": (f"Bearer {SECRET.reveal_text()}",)}
    return {"x-edged-signature": (f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}",)}


@given(st.sampled_from(sorted(HOOKS)), BODIES, st.booleans(), HEADER)
@example("splynx", b'{"type": [], "data": {"customer_id": 1}}', True, "")
@example("uisp", b"{}", False, "\ud800")
def test_no_body_and_no_header_raises_and_only_a_signature_makes_a_proven_hint(
    source: str, body: bytes, is_signed: bool, header: str
) -> None:
    names = ("x-edged-signature", "x-splynx-signature", "authorization")
    fields = signed(source, body) if is_signed else dict.fromkeys(names, (header,))

    verdict = read(source, Post(body, fields))

    if isinstance(verdict, Hint):
        assert is_signed or not verdict.proven
        assert all(0 < len(name) <= 128 for name in (*verdict.subscribers, *verdict.keys))


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255), st.sampled_from(["rest", "file", "splynx"]))
def test_a_signed_body_of_which_one_octet_has_changed_is_refused(
    body: bytes, at: int, change: int, source: str
) -> None:
    if not body:
        return
    other = bytearray(body)
    other[at % len(body)] ^= change

    verdict = read(source, Post(bytes(other), signed(source, body)))

    assert verdict == Ping() or (isinstance(verdict, Refused) and verdict.fault is Fault.SIGNATURE)


# --- replay ---------------------------------------------------------------------------------------


def test_an_id_is_known_as_long_as_its_post_could_be_fresh() -> None:
    memory = Seen()
    memory.add("a", NOW)

    memory.prune(NOW + KEEP - 1)

    assert memory.has("a", NOW)
    assert not memory.has("b", NOW)


def test_what_is_forgotten_is_too_old_for_ever_though_the_clock_jumps_and_returns() -> None:
    memory = Seen()
    memory.add("a", NOW)

    assert memory.prune(NOW + 86400)
    assert len(memory) == 0

    assert memory.has("a", NOW)
    assert memory.has("never seen, and as old", NOW - 5)
    assert not memory.has("newer", NOW + 1)


def test_a_memory_that_is_full_forgets_the_oldest_and_lets_none_of_them_in_again() -> None:
    memory = Seen(limit=10)
    for number in range(25):
        memory.add(str(number), NOW + number)

    assert len(memory) <= 10
    assert all(memory.has(str(number), NOW + number) for number in range(25))
    assert not memory.has("25", NOW + 25)


# --- what waits to be read ------------------------------------------------------------------------


def named(*names: str) -> Hint:
    return Hint(names)


def take(pending: Pending, now: float) -> tuple[str, ...]:
    hint = pending.take(now, everything=False)
    return hint.subscribers if hint else ()


def test_many_hints_about_one_subscriber_are_one_reading() -> None:
    pending = Pending()
    for _ in range(100):
        pending.add(named("1"), 0.0)

    assert take(pending, 0.0) == ("1",)
    assert take(pending, 0.0) == ()
    assert pending.wait(0.0, everything=False) is None


def test_a_hint_that_comes_while_its_subscriber_is_read_is_one_more_reading_afterwards() -> None:
    pending = Pending()
    pending.add(named("1"), 0.0)
    reading = pending.take(0.0, everything=False)
    assert reading is not None
    pending.add(named("1"), 0.1)

    assert take(pending, 60.0) == ()
    pending.done(reading)
    assert take(pending, 60.0) == ("1",)


def test_one_subscriber_is_read_once_a_second_and_the_last_hint_is_not_lost() -> None:
    pending = Pending()
    pending.add(named("1"), 0.0)
    reading = pending.take(0.0, everything=False)
    assert reading is not None
    pending.done(reading)
    pending.add(named("1", "2"), 0.2)

    assert take(pending, 0.2) == ("2",)
    assert pending.wait(0.2, everything=False) == pytest.approx(SPACING - 0.2)
    assert take(pending, SPACING) == ("1",)


def test_looks_at_everything_are_merged_and_far_apart_and_do_not_hold_up_the_others() -> None:
    pending = Pending()
    pending.add(Hint(everything=True), 0.0)
    pending.add(Hint(("1",), ("k",), everything=True), 0.0)
    every = pending.take(0.0, everything=True)
    assert every == Hint(everything=True)
    assert pending.take(0.0, everything=False) == Hint(("1",), ("k",))
    pending.done(every)
    pending.add(Hint(everything=True), 1.0)

    assert pending.take(SPACING_ALL - 0.1, everything=True) is None
    assert pending.take(SPACING_ALL, everything=True) is not None


def test_more_names_than_may_wait_become_one_look_at_everything() -> None:
    pending = Pending()
    for number in range(LIMIT + 1):
        pending.add(named(str(number)), 0.0)

    assert len(pending) == 1
    assert pending.take(0.0, everything=True) == Hint(everything=True)


def test_names_are_handed_out_in_the_order_in_which_they_came_and_in_batches() -> None:
    pending = Pending()
    names = tuple(str(number) for number in range(BATCH + 3))
    pending.add(named(*names), 0.0)

    assert take(pending, 0.0) + take(pending, 0.0) == names


def test_a_reading_that_failed_is_tried_again_a_few_times_and_then_left_to_the_poll() -> None:
    pending, now = Pending(), 0.0
    pending.add(named("1"), now)
    tries = 0
    while (reading := pending.take(now, everything=False)) is not None:
        tries += 1
        pending.failed(reading, now)
        now += pending.wait(now, everything=False) or 0.0

    assert (tries, now) == (1 + len(RETRY), sum(RETRY))
    pending.add(named("1"), now + SPACING)
    assert take(pending, now + SPACING) == ("1",)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 16), st.booleans()), max_size=60))
def test_no_hint_is_ever_lost_and_none_is_read_too_often(steps: list[tuple[str, int, bool]]) -> None:
    pending, now = Pending(), 0.0
    asked: dict[str, float] = {}
    read_at: dict[str, float] = {}
    for name, pause, hint in [*steps, *[("", 8, False)] * 3]:
        now += pause / 8
        if hint:
            pending.add(named(name), now)
            asked[name] = now
        reading = pending.take(now, everything=False)
        if reading is not None:
            for subscriber in reading.subscribers:
                assert now - read_at.get(subscriber, -9.0) >= SPACING
                read_at[subscriber] = now
            pending.done(reading)

    assert all(read_at[name] >= at for name, at in asked.items())


def test_a_budget_gives_its_burst_and_then_its_rate_and_a_clock_that_stands_gives_nothing() -> None:
    budget = Budget(rate=2.0, burst=3.0, now=0.0)

    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [budget.take(1.0) for _ in range(3)] == [True, True, False]
    assert sum(budget.take(1000.0) for _ in range(9)) == 3


# --- events ---------------------------------------------------------------------------------------


def test_a_batch_holds_objects_as_the_feed_has_them_and_leaves_out_what_is_not_known() -> None:
    learned = Event(EventType.DEVICE_LEARNED, NOW + 0.9, "1001", "k-501", "02:00:5e:10:00:09")
    opened = Event(EventType.PAGE_OPENED, NOW, "1001")

    assert json.loads(written([Stored("u-1", learned), Stored("u-2", opened)], "tower-12")) == {
        "events": [
            {
                "id": "u-1", "type": "device.learned", "subscriber": "1001", "key": "k-501",
                "device": "02:00:5e:10:00:09", "at": "2026-11-22T10:00:00Z", "edge": "tower-12",
            },
            {"id": "u-2", "type": "page.opened", "subscriber": "1001", "at": "2026-11-22T10:00:00Z",
             "edge": "tower-12"},
        ]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("statuses", "what"),
    [
        ((200, 201, 202, 204, 299), Fate.ACCEPTED),
        ((404, 405, 410, 501), Fate.UNWANTED),
        ((400, 409, 413, 415, 422, 418), Fate.HALVE),
        ((401, 403, 408, 429, 500, 502, 503, 301, 307), Fate.LATER),
    ],
)
def test_each_status_has_its_meaning(statuses: tuple[int, ...], what: Fate) -> None:
    assert [fate(status) for status in statuses] == [what] * len(statuses)


@pytest.mark.parametrize(("kind", "once"), [(EventType.PAGE_OPENED, 3600), (EventType.PAY_CLICKED, 10)])
def test_a_page_and_a_click_are_told_of_once_in_a_while_and_the_memory_is_bounded(kind: EventType, once: int) -> None:
    readers = Readers(limit=3)

    def is_news(name: str, after: float) -> bool:
        return readers.is_news(Event(kind, NOW + after, name))

    assert [is_news("1", t) for t in (0, 1, once - 1, once, once + 1)] == [True, False, False, True, False]
    assert [is_news(name, once + 1) for name in ("2", "3", "4")] == [True, True, True]
    assert is_news("1", once + 2), "forgotten, since three others came"
    assert is_news("4", 0), "a clock that was set back silences nobody"


def test_one_kind_of_event_does_not_silence_another_and_every_pass_is_told_of() -> None:
    readers = Readers()

    told = [readers.is_news(Event(kind, NOW, "1")) for kind in (*EventType, *EventType)]

    news = dict(zip(EventType, told[len(EventType) :], strict=True))
    assert all(told[: len(EventType)])
    assert [kind for kind, again in news.items() if again] == [EventType.PASS_STARTED, EventType.DEVICE_LEARNED]
