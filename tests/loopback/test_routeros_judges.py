# SPDX-License-Identifier: Apache-2.0
"""Two client libraries that know nothing of us, routeros-api and librouteros, judge the stand-in of a RouterOS router.

What edged's own target must know of routeros-api is here too, as tests of that library.
"""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import librouteros
import pytest
import routeros_api
from librouteros.exceptions import ConnectionClosed, FatalError, LibRouterosError, MultiTrapError, TrapError
from librouteros.query import And, Key, Or
from routeros_api.exceptions import (
    RouterOsApiCommunicationError,
    RouterOsApiConnectionError,
    RouterOsApiError,
    RouterOsApiParsingError,
)
from routeros_api.query import AndQuery, HasValueQuery, IsEqualQuery, IsGreaterQuery, OrQuery

from tests.routeros.background import Background, running
from tests.routeros.console import Console
from tests.routeros.latency import LATENCIES
from tests.routeros.server import PASSWORD, router
from tests.routeros.wire import WIRE_FAULTS, Wire

ROOT = Path(__file__).resolve().parents[2]
LIST = "/ip/firewall/address-list"
FILTER = "/ip/firewall/filter"
BLOCKED = "edged-blocked"
SECONDS = 0.3
"""What a judge waits that waits in vain."""
PATIENCE = 10.0
"""What it waits otherwise; this machine may have much to do."""


@pytest.fixture
def stand_in() -> Iterator[Background]:
    with running(router()) as background:
        yield background


def old() -> Any:
    return router("6.42.12")


# --- both alike ------------------------------------------------------------------------------------


class Librouteros:
    name = "librouteros"

    def __init__(
        self,
        at: Background,
        *,
        tls: bool = False,
        login: Any = librouteros.plain,
        password: str = PASSWORD,
        patience: float = PATIENCE,
    ) -> None:
        server = at.server
        wrap = server.certificates.client().wrap_socket if tls else None
        self.api = librouteros.connect(
            "127.0.0.1", "edged", password, port=server.ssl_port if tls else server.port, timeout=patience,
            encoding="utf-8", login_method=login,
            ssl_wrapper=None if wrap is None else (lambda raw: wrap(raw, server_hostname="127.0.0.1")),
        )  # fmt: skip

    def add(self, path: str, **values: str) -> str:
        return str(self.api.path(path).add(**{key.replace("_", "-"): value for key, value in values.items()}))

    def rows(self, path: str, **equal: str) -> list[dict[str, str]]:
        keys = [Key(name) == value for name, value in equal.items()]
        return [_texts(row) for row in self.api.path(path).select().where(*keys)]

    def change(self, path: str, item: str, **values: str) -> None:
        self.api.path(path).update(**{".id": item}, **values)

    def remove(self, path: str, *items: str) -> None:
        self.api.path(path).remove(*items)

    def close(self) -> None:
        self.api.close()


class RouterosApi:
    name = "routeros-api"

    def __init__(
        self,
        at: Background,
        *,
        tls: bool = False,
        plain: bool = True,
        password: str = PASSWORD,
        patience: float = PATIENCE,
    ) -> None:
        server = at.server
        self.pool = routeros_api.RouterOsApiPool(
            "127.0.0.1", "edged", password, port=server.ssl_port if tls else server.port, plaintext_login=plain,
            ssl_context=server.certificates.client() if tls else None,
        )  # fmt: skip
        self.pool.set_timeout(patience)
        try:
            self.api = self.pool.get_api()
        except BaseException:
            # after a refused login the pool says that it is not connected, and holds its socket
            self.pool.disconnect()
            raise
        self.pool.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def add(self, path: str, **values: str) -> str:
        return str(self.api.get_resource(path).add(**values).done_message["ret"])

    def rows(self, path: str, **equal: str) -> list[dict[str, str]]:
        found = self.api.get_resource(path).get(**equal)
        return [{(".id" if key == "id" else key): value for key, value in row.items()} for row in found]

    def change(self, path: str, item: str, **values: str) -> None:
        self.api.get_resource(path).set(id=item, **values)

    def remove(self, path: str, *items: str) -> None:
        self.api.get_resource(path).remove(id=",".join(items))

    def close(self) -> None:
        self.pool.disconnect()


def _texts(row: dict[str, Any]) -> dict[str, str]:
    # librouteros guesses types
    words = {True: "true", False: "false"}
    return {key: words[value] if isinstance(value, bool) else str(value) for key, value in row.items()}


JUDGES: list[Callable[..., Any]] = [Librouteros, RouterosApi]
BOTH = pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)
TRAPS = (TrapError, RouterOsApiCommunicationError)
CUTS = (ConnectionClosed, OSError, RouterOsApiConnectionError)


@contextmanager
def client(judge: Callable[..., Any], at: Background, **options: Any) -> Iterator[Any]:
    made = judge(at, **options)
    try:
        yield made
    finally:
        made.close()


@BOTH
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_judge_logs_in_adds_lists_sets_and_removes(
    judge: Callable[..., Any], tls: bool, stand_in: Background
) -> None:
    with client(judge, stand_in, tls=tls) as ours:
        first = ours.add(LIST, list=BLOCKED, address="192.0.2.1", comment="edged: häuser = 7")
        second = ours.add(LIST, list=BLOCKED, address="192.0.2.2/31", timeout="1h")
        ours.add(LIST, list="foreign", address="192.0.2.1")
        ours.change(LIST, first, comment="edged: other")
        rows = ours.rows(LIST, list=BLOCKED)

        assert [(row[".id"], row["address"], row.get("comment", ""), row["dynamic"]) for row in rows] == [
            (first, "192.0.2.1", "edged: other", "false"),
            (second, "192.0.2.2/31", "", "true"),
        ]
        ours.remove(LIST, first, second)
        assert [row["list"] for row in ours.rows(LIST)] == ["foreign"]
        assert ours.rows(LIST, list=BLOCKED) == []


@pytest.mark.parametrize("judge", [
    pytest.param(lambda at, **o: Librouteros(at, login=librouteros.token, **o), id="librouteros"),
    pytest.param(lambda at, **o: RouterosApi(at, plain=False, **o), id="routeros-api"),
    pytest.param(lambda at, **o: RouterosApi(at, plain=True, **o), id="routeros-api, told of the newer login"),
])  # fmt: skip
def test_a_judge_logs_in_to_an_old_router_by_its_challenge(judge: Callable[..., Any]) -> None:
    with running(old()) as at:
        with client(judge, at) as ours:
            assert ours.rows("/system/identity") == [{"name": "MikroTik"}]
        with pytest.raises((*TRAPS,)) as caught:
            judge(at, password="wrong")
        assert "cannot log in" in str(caught.value)


@BOTH
def test_a_wrong_password_is_a_trap(judge: Callable[..., Any], stand_in: Background) -> None:
    with pytest.raises(TRAPS) as caught:
        judge(stand_in, password="wrong")

    assert "invalid user name or password (6)" in str(caught.value)


@BOTH
@pytest.mark.parametrize(("values", "says"), [
    ({"list": BLOCKED, "address": "192.0.2.1"}, "failure: already have such entry"),
    ({"list": BLOCKED, "adress": "192.0.2.2"}, "unknown parameter adress"),
    ({"list": BLOCKED, "address": "nowhere at all"}, "invalid value for argument address"),
    ({"list": BLOCKED}, "missing value(s) of argument(s) address"),
])  # fmt: skip
def test_a_trap_is_a_judges_exception_and_the_connection_goes_on(
    judge: Callable[..., Any], values: dict[str, str], says: str, stand_in: Background
) -> None:
    with client(judge, stand_in) as ours:
        ours.add(LIST, list=BLOCKED, address="192.0.2.1")
        with pytest.raises(TRAPS) as caught:
            ours.add(LIST, **values)

        assert says in str(caught.value)
        assert len(ours.rows(LIST)) == 1


@BOTH
@pytest.mark.parametrize("length", [120, 128, 247, 256, 16_384, 70_000])
def test_words_of_every_form_of_length_go_both_ways(
    judge: Callable[..., Any], length: int, stand_in: Background
) -> None:
    comment = "a" * length
    with client(judge, stand_in) as ours:
        ours.add(LIST, list=BLOCKED, address="192.0.2.1", comment=comment)

        assert ours.rows(LIST)[0]["comment"] == comment


@BOTH
@pytest.mark.parametrize("fault", ["cut", "cut-before", "cut-after", "reset"])
def test_a_judge_survives_a_cut_and_finds_out_after_it_what_was_done(
    judge: Callable[..., Any], fault: str, stand_in: Background
) -> None:
    with client(judge, stand_in) as ours:
        stand_in.do(lambda: stand_in.server.turns.append(fault))
        with pytest.raises(CUTS):
            ours.add(LIST, list=BLOCKED, address="192.0.2.1")

    with client(judge, stand_in) as ours:
        assert len(ours.rows(LIST)) == (fault != "cut-before")


@BOTH
@pytest.mark.parametrize("fault", ["silence", "deaf", "slow", "half-open"])
def test_a_judge_gives_up_on_a_router_that_says_nothing(
    judge: Callable[..., Any], fault: str, stand_in: Background
) -> None:
    with client(judge, stand_in, patience=SECONDS) as ours:
        stand_in.do(lambda: stand_in.server.turns.append(fault))
        began = time.monotonic()
        with pytest.raises(CUTS):
            ours.rows(LIST)

        assert time.monotonic() - began < PATIENCE


@BOTH
def test_a_reply_in_single_octets_is_a_reply(judge: Callable[..., Any], stand_in: Background) -> None:
    with client(judge, stand_in) as ours:
        ours.add(LIST, list=BLOCKED, address="192.0.2.1")
        stand_in.do(lambda: stand_in.server.turns.append("trickle"))

        assert len(ours.rows(LIST)) == 1


@pytest.mark.parametrize(
    ("judge", "fault"),
    [
        *((Librouteros, fault) for fault in ("malformed", "fatal", "trap-storm")),
        # librouteros sends no tags and reads none
        *((RouterosApi, fault) for fault in ("malformed", "fatal", "trap-storm", "foreign-tag")),
    ],
)
def test_nonsense_ends_in_an_exception_of_the_judge(
    judge: Callable[..., Any], fault: str, stand_in: Background
) -> None:
    with client(judge, stand_in) as ours:
        stand_in.do(lambda: stand_in.server.turns.append(fault))
        with pytest.raises((LibRouterosError, RouterOsApiError)):
            ours.rows(LIST)


@BOTH
def test_a_full_house_lets_nobody_in_until_somebody_leaves(judge: Callable[..., Any], stand_in: Background) -> None:
    stand_in.do(lambda: stand_in.server.console.hand("/ip/service/set", numbers="api", max_sessions="1"))
    stand_in.do(lambda: stand_in.server.console.hand("/ip/service/set", numbers="api-ssl", max_sessions="1"))
    with client(judge, stand_in), pytest.raises(CUTS):
        judge(stand_in)
    deadline = time.monotonic() + PATIENCE
    while stand_in.do(lambda: stand_in.server.connected) and time.monotonic() < deadline:
        time.sleep(0.01)

    with client(judge, stand_in) as ours:
        assert ours.rows("/system/identity")


@BOTH
def test_another_authoritys_certificate_is_refused_by_who_looks(
    judge: Callable[..., Any], stand_in: Background
) -> None:
    stand_in.do(lambda: stand_in.server.faults.add("other-certificate"))
    with pytest.raises(ssl.SSLCertVerificationError):
        judge(stand_in, tls=True)
    stand_in.do(stand_in.server.faults.clear)

    with client(judge, stand_in, tls=True) as ours:
        assert ours.rows("/system/identity")


@BOTH
def test_a_reboot_ends_the_connection_and_what_was_in_memory(judge: Callable[..., Any], stand_in: Background) -> None:
    with client(judge, stand_in) as ours:
        ours.add(LIST, list=BLOCKED, address="192.0.2.1", timeout="1d")
        ours.add(LIST, list=BLOCKED, address="192.0.2.2")
        stand_in.do(stand_in.server.reboot)
        with pytest.raises(CUTS):
            ours.rows(LIST)

    with client(judge, stand_in) as ours:
        assert [row["address"] for row in ours.rows(LIST)] == ["192.0.2.2"]


# --- queries, each in the judge's own words --------------------------------------------------------


@pytest.fixture
def listed(stand_in: Background) -> Background:
    for number, (name, comment) in enumerate([("a", "x"), ("a", ""), ("b", "y"), ("c", "")]):
        more = {"comment": comment} if comment else {}
        stand_in.server.console.hand(f"{LIST}/add", list=name, address=f"192.0.2.{number}", **more)
    return stand_in


def ids(rows: Any) -> str:
    return "".join(str(row.get(".id") or row["id"])[1:] for row in rows)


def test_librouteros_queries(listed: Background) -> None:
    name, comment, item = Key("list"), Key("comment"), Key(".id")
    with client(Librouteros, listed) as ours:
        path = ours.api.path(LIST)

        assert ids(path.select(item).where(Or(name == "a", name == "b"))) == "123"
        assert ids(path.select(item).where(And(name == "a", comment == "x"))) == "1"
        assert ids(path.select(item).where(name != "a")) == "34"
        assert ids(path.select(item).where(name.In("a", "c"))) == "124"
        assert ids(path.select(item).where(comment > "")) == "13"
        assert [set(row) for row in path.select(item, comment)] == [
            {".id", "comment"},
            {".id"},
            {".id", "comment"},
            {".id"},
        ]
        assert list(path.select(Key("nothing"))) == [], "librouteros drops empty sentences"
        assert list(path("print", **{"count-only": ""})) == [{"ret": 4}]


def test_routeros_api_queries(listed: Background) -> None:
    a, b = IsEqualQuery("list", "a"), IsEqualQuery("list", "b")
    with client(RouterosApi, listed) as ours:
        resource = ours.api.get_resource(LIST)

        def found(*queries: Any) -> str:
            return ids(resource.call("print", {"proplist": ".id"}, additional_queries=queries))

        assert found(OrQuery(a, b)) == "123"
        assert found(AndQuery(a, IsEqualQuery("comment", "x"))) == "1"
        assert found(HasValueQuery("comment")) == "13"
        assert found(IsGreaterQuery("comment", "")) == "13"
        assert found(a, HasValueQuery("comment")) == "1"
        assert [row.keys() for row in resource.call("print", {"proplist": "comment"})] == [
            {"comment"}, set(), {"comment"}, set()
        ]  # fmt: skip
        assert resource.call("print", {"count-only": None}).done_message == {"ret": "4"}


# --- what the target must know of routeros-api -----------------------------------------------------


def test_pipelined_adds_come_back_each_to_its_promise_whatever_the_order(stand_in: Background) -> None:
    stand_in.do(lambda: stand_in.server.faults.add("out-of-order"))
    with client(RouterosApi, stand_in) as ours:
        resource = ours.api.get_resource(LIST)
        promises = [resource.add_async(list=BLOCKED, address=f"192.0.2.{number % 40}") for number in range(64)]
        said = [promised(promise) for promise in promises]

        assert said.count("failure: already have such entry") == 24
        assert len({text for text in said if text.startswith("*")}) == len(ours.rows(LIST)) == 40


def promised(promise: Any) -> str:
    """The id that an add returned, or a trap."""
    try:
        return str(promise.get().done_message.get("ret", ""))
    except RouterOsApiCommunicationError as error:
        return str(error.original_message.decode())


def reconcile(at: Background, desired: set[str]) -> list[str]:
    """All adds and removes at once; what was said to each."""
    with client(RouterosApi, at) as ours:
        resource = ours.api.get_resource(LIST)
        rows = resource.call("print", {"proplist": ".id,address"}, {"list": BLOCKED})
        held = {row["address"]: row["id"] for row in rows}
        plan = [resource.add_async(list=BLOCKED, address=address) for address in sorted(desired - held.keys())]
        plan += [resource.remove_async(id=held[address]) for address in sorted(held.keys() - desired)]
        return [promised(promise) for promise in plan]


def test_a_pipelined_reconcile_that_is_cut_anywhere_is_put_right_by_the_next(stand_in: Background) -> None:
    names = [f"192.0.2.{number}" for number in range(12)]
    server, ended = stand_in.server, 0
    stand_in.do(lambda: server.faults.update({"interleaved", "out-of-order"}))
    for octets in range(1, 700, 23):
        desired = set(names[:8] if ended % 2 else names[4:])
        stand_in.do(partial(setattr, server, "cut_at", octets))
        with suppress(RouterOsApiConnectionError):
            reconcile(stand_in, desired)
            break
        stand_in.do(partial(setattr, server, "cut_at", None))
        ended += 1
        assert all(said.startswith(("*", "failure: already", "no such item")) or not said
                   for said in reconcile(stand_in, desired))  # fmt: skip
        assert {row["address"] for row in stand_in.do(lambda: server.console.items(LIST))} == desired
        assert reconcile(stand_in, desired) == []

    assert 10 < ended < 30


def test_its_exception_tells_the_password(stand_in: Background) -> None:
    with pytest.raises(RouterOsApiCommunicationError) as caught:
        RouterosApi(stand_in, password="gehe1m")

    assert "gehe1m" in str(caught.value), "whoever logs it must write the message anew"


def test_it_takes_a_fatal_for_a_sentence_that_it_cannot_read_and_believes_to_be_connected(stand_in: Background) -> None:
    with client(RouterosApi, stand_in) as ours:
        stand_in.do(lambda: stand_in.server.turns.append("fatal"))
        with pytest.raises(RouterOsApiParsingError):
            ours.rows(LIST)

        assert ours.pool.connected


def test_a_late_reply_after_a_timeout_finds_its_connection_closed(stand_in: Background) -> None:
    stand_in.server.late = SECONDS * 1.2
    with client(RouterosApi, stand_in, patience=SECONDS) as ours:
        stand_in.do(lambda: stand_in.server.turns.append("late"))
        with pytest.raises(RouterOsApiConnectionError):
            ours.rows(LIST)
        assert not ours.pool.connected
        assert ours.pool.get_api() is not ours.api, "the pool makes a new connection"


def test_an_empty_value_is_sent_without_its_second_sign_and_means_empty(stand_in: Background) -> None:
    with client(RouterosApi, stand_in) as ours:
        item = ours.add(LIST, list=BLOCKED, address="192.0.2.1", comment="x")
        ours.change(LIST, item, comment="")

        assert "comment" not in ours.rows(LIST)[0]


# --- as a program ----------------------------------------------------------------------------------


def test_the_stand_in_serves_as_a_program(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    arguments = ["--entries", "3", "--version", "7.16", "--authority", str(authority), "--lines"]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.routeros.serve", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        ports = json.loads(process.stdout.readline())
        trust = ssl.create_default_context(cafile=str(authority))
        api = librouteros.connect(
            "127.0.0.1", "edged", PASSWORD, port=ports["ssl_port"], timeout=10,
            ssl_wrapper=lambda raw: trust.wrap_socket(raw, server_hostname="127.0.0.1"),
        )  # fmt: skip
        said = []
        for line in (f"{LIST}/add list=b address=192.0.2.1", f"{LIST}/add list=b", "fault full", "reboot", "dance"):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            said.append(process.stdout.readline().strip())

        assert said == ["*4", "trap: missing value(s) of argument(s) address", "done", "done", "unknown: dance"]
        with pytest.raises((LibRouterosError, OSError)):
            list(api.path(LIST))
        api.close()
        process.stdin.close()
        assert process.wait(10) == 0


def test_a_storm_of_traps_is_told_whole_by_librouteros(stand_in: Background) -> None:
    with client(Librouteros, stand_in) as ours:
        stand_in.do(lambda: stand_in.server.turns.append("trap-storm"))
        with pytest.raises(MultiTrapError) as caught:
            ours.rows(LIST)
        assert len(caught.value.traps) == 4
        stand_in.do(lambda: stand_in.server.turns.append("fatal"))
        with pytest.raises(FatalError, match="enough"):
            ours.rows(LIST)


# --- without a socket ------------------------------------------------------------------------------


def on_wire(wire: Wire) -> Any:
    communicator = routeros_api.api_communicator.ApiCommunicator(routeros_api.base_api.Connection(wire))
    return routeros_api.api.RouterOsApi(communicator)


def test_hours_of_a_router_pass_in_no_time_on_a_wire() -> None:
    now = 0.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    console = Console(clock=lambda: now)
    console.hand("/user/add", name="edged", password=PASSWORD, group="full")
    wire = Wire(console, latency=LATENCIES["laden"], wait=wait)
    api = on_wire(wire)
    api.login("edged", PASSWORD, True)
    lists = api.get_resource(LIST)
    for number in range(100):
        lists.add(list=BLOCKED, address=f"192.0.2.{number}", timeout="10m")

    assert now == pytest.approx(100 / 118, rel=0.1)
    assert len(lists.get(list=BLOCKED)) == 100
    now += 600
    assert lists.get(list=BLOCKED) == []


@pytest.mark.parametrize("fault", sorted(WIRE_FAULTS))
def test_a_wire_has_the_faults_of_a_router(fault: str) -> None:
    console = Console()
    console.hand("/user/add", name="edged", password=PASSWORD, group="full")
    wire = Wire(console)
    api = on_wire(wire)
    api.login("edged", PASSWORD, True)
    wire.turns.append(fault)
    with pytest.raises(RouterOsApiConnectionError):
        api.get_resource(LIST).add(list=BLOCKED, address="192.0.2.1")

    assert len(console.items(LIST)) == (fault not in {"deaf", "cut-before"})
