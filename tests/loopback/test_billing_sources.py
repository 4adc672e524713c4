from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edged.billing.reading import Reading
from edged.billing.settings import BillingSettings
from edged.billing.sources import SOURCES, open_source
from edged.billing.sources.file import FileSource
from edged.billing.sources.rest import Bounds, RestSource
from edged.errors import UpstreamError
from edged.model import State
from edged.values import Secret
from tests.loopback.feed_server import Feed, FeedServer, serve

TOKEN = "canary-token-5c1"


def people(*ids: int, state: str = "blocked") -> list[dict[str, Any]]:
    return [{"id": str(n), "state": state, "addresses": [f"100.64.{n // 256}.{n % 256}"]} for n in ids]


def key(name: str, passphrase: str) -> dict[str, Any]:
    return {"id": name, "ssid": "Residence", "passphrase": passphrase, "subscriber": "1"}


@pytest.fixture
async def server() -> AsyncIterator[FeedServer]:
    feed = Feed(people(*range(1, 26)), [key("k1", "copper-otter-42")], known=4120)
    async with serve(FeedServer(feed, token=TOKEN, page_size=10)) as running:
        yield running


@pytest.fixture
async def source(server: FeedServer) -> AsyncIterator[RestSource]:
    bounds = Bounds(request=0.5, reading=5.0, page_octets=1_000_000, octets=2_000_000, pages=50, restarts=3)
    opened = RestSource(server.url, Secret(TOKEN), bounds=bounds)
    yield opened
    await opened.close()


def feed(server: FeedServer) -> Feed:
    assert isinstance(server.feed, Feed)
    return server.feed


def ids(reading: Reading | None, state: State = State.BLOCKED) -> set[str]:
    assert reading is not None
    return {s.id for s in reading.snapshot.subscribers if s.state is state}


async def read(source: RestSource | FileSource, previous: Reading | None = None) -> Reading:
    reading = await source.read(previous)
    assert reading is not None
    return reading


async def test_all_pages_make_one_reading(server: FeedServer, source: RestSource) -> None:
    reading = await read(source)

    assert ids(reading) == {str(n) for n in range(1, 26)}
    assert reading.snapshot.known == 4120
    assert reading.snapshot.id.startswith(f"{reading.snapshot.revision}.")
    assert [k.passphrase.reveal_text() for k in reading.snapshot.keys or ()] == ["copper-otter-42"]
    assert [r for r in server.requests if r.startswith("GET /subscribers")] == [
        "GET /subscribers", "GET /subscribers?page=2", "GET /subscribers?page=3",
    ]  # fmt: skip
    assert "HEAD /subscribers" in server.requests


async def test_a_feed_below_a_path_is_read_with_nexts_counted_from_that_path() -> None:
    async with serve(FeedServer(Feed(people(*range(25))), page_size=10, prefix="/api/edge")) as server:
        source = RestSource(f"{server.url}/", None)
        assert len(ids(await read(source))) == 25
        await source.close()


async def test_a_server_without_keys_makes_a_reading_without_keys(server: FeedServer, source: RestSource) -> None:
    feed(server).keys = None

    reading = await read(source)

    assert reading.snapshot.keys is None
    assert await source.read(reading) is None


@pytest.mark.parametrize("faults", [set(), {"no-since"}, {"gone"}], ids=["since", "whole lists", "410"])
async def test_nothing_changed_is_no_reading(server: FeedServer, source: RestSource, faults: set[str]) -> None:
    server.faults = faults

    assert await source.read(await read(source)) is None
    server.requests.clear()
    assert await source.read(await read(source)) is None


async def test_changes_since_a_revision_come_without_the_rest(server: FeedServer, source: RestSource) -> None:
    first = await read(source)
    feed(server).subscribers = people(*range(3, 28))
    feed(server).keys = [key("k2", "violin-violin-1")]
    server.requests.clear()

    second = await read(source, first)

    assert server.requests == [
        f"GET /subscribers?since={first.snapshot.revision}",
        f"GET /keys?since={first.marks['keys.revision']}",
    ]
    assert ids(second) == {str(n) for n in range(3, 28)}
    assert ids(second, State.ACTIVE) == {"1", "2"}
    assert [k.id for k in second.snapshot.keys or ()] == ["k2"]
    assert ids(await read(source)) == ids(second)


@pytest.mark.parametrize("fault", ["no-since", "gone"])
async def test_a_server_that_cannot_say_what_changed_is_read_whole(
    server: FeedServer, source: RestSource, fault: str
) -> None:
    server.faults = {fault}
    first = await read(source)
    feed(server).subscribers = people(*range(3, 28))

    second = await read(source, first)

    assert ids(second) == {str(n) for n in range(3, 28)}
    assert ids(second, State.ACTIVE) == set()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("wrong-total", "total is 26, 25 came"),
        ("changing-revision", "changed during each of 3 attempts"),
        ("wrong-head", "changed during each of 3 attempts"),
        ("truncated", "not JSON"),
        ("slow", "no answer within"),
        ("wrong-type", "subscriber '10': amount_due: expected text, found a number"),
        ("error", "answered 500"),
        ("redirect", "answered 302 (redirects are not followed)"),
        ("endless", "do not end"),
        ("foreign", "next leads to another server"),
        ("huge", "larger than"),
        ("duplicate", "is listed twice"),
    ],
)
async def test_a_faulty_reply_refuses_the_reading(
    server: FeedServer, source: RestSource, fault: str, sentence: str
) -> None:
    server.faults = {fault}

    with pytest.raises(UpstreamError) as caught:
        await source.read(None)

    assert sentence in str(caught.value)
    assert TOKEN not in str(caught.value)
    server.faults = set()
    assert len(ids(await read(source))) == 25


async def test_a_wrong_key_is_named_as_such(server: FeedServer) -> None:
    source = RestSource(server.url, Secret("another"))

    with pytest.raises(UpstreamError, match=r"answered 401 \(the key is not accepted\)"):
        await source.read(None)
    await source.close()


async def test_nobody_listening_is_a_sentence() -> None:
    async with serve(FeedServer(Feed())) as server:
        url = server.url
    source = RestSource(url, None)

    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1: cannot connect"):
        await source.read(None)
    await source.close()


async def test_one_subscriber_is_answered_alone(server: FeedServer, source: RestSource) -> None:
    feed(server).active = {"9 9/9"}

    blocked, active, unknown = [await source.read_one(name) for name in ("7", "9 9/9", "8888")]

    assert blocked is not None
    assert blocked.state is State.BLOCKED
    assert active is not None
    assert active.state is State.ACTIVE
    assert unknown is None


@pytest.fixture
def document() -> dict[str, Any]:
    return {"revision": "7", "known": 90, "subscribers": people(1, 2), "keys": [key("k1", "copper-otter-42")]}


async def test_a_json_file_is_read_once_and_again_when_it_changes(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "billing.json"
    path.write_text(json.dumps(document))
    source = FileSource(path, settle=0.01)

    first = await read(source)
    assert ids(first) == {"1", "2"}
    assert (first.snapshot.revision, first.snapshot.known) == ("7", 90)
    assert await source.read(first) is None

    path.write_text(json.dumps(document | {"subscribers": people(2, 3, 4)}))
    assert ids(await read(source, first)) == {"2", "3", "4"}


async def test_a_yaml_file_keeps_macs_dates_and_words_as_text(tmp_path: Path) -> None:
    path = tmp_path / "billing.yaml"
    path.write_text(
        "subscribers:\n"
        '- {id: "1001", state: blocked, reason: no, due: 2026-11-01, since: 2026-11-20T06:00:00Z,\n'
        "   devices: [10:20:30:40:50:10], addresses: [100.64.1.7, 2001:db8:100:700::/56]}\n"
    )

    (subscriber,) = (await read(FileSource(path, settle=0.01))).snapshot.subscribers

    assert subscriber.devices == ("10:20:30:40:50:10",)
    assert (subscriber.reason, subscriber.account.due) == ("no", "2026-11-01")
    assert len(subscriber.addresses) == 2


async def test_a_folder_of_tables_holds_several_values_in_a_cell(tmp_path: Path) -> None:
    (tmp_path / "subscribers.csv").write_text(
        "id,state,addresses,amount_due,name,unknown\r\n"
        '1001,blocked,100.64.1.7 2001:db8:100:700::/56,49.90,"Ana, née B",x\r\n'
        "1002,notice,,,,\r\n",
        encoding="utf-8-sig",
    )
    (tmp_path / "keys.csv").write_text("id,ssid,passphrase,vlan,expires\nk,Residence,a b c d e,112,\n")

    snapshot = (await read(FileSource(tmp_path, settle=0.01))).snapshot

    assert [len(s.addresses) for s in snapshot.subscribers] == [2, 0]
    assert snapshot.subscribers[0].account.name == "Ana, née B"
    assert snapshot.keys is not None
    assert (snapshot.keys[0].vlan, snapshot.keys[0].passphrase.reveal_text()) == (112, "a b c d e")


async def test_a_single_table_holds_the_subscribers_alone(tmp_path: Path) -> None:
    path = tmp_path / "blocked.CSV"
    path.write_text("id,state,addresses,brand\n1001,blocked,100.64.1.7 100.64.1.8,north\n1002,active,,\n")
    source = FileSource(path, settle=0.01)

    first = await read(source)

    assert ids(first) == {"1001"}
    assert ids(first, State.ACTIVE) == {"1002"}
    assert len(first.snapshot.subscribers[0].addresses) == 2
    assert (first.snapshot.keys, first.snapshot.known) == (None, None)
    assert await source.read(first) is None
    one = await source.read_one("1002")
    assert one is not None
    assert one.state is State.ACTIVE


WHOLE = {
    "a.yaml": "total: 2\nsubscribers:\n"
    + "".join(f"- id: 'c{n}'\n  state: blocked\n  addresses:\n  - 100.64.{n}.11\n  - 100.64.{n}.12\n" for n in (1, 2)),
    "b.yaml": "subscribers:\n"
    + "".join(f"- {{id: c{n}, state: blocked, addresses: [100.64.{n}.11, 100.64.{n}.12]}}\n" for n in (1, 2, 3)),
    "c.json": json.dumps({"subscribers": [{"id": "c1", "state": "blocked", "addresses": ["100.64.1.11"]}]}),
    "d.csv": "id,state,addresses\n" + "".join(f"c{n},blocked,100.64.{n}.11 100.64.{n}.12\n" for n in (1, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
async def test_a_file_cut_anywhere_is_refused_or_leaves_somebody_out_and_never_blocks_another_line(
    tmp_path: Path, name: str
) -> None:
    path, text = tmp_path / name, WHOLE[name]
    path.write_text(text)
    whole = {s.id: set(s.addresses) for s in (await read(FileSource(path, settle=0.0))).snapshot.subscribers}

    for length in range(len(text)):
        path.write_text(text[:length])
        try:
            cut = await read(FileSource(path, settle=0.0))
        except UpstreamError:
            continue
        if "total" in text:
            assert ids(cut) == whole.keys()
        for subscriber in cut.snapshot.subscribers:
            assert set(subscriber.addresses) <= whole[subscriber.id]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", '{"subscribers": [', "not JSON at line 1"),
        ("a.json", "[]", "expected a mapping with subscribers, found a list"),
        ("a.json", "{}", "subscribers is missing"),
        ("a.json", '{"subscribers": [], "total": 3}', "total is 3"),
        ("a.json", '{"subscribers": [{"id": "1", "state": "active", "name": 7}]}', "name: expected text"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", '{"subscribers": [NaN]}', "not JSON"),
        ("a.yaml", "subscribers: [\n", "not YAML at line 2"),
        ("a.yaml", "subscribers:\n- {id: 1001, state: blocked}", "id: expected text, found a number"),
        ("a.yaml", "subscribers: []\nsubscribers: []", "not YAML at line 2, column 1"),
        ("subscribers.csv", "id,logins\n1,blocked,x\n", "subscribers.csv line 2: 3 cells under 2 columns"),
        ("subscribers.csv", "id,state,devices\n1,suspended,\n", "refused: line 2: subscriber '1': state"),
        ("subscribers.csv", "name\nAna\n", "no column id"),
        ("subscribers.csv", "id,state,Addresses\n1,blocked,\n", "a column 'Addresses'; the feed's name is addresses"),
        ("subscribers.csv", "id,state,address\n1,blocked,100.64.1.7\n", "the feed's name is addresses"),
        ("subscribers.csv", "id," + ",".join(map(str, range(300))) + "\n", "301 columns"),
        ("subscribers.csv", "id,state,addresses\n1,blocked,100.64.1.7", "it may be cut off, or still being written"),
        ("subscribers.csv", 'id,logins,name\n1,blocked,"Ana\n', "subscribers.csv line"),
        ("a.csv", "id,logins\n1\n", "a.csv line 2: 1 cells under 2 columns"),
        ("a.csv", "id,state\n1,blocked,x", "it may be cut off, or still being written"),
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "\ufeff\r\n\r\n", "a.csv: the file is empty"),
        ("subscribers.csv", "", "subscribers.csv: the file is empty"),
        ("a.yaml", "\n", "the file is empty"),
        ("a.json", "", "the file is empty"),
        ("a.csv", "id;state;addresses\n1;blocked;100.64.1.7\n", 'separated by ";": save it as CSV with commas'),
        ("a.csv", '"id";"state"\r\n"1";"a, b"\r\n', 'separated by ";": save it as CSV with commas'),
        ("a.csv", "id\tstate\n1\tblocked\n", "separated by tabs: save it as CSV with commas"),
        ("a.csv", "Id,state,addresses\n", "has a column 'Id'; the feed's name is id"),
        ("a.csv", "ID,state,addresses\n", "has a column 'ID'; the feed's name is id"),
        ("a.csv", "customer,state,ip\n", "has no column id; it has 'customer', 'state', 'ip'"),
        ("a.csv", "1001,blocked,100.64.1.7\n", "no column id: it holds values, and not the names of the columns"),
        ("a.csv", "id,state,name\n1,blocked,Ana\n", "none of the columns addresses, devices, logins: nobody's line"),
        (
            "a.csv",
            'id,state,addresses,name\r\n\r\n1,blocked,100.64.1.7,"two\rlines"\r\n31,blocked,100.64.4.300,\r\n',
            "line 5: subscriber '31': addresses: expected an IPv4 or IPv6 address or prefix, found '100.64.4.300'",
        ),
        ("a.csv", "id,state,logins\n1,blocked,x\n,blocked,y\n", "line 3: subscribers[1]: id is missing"),
        ("a.csv", "id,state,logins\n1,blocked,x\n1,blocked,x\n", "line 3: subscriber '1' is listed twice"),
        ("a.yaml", "total: 2\nsubscribers:\n- {id: '1', state: blocked}\n", "total is 2, the list has 1"),
        ("a.yaml", "subscribers:\n- id: '1'\n  addresses:\n  - 100.64.1.7", "its last line has no line end, } or ]"),
        ("a.yaml", "subscribers:\n- id: '1'\n  state: blocked", "it may be cut off, or still being written"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_feed_is_refused_with_its_place(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    source = FileSource(tmp_path if name == "subscribers.csv" else tmp_path / name, settle=0.01)

    with pytest.raises(UpstreamError) as caught:
        await source.read(None)

    assert sentence in str(caught.value)


async def test_a_key_of_a_table_that_is_wrong_is_named_with_its_line_and_no_passphrase_is_repeated(
    tmp_path: Path,
) -> None:
    (tmp_path / "subscribers.csv").write_text("id,state,logins\n")
    source = FileSource(tmp_path, settle=0.01)
    for text, sentence in (
        ("id,ssid,passphrase\nk1,Residence,copper-otter-42\nk2,Residence,copper\n", "line 3: key 'k2': passphrase"),
        ("copper-otter-42,Residence\n", "keys.csv: the first row has no column id"),
    ):
        (tmp_path / "keys.csv").write_text(text)

        with pytest.raises(UpstreamError) as caught:
            await source.read(None)

        assert sentence in str(caught.value)
        assert "copper" not in str(caught.value)


async def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="No such file"):
        await FileSource(tmp_path / "none.json", settle=0.01).read(None)


async def test_a_file_that_is_being_written_is_never_taken_half(tmp_path: Path) -> None:
    path = tmp_path / "billing.yaml"
    rows = [f'- {{id: "{n}", state: blocked}}\n' for n in range(200)]  # every prefix of it is valid YAML
    path.write_text("subscribers:\n")
    source = FileSource(path, settle=0.05)

    async def write() -> None:
        with path.open("a") as file:
            for row in rows:
                file.write(row)
                file.flush()
                await asyncio.sleep(0.001)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.01)
    reading = await read(source)
    await writing

    assert len(reading.snapshot.subscribers) == 200


async def test_a_writer_that_pauses_in_a_file_that_it_overwrites_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "billing.yaml"
    rows = [f'- {{id: "{n}", state: blocked}}\n' for n in range(20)]
    path.write_text("subscribers:\n" + "".join(rows))
    source = FileSource(path, settle=0.05)
    first = await read(source)

    async def write() -> None:
        with path.open("w") as file:
            file.write("subscribers:\n" + "".join(rows[:5]))
            file.flush()
            await asyncio.sleep(0.15)  # three times as long as a file must rest
            file.write("".join(rows[5:19]))

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.01)
    reading = await read(source, first)
    await writing

    assert len(reading.snapshot.subscribers) == 19


async def test_a_shorter_file_that_is_moved_into_place_is_taken_after_one_rest(tmp_path: Path) -> None:
    path, fresh = tmp_path / "billing.yaml", tmp_path / ".billing.new"
    path.write_text("subscribers:\n" + "".join(f'- {{id: "{n}", state: blocked}}\n' for n in range(20)))
    source = FileSource(path, settle=0.1)
    first = await read(source)
    fresh.write_text("subscribers: []\n")
    fresh.rename(path)

    async with asyncio.timeout(0.4):
        assert ids(await read(source, first)) == set()


async def test_a_shorter_file_that_rests_is_taken_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "billing.yaml"
    path.write_text("subscribers:\n" + "".join(f'- {{id: "{n}", state: blocked}}\n' for n in range(20)))
    source = FileSource(path, settle=0.01)
    first = await read(source)
    path.write_text("subscribers: []\n")

    assert ids(await read(source, first)) == set()


async def test_a_file_that_never_rests_is_said_to_be_written(tmp_path: Path) -> None:
    path = tmp_path / "billing.yaml"
    path.write_text("subscribers: []\n")
    source = FileSource(path, settle=0.01)

    async def scribble() -> None:
        for n in range(10_000):
            os.utime(path, (n, n))
            await asyncio.sleep(0.001)

    scribbling = asyncio.create_task(scribble())
    with pytest.raises(UpstreamError, match="is still being written"):
        await source.read(None)
    scribbling.cancel()


def test_every_row_of_sources_opens() -> None:
    settings = {
        "file": BillingSettings.model_validate({"source": "file", "path": "billing.yaml"}),
        "rest": BillingSettings.model_validate({"source": "rest", "url": "https://billing.example.net", "key": "x"}),
        "hub": BillingSettings.model_validate(
            {"source": "hub", "url": "https://hub.example.net", "key": "x", "signed_by": [bytes(32)]}
        ),
        "splynx": BillingSettings.model_validate(
            {"source": "splynx", "url": "https://crm.example.net", "key": "x", "secret": "y"}
        ),
        "uisp": BillingSettings.model_validate(
            {"source": "uisp", "url": "https://uisp.example.net", "key": "x", "secret": "y"}
        ),
    }

    assert set(SOURCES) == set(settings)
    assert [open_source(s).trouble for s in settings.values()] == [""] * 5
    assert [open_source(s).name for s in settings.values()] == [
        "billing.yaml", "billing.example.net", "hub.example.net", "crm.example.net", "uisp.example.net",
    ]  # fmt: skip
