# SPDX-License-Identifier: Apache-2.0
"""The exact sets for named situations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

from edged.enforce.desired import Instant, desired, desired_after
from edged.enforce.rules import Rules
from edged.enforce.sets import SetName
from edged.model import State
from edged.policy.access import Learned, Override
from edged.values import parse_address, parse_mac, parse_prefix
from tests.e2e.enforce_contract import NOW, RULES, subscriber, view_of, wanted


def texts(elements: Iterable[object]) -> set[str]:
    return {str(e) for e in elements}


def test_a_host_goes_into_the_hash_and_a_prefix_into_the_interval_set() -> None:
    sets = wanted(subscriber("1", "100.64.1.7", "2001:db8:100:700::/56")).sets
    assert sets[SetName.BLOCKED_HOSTS_4] == {int(parse_address("100.64.1.7"))}
    assert sets[SetName.BLOCKED_PREFIXES_6] == {parse_prefix("2001:db8:100:700::/56")}
    assert not sets[SetName.BLOCKED_PREFIXES_4] | sets[SetName.BLOCKED_HOSTS_6]


def test_a_line_inside_a_blocked_prefix_that_is_not_blocked_is_cut_out_of_it() -> None:
    value = wanted(subscriber("1", "100.64.2.0/30"), subscriber("2", "100.64.2.1", state=State.NOTICE))
    assert texts(value.sets[SetName.BLOCKED_PREFIXES_4]) == {"100.64.2.2/31"}
    assert value.blocks(parse_address("100.64.2.0"))
    assert not value.blocks(parse_address("100.64.2.1"))


def test_exempt_and_unserved_addresses_are_cut_out() -> None:
    value = wanted(subscriber("1", "100.0.0.0/8", "198.51.100.7", "100.64.0.53"))
    assert not value.blocks(parse_address("100.64.0.53"))
    assert not value.blocks(parse_address("100.63.255.255"))
    assert not value.blocks(parse_address("198.51.100.7"))
    assert value.blocks(parse_address("100.127.255.255"))
    assert len(value.sets[SetName.BLOCKED_PREFIXES_4]) + len(value.sets[SetName.BLOCKED_HOSTS_4]) == 22


def test_two_lines_side_by_side_stay_two_elements() -> None:
    value = wanted(subscriber("1", "100.64.2.0/25"), subscriber("2", "100.64.2.128/25"))
    assert texts(value.sets[SetName.BLOCKED_PREFIXES_4]) == {"100.64.2.0/25", "100.64.2.128/25"}


def test_a_pass_opens_all_of_a_subscriber_until_it_ends() -> None:
    line = subscriber("1", "100.64.1.7", devices=("02:00:5e:10:00:01",))
    view = view_of(line, learned=Learned(passes={"1": NOW + 60}))
    assert desired(view, Rules(), NOW).count == 0
    assert desired(view, Rules(), NOW + 60).count == 2
    assert view.next_end(NOW) == NOW + 60
    assert view.next_end(NOW + 60) == math.inf


def test_an_operators_block_is_enforced_on_whom_billing_only_reminds() -> None:
    line = subscriber("1", "100.64.1.7", state=State.NOTICE)
    override = Override("1", blocked=True, until=NOW + 5, why="spam", who="noc", at=NOW)
    assert desired(view_of(line, learned=Learned({"1": override})), Rules(), NOW).count == 1


def test_devices_of_blocked_subscribers_are_blocked_by_their_mac() -> None:
    value = wanted(
        subscriber("1", devices=("02:00:5e:10:00:01",)),
        subscriber("2", devices=("02:00:5e:10:00:02",), state=State.NOTICE),
    )
    assert value.sets[SetName.BLOCKED_MACS] == {parse_mac("02:00:5e:10:00:01")}


def test_lines_whose_reminder_is_due_are_sets_of_their_own_until_they_put_it_away() -> None:
    lines = (
        subscriber("1", "100.64.1.7", "2001:db8:100:700::/56", devices=("02:00:5e:10:00:01",), state=State.NOTICE),
        subscriber("2", "100.64.2.0/30", state=State.NOTICE),
        subscriber("3", "100.64.2.1"),
    )
    due = desired(view_of(*lines), RULES, NOW)
    view = view_of(*lines, learned=Learned(snoozes={"1": NOW + 60}))
    put_away = desired(view, RULES, NOW)

    assert texts(due.sets[SetName.NOTICE_HOSTS_4]) == {str(int(parse_address(a))) for a in ("100.64.1.7", "100.64.2.0")}
    assert texts(due.sets[SetName.NOTICE_PREFIXES_4]) == {"100.64.2.2/31"}
    assert texts(due.sets[SetName.NOTICE_PREFIXES_6]) == {"2001:db8:100:700::/56"}
    assert texts(due.sets[SetName.NOTICE_MACS]) == {"02:00:5e:10:00:01"}
    assert (due.count, due.reminding, put_away.reminding) == (1, True, True)
    assert not put_away.reminds(parse_address("100.64.1.7"))
    assert not put_away.sets[SetName.NOTICE_MACS] | put_away.sets[SetName.NOTICE_PREFIXES_6]
    assert put_away.reminds(parse_address("100.64.2.0"))
    assert desired(view, RULES, NOW + 60) == due

    after = desired_after(put_away, Instant(view, NOW), Instant(view, NOW + 60), view.ended(NOW, NOW + 60))

    assert after == due


def test_the_operators_networks_are_sets_too_without_overlaps() -> None:
    rules = Rules(portals=RULES.portals, garden_networks=(parse_prefix("192.0.2.0/24"), parse_prefix("192.0.2.7")))
    sets = wanted(rules=rules).sets
    assert texts(sets[SetName.GARDEN_NETWORKS_4]) == {"192.0.2.0/24"}
    assert texts(sets[SetName.EXEMPT_6]) == {"2001:db8:100::53"}
    assert texts(sets[SetName.SERVED_4]) == {"100.64.0.0/10"}
    assert sets[SetName.PORTAL_4] == {int(parse_address("203.0.113.10"))}


def test_twenty_thousand_subscribers_take_a_blink_of_processor_time() -> None:
    lines = [
        subscriber(
            str(n),
            f"100.{64 + n // 65536}.{n // 256 % 256}.{n % 256}",
            f"2001:db8:1{n // 65536:02x}:{n % 65536:x}::/64",
        )
        for n in range(256, 20_256)
    ]
    view = view_of(*lines)
    start = time.process_time()
    assert desired(view, RULES, NOW).count == 40_000
    assert time.process_time() - start < 1.0


# --- a few changes ---------------------------------------------------------------------------------

PHONE, TABLET = "02:00:5e:10:00:01", "02:00:5e:10:00:02"


def test_devices_of_the_few_who_changed_come_and_go() -> None:
    before = view_of(
        subscriber("1", devices=(PHONE,)), subscriber("2", devices=(TABLET,)), subscriber("3", "100.64.1.7")
    )
    after = view_of(
        subscriber("1", devices=(PHONE,), state=State.ACTIVE),
        subscriber("2", devices=("02:00:5e:10:00:03",)),
        subscriber("3", "100.64.1.7"),
    )

    value = desired_after(desired(before, RULES, NOW), Instant(before, NOW), Instant(after, NOW), ["1", "2"])

    assert texts(value.sets[SetName.BLOCKED_MACS]) == {"02:00:5e:10:00:03"}
    assert value == desired(after, RULES, NOW)


def test_a_device_whose_override_ended_meanwhile_is_as_it_is_now() -> None:
    word = Override("1", blocked=True, until=NOW + 10, why="abuse", who="desk", at=NOW)
    view = view_of(
        subscriber("1", "100.64.1.7", devices=(PHONE,), state=State.ACTIVE), learned=Learned(overrides={"1": word})
    )
    known = desired(view, RULES, NOW)
    assert texts(known.sets[SetName.BLOCKED_MACS]) == {PHONE}

    value = desired_after(known, Instant(view, NOW), Instant(view, NOW + 10), ["1"])

    assert value == desired(view, RULES, NOW + 10)
    assert not value.sets[SetName.BLOCKED_MACS]


def test_sets_that_stay_the_same_are_the_same_and_cost_no_comparison() -> None:
    before = view_of(subscriber("1", "100.64.1.7"), subscriber("2", "100.64.2.0/24", devices=(PHONE,)))
    after = view_of(
        subscriber("1", "100.64.1.7", state=State.NOTICE), subscriber("2", "100.64.2.0/24", devices=(PHONE,))
    )
    known = desired(before, RULES, NOW)

    value = desired_after(known, Instant(before, NOW), Instant(after, NOW), ["1", "2", "nobody"])

    changed = [name for name in SetName if value.sets[name] is not known.sets[name]]
    assert changed == [SetName.BLOCKED_HOSTS_4, SetName.NOTICE_HOSTS_4]
