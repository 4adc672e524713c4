# SPDX-License-Identifier: Apache-2.0
"""The stand-in of a RouterOS router keeps what it is told as the documents say: lists, rules, time, accidents."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.routeros.console import READ, Console
from tests.routeros.latency import LATENCIES, Work
from tests.routeros.script import Script
from tests.routeros.sentences import ARGUMENT, MISSING, Command, TrapError
from tests.routeros.session import Session

V4, V6 = "/ip/firewall/address-list", "/ipv6/firewall/address-list"
NAT, NAT6, FILTER = "/ip/firewall/nat", "/ipv6/firewall/nat", "/ip/firewall/filter"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def console(clock: Clock) -> Console:
    return Console(clock=clock)


def trap(console: Console, command: str, **arguments: str) -> TrapError:
    with pytest.raises(TrapError) as caught:
        console.hand(command, **arguments)
    return caught.value


def listed(console: Console, path: str = V4, *names: str) -> list[Any]:
    rows = console.items(path)
    return [tuple(row.get(name, "") for name in names) if len(names) > 1 else row.get(names[0], "") for row in rows]


# --- address lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "typed", "printed"),
    [
        (V4, "192.0.2.1", "192.0.2.1"),
        (V4, "192.0.2.1/32", "192.0.2.1"),
        (V4, "192.0.2.77/24", "192.0.2.0/24"),
        (V4, "192.168.0.0-192.168.1.255", "192.168.0.0/23"),
        (V4, "192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
        (V6, "2001:DB8:0::1", "2001:db8::1/128"),
        (V6, "2001:db8::1/64", "2001:db8::/64"),
    ],
)
def test_an_address_is_kept_in_one_spelling(console: Console, path: str, typed: str, printed: str) -> None:
    console.hand(f"{path}/add", list="a", address=typed)

    assert listed(console, path, "address") == [printed]
    assert trap(console, f"{path}/add", list="a", address=printed).message == "failure: already have such entry"


@pytest.mark.parametrize(
    "address", ["300.0.0.1", "www.example net", "192.0.2.9-192.0.2.1", "192.0.2.0/33", "2001:db8::1"]
)
def test_what_is_no_address_is_a_trap_of_its_argument(console: Console, address: str) -> None:
    error = trap(console, f"{V4}/add", list="a", address=address)

    assert (error.message, error.category) == ("invalid value for argument address", ARGUMENT)
    assert console.items(V4) == []


def test_the_same_address_may_be_on_two_lists_and_is_there_once_on_each(console: Console) -> None:
    assert console.hand(f"{V4}/add", list="a", address="192.0.2.1") == "*1"
    assert console.hand(f"{V4}/add", list="b", address="192.0.2.1") == "*2"
    trap(console, f"{V4}/set", id="*2", list="a")
    assert listed(console, V4, "list") == ["a", "b"], "a set that traps changes nothing"
    console.hand(f"{V4}/set", id="*1", list="c")
    console.hand(f"{V4}/set", id="*2", list="a")

    assert listed(console, V4, ".id", "list") == [("*1", "c"), ("*2", "a")]


def test_a_refused_add_takes_no_id_and_a_removed_one_is_not_given_again(console: Console) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1")
    trap(console, f"{V4}/add", list="a", address="192.0.2.1")
    console.hand(f"{V4}/remove", id="*1")

    assert console.hand(f"{V4}/add", list="a", address="192.0.2.1") == "*2"


def test_a_timeout_counts_down_and_takes_the_entry_away(console: Console, clock: Clock) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1", timeout="1h30m")
    console.hand(f"{V4}/add", list="a", address="192.0.2.2")
    clock.now += 60

    assert listed(console, V4, "timeout", "dynamic") == [("1h29m", "true"), ("", "false")]
    console.hand(f"{V4}/set", id="*1", timeout="2h")
    clock.now += 7199
    assert listed(console, V4, "timeout") == ["1s", ""]
    clock.now += 1
    assert listed(console, V4, "address") == ["192.0.2.2"]
    assert console.hand(f"{V4}/add", list="a", address="192.0.2.1") == "*3", "its place is free again"


@pytest.mark.parametrize(
    ("typed", "printed"),
    [("90", "1m30s"), ("1d00:00:05", "1d5s"), ("35w3d13h13m56s", "35w3d13h13m56s"), ("00:10", "10m")],
)
def test_a_time_may_be_written_in_several_ways(console: Console, typed: str, printed: str) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1", timeout=typed)

    assert listed(console, V4, "timeout") == [printed]


@pytest.mark.parametrize("timeout", ["35w3d13h13m57s", "soon", "1x"])
def test_a_time_beyond_the_schema_is_a_trap(console: Console, timeout: str) -> None:
    assert trap(console, f"{V4}/add", list="a", address="192.0.2.1", timeout=timeout).category == ARGUMENT


def test_a_list_may_hold_twins_that_an_import_left(console: Console) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1")
    console.twin(V4, list="a", address="192.0.2.1")
    assert listed(console, V4, ".id", "address") == [("*1", "192.0.2.1"), ("*2", "192.0.2.1")]
    console.reboot()
    for gone in ("*2", "*1"):
        trap(console, f"{V4}/add", list="a", address="192.0.2.1")
        console.hand(f"{V4}/remove", id=gone)

    assert console.hand(f"{V4}/add", list="a", address="192.0.2.1") == "*3"


# --- fields and commands ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (f"{V4}/add", {"lst": "a"}, "unknown parameter lst"),
        (f"{V4}/add", {"list": "a"}, "missing value(s) of argument(s) address"),
        (f"{V4}/remove", {"id": "*7"}, "no such item"),
        (f"{V4}/remove", {}, "missing value(s) of argument(s) numbers"),
        (f"{V4}/move", {"id": "*1"}, "no such command"),
        (f"{V4}/find", {}, "no such command"),
        (f"{V4}/print", {"frobnicate": ""}, "unknown parameter frobnicate"),
        (f"{V4}/print", {"follow": ""}, "stand-in: follow is not played"),
        ("/ip/firewall/frobnicate", {}, "no such command"),
        ("/ip/nowhere/print", {}, "no such command prefix"),
        (
            f"{NAT}/add",
            {"chain": "dstnat", "action": "dst-nat", "to_address": "192.0.2.1"},
            "unknown parameter to-address",
        ),
        (f"{NAT6}/add", {"chain": "dstnat", "to_addresses": "2001:db8::1"}, "unknown parameter to-addresses"),
        (f"{NAT}/add", {"chain": "dstnat", "action": "reject"}, "input does not match any value of action"),
        (
            f"{FILTER}/add",
            {"chain": "forward", "reject_with": "icmp-no-route"},
            "input does not match any value of reject-with",
        ),
        (f"{FILTER}/add", {"chain": "forward", "dst_port": "80,443-99999"}, "invalid value for argument dst-port"),
        (f"{FILTER}/set", {"id": "*1", "disabled": "maybe"}, "input does not match any value of disabled"),
    ],
)
def test_what_a_router_has_not_is_refused(
    console: Console, command: str, arguments: dict[str, str], message: str
) -> None:
    console.hand(f"{FILTER}/add", chain="forward")

    assert trap(console, command, **arguments).message == message


def test_redirecting_rules_are_kept_with_lists_ports_and_their_negation(console: Console) -> None:
    console.hand(
        f"{NAT}/add", chain="dstnat", action="dst-nat", protocol="tcp", dst_port="80,443", to_addresses="192.0.2.9",
        to_ports="8080", src_address_list="blocked", dst_address_list="!garden", comment="edged",
    )  # fmt: skip
    console.hand(
        f"{NAT6}/add", chain="dstnat", action="dst-nat", to_address="2001:db8::9", src_address="!2001:db8:1::/48"
    )

    assert console.items(NAT)[0] == {
        ".id": "*1", "chain": "dstnat", "action": "dst-nat", "protocol": "tcp", "dst-port": "80,443",
        "to-addresses": "192.0.2.9", "to-ports": "8080", "src-address-list": "blocked", "dst-address-list": "!garden",
        "comment": "edged", "disabled": "false", "dynamic": "false", "log": "false",
    }  # fmt: skip
    assert listed(console, NAT6, "to-address", "src-address") == [("2001:db8::9", "!2001:db8:1::/48")]


def test_rules_have_an_order_that_place_before_and_move_change(console: Console) -> None:
    for name in "abc":
        console.hand(f"{FILTER}/add", chain="forward", comment=name)
    console.hand(f"{FILTER}/add", chain="forward", comment="d", place_before="*1")
    assert listed(console, FILTER, "comment") == ["d", "a", "b", "c"]
    console.hand(f"{FILTER}/move", numbers="*3,*2", destination="*4")
    assert listed(console, FILTER, "comment") == ["c", "b", "d", "a"]
    console.hand(f"{FILTER}/move", numbers="*3")
    assert listed(console, FILTER, "comment") == ["b", "d", "a", "c"]

    trap(console, f"{FILTER}/add", chain="forward", comment="e", place_before="*9")
    assert listed(console, FILTER, "comment") == ["b", "d", "a", "c"], "a rule without its place is no rule"


def test_nothing_is_put_before_a_rule_of_the_routers_own(console: Console) -> None:
    console.tables[FILTER].add({"chain": "forward"}, 0.0, {})
    console.tables[FILTER].rows[1].is_dynamic = True
    console.hand(f"{FILTER}/add", chain="forward")

    assert "dynamic" in trap(console, f"{FILTER}/move", numbers="*2", destination="*1").message


def test_a_list_of_ids_is_one_command_and_one_that_is_missing_stops_all_of_it(console: Console) -> None:
    for host in range(4):
        console.hand(f"{V4}/add", list="a", address=f"192.0.2.{host}")
    error = trap(console, f"{V4}/remove", id="*1,*9,*2")
    assert (error.message, error.category) == ("no such item", MISSING)
    console.hand(f"{V4}/disable", id="*1,*4")
    console.hand(f"{V4}/comment", numbers="*1", comment="x")
    console.hand(f"{V4}/remove", id="*2,*3")

    assert listed(console, V4, ".id", "disabled", "comment") == [("*1", "true", "x"), ("*4", "true", "")]
    console.does_part = True
    trap(console, f"{V4}/remove", id="*1,*9,*4")
    assert listed(console, V4, ".id") == ["*4"], "the fault of that name does those before it"


def test_a_value_may_be_taken_away_and_a_required_one_may_not(console: Console) -> None:
    console.hand(f"{FILTER}/add", chain="forward", comment="x", src_address="192.0.2.1")
    console.hand(f"{FILTER}/set", id="*1", comment="")
    console.hand(f"{FILTER}/unset", id="*1", value_name="src-address")

    assert listed(console, FILTER, "comment", "src-address") == [("", "")]
    assert trap(console, f"{FILTER}/set", id="*1", chain="").category == ARGUMENT


def test_connections_are_printed_and_removed_and_never_made(console: Console) -> None:
    path = "/ip/firewall/connection"
    console.track(path, [{"protocol": "tcp", "src-address": "192.0.2.1", "src-port": "5000"}])
    console.track(path, [{"protocol": "tcp", "src-address": "192.0.2.1", "src-port": "5001"}], joins=True)
    trap(console, f"{path}/add", protocol="tcp")
    assert listed(console, path, "src-address", "src-port") == [("192.0.2.1", "5000"), ("192.0.2.1:5001", "")]
    console.hand(f"{path}/remove", id="*2")
    console.hand(f"{path}/remove", id="*1")

    assert console.items(path) == []
    assert trap(console, f"{path}/remove", id="*1").message == "no such item (4)"


# --- versions --------------------------------------------------------------------------------------


def test_an_older_release_has_less(clock: Clock) -> None:
    console = Console("6.49.10", clock=clock)

    assert trap(console, f"{NAT6}/print").message == "no such command prefix"
    assert trap(console, "/ip/dns/static/add", name="a.example", match_subdomain="yes").message.startswith("unknown")
    assert "max-sessions" not in console.items("/ip/service")[0]
    console.hand("/ip/dns/static/add", name="a.example", address="192.0.2.1")
    console.upgrade("7.18.2")
    console.hand("/ip/dns/static/set", id="*1", match_subdomain="yes")
    assert console.items("/ip/service")[0]["max-sessions"] == "20"
    assert listed(console, "/ip/dns/static", "name", "match-subdomain") == [("a.example", "true")]
    console.upgrade("6.49.10")
    assert listed(console, "/ip/dns/static", "name", "match-subdomain") == [("a.example", "")]


# --- accidents -------------------------------------------------------------------------------------


def test_a_reboot_forgets_what_is_in_memory_and_begins_its_uptime_anew(console: Console, clock: Clock) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1", comment="kept")
    console.hand(f"{V4}/add", list="a", address="192.0.2.2", timeout="1d")
    console.hand(f"{V4}/add", list="a", address="192.0.2.3", dynamic="yes")
    console.track("/ip/firewall/connection", [{"protocol": "tcp"}])
    clock.now += 100
    assert console.execute(Command("/system/resource", "print")).replies[0].pairs["uptime"] == "1m40s"
    console.reboot()

    assert listed(console, V4, "address") == ["192.0.2.1"]
    assert console.items("/ip/firewall/connection") == []
    assert console.execute(Command("/system/resource", "print")).replies[0].pairs["uptime"] == "0s"
    assert console.hand(f"{V4}/add", list="b", address="192.0.2.9") == "*2", "an id of before is another's now"


def test_a_backup_brings_back_what_was_removed_and_takes_what_came_since(console: Console) -> None:
    console.hand(f"{V4}/add", list="a", address="192.0.2.1")
    kept = console.backup()
    console.hand(f"{V4}/set", id="*1", comment="changed")
    console.hand(f"{V4}/remove", id="*1")
    console.hand(f"{V4}/add", list="a", address="192.0.2.2")
    console.restore(kept)

    assert listed(console, V4, ".id", "address", "comment") == [("*1", "192.0.2.1", "")]
    console.hand(f"{V4}/remove", id="*1")
    console.restore(kept)
    assert listed(console, V4, "address") == ["192.0.2.1"], "a backup can be restored twice"


def test_a_dns_name_is_kept_as_it_is(console: Console) -> None:
    console.hand(f"{V4}/add", list="a", address="www.example.net")

    assert listed(console, V4, "address") == ["www.example.net"]


# --- scripts ---------------------------------------------------------------------------------------

GUARDED = """
:local failed ""
:do {
  /ip/firewall/address-list/add list="a" address="192.0.2.1" comment="cs\\$b|x $gone y"
} on-error={ :set failed ($failed . "0,") }
:do {
  /ip firewall address-list add list=a address=192.0.2.1
} on-error={ :set failed ($failed . "1,") }
:put ("over:" . $failed)
"""


def test_a_bulk_of_guarded_adds_reports_those_that_failed(console: Console) -> None:
    outcome = console.execute(Command("", "execute", {"script": GUARDED, "as-string": ""}))

    assert outcome.replies[-1].pairs["ret"] == "over:1,"
    assert outcome.work == Work(scripted=2)
    assert listed(console, V4, "address", "comment") == [("192.0.2.1", "cs$b|x  y")], "a name that is none is nothing"


def test_a_stored_script_runs_and_says_nothing(clock: Clock) -> None:
    console = Console("7.7", clock=clock)
    assert trap(console, "/execute", script=GUARDED, as_string="").message == "unknown parameter as-string"
    name = console.hand("/system/script/add", name="bulk", source=GUARDED)
    outcome = console.execute(Command("/system/script", "run", {"number": name}))

    assert [reply.pairs for reply in outcome.replies] == [{}]
    assert len(console.items(V4)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "/ip/firewall/address-list/add list=a",
        ":do { /ip/firewall/address-list/add list=a }",
        ":for i from=1 to=2 do={}",
        ":do {",
        ":put (",
        "foo",
    ],
)
def test_an_error_of_a_script_is_output_of_execute_and_a_trap_of_a_stored_one(console: Console, source: str) -> None:
    said = console.execute(Command("", "execute", {"script": source, "as-string": ""})).replies[-1].pairs["ret"]
    name = console.hand("/system/script/add", name="bulk", source=source)

    assert said
    assert trap(console, "/system/script/run", number=name).message == said


SAID = [
    (':local a {"x"=1; "y-z"="b"}; :put ($a->"y-z")', "b"),
    (':local a [:toarray ""]; :set a ($a , 5); :put ([:len $a] . [:pick $a 0])', "15"),
    (":foreach i in={3;4} do={ :put $i }", "3\n4"),
    (':foreach k,v in={"a"="b"} do={ :put ($k . $v) }', "ab"),
    (":local f do={ :if ($1 > 2) do={ :return yes }; :return no }; :put [$f 3]; :put [$f 1]", "true\nfalse"),
    (':local f [:parse ":put \\"in\\""]; $f', "in"),
    (":local n 3; :while ($n > 0) do={ :set n ($n - 1); :put $n }", "2\n1\n0"),
    (":put (10.1.0.0/16 in 10.0.0.0/8); :put (10.0.0.0/8 in 10.1.0.0/16)", "true\nfalse"),
    (':put [:pick "abcd" 1 3]; :put [:find "abcd" "cd"]; :put [:len [:find "abcd" "x"]]', "bc\n2\n0"),
    (':put "\\C3\\A9 \\\n   and"', "é and"),
    (':if (!(1 = 2) && ("a" ~ "^a")) do={ :put a } else={ :put b }', "a"),
    (':do { :error "e" } on-error={ :put "caught" }', "caught"),
]


@pytest.mark.parametrize(("source", "said"), SAID)
def test_the_language_does_what_the_manual_says(console: Console, source: str, said: str) -> None:
    assert console.script(source) == said


@pytest.mark.parametrize(
    "source",
    [
        ":put 1\n/ip wrong find",
        ":put 1\n/ipv6 firewall nat find",
        ":put 1\n:put (1 + 2 . 3)",
        ':put 1\n:put "$[1]"',
        ':put 1\n:put "\\q"',
        ":put 1\n:do {",
    ],
)
def test_what_cannot_be_read_is_an_error_before_anything_is_done(clock: Clock, source: str) -> None:
    console, said = Console("6.49.10", clock=clock), list[str]()
    script = Script(lambda _path, _arguments: None, console.knows, said)

    with pytest.raises(TrapError):
        script.execute(source)
    assert said == []


@pytest.mark.parametrize(
    "source",
    [
        ":local a 1; :local f do={ :put $a }; $f",
        ':local a 1; :local f [:parse ":put \\$a"]; $f',
        "{ :local a 1 }; :put $a",
        ":set a 1",
        ':if ("true") do={}',
        ":while (true) do={}",
        ":foo 1",
    ],
)
def test_a_name_from_outside_a_truth_that_is_none_and_a_loop_without_end_are_errors(
    console: Console, source: str
) -> None:
    with pytest.raises(TrapError):
        console.script(source)


def test_find_and_get_give_what_is_there_with_types(console: Console) -> None:
    item = console.hand(f"{NAT}/add", chain="dstnat", to_addresses="192.0.2.1", comment="edged: a", dst_port="443,853")
    console.hand(f"{NAT}/add", chain="srcnat", action="masquerade")

    assert console.script(f':put [{NAT} find chain=dstnat comment~"^edged: " dynamic=no]') == item
    assert console.script(f":foreach i in=[{NAT} find] do={{ :put [{NAT} get $i chain] }}") == "dstnat\nsrcnat"
    assert console.script(f':put ([{NAT} get {item} to-addresses] = "192.0.2.1")') == "false", "an address is no text"
    assert console.script(f':put ([:tostr [{NAT} get {item} to-addresses]] = "192.0.2.1")') == "true"
    assert console.script(f":put [:tostr [{NAT} get {item} dst-port]]") == "443;853"
    assert console.script(f':put [:len [:tostr ([{NAT} get {item}]->"src-address")]]') == "0"
    for wrong in (f'[{NAT} find to-addresses="192.0.2.1"]', f"[{NAT} get *FF chain]", f"[{NAT} get {item} colour]"):
        with pytest.raises(TrapError):
            console.script(f":put {wrong}")


def test_a_script_that_runs_itself_ends(console: Console) -> None:
    console.hand("/system/script/add", name="bulk", source="/system/script/run number=bulk")

    assert "deeper" in trap(console, "/system/script/run", number="bulk").message


# --- who may what ----------------------------------------------------------------------------------


def session(console: Console) -> Session:
    return Session(console, bytes, lambda _replies: None)


def said(of: Session, *words: str) -> list[tuple[str, str]]:
    answer = of.receive(tuple(word.encode() for word in words))
    return [(reply.kind, reply.pairs.get("message", "") or reply.reason) for reply in answer.replies]


def test_a_group_that_may_only_read_reads(console: Console) -> None:
    console.hand("/user/add", name="watcher", password="x", group="read")
    client = session(console)
    said(client, "/login", "=name=watcher", "=password=x")

    assert "write" not in READ.split(",")
    assert said(client, f"{V4}/print", "=count-only=") == [("!done", "")]
    assert said(client, f"{V4}/add", "=list=a", "=address=192.0.2.1")[0] == ("!trap", "not enough permissions (9)")


@pytest.mark.parametrize("change", [{"disabled": "yes"}, {"password": "other"}, {"group": "none"}])
def test_who_may_not_log_in_is_told_so_and_gets_nothing(console: Console, change: dict[str, str]) -> None:
    console.hand("/user/group/add", name="none", policy="read,write")
    console.hand("/user/add", name="edged", password="x", group="full")
    console.hand("/user/set", numbers="edged", **change)
    client = session(console)

    assert said(client, "/login", "=name=edged", "=password=x")[0] == ("!trap", "invalid user name or password (6)")
    assert said(client, f"{V4}/print") == [("!fatal", "not logged in")]


def test_an_answer_to_a_challenge_that_nobody_gave_is_refused(clock: Clock) -> None:
    console = Console("6.42.12", clock=clock)
    console.hand("/user/add", name="edged", group="full")
    client = session(console)
    answer = "=response=00" + hashlib.md5(b"\0").hexdigest()

    assert said(client, "/login", "=name=edged", answer)[0] == ("!trap", "cannot log in")


def test_of_two_that_listen_one_is_cancelled(console: Console) -> None:
    console.hand("/user/add", name="edged", group="full")
    client = session(console)
    said(client, "/login", "=name=edged")
    for tag in "12":
        said(client, f"{V4}/listen", f".tag={tag}")
    said(client, "/cancel", "=tag=1")
    answer = client.receive((f"{V4}/add".encode(), b"=list=a", b"=address=192.0.2.1", b".tag=3"))
    client.close()

    assert [(reply.kind, reply.tag) for reply in answer.replies] == [("!done", "3"), ("!re", "2")]
    assert console.listeners == []


def test_no_password_is_printed(console: Console) -> None:
    console.hand("/user/add", name="edged", password="gehe1m", group="full")

    assert "gehe1m" not in str(console.items("/user"))


# --- what it costs ---------------------------------------------------------------------------------


def test_the_latencies_come_to_the_totals_of_the_reports() -> None:
    rb5009, laden = LATENCIES["rb5009"], LATENCIES["laden"]

    assert 0.001 <= rb5009.seconds(Work(written=1)) <= 0.003
    assert rb5009.seconds(Work(scripted=28_700)) == pytest.approx(36, rel=0.05)
    assert rb5009.seconds(Work(walked=22_037)) == pytest.approx(1.18, rel=0.05)
    assert rb5009.seconds(Work(walked=22_037, values=3 * 22_037)) == pytest.approx(1.78, rel=0.05)
    assert rb5009.seconds(Work(walked=22_037, values=5 * 22_037)) == pytest.approx(2.24, rel=0.05)
    assert 147 <= 1 / laden.scripted <= 168
    assert 8 <= laden.seconds(Work(walked=53_000, values=5 * 2_000)) <= 10
    assert all(latency.source for latency in LATENCIES.values())


def test_a_print_costs_the_whole_menu_and_what_is_sent(console: Console) -> None:
    for host in range(10):
        console.hand(f"{V4}/add", list="a" if host < 2 else "b", address=f"192.0.2.{host}")
    arguments = {".proplist": ".id,address"}

    outcome = console.execute(Command(V4, "print", arguments, ("?list=a",)))

    assert outcome.work == Work(walked=10, values=4)
    assert [reply.kind for reply in outcome.replies] == ["!re", "!re", "!done"]
