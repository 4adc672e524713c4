from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.billing.cells import parse_cells
from edged.billing.feed_fields import SUBSCRIBER
from edged.billing.ground import Ground
from edged.billing.guard import Accepted, judge, lifts, remember
from edged.billing.mapping import map_keys, map_subscribers
from edged.billing.paging import next_address, parse_json, parse_page
from edged.billing.reading import make_snapshot
from edged.billing.settings import GuardSettings, WidestSettings, WindowSettings
from edged.errors import UpstreamError
from edged.model import Account, Snapshot, State, Subscriber
from edged.state.guard_memory import GuardMemory
from edged.state.snapshots import SnapshotFiles
from edged.values import MacAddress, Prefix, parse_prefix

GROUND = Ground(WidestSettings(), ())
WINDOW = 100.0
STATES = st.sampled_from(list(State))

readings = st.lists(
    st.tuples(
        st.floats(0, 60),  # seconds since the reading before
        st.dictionaries(st.integers(0, 60), STATES, max_size=60),
        st.one_of(st.none(), st.integers(0, 400)),  # known, right or wrong
    ),
    max_size=25,
)


def snapshot(states: dict[int, State], known: int | None = None) -> Snapshot:
    subscribers = tuple(Subscriber(str(n), state) for n, state in states.items())
    return make_snapshot(subscribers, None, revision="", known=known, read_at=0.0)


def blocked_in(list_in_force: Snapshot) -> set[str]:
    return {s.id for s in list_in_force.subscribers if s.state is State.BLOCKED}


@given(readings, st.integers(0, 6), st.integers(0, 12), st.sampled_from(["3%", "10%", "100%"]))
@settings(max_examples=3 * settings().max_examples)
def test_however_readings_are_sliced_no_window_blocks_more_than_the_limit(
    steps: list[tuple[float, dict[int, State], int | None]], floor: int, count: int, share: str
) -> None:
    limits = GuardSettings(
        blocked=WindowSettings(share=share, count=count, window="100s"),
        vanished=WindowSettings(share="50%", count=20, window="100s"),
        floor=floor,
    )
    good = snapshot({0: State.BLOCKED}, 100)
    memory = remember(good, GuardMemory())
    newly: list[tuple[float, str]] = []
    now = 0.0
    for wait, states, known in steps:
        now += wait
        reading = snapshot(states, known)
        before = good
        verdict = judge(reading, good, memory, limits, ground=GROUND, now=now)
        if isinstance(verdict, Accepted):
            good, memory = reading, verdict.memory
        else:
            good = lifts(good, reading) or good
        newly += [(now, name) for name in blocked_in(good) - blocked_in(before)]
        in_window = {name for at, name in newly if at > now - WINDOW}
        assert len(in_window) <= max(floor, count)
        assert not blocked_in(good) & {str(n) for n, state in states.items() if state is not State.BLOCKED}


@given(readings)
def test_nothing_is_ever_judged_into_the_first_list(
    steps: list[tuple[float, dict[int, State], int | None]],
) -> None:
    good, memory, now = None, GuardMemory(), 0.0
    for wait, states, known in steps:
        now += wait
        verdict = judge(snapshot(states, known), good, memory, GuardSettings(), ground=GROUND, now=now)
        if isinstance(verdict, Accepted):
            good, memory = snapshot(states, known), verdict.memory
        assert good is None or not blocked_in(good)


prefixes = st.builds(
    lambda bits, length: Prefix(4, bits >> (32 - length) << (32 - length), length),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(prefixes, max_size=8), prefixes)
def test_a_prefix_is_own_exactly_when_it_shares_an_address(own: list[Prefix], prefix: Prefix) -> None:
    ground = Ground(WidestSettings(ipv4=1), own)

    expected = "wide" if prefix.length < 1 else "own" if any(prefix.overlaps(o) for o in own) else None
    assert ground.forbids(prefix) == expected


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ["id", "state", "addresses", "devices", "logins", "since", "due", "pay_url", "ssid", "passphrase", "vlan",
     "rate", "expires", "subscribers", "keys", "revision", "total", "removed", "next"]
)  # fmt: skip


@given(st.lists(st.dictionaries(names, json_values, max_size=8) | json_values, max_size=4))
def test_any_objects_are_mapped_or_refused(objects: list[object]) -> None:
    for read in (map_subscribers, lambda o: map_keys(o, 0.0)):
        try:
            read(objects)
        except UpstreamError:
            continue


@given(st.dictionaries(names, json_values, max_size=8) | json_values)
def test_any_document_is_a_page_or_refused(document: object) -> None:
    try:
        parse_page(document, "subscribers")
    except UpstreamError:
        return


@given(st.binary(max_size=200))
def test_any_octets_are_json_or_refused(octets: bytes) -> None:
    try:
        parse_json(octets)
    except UpstreamError:
        return
    json.loads(octets)


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    try:
        parse_cells(text, "subscribers.csv", SUBSCRIBER)
    except UpstreamError:
        return


@given(st.text(max_size=60))
def test_next_never_leaves_the_server(following: str) -> None:
    try:
        address = next_address("https://billing.example.net/feed", "https://billing.example.net/feed/keys", following)
    except UpstreamError:
        return
    assert address.startswith("https://billing.example.net")
    assert address[len("https://billing.example.net") :][:1] in {"", "/", "?", "#"}


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
subscribers = st.builds(
    Subscriber,
    id=words,
    state=STATES,
    reason=words,
    since=st.floats(0, 4e9),
    addresses=st.lists(st.sampled_from([parse_prefix("100.64.0.1"), parse_prefix("2001:db8::/56")])).map(tuple),
    devices=st.sampled_from([(), (MacAddress("02:00:5e:10:00:01"),)]),
    logins=st.lists(words, max_size=2).map(tuple),
    brand=words,
    account=st.builds(Account, name=words, amount_due=words, pay_url=words, invoice=words).filter(
        lambda a: a != Account()
    ),
)


@given(st.lists(subscribers, max_size=5).map(tuple), st.none() | st.integers(0, 10**6), words)
@settings(max_examples=settings().max_examples // 2)
def test_what_is_saved_is_what_is_loaded(listed: tuple[Subscriber, ...], known: int | None, revision: str) -> None:
    saved = Snapshot("id", revision, 1.5, listed, known)
    with TemporaryDirectory() as directory:
        files = SnapshotFiles(Path(directory))
        files.save(saved)
        assert files.load().snapshot == saved


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=settings().max_examples // 2)
def test_a_snapshot_damaged_anywhere_is_refused(position: int, change: int) -> None:
    with TemporaryDirectory() as directory:
        files = SnapshotFiles(Path(directory))
        files.save(snapshot(dict.fromkeys(range(5), State.BLOCKED)))
        path = Path(directory) / "snapshot.jsonl"
        octets = bytearray(path.read_bytes())
        octets[position % len(octets)] ^= change
        path.write_bytes(octets)

        found = files.load()

        assert found.snapshot is None
        assert "is damaged" in found.fault


@pytest.mark.parametrize("cut", [0, 1, 50, -1, -40])
def test_a_snapshot_cut_short_is_refused(cut: int, tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.save(snapshot(dict.fromkeys(range(5), State.BLOCKED)))
    path = tmp_path / "snapshot.jsonl"
    path.write_bytes(path.read_bytes()[:cut])

    assert files.load().snapshot is None
