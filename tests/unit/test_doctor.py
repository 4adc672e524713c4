"""What `edged doctor` says of a host's facts; the gatherer itself meets a real host in tests/e2e/test_probe.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.captive.certificate import Life
from edged.cli import main
from edged.config.schema import Config
from edged.errors import Problem
from edged.ops.doctor import checks
from edged.ops.doctor.service import holders_of
from edged.ops.doctor.text import Report, facts, text
from edged.ops.doctor.values import (
    Certificate,
    Daemon,
    Facts,
    Finding,
    Grade,
    Holder,
    Link,
    Routing,
    Upstream,
)
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
"""
STATUS: dict[str, Any] = {
    "version": "0.1.0", "loaded_at": NOW - 60, "verdict": "all well", "alarms": [],
    "nases": {"strangers": [], "unsigned": {"count": 0, "list": []}, "secrets": []},
    "parts": [
        {"name": "billing", "state": "OK", "fact": "billing.example.net, read 9 s ago"},
        {"name": "nftables", "state": "OK", "fact": "163 of 163, compared 2 s ago"},
    ],
}  # fmt: skip
OURS = 4711


def config(text_: str = CONFIG) -> Config:
    return Config.model_validate(load_text(text_), context={"secrets": "given"})


def listener(proto: str, address: str, port: int, process: str = "edged", pid: int = OURS) -> Holder:
    return Holder(proto, address, port, process, pid)


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
    garden=(("customer.example.net", ""), ("pay.example.net", "")), billing="",
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
    assert {check for check, grade in grades.items() if grade is not Grade.OK} == {"bridge"}
    assert found("bridge").grade is Grade.SKIP


ALARM = {"code": "billing-held", "sentence": "A reading waits.", "try": "edged sync --accept 8813"}
ENDED = Certificate(Life(NOW - 90 * DAY, NOW - DAY))
BRIDGE = replace(LAN, is_bridge=True)
PORTS = tuple(Link(name, True, False, "lan0", False, 0) for name in ("p1", "p2"))
CASES: list[tuple[str, dict[str, Any], Grade, str]] = [
    ("edged", {"daemon": None, "reasons": {"daemon": "it does not answer"}}, Grade.FAIL, "it does not answer"),
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
                           "chain inet f input drops by default: it needs the rule: ct status dnat accept")},
     Grade.FAIL, "chain inet f input drops by default (and 1 more)"),
    ("chains", {"chains": None, "reasons": {"chains": "nft: Operation not permitted"}}, Grade.SKIP,
     "nft: Operation not permitted"),
    ("portal", {"addresses": frozenset({"203.0.113.10"})}, Grade.FAIL, "2001:db8::10 is no address of this host"),
    ("portal", {"config": config(CONFIG.replace("203.0.113.10", "10.20.0.10"))}, Grade.WARN,
     "10.20.0.10 is a private address"),
    ("certificate", {"certificate": ENDED}, Grade.FAIL, "it ended on 20 September 2026"),
    ("certificate", {"certificate": Certificate(Life(NOW - 81 * DAY, NOW + 9 * DAY))}, Grade.WARN, "9 days left"),
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
        assert (finding.grade, finding.seen) == (grade, seen), check
        assert bool(finding.means and finding.fix) == (grade in {Grade.WARN, Grade.FAIL}), check
    assert {check for check, *_ in CASES} == set(checks.CHECKS)


def test_a_file_that_is_wrong_or_newer_than_what_runs_is_said() -> None:
    wrong = checks.config(Facts(problems=(Problem("mode", '"wach"', "watch or enforce", line=3),)))
    assert (wrong.grade, wrong.seen) == (Grade.FAIL, 'line 3, mode: "wach"; expected watch or enforce')
    newer = checks.config(replace(WELL, changed=NOW))
    assert (newer.grade, newer.fix) == (Grade.WARN, "edged reload")
    warned = checks.config(replace(WELL, problems=(Problem("portal.brands", "no phone", "look at the invoice"),)))
    assert warned.grade is Grade.WARN


def test_without_targets_page_or_networks_what_does_not_concern_the_edge_is_left_out() -> None:
    bare = replace(WELL, config=Config(), daemon=told(parts=[]))
    assert all(found(check, bare).grade in {Grade.OK, Grade.SKIP} for check in checks.CHECKS)


def test_the_report_is_one_sentence_then_a_line_a_check_and_the_first_that_failed_is_named_again() -> None:
    findings = (found("clock", in_step=False), found("guard", daemon=told(alarms=[ALARM])), found("portal"))
    report = Report("tower-12", findings, 0.21)
    printed = text(report)

    assert printed.splitlines()[0] == "tower-12: 1 OK, 1 WARN, 1 FAIL in 0.2 s. Nothing was changed."
    assert "        fix    edged sync --accept 8813" in printed.splitlines()
    assert printed.endswith("Check one again:  edged doctor guard")
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
    assert printed.startswith("edged: 1 FAIL, 16 SKIP in")
    assert "FAIL  config" in printed


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
