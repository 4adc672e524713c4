"""What `edged doctor` says of a host's facts; the gatherer itself meets a real host in tests/e2e/test_probe.py."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.billing.settings import BillingSettings
from edged.captive.certificate import Life
from edged.cli import main
from edged.config.schema import Config
from edged.enforce.nft_json import MENDED_BY
from edged.errors import Problem
from edged.ops.doctor import checks
from edged.ops.doctor.finding import Finding, Grade
from edged.ops.doctor.looking import holders_of, legacy_warnings, ways_around
from edged.ops.doctor.sharing import shareable
from edged.ops.doctor.text import Report, facts, text
from edged.ops.doctor.values import (
    Certificate,
    Daemon,
    Facts,
    Holder,
    HubVisit,
    Link,
    Route,
    Routing,
    Upstream,
    Visit,
)
from edged.state.shared.presence import Inspection, Present
from edged.state.shared.target import key_mark
from edged.values import parse_prefix
from edged.yamltext import load_text

NOW, DAY = 1_790_000_000.0, 86400.0
CONFIG = """
site: tower-12
billing: {source: rest, url: "https://billing.example.net", secret: "not-a-secret"}
subscribers: {networks: ["100.64.0.0/10", "2001:db8:100::/40"]}
portal:
  url: https://portal.example.net
  addresses: ["203.0.113.10", "2001:db8::10"]
  listen: {http: ["0.0.0.0:8080"], https: ["[::]:8443"]}
dns: {listen: ["0.0.0.0:53"], upstreams: ["192.0.2.53", "2001:db8::53"]}
garden: {names: [customer.example.net, pay.example.net, "*.example-pay.com"]}
radius: {auth: ["0.0.0.0:1812"]}
enforce: [nftables: {interfaces: [lan0, "ppp*"]}]
state: {database: "postgresql://edged@db.north.example/edged", shared_key: "not-a-secret, but long enough for one"}
"""
PAIR = 'pair: {addresses: ["2001:db8::10"]}'
STATUS: dict[str, Any] = {
    "version": "0.1.0", "loaded_at": NOW - 60, "verdict": "all well", "alarms": [], "uptime_s": 7200.4,
    "subscribers": {"known": 4120, "access": {"blocked": 163, "notice": 2, "pass": 1, "drain": 0, "unreached": 0}},
    "nases": {"strangers": [], "unsigned": {"count": 0, "list": []}, "secrets": []},
    "parts": [
        {"name": "billing", "state": "OK", "fact": "billing.example.net, read 9 s ago"},
        {"name": "nftables", "state": "OK", "fact": "163 of 163, compared 2 s ago"},
    ],
}  # fmt: skip
OURS = 4711
OUR_PAGE = {"status": 302, "headers": {"location": "https://portal.example.net/", "cache-control": "no-store"}}
INSIDE: dict[str, Any] = {
    "made_up": {
        "unblockable": [],
        "dns": [
            {"from": "100.127.255.255", "type": "A", "rcode": 0, "addresses": ["203.0.113.10"], "ttl": 5},
            {"from": "100.127.255.255", "type": "AAAA", "rcode": 0, "addresses": ["2001:db8::10"], "ttl": 5},
        ],
        "redirect": {"status": 302, "location": "https://portal.example.net/"},
        "page": {"status": 200, "octets": 9800, "reason": "unpaid", "language": "en"},
        "checks": [
            {"client": client, "addresses": ["203.0.113.10", "2001:db8::10"], "body": "", **OUR_PAGE}
            for client in ("apple", "android", "firefox")
        ],
    },
    "keys": {"local": 0, "newer": 0, "exported_at": None},
}
"""What the daemon says of a made-up subscriber where all is well."""


def inside(where: str, **changed: Any) -> dict[str, Any]:
    """The same with something else at ``where``: a key of the made-up subscriber's, or ``keys``."""
    if where == "keys":
        return {**INSIDE, "keys": INSIDE["keys"] | changed}
    there = INSIDE["made_up"][where]
    other = [{**row, **changed} for row in there] if isinstance(there, list) else {**there, **changed}
    return {**INSIDE, "made_up": {**INSIDE["made_up"], where: other}}


def config(text_: str = CONFIG) -> Config:
    return Config.model_validate(load_text(text_), context={"secrets": "given"})


def listener(proto: str, address: str, port: int, process: str = "edged", pid: int = OURS) -> Holder:
    return Holder(proto, address, port, process, pid)


MARK = key_mark(config().state.shared_key)[:8]
HERE = Present("tower-12", "aaaaaaaa", MARK)
SHARED = Inspection(schema=1, keys=3, ahead=0.002, within=0.001, present=(HERE, Present("tower-13", "bbbbbbbb", MARK)))
LAN = Link("lan0", is_up=True, is_bridge=False, master="", is_isolated=False, rp_filter=0)
HOLDERS = (
    listener("udp", "0.0.0.0", 53), listener("tcp", "0.0.0.0", 53), listener("tcp", "0.0.0.0", 8080),
    listener("tcp", "*", 8443), listener("udp", "0.0.0.0", 1812), listener("tcp", "127.0.0.1", 22, "sshd", 9),
)  # fmt: skip
WELL = Facts(
    now=NOW, config=config(), changed=NOW - 3600, daemon=Daemon(STATUS, OURS), holders=HOLDERS, links=(LAN,),
    addresses=frozenset({"203.0.113.10", "2001:db8::10", "127.0.0.1"}),
    routing=Routing({4: True, 6: True}, frozenset({4, 6}), {"100.64.0.0/10": "lan0", "2001:db8:100::/40": "lan0"}),
    bridge_filter=False, chains=(), certificate=Certificate(Life(NOW - 30 * DAY, NOW + 61 * DAY)), in_step=True,
    upstreams=(
        Upstream("192.0.2.53:53", "192.0.2.53", 0.01, ""), Upstream("[2001:db8::53]:53", "2001:db8::53", 0.02, ""),
    ),
    garden=(("customer.example.net", ""), ("pay.example.net", "")), billing="", around=(), swallowed=(),
    own_routes=(
        Route(parse_prefix("100.64.0.0/10"), "lan0"), Route(parse_prefix("fe80::/64"), "lan0"),
        Route(parse_prefix("203.0.113.0/24"), "wan0"),
    ),
    shared=SHARED,
    named=(Visit("0.0.0.0:53/udp", ""), Visit("0.0.0.0:53/tcp", "")), inside=INSIDE,
    opened=(Visit("0.0.0.0:8080 HTTP", "", 0.004, 302), Visit("[::]:8443 TLS", "", 0.021, 200)),
)  # fmt: skip


def found(check: str, known: Facts = WELL, **changed: Any) -> Finding:
    known = replace(known, **changed)
    assert known.config is not None
    return checks.CHECKS[check][1](known, known.config)


def told(**changed: Any) -> Daemon:
    """The daemon's own view, with something else in it."""
    return Daemon({**STATUS, **changed}, OURS)


def test_a_host_on_which_all_is_well_has_no_other_grade_than_ok() -> None:
    grades = {check: found(check).grade for check in checks.CHECKS}

    assert checks.config(WELL).grade is Grade.OK
    assert {check for check, grade in grades.items() if grade is not Grade.OK} == {"bridge", "hub"}
    assert found("bridge").grade is found("hub").grade is Grade.SKIP
    assert found("sinkhole").worded().says == "a made-up blocked subscriber gets our address, v4 and v6"
    assert found("page").worded().says == "302 then 200 over TLS, unpaid/en, 9.8 kB, 21 ms"
    assert found("phones").worded().says == "iPhone and Mac, Android, Firefox would open it"


ALARM = {"code": "billing-held", "sentence": "A reading waits.", "try": "edged sync --accept 8813"}
ENDED = Certificate(Life(NOW - 90 * DAY, NOW - DAY))
BRIDGE = replace(LAN, is_bridge=True)
PORTS = tuple(Link(name, True, False, "lan0", False, 0) for name in ("p1", "p2"))
OF_A_HUB = config(
    "billing: {source: hub, url: https://h.example, key: k, signed_by: [A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=]}"
)
A_HUB = config(
    "billing: {source: rest, url: https://b.example, secret: not-a-secret}\n"
    'hub: {listen: "127.0.0.1:9443", keys: [a-bearer-key-of-a-test]}'
)
SILENT = {"code": "edge-silent", "sentence": "Edges are silent.", "try": "edged fleet status"}
EMPTY = {"code": "hub-empty", "sentence": "There is no list.", "try": "edged status"}
CASES: list[tuple[str, dict[str, Any], Grade, str]] = [
    ("edged", {"daemon": None, "reasons": {"daemon": "it does not answer"}}, Grade.FAIL, "it does not answer"),
    ("edged", {"daemon": None, "hung": OURS}, Grade.FAIL,
     "it runs (pid 4711), and does not answer within four seconds"),
    ("ports", {"daemon": None, "hung": OURS}, Grade.OK, "53, 1812, 8080, 8443 are ours"),
    ("edged", {"daemon": told(verdict="1 thing needs you", alarms=[ALARM])}, Grade.WARN, "1 thing needs you"),
    ("edged", {"config": config(CONFIG + "mode: watch\n")}, Grade.WARN, "all well (mode: watch)"),
    ("ports", {"holders": HOLDERS[1:]}, Grade.FAIL, "dns.listen: 0.0.0.0:53/udp: nobody listens"),
    ("ports", {"daemon": None, "holders": (listener("udp", "127.0.0.53", 53, "systemd-resolve", 812),)}, Grade.FAIL,
     "dns.listen: 0.0.0.0:53/udp is held by systemd-resolve (pid 812)"),
    ("ports", {"daemon": None, "holders": (listener("tcp", "192.0.2.1", 8443),)}, Grade.OK,
     "53, 1812, 8080, 8443 are free for edged"),
    ("ports", {"holders": None, "reasons": {"holders": "ss is not installed"}}, Grade.SKIP, "ss is not installed"),
    ("interfaces", {"links": ()}, Grade.FAIL, "there is no interface lan0"),
    ("interfaces", {"links": (replace(LAN, master="br0"),)}, Grade.FAIL, "lan0 is a port of br0"),
    ("interfaces", {"links": (replace(LAN, is_up=False),)}, Grade.WARN, "lan0 is down"),
    ("interfaces", {"links": (LAN, replace(LAN, name="ppp7"))}, Grade.OK, "lan0, ppp7"),
    ("routes", {"routing": replace(WELL.routing or Routing({}, frozenset(), {}), forwards={4: True, 6: False})},
     Grade.FAIL, "this host does not route IPv6 (net.ipv6.conf.all.forwarding is 0)"),
    ("routes", {"routing": Routing({4: True, 6: True}, frozenset({6}), {})}, Grade.WARN,
     "there is no default route of IPv4"),
    ("rp-filter", {"links": (replace(LAN, rp_filter=1),)}, Grade.OK, "lan0 strict, and the routes lead back there"),
    ("rp-filter", {"links": (replace(LAN, rp_filter=1),),
                   "routing": Routing({}, frozenset(), {"100.64.0.0/10": "wan0", "2001:db8:100::/40": ""})},
     Grade.WARN, "lan0 is strict, and 100.64.0.0/10 is routed to wan0"),
    ("bridge", {"links": (BRIDGE, *PORTS)}, Grade.WARN, "what stays on lan0 does not pass the table"),
    ("bridge", {"links": (BRIDGE, *PORTS), "bridge_filter": True}, Grade.OK,
     "bridged packets pass the table (br_netfilter)"),
    ("bridge", {"links": (BRIDGE, *(replace(p, is_isolated=True) for p in PORTS))}, Grade.OK,
     "the ports of lan0 are isolated from one another"),
    ("chains", {"chains": ("chain ip nat pre translates before edged (priority -150): x",)}, Grade.WARN,
     "chain ip nat pre translates before edged (priority -150)"),
    ("chains", {"chains": ("chain a forward drops by default: y",
                           f"chain inet f input drops by default{MENDED_BY}nft insert rule inet f input accept")},
     Grade.FAIL, "chain inet f input drops by default (and 1 more)"),
    ("chains", {"chains": None, "reasons": {"chains": "nft: Operation not permitted"}}, Grade.SKIP,
     "nft: Operation not permitted"),
    ("sinkhole", {"inside": {"made_up": {"unblockable": ["100.64.0.0/10"]}}}, Grade.FAIL,
     "nobody in 100.64.0.0/10 can be blocked"),
    ("sinkhole", {"inside": inside("dns", rcode=5)}, Grade.FAIL,
     "A of a made-up blocked subscriber (100.127.255.255) gets error 5"),
    ("sinkhole", {"inside": inside("dns", addresses=["192.0.2.9"])}, Grade.FAIL,
     "A of a made-up blocked subscriber gets 192.0.2.9, which is not the page"),
    ("sinkhole", {"inside": inside("dns", addresses=[])}, Grade.FAIL,
     "A of a made-up blocked subscriber (100.127.255.255) gets no address"),
    ("sinkhole", {"inside": inside("dns", ttl=3600)}, Grade.FAIL, "devices may keep our answer for 3600 s"),
    ("sinkhole", {"named": (Visit("0.0.0.0:53/udp", "no answer"),)}, Grade.FAIL, "0.0.0.0:53/udp: no answer"),
    ("sinkhole", {"inside": None, "reasons": {"inside": "edged is not running"}}, Grade.SKIP, "edged is not running"),
    ("sinkhole", {"config": config(CONFIG + "mode: watch\n")}, Grade.OK,
     "a made-up blocked subscriber would get our address, v4 and v6"),
    ("page", {"inside": inside("redirect", status=511, location="")}, Grade.FAIL,
     "a blocked browser gets 511 for a foreign page, and no way to ours"),
    ("page", {"inside": inside("page", status=500)}, Grade.FAIL, "302, then the page answers 500"),
    ("page", {"inside": inside("page", octets=64_000)}, Grade.WARN, "302 then 200, and 64.0 kB are heavy"),
    ("page", {"opened": (Visit("[::]:8443 TLS", "connection refused"),)}, Grade.FAIL,
     "[::]:8443 TLS: connection refused"),
    ("page", {"opened": (Visit("[::]:8443 TLS", "", 0.02, 200, False, "unable to get local issuer certificate"),)},
     Grade.WARN, "it opens, but this host does not believe its certificate"),
    ("page", {"opened": (Visit("[::]:8443 TLS", "", 0.02, 200, False, "self-signed certificate"),)},
     Grade.WARN, "it opens, with a certificate that signed itself"),
    ("phones", {"inside": inside("checks", addresses=["198.51.100.7"])}, Grade.FAIL,
     "iPhone and Mac: its check is not led to the page"),
    ("phones", {"inside": inside("checks", status=503)}, Grade.FAIL,
     "Android would show no page: its check gets 503"),
    ("phones", {"inside": inside("checks", headers={"location": "https://portal.example.net/"})}, Grade.FAIL,
     "iPhone and Mac: its check gets an answer that may be kept"),
    ("phones", {"swallowed": (("captive.apple.com", "17.253.1.2"),)}, Grade.WARN,
     "garden.networks holds 17.253.1.2, where captive.apple.com is"),
    ("bypass", {"around": ("flowtable inet f ft forwards packets of lan0 past every chain: take lan0 out",)},
     Grade.FAIL, "flowtable inet f ft forwards packets of lan0 past every chain"),
    ("bypass", {"own_routes": (Route(parse_prefix("100.64.8.0/22"), "lan1"),)}, Grade.WARN,
     "100.64.8.0/22 is routed to lan1, which enforce does not name"),
    ("bypass", {"own_routes": (Route(parse_prefix("2001:db8:300::/48"), "lan0"),)}, Grade.WARN,
     "2001:db8:300::/48 is at lan0, and in no network of subscribers"),
    ("bypass", {"around": None, "reasons": {"around": "nft: Operation not permitted"}}, Grade.SKIP,
     "nft: Operation not permitted"),
    ("backup", {"inside": inside("keys", local=12, newer=12)}, Grade.WARN, "12 locally made keys, never exported"),
    ("backup", {"inside": inside("keys", local=12, exported_at=NOW - 31 * DAY)}, Grade.WARN,
     "12 locally made keys, exported 31 days ago"),
    ("backup", {"inside": inside("keys", local=12, newer=2, exported_at=NOW - 9 * DAY)}, Grade.OK,
     "12 locally made keys, exported 9 days ago; 2 made or changed since"),
    ("backup", {"inside": inside("keys", local=1, exported_at=NOW - 9 * DAY)}, Grade.OK,
     "1 locally made key, all exported on 2026-09-12"),
    ("portal", {"addresses": frozenset({"203.0.113.10"})}, Grade.FAIL, "2001:db8::10 is no address of this host"),
    ("portal", {"addresses": frozenset({"203.0.113.10"}), "config": config(CONFIG + PAIR)}, Grade.SKIP,
     "2001:db8::10: not here now, so the other edge of the pair must have it"),
    ("portal", {"addresses": frozenset(), "config": config(CONFIG + PAIR)}, Grade.FAIL,
     "203.0.113.10 is no address of this host"),
    ("portal", {"config": config(CONFIG.replace("203.0.113.10", "10.20.0.10"))}, Grade.WARN,
     "10.20.0.10 is a private address"),
    ("certificate", {"certificate": ENDED}, Grade.FAIL, "it ended on 20 September 2026"),
    ("certificate", {"certificate": Certificate(Life(NOW - 81 * DAY, NOW + 9 * DAY))}, Grade.WARN, "9 days left"),
    ("certificate", {"certificate": Certificate(Life(NOW + DAY, NOW + 90 * DAY))}, Grade.FAIL,
     "it is good from 22 September 2026 on, and not before"),
    ("certificate", {"certificate": Certificate(None, "/x.pem: gone", True)}, Grade.WARN, "/x.pem: gone"),
    ("clock", {"in_step": False}, Grade.WARN, "nobody keeps the kernel's clock in step"),
    ("upstreams", {"upstreams": (Upstream("192.0.2.53:53", "192.0.2.53", 4.0, "no answer"),)}, Grade.FAIL,
     "192.0.2.53:53: no answer"),
    ("upstreams", {"upstreams": (Upstream("a", "a", 0.1, ""), Upstream("b", "b", 4.0, "no answer"))}, Grade.WARN,
     "b: no answer"),
    ("garden", {"garden": (("customer.example.net", ""), ("pay.example.net", "no address"))}, Grade.WARN,
     "1 of 2 names have an address; not pay.example.net: no address"),
    ("garden", {"garden": (("customer.example.net", "no answer"),)}, Grade.FAIL,
     "0 of 1 names have an address; not customer.example.net: no answer"),
    ("billing", {"daemon": told(parts=[{"name": "billing", "state": "FAIL", "fact": "answered 403"}])}, Grade.FAIL,
     "answered 403"),
    ("billing", {"daemon": None, "billing": "billing answered 401 (the key is not accepted)"}, Grade.FAIL,
     "billing answered 401 (the key is not accepted)"),
    ("billing", {"daemon": None}, Grade.OK, "rest answers a question about one subscriber"),
    ("hub", {"config": OF_A_HUB, "hub": HubVisit("h.example", "", 0.4)}, Grade.OK,
     "h.example answers, signed by a key of billing.signed_by; clocks differ by 0 s"),
    ("hub", {"config": OF_A_HUB, "hub": HubVisit("h.example", "h.example answered 503")}, Grade.FAIL,
     "h.example answered 503"),
    ("hub", {"config": OF_A_HUB, "hub": HubVisit("h.example", "", -90.0)}, Grade.WARN,
     "its clock is 1 min 30 s behind this host's"),
    ("hub", {"config": OF_A_HUB, "hub": HubVisit("h.example", "", 61.0)}, Grade.WARN,
     "its clock is 1 min 1 s ahead of this host's"),
    ("hub", {"config": OF_A_HUB, "reasons": {"hub": "it takes too long"}}, Grade.SKIP, "it takes too long"),
    ("hub", {"config": A_HUB, "daemon": told(parts=[{"name": "hub", "state": "OK", "fact": "3 edges"}])}, Grade.OK,
     "3 edges"),
    ("hub", {"config": A_HUB, "daemon": told(parts=[{"name": "hub", "state": "WARN", "fact": "nothing to serve yet"}])},
     Grade.WARN, "nothing to serve yet"),
    ("hub", {"config": A_HUB, "daemon": told(alarms=[SILENT, EMPTY])}, Grade.FAIL, "There is no list."),
    ("hub", {"config": A_HUB, "daemon": told(alarms=[SILENT])}, Grade.WARN, "Edges are silent."),
    ("hub", {"config": A_HUB, "daemon": None}, Grade.SKIP, "edged is not running, and nobody else knows"),
    ("ports", {"config": A_HUB, "daemon": None}, Grade.OK, "9443 are free for edged"),
    ("ports", {"config": A_HUB, "holders": HOLDERS}, Grade.FAIL, "hub.listen: 127.0.0.1:9443/tcp: nobody listens"),
    ("shared-store", {"shared": Inspection(error="the shared store: Ana is not let in")}, Grade.FAIL,
     "the shared store: Ana is not let in"),
    ("shared-store", {"shared": Inspection(error="peer"), "daemon": told(parts=[{"name": "store", "state": "OK"}])},
     Grade.SKIP, "you are not let in, and edged is: peer"),
    ("shared-store", {"shared": replace(SHARED, is_newer=True)}, Grade.FAIL, "a newer edged has brought it up to date"),
    ("shared-store", {"shared": replace(SHARED, refused="takes no writes (is it a standby?)")}, Grade.FAIL,
     "it takes no writes (is it a standby?)"),
    ("shared-store", {"shared": replace(SHARED, unopened=2)}, Grade.FAIL,
     "2 of the newest 3 keys made by hand do not open: state.shared_key differs"),
    ("shared-store", {"shared": replace(SHARED, ahead=-61.0, within=2.0)}, Grade.WARN,
     "this host's clock is 61 s behind the server's"),
    ("shared-store", {"shared": replace(SHARED, ahead=11.0, within=2.0)}, Grade.OK,
     "schema 1; 2 edges are connected; the same time, the same key"),
    ("shared-store", {"shared": replace(SHARED, present=(HERE, HERE._replace(instance="cccccccc")))}, Grade.WARN,
     "2 edges that share it are called tower-12"),
    ("shared-store", {"shared": replace(SHARED, present=(HERE, Present("tower-14", "dddddddd", "0000")))}, Grade.WARN,
     "tower-14 has another state.shared_key"),
    ("shared-store", {"shared": Inspection()}, Grade.OK, "it answers; edged makes its tables when it first connects"),
    ("guard", {"daemon": told(alarms=[ALARM])}, Grade.FAIL, "A reading waits."),
    ("targets", {"daemon": told(parts=[{"name": "nftables", "state": "FAIL", "fact": "nft: no"}])}, Grade.FAIL,
     "nftables: nft: no"),
    ("targets", {"daemon": told(parts=[{"name": "nftables", "state": "WATCH", "fact": "would hold 3"}])}, Grade.OK,
     "nftables would hold 3"),
    ("targets", {"daemon": None}, Grade.SKIP, "edged is not running, and nobody else knows"),
    ("radius", {"daemon": told(nases={"strangers": [], "unsigned": {"count": 2, "list": [{"address": "192.0.2.7"}]}})},
     Grade.WARN, "2 access points without Message-Authenticator, for example 192.0.2.7"),
    ("radius", {"daemon": told(nases={"unsigned": {"count": 0}, "strangers": [{"address": "192.0.2.8", "try": "x"}]})},
     Grade.WARN, "192.0.2.8 asks and is no RADIUS client"),
]  # fmt: skip


def test_each_fault_is_graded_and_said_and_has_what_it_means_and_a_fix() -> None:
    for check, changed, grade, seen in CASES:
        finding = found(check, **changed)
        words = finding.worded()
        assert (finding.grade, words.says) == (grade, seen), check
        assert bool(words.means and words.fix) == (grade in {Grade.WARN, Grade.FAIL}), check
    assert {check for check, *_ in CASES} == set(checks.CHECKS)


def test_a_file_that_is_wrong_or_newer_than_what_runs_is_said() -> None:
    wrong = checks.config(Facts(problems=(Problem("mode", '"wach"', "watch or enforce", line=3),)))
    assert (wrong.grade, wrong.worded().says) == (Grade.FAIL, 'line 3, mode: "wach"; expected watch or enforce')
    newer = checks.config(replace(WELL, changed=NOW))
    assert (newer.grade, newer.worded().fix) == (Grade.WARN, "edged reload")
    warned = checks.config(replace(WELL, problems=(Problem("portal.brands", "no phone", "look at the invoice"),)))
    assert warned.grade is Grade.WARN


def test_a_host_without_a_file_is_told_what_writes_one() -> None:
    absent = checks.config(
        Facts(problems=(Problem("", "No such file or directory", "a file", "edged init writes one"),))
    )
    assert (absent.worded().says, absent.worded().fix) == (
        "the file: No such file or directory",
        "edged init writes one",
    )
    closed = checks.config(Facts(problems=(Problem("", "Permission denied", "a file that edged may read"),)))
    assert closed.worded().says == "the file: Permission denied; expected a file that edged may read"
    torn = checks.config(Facts(problems=(Problem("", "a tab", "spaces", line=3),)))
    assert torn.worded().says == "line 3: a tab; expected spaces"


def test_of_a_list_in_a_file_nobody_is_told_of_a_key_that_may_not_read() -> None:
    failing = told(parts=[{"name": "billing", "state": "FAIL", "fact": "billing.yaml: Permission denied"}])
    of_a_file = Config(billing=BillingSettings(source="file", path=Path("/etc/edged/billing.yaml")))

    assert "its key" in found("billing", daemon=failing).worded().fix
    there = found("billing", config=of_a_file, daemon=failing)
    assert there.worded().fix == "edged sync says more; manual: billing-file.md"


def test_without_targets_page_or_networks_what_does_not_concern_the_edge_is_left_out() -> None:
    bare = replace(WELL, config=Config(), daemon=told(parts=[]))
    assert all(found(check, bare).grade in {Grade.OK, Grade.SKIP} for check in checks.CHECKS)


def test_the_report_is_one_sentence_then_a_line_a_check_and_the_first_that_failed_is_named_again() -> None:
    findings = (found("clock", in_step=False), found("guard", daemon=told(alarms=[ALARM])), found("portal"))
    report = Report("tower-12", findings, 0.21)
    printed = text(report)

    assert printed.splitlines()[0] == "tower-12: 1 OK, 1 WARN, 1 FAIL in 0.2 s. Nothing was changed."
    assert "        fix    edged sync --accept 8813" in printed.splitlines()
    assert printed.endswith("Check one again:  edged doctor guard      Share:  edged doctor --report FILE")
    assert max(map(len, printed.splitlines())) <= 80
    assert report.failed
    told_ = facts(report)
    assert json.loads(json.dumps(told_)) == told_
    assert [c["grade"] for c in told_["checks"]] == ["WARN", "FAIL", "OK"]


def test_a_mistyped_check_is_usage_and_a_wrong_file_leaves_the_others_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text("mode: wach")

    assert main(["doctor", "-c", str(path), "prots"]) == 2
    assert "did you mean ports?" in capsys.readouterr().err
    assert main(["doctor", "-c", str(path)]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("edged: 1 FAIL, 23 SKIP in")
    assert "FAIL  config" in printed


def test_a_line_says_what_was_seen_before_what_it_means() -> None:
    strange = found("page", opened=(Visit("[::]:8443 TLS", "", 0.02, 200, False, "unable to get local issuer"),))
    printed = text(Report("tower-12", (strange,), 0.2)).splitlines()

    assert printed[3] == "        seen   [::]:8443 TLS: unable to get local issuer"
    assert printed[4].startswith("        means  ")
    assert (
        facts(Report("tower-12", (strange,), 0.2))["checks"][0]["detail"] == "[::]:8443 TLS: unable to get local issuer"
    )


# --- a report to show to others ----------------------------------------------------------------------

SALT = bytes(range(16))
VERSIONS = {"edged": "0.1.0", "kernel": "Linux 6.1.0"}


def test_a_report_begins_with_what_it_holds_and_tells_nothing_of_anybody() -> None:
    private = (
        "north.example 100.64.8 100.127 203.0.113 2001:db8 customer.example.net lan0 "
        "192.0.2 billing.example 20881 Ana wren not-a-secret sshd"
    )
    alarm = {**ALARM, "sentence": "Subscriber 20881 of Ana Nobody waits, key wren-7mvq.", "try": "edged explain 20881"}
    status = told(alarms=[alarm, {**ALARM, "code": "made up"}], verdict="1 thing at tower-12 needs you")
    known = replace(WELL, daemon=status)
    findings = tuple(found(check, known) for check in checks.CHECKS) + tuple(
        found(check, **changed) for check, changed, *_ in CASES
    )

    told_ = shareable(Report("tower-12", findings, 0.2, known), VERSIONS, SALT)

    head = told_[: told_.index("1 findings of ")]
    assert "What this file holds:" in head
    assert "What it does not hold:" in head
    for word in private.split():
        assert word not in told_, word
    for said in (
        "FAIL  sinkhole     devices may keep our answer for 3600 s",
        "  alarm          billing-held", "  alarm          ?",
        "  blocked        163", "  kernel         Linux 6.1.0", "  billing.source: rest", "  dns.upstreams[0].",
        "  portal.addresses: (2)", "  billing.secret: (set)", "  billing.url: (set)",
    ):  # fmt: skip
        assert said in told_, said


def test_the_same_thing_bears_one_mark_in_a_report_and_another_in_the_next() -> None:
    finding = found("interfaces", links=(replace(LAN, is_up=False),))
    one, same, other = (
        shareable(Report("lan0", (finding,), 0.2, WELL), VERSIONS, salt) for salt in (SALT, SALT, bytes(16))
    )
    assert one == same
    assert one != other
    mark = one[one.index("1 findings of ") + 14 :][:7]
    assert f"WARN  interfaces   {mark} is down" in one
    assert f"ip link set {mark} up" in one


def test_what_mends_an_edge_that_its_hub_does_not_answer_depends_on_what_came_instead() -> None:
    def fix(status: int) -> str:
        return found("hub", config=OF_A_HUB, hub=HubVisit("h.example", "not believed", status=status)).worded().fix

    assert "billing.ca" in fix(0)
    assert "billing.signed_by" in fix(200)
    assert "hub.keys" in fix(401)
    assert "hub.path" in fix(404)
    assert "edged sync --accept" in fix(503)
    assert "the log of a proxy" in fix(502)
    unread = told(parts=[{"name": "billing", "state": "FAIL", "fact": "not believed"}])
    assert found("billing", config=OF_A_HUB, daemon=unread).worded().fix.startswith("edged doctor hub")


def test_no_sentence_of_the_doctor_has_a_value_in_it_that_is_not_in_a_gap() -> None:
    """What makes a report safe to share: an f-string in a sentence would go past the marks."""
    calls = 0
    for path in sorted(Path(checks.__file__).parent.glob("*.py")):
        for function in (n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)):
            written = list(_assigned(function))
            for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
                if not _called(call.func) & {"ok", "skip", "warn", "fail", "noting"}:
                    continue
                calls += 1
                sentences = call.args[1:] or [keyword.value for keyword in call.keywords]
                for sentence in (each for one in sentences for each in _resolved(one, written)):
                    assert isinstance(sentence, ast.Constant), (path.name, call.lineno, ast.dump(sentence))
    assert calls > 80


def _called(function: ast.expr) -> set[str]:
    match function:
        case ast.Name():
            return {function.id}
        case ast.Attribute():
            return {function.attr}
        case ast.IfExp():
            return _called(function.body) | _called(function.orelse)
    return set()


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        for target in node.targets if isinstance(node, ast.Assign) else []:
            value = node.value if isinstance(node, ast.Assign) else target
            if isinstance(target, ast.Name):
                yield target.id, value
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=True)
                yield from ((name.id, each) for name, each in pairs if isinstance(name, ast.Name))


def _resolved(sentence: ast.expr, written: list[tuple[str, ast.expr]]) -> list[ast.expr]:
    """What may stand there; a constant of the module stands for itself."""
    match sentence:
        case ast.IfExp():
            return [*_resolved(sentence.body, written), *_resolved(sentence.orelse, written)]
        case ast.Name() if sentence.id.isupper():
            return []
        case ast.Name():
            found = [value for name, value in written if name == sentence.id]
            return [each for one in found for each in _resolved(one, written)] or [sentence]
    return [sentence]


# --- what the host's own programs print ---------------------------------------------------------------


def test_iptables_of_before_nft_are_read_where_they_drop_what_edged_needs() -> None:
    saved = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    relief = "-A INPUT -m conntrack --ctstate DNAT -j ACCEPT\nCOMMIT"

    (first, second) = legacy_warnings(saved, "iptables-legacy")
    assert first.startswith(
        "chain INPUT of iptables-legacy drops by default: mend it with iptables-legacy -I INPUT -m conntrack"
    )
    assert second.startswith("chain FORWARD of iptables-legacy drops by default")
    assert found("chains", chains=(second, first)).grade is Grade.FAIL
    assert len(list(legacy_warnings(saved.replace("COMMIT", relief), "iptables-legacy"))) == 1
    assert not list(legacy_warnings(saved.replace("DROP", "ACCEPT"), "iptables-legacy"))


def test_a_flowtable_of_subscribers_and_a_notrack_are_ways_around_the_table() -> None:
    table = ("flowtable", {"family": "inet", "table": "f", "name": "ft", "dev": ["wan0", "ppp3"]})
    single = ("flowtable", {"family": "inet", "table": "f", "name": "ft", "dev": "lan0"})
    raw = ("rule", {"family": "ip", "table": "raw", "chain": "pre", "expr": [{"notrack": None}]})
    ours = ("rule", {**raw[1], "table": "edged"})

    assert [w.partition(":")[0] for w in ways_around([table, single, raw, ours], ("lan0", "ppp*"))] == [
        "flowtable inet f ft forwards packets of ppp3 past every chain",
        "flowtable inet f ft forwards packets of lan0 past every chain",
        "a rule of chain ip raw pre says notrack",
    ]
    assert not list(ways_around([table, single], ("lan9",)))
    assert list(ways_around([single], ()))


SS = """\
udp   UNCONN 0 0      127.0.0.53%lo:53      0.0.0.0:*    users:(("systemd-resolve",pid=812,fd=16))
tcp   LISTEN 0 128          0.0.0.0:8080    0.0.0.0:*    users:(("edged",pid=4711,fd=9),("edged",pid=4712,fd=9))
tcp   LISTEN 0 128                *:8443          *:*
udp   UNCONN 0 0  [fe80::1%lan0]:546           [::]:*
"""
"""As ss of iproute2 6.1 prints it."""


def test_who_listens_is_read_from_what_ss_prints() -> None:
    assert holders_of(SS) == (
        Holder("udp", "127.0.0.53", 53, "systemd-resolve", 812),
        Holder("tcp", "0.0.0.0", 8080, "edged", 4711),
        Holder("tcp", "*", 8443, "", 0),
        Holder("udp", "fe80::1", 546, "", 0),
    )
