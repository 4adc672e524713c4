from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.model import Access, Snapshot, State, Subscriber
from edged.policy.access import Learned, Override, Rule, View
from edged.policy.prefixes import PrefixMap
from edged.policy.settings import SubscribersSettings
from edged.policy.table import PolicyTable, changed, compile_table
from edged.values import MacAddress, Prefix, host_prefix, parse_prefix

NOW = 1_800_000_000.0
SETTINGS = SubscribersSettings.model_validate(
    {"networks": ["100.64.0.0/10", "2001:db8:100::/40"], "exempt": ["100.64.0.53", "2001:db8:100::53"]}
)


def subscriber(
    id_: str, state: State, *addresses: str, reason: str = "unpaid", devices: tuple[str, ...] = ()
) -> Subscriber:
    return Subscriber(id_, state, reason, 100.0, tuple(map(parse_prefix, addresses)), tuple(map(MacAddress, devices)))


def view(*subscribers: Subscriber, learned: Learned | None = None) -> View:
    snapshot = Snapshot("8812.aa", "8812", 50.0, subscribers)
    return View(compile_table(snapshot, SETTINGS), learned or Learned())


def access(v: View, address: str, now: float = NOW) -> Access:
    return v.decide(ip_address(address), now).access


def test_the_longest_prefix_decides_in_both_families() -> None:
    v = view(
        subscriber("1", State.BLOCKED, "100.64.8.0/24", "2001:db8:100::/48"),
        subscriber("2", State.NOTICE, "100.64.8.9", "2001:db8:100:700::/56"),
    )

    assert access(v, "100.64.8.8") is Access.BLOCKED
    assert access(v, "100.64.8.9") is Access.NOTICE
    assert access(v, "2001:db8:100:700::1") is Access.NOTICE
    assert access(v, "2001:db8:100:800::1") is Access.BLOCKED


def test_an_exempt_network_is_never_blocked() -> None:
    v = view(subscriber("1", State.BLOCKED, "100.64.0.0/24"))

    assert v.decide(ip_address("100.64.0.53"), NOW).rule is Rule.EXEMPT
    assert access(v, "100.64.0.54") is Access.BLOCKED


def test_an_address_outside_the_served_networks_is_a_stranger_even_when_billing_lists_it() -> None:
    v = view(subscriber("1", State.BLOCKED, "198.51.100.7"))

    assert access(v, "198.51.100.7") is Access.STRANGER


def test_whom_billing_does_not_list_is_open() -> None:
    assert access(view(), "100.64.3.3") is Access.OPEN


def test_a_pass_opens_what_billing_blocks_until_it_ends() -> None:
    v = view(subscriber("1", State.BLOCKED, "100.64.1.7"), learned=Learned(passes={"1": NOW + 60}))

    assert access(v, "100.64.1.7") is Access.PASS
    assert access(v, "100.64.1.7", NOW + 61) is Access.BLOCKED


def test_an_operators_block_is_not_opened_by_a_pass() -> None:
    word = Override("1", blocked=True, until=NOW + 60, why="ticket", who="noc", at=NOW)
    v = view(
        subscriber("1", State.BLOCKED, "100.64.1.7"),
        learned=Learned(overrides={"1": word}, passes={"1": NOW + 60}),
    )

    decision = v.decide(ip_address("100.64.1.7"), NOW)

    assert (decision.access, decision.rule, decision.reason) == (Access.BLOCKED, Rule.OVERRIDE, "abuse")


def test_an_operators_unblock_holds_against_billing_until_it_ends() -> None:
    word = Override("1", blocked=False, until=NOW + 60, why="promise", who="noc", at=NOW)
    v = view(subscriber("1", State.BLOCKED, "100.64.1.7"), learned=Learned(overrides={"1": word}))

    assert access(v, "100.64.1.7") is Access.OPEN
    assert access(v, "100.64.1.7", NOW + 61) is Access.BLOCKED


def test_the_next_end_is_the_first_of_the_words_that_have_not_ended() -> None:
    word = Override("1", blocked=True, until=NOW + 10, why="abuse", who="desk", at=NOW)
    v = view(learned=Learned(overrides={"1": word}, passes={"2": NOW + 20, "3": NOW}))

    assert [v.next_end(NOW + n) for n in (0, 9, 10, 19, 20)] == [NOW + 10, NOW + 10, NOW + 20, NOW + 20, float("inf")]


def test_a_line_that_was_blocked_a_moment_ago_drains() -> None:
    v = view(learned=Learned(drains=PrefixMap([(parse_prefix("100.64.1.7"), NOW + 180)])))

    assert access(v, "100.64.1.7") is Access.DRAIN
    assert access(v, "100.64.1.7", NOW + 181) is Access.OPEN


def test_a_device_is_found_by_its_mac() -> None:
    v = view(subscriber("1", State.BLOCKED, devices=("02:00:5e:10:00:01",)))

    assert v.decide_device(MacAddress("02:00:5e:10:00:01"), NOW).access is Access.BLOCKED
    assert v.decide_device(MacAddress("02:00:5e:10:00:02"), NOW).access is Access.OPEN


def test_the_same_list_in_any_order_makes_the_same_table() -> None:
    subscribers = [
        subscriber(str(i), random.Random(i).choice(list(State)), "100.64.1.7", f"100.64.2.{i}") for i in range(20)
    ]
    tables = []
    for seed in range(5):
        random.Random(seed).shuffle(subscribers)
        tables.append(dict(view(*subscribers).table.addresses.items()))

    assert all(table == tables[0] for table in tables)


networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda t: ip_network(t, strict=False)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda t: ip_network(t, strict=False)),
)


@given(st.lists(networks, max_size=30), st.data())
def test_the_prefix_map_agrees_with_the_standard_library(entries: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    prefixes = {parse_prefix(str(n)): n for n in entries}
    table = PrefixMap((prefix, str(network)) for prefix, network in prefixes.items())
    address = data.draw(
        st.one_of(st.sampled_from([n.network_address for n in entries]), st.ip_addresses())
        if entries
        else st.ip_addresses()
    )
    holding = [n for n in entries if n.version == address.version and address in n]

    found = table.match(address)

    if not holding:
        assert found is None
    else:
        longest = max(holding, key=lambda n: n.prefixlen)
        assert found == (parse_prefix(str(longest)), str(longest))
        assert table.find(address) == str(longest)
        assert table.get(parse_prefix(str(longest))) == str(longest)
        assert table.covering(host_prefix(address)) == found
    assert len(table) == len(prefixes)
    assert dict(table.items()) == {p: str(n) for p, n in prefixes.items()}


@pytest.mark.parametrize("version", [4, 6])
def test_a_default_route_holds_everything(version: int) -> None:
    table = PrefixMap([(Prefix(version, 0, 0), "all")])

    assert table.find_integer(version, 12345) == "all"


def test_a_map_that_has_been_asked_for_a_region_and_is_changed_answers_for_it_as_one_made_anew() -> None:
    region, texts = parse_prefix("100.64.1.0/24"), ("100.64.1.0/24", "100.64.1.7", "100.64.1.8", "100.64.2.1")
    before = PrefixMap((parse_prefix(text), text) for text in texts)
    assert len(list(before.within(region))) == 3

    after = before.changed(
        [parse_prefix("100.64.1.7"), parse_prefix("100.64.1.99")],
        [(parse_prefix("100.64.1.8"), "again"), (parse_prefix("100.64.1.255"), "new"), (region, "all")],
    )

    found = [(str(prefix), value) for prefix, value in after.within(region)]
    assert found == [("100.64.1.8", "again"), ("100.64.1.255", "new"), ("100.64.1.0/24", "all")]
    assert [value for _, value in before.within(region)] == ["100.64.1.7", "100.64.1.8", "100.64.1.0/24"]


def test_around_a_prefix_there_are_the_longest_and_the_widest_entry_that_hold_it_whole() -> None:
    table = PrefixMap((parse_prefix(text), text) for text in ("100.64.0.0/16", "100.64.1.0/24", "100.64.1.7"))

    def around(text: str) -> tuple[str, str]:
        prefix = parse_prefix(text)
        held = table.covering(prefix)
        return held[1] if held else "", str(table.outermost(prefix))

    assert around("100.64.1.7") == ("100.64.1.7", "100.64.0.0/16")
    assert around("100.64.1.0/25") == ("100.64.1.0/24", "100.64.0.0/16")
    assert around("100.64.0.0/16") == ("100.64.0.0/16", "100.64.0.0/16")
    assert around("100.64.0.0/15") == ("", "100.64.0.0/15")
    assert around("100.65.0.1") == ("", "100.65.0.1")


def test_an_address_that_was_given_to_somebody_else_is_not_blocked_for_its_former_holders_debt() -> None:
    for former, present in (("1", "2"), ("2", "1")):
        v = view(subscriber(former, State.BLOCKED, "100.64.1.7"), subscriber(present, State.ACTIVE, "100.64.1.7"))

        assert access(v, "100.64.1.7") is Access.OPEN
        assert v.table.contested == (parse_prefix("100.64.1.7"),)


# --- words -----------------------------------------------------------------------------------------

MAC, NEXT_MAC = MacAddress("02:00:5e:10:00:01"), MacAddress("02:00:5e:10:00:02")


def named(id_: str, *, logins: tuple[str, ...] = (), devices: tuple[MacAddress, ...] = ()) -> Subscriber:
    return Subscriber(id_, State.BLOCKED, logins=logins, devices=devices)


def facts(table: PolicyTable) -> tuple[object, ...]:
    """Everything a table says, but for when it was read."""
    maps = (dict(table.served.items()), dict(table.exempt.items()), dict(table.addresses.items()))
    names = (dict(table.devices), dict(table.logins), dict(table.subscribers))
    return (table.snapshot_id, table.known, table.claims, table.contested, table.contested_names, *maps, *names)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ((named("1", logins=("a",), devices=(MAC,)),), (named("1", logins=("b",), devices=(NEXT_MAC,)),)),
        ((named("1", logins=("a",), devices=(MAC,)),), (named("1"),)),
        ((named("1"),), (named("1", logins=("a", "b"), devices=(MAC, NEXT_MAC)), named("2"))),
        ((named("1", logins=("a",)),), (named("2", logins=("a",)),)),
        ((named("1", devices=(MAC,)),), (named("2", devices=(MAC,)),)),
        ((named("1", logins=("a",)), named("2", logins=("a",))), (named("1"),)),
        ((named("1", logins=("a",)), named("2", logins=("a",))), (named("2"),)),
        ((named("1", logins=("a",)), named("2", logins=("a",))), (named("1"), named("2"))),
        ((named("1", devices=(MAC,)), named("2", devices=(MAC,))), (named("1"), named("2", devices=(MAC,)))),
        (
            (subscriber("1", State.BLOCKED, "100.64.1.7"), subscriber("2", State.BLOCKED, "100.64.1.7")),
            (subscriber("1", State.BLOCKED), subscriber("2", State.BLOCKED)),
        ),
    ],
)
def test_a_table_with_words_says_of_devices_and_logins_what_the_whole_list_would(
    before: tuple[Subscriber, ...], words: tuple[Subscriber, ...]
) -> None:
    table = compile_table(Snapshot("8812.aa", "8812", 50.0, before, known=90), SETTINGS)
    as_it_was = facts(table)
    listed = {s.id: s for s in (*before, *words)}

    after = changed(table, words, snapshot_id="8812.bb")

    whole = compile_table(Snapshot("8812.bb", "8812", 50.0, tuple(listed.values()), known=90), SETTINGS)
    assert facts(after) == facts(whole)
    assert after.read_at == 50.0
    assert facts(table) == as_it_was, "the table that others still read"


def test_a_word_without_a_contest_does_not_index_the_whole_list_anew() -> None:
    table = view(named("1", devices=(MAC,)), named("2", logins=("b",))).table

    moved = changed(table, [named("1", devices=(NEXT_MAC,))], snapshot_id="s")
    renamed = changed(table, [named("2", logins=("c",))], snapshot_id="s")

    assert moved.devices == {NEXT_MAC: moved.subscribers["1"]}
    assert moved.logins is table.logins
    assert renamed.logins == {"c": renamed.subscribers["2"]}
    assert renamed.devices is table.devices


def test_names_that_two_subscribers_claim_are_told() -> None:
    table = view(
        named("1", logins=("a", "b"), devices=(MAC,)), named("2", logins=("a",), devices=(MAC, NEXT_MAC))
    ).table

    assert table.contested_names == {"a", MAC}
    assert table.logins["a"].id == table.devices[MAC].id == "1", "the first of two who are treated alike"
