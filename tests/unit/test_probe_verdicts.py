"""What `edged probe` makes of what was seen: recorded lines, and one change at a time to each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.config.schema import Config
from edged.ops.probe import verdicts
from edged.ops.probe.http import HttpAnswer, Judged, judged, parse, poison
from edged.ops.probe.orders import CHECKS, free_orders, gateway_orders, name_orders, settle_orders, web_orders
from edged.ops.probe.phones import shown
from edged.ops.probe.text import Report, facts, text
from edged.ops.probe.values import Expected, Finding, Phone, State, Trial, expected
from edged.ops.probe.web import web
from edged.yamltext import load_text
from tests.captive_oracle import RULES, Answer, Verdict

RECORDED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "probe.json").read_text("utf-8"))
NOW = 1_790_000_000.0
CONFIG = """
site: lab
subscribers: {networks: ["100.64.0.0/10", "2001:db8:100::/40"]}
portal: {url: https://portal.example.net, addresses: ["203.0.113.10", "2001:db8::10"]}
garden: {names: ["*.pay.example.net", customer.example.net]}
enforce: [nftables: {interfaces: [lan0]}]
"""


def promise(**changed: Any) -> Expected:
    return replace(expected(Config.model_validate(load_text(CONFIG))), **changed)


def phone(kind: str = "blocked") -> Phone:
    address = "100.64.1.78" if kind == "open" else "100.64.1.77"
    return Phone(
        "02:00:5e:10:00:77", {4: address}, gateways={4: "100.64.0.1"}, macs={4: "02:00:5e:00:00:01"},
        resolvers={4: "203.0.113.53"}, public={4: "203.0.113.53", 6: "2001:db8::53"}, foreign="www.example.org",
    )  # fmt: skip


def judge(kind: str, changed: dict[str, Any] | None = None, **promised: Any) -> tuple[Trial, list[Finding]]:
    """All findings of a recorded line, with some of what was seen changed; None: it was not asked."""
    seen = {**RECORDED[kind], **(changed or {})}
    if any(name.startswith("name:customer") for name in changed or ()):
        seen["garden/4"] = None  # where DNS gave nothing else than the page, nothing was opened
    seen = {name: value for name, value in seen.items() if value is not None}
    trial = Trial(phone(kind), promise(**promised), seen, seen)
    return trial, [*verdicts.names(trial), *web(trial, NOW)]


def failures(findings: list[Finding]) -> dict[str, str]:
    return {f.step: f.seen for f in findings if f.state is State.FAIL}


# --- the recorded lines ----------------------------------------------------------------------------


def test_a_recorded_blocked_line_passes_everywhere() -> None:
    trial, findings = judge("blocked")

    assert failures(findings) == {}
    assert all(f.state is State.PASS for f in findings)
    assert verdicts.standing(findings, trial) == "blocked"
    assert shown(trial, findings)["Windows"] == "the browser opens with the page"


def test_a_recorded_open_line_is_open_and_a_dead_one_dead() -> None:
    for kind in ("open", "killed"):
        trial, findings = judge(kind)
        assert verdicts.standing(findings, trial) == {"open": "open", "killed": "dead"}[kind]
        assert failures(findings)["dns"]
        for finding in findings:
            assert bool(finding.means and finding.fix) == (finding.state is State.FAIL)


SILENCE: dict[str, Any] = {"outcome": "silence"}
TRUE = {"outcome": "answer", "rcode": 0, "addresses": ["203.0.113.80"], "ttl": 60}
OPEN = {"outcome": "answer", "tls": "hello"}


def http(status: int, headers: str = "", body: str = "") -> dict[str, Any]:
    return {"outcome": "answer", "octets": f"HTTP/1.1 {status} X\r\n{headers}\r\n{body}"}


KEPT = "Location: https://portal.example.net/\r\nCache-Control: max-age=60\r\n"
STICKY = "Location: https://portal.example.net/\r\nCache-Control: no-store\r\nSet-Cookie: a=b\r\n"

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("dns-a/4", SILENCE, "dns", "A: no answer from 203.0.113.53"),
    ("dns-aaaa/4", TRUE, "dns", "AAAA: www.example.org is 203.0.113.80, and not the page"),
    ("dns-a/4", {**TRUE, "rcode": 5, "addresses": []}, "dns", "A: 203.0.113.53 answers REFUSED"),
    ("dns-a/4", {**TRUE, "rcode": 3, "addresses": []}, "dns", "A: 203.0.113.53 answers with error 3"),
    ("dns-a/4", {**TRUE, "addresses": []}, "dns", "A: www.example.org has no address"),
    ("dns-a/4", {**TRUE, "addresses": ["203.0.113.10"], "ttl": 3600}, "dns", "A: it may be kept for 3600 s"),
    ("dns-a/4", {**TRUE, "rcode": -1, "addresses": []}, "dns", "A: 203.0.113.53 answers with octets that are no DNS"),
    ("dns-tcp/4", {"outcome": "refused"}, "dns-tcp", "A: 203.0.113.53 refused the connection"),
    ("public-tcp/4", {"outcome": "cut"}, "public-dns", "A by TCP: 203.0.113.53 broke the connection off"),
    ("public-a/4", TRUE, "public-dns", "A: www.example.org is 203.0.113.80, and not the page"),
    ("name:customer.example.net/4", {**TRUE, "addresses": ["203.0.113.10"]}, "garden-dns",
     "customer.example.net leads to the page"),
    ("name:customer.example.net/4", {**TRUE, "rcode": 2, "addresses": []}, "garden-dns",
     "customer.example.net: error 2"),
    ("name:portal.example.net/4", TRUE, "page", "portal.example.net is 203.0.113.80"),
    ("check-apple/4", {"outcome": "closed"}, "check-apple",
     "203.0.113.10 port 80 took the connection and said nothing"),
    ("check-chrome/4", http(204), "check-chrome", "204, the vendor's own success"),
    ("check-windows/4", http(200, body="Microsoft Connect Test"), "check-windows", "200, the vendor's own success"),
    ("check-android/4", http(302, "Location: http://192.0.2.9/login\r\n"), "check-android",
     "302 to 192.0.2.9, and not to portal.example.net"),
    ("check-android/4", http(503), "check-android", "503, and not to portal.example.net"),
    ("check-firefox/4", http(301, KEPT), "check-firefox", "301 with status 301, which browsers remember for good"),
    ("check-firefox/4", http(302, KEPT), "check-firefox", "302 with an answer that may be kept"),
    ("check-firefox/4", http(302, STICKY), "check-firefox", "302 with set-cookie for a name that is not yours"),
    ("tls/4", OPEN, "tls", "a TLS server answers at 203.0.113.10"),
    ("tls/4", {"outcome": "cut"}, "tls", "203.0.113.10 port 443 broke the connection off"),
    ("tls-direct/4", {"outcome": "answer", "tls": "alert", "alert": 40}, "tls-direct",
     "203.0.113.53 sends TLS alert 40"),
    ("tls-direct/4", {"outcome": "answer", "tls": "no-tls"}, "tls-direct",
     "203.0.113.53 answers with something that is no TLS"),
    ("http-direct/4", http(200, body="the internet"), "http-direct", "203.0.113.53: 200, and not the page"),
    ("http-direct/4", {"outcome": "icmp", "icmp": "prohibited", "by": "192.0.2.1"}, "http-direct",
     "192.0.2.1 refused it at once (prohibited)"),
    ("quic/4", {"outcome": "answer", "octets": "c0"}, "quic", "203.0.113.53 UDP port 443 answers"),
    ("quic/4", SILENCE, "quic", "no answer from 203.0.113.53 UDP port 443"),
    ("dot/4", {"outcome": "open"}, "dot", "203.0.113.53 port 853 answers"),
    ("garden/4", {"outcome": "answer", "tls": "alert", "alert": 80}, "garden",
     "customer.example.net (203.0.113.20): TLS alert 80, so edged answered in its place"),
    ("garden/4", SILENCE, "garden", "no answer from customer.example.net (203.0.113.20)"),
    ("page/4", {"outcome": "answer", "tls": "untrusted", "why": "self-signed certificate"}, "page",
     "portal.example.net (203.0.113.10): self-signed certificate"),
    ("page/4", {"outcome": "answer", "tls": "failed", "why": "wrong version number"}, "page",
     "portal.example.net (203.0.113.10): TLS fails, wrong version number"),
    ("page/4", {**http(500), "tls": "good", "expires": NOW}, "page", "status 500"),
    ("api/4", {**http(200, body='{"captive": false}'), "tls": "good", "expires": NOW}, "api", "captive: false"),
    ("api/4", {**http(200, body="<html>"), "tls": "good", "expires": NOW}, "api", "status 200"),
]  # fmt: skip


def test_one_thing_that_went_wrong_fails_its_own_step_alone_and_says_what_was_seen() -> None:
    for order, seen, step, said in CASES:
        _, findings = judge("blocked", {order: seen})
        expected_failures = {step: said}
        if step == "page" and order.startswith("name:"):
            expected_failures["api"] = said
        assert failures(findings) == expected_failures, order


def test_what_cannot_be_tried_without_an_answer_of_dns_is_left_out_and_no_failure_of_its_own() -> None:
    silent = {name: SILENCE for name in RECORDED["blocked"] if name.startswith(("name:", "dns", "public"))}
    gone = {name: None for name in RECORDED["blocked"] if name.startswith(("check-", "garden", "page", "api", "tls/"))}
    _, findings = judge("blocked", {**silent, **gone})

    assert failures(findings).keys() == {"dns", "dns-tcp", "public-dns", "garden-dns"}
    left_out = {f.step for f in findings if f.state is State.SKIP}
    assert left_out == {*(f"check-{c.client}" for c in CHECKS), "tls", "garden", "page", "api"}


def test_silence_is_right_where_the_operator_wants_it() -> None:
    for order in ("quic/4", "dot/4"):
        for forward in ("drop", ""):
            assert failures(judge("blocked", {order: SILENCE}, forward=forward)[1]) == {}
    assert failures(judge("blocked", {"tls/4": {"outcome": "cut"}}, foreign_tls="reset")[1]) == {}


def test_a_page_that_fails_is_said_with_every_device_that_opens_it() -> None:
    trial, findings = judge("blocked", {"page/4": SILENCE})
    assert set(shown(trial, findings).values()) >= {"the sign-in sheet opens, and fails to load (page)"}
    assert verdicts.standing(findings, trial) == "faulty"


def test_an_android_shows_nothing_where_the_page_has_a_private_address() -> None:
    name = "name:connectivitycheck.gstatic.com/4"
    trial, findings = judge("blocked", {name: {**TRUE, "addresses": ["10.20.0.10"]}})
    assert shown(trial, findings)["Android"] == "no Internet, and no notification: the page has a private address"


def test_an_address_that_somebody_has_and_a_gateway_that_is_silent_fail() -> None:
    taken = verdicts.free(phone(), {"address/4": {"outcome": "answer", "mac": "02:00:5e:10:00:01"}})
    assert [f.seen for f in taken] == ["02:00:5e:10:00:01 has 100.64.1.77"]
    unreached = replace(phone(), macs={})
    found = list(verdicts.gateways(unreached, {"gateway/4": SILENCE}))
    assert [(f.state, f.seen) for f in found] == [(State.FAIL, "no answer from 100.64.0.1")]
    assert verdicts.standing(found, Trial(unreached, promise())) == "unreached"
    nobody = verdicts.gateways(replace(phone(), gateways={}, macs={}), {})
    assert [f.seen for f in nobody] == ["nobody said who routes for 100.64.1.77"]


def test_what_dhcp_and_routers_say_of_the_page_must_be_its_api() -> None:
    right = promise().api
    for said, state in ((right, State.PASS), (None, State.SKIP), ("https://x.example/", State.FAIL)):
        answer = {"outcome": "answer", "portal": said}
        found = list(verdicts.settled(phone(), promise(), dict.fromkeys(("dhcp/4", "dhcp/6", "router/6"), answer)))
        assert {f.state for f in found} == {state}
    nothing = dict.fromkeys(("dhcp/4", "dhcp/6", "router/6"), SILENCE)
    leased = verdicts.settled(replace(phone(), addresses={}, leases=True), promise(), nothing)
    assert [f.state for f in leased] == [State.FAIL, State.SKIP, State.SKIP]


# --- what is asked ---------------------------------------------------------------------------------


def test_the_recorded_answers_are_those_to_what_is_asked_now() -> None:
    blocked, seen = phone(), RECORDED["blocked"]
    trial = Trial(blocked, promise(), seen)
    asked = {
        **free_orders(blocked), **settle_orders(blocked), **gateway_orders(replace(blocked, macs={})),
        **name_orders(blocked, promise()), **web_orders(trial),
    }  # fmt: skip

    assert asked.keys() == seen.keys()


def test_all_waves_together_stay_below_nine_seconds() -> None:
    both = replace(phone(), addresses={4: "100.64.1.77", 6: "2001:db8:100:700::77"}, gateways={4: "a", 6: "b"})
    trial = Trial(replace(both, macs={4: "a", 6: "b"}), promise(), RECORDED["blocked"])
    waves = (free_orders(both), settle_orders(both), gateway_orders(replace(both, macs={})),
             name_orders(trial.phone, promise()), web_orders(trial))  # fmt: skip

    assert sum(max(order["wait"] for order in wave.values()) for wave in waves) < 9.0


def test_what_the_garden_holds_is_not_taken_for_the_internet() -> None:
    held = expected(
        Config.model_validate(load_text(CONFIG.replace("garden: {", 'garden: {networks: ["203.0.113.0/24"], ')))
    )
    trial = Trial(phone(), held, RECORDED["blocked"], RECORDED["blocked"])

    assert not {"quic/4", "dot/4", "tls-direct/4", "http-direct/4"} & web_orders(trial).keys()
    assert next(f.state for f in web(trial, NOW) if f.step == "direct") is State.SKIP


def test_a_promise_needs_a_page() -> None:
    with pytest.raises(ValueError, match=r"portal\.url"):
        expected(Config())


# --- the clients' rules, against those that were written for the tests ------------------------------

ANSWERS = [
    (204, "", b""), (200, "", b""), (200, "", b"ok"), (200, "", b"OK"), (200, "", b"success\n"), (200, "", b"x" * 40),
    (200, "", b"<html><title>Pay</title>Pay here</html>"), (302, "location: https://p.example/\r\n", b"<p>"),
    (302, "", b""), (307, "location: https://p.example/\r\n", b""), (511, "", b"<p>log in</p>"), (403, "", b"no"),
    (503, "", b"later"), (404, "", b""), (200, "x-networkmanager-status: online\r\n", b""),
]  # fmt: skip
SAME = {Judged.ONLINE: Verdict.ONLINE, Judged.PORTAL: Verdict.CAPTIVE, Judged.UNDECIDED: Verdict.UNDECIDED}


def test_every_client_is_judged_as_the_oracle_of_the_tests_judges_it() -> None:
    compared = 0
    for check in CHECKS:
        if check.client in {"kindle", "nintendo"}:
            continue  # judged by the success alone: what the oracle finds in a longer page does not matter here
        success = check.probe.success
        own = (success.status, "".join(f"{n}: {v}\r\n" for n, v in success.headers), success.body)
        for status, headers, body in (own, *ANSWERS):
            answer = parse(f"HTTP/1.1 {status} X\r\n{headers}\r\n{body.decode()}")
            assert answer is not None
            oracle = RULES[check.client](check.probe, Answer(status, answer.headers, body))
            assert SAME[judged(check.probe, answer)] is oracle, (check.client, status, body)
            compared += 1
        assert judged(check.probe, None) is Judged.UNDECIDED
    assert compared > 100


def test_a_response_that_is_none_and_one_that_may_be_kept_are_told() -> None:
    for octets in ("", "220 mail.example ESMTP\r\n", "\x16\x03\x03", "HTTP/2 200"):
        assert parse(octets) is None
    assert HttpAnswer(302, {"location": "http://[broken"}, "").leads_to == ""
    assert poison(HttpAnswer(302, {"cache-control": "no-store"}, "")) == ""


# --- the report ------------------------------------------------------------------------------------


def report(kind: str, changed: dict[str, Any] | None = None, **promised: Any) -> Report:
    trial, findings = judge(kind, changed, **promised)
    standing = verdicts.standing(findings, trial)
    return Report(trial, "eth0", standing, tuple(findings), shown(trial, findings), 3.21, 150)


def test_the_report_is_one_sentence_then_what_devices_show_then_a_line_a_step() -> None:
    printed = text(report("blocked"))
    lines = printed.splitlines()

    assert lines[0] == "lab: 100.64.1.77 sees what a blocked line should see. 22 passed, 0 failed, 0"
    assert "  iPhone, iPad    the sign-in sheet opens" in lines
    assert max(map(len, lines)) <= 80
    assert printed.count("checks") == 1, "ten clients that went alike are one line"
    assert "means" not in printed


def test_a_failure_says_what_it_means_and_how_to_mend_it_and_watch_mode_is_said() -> None:
    printed = text(report("blocked", {"dot/4": {"outcome": "open"}}, watching=True))

    assert "FAIL  dot          IPv4  203.0.113.53 port 853 answers" in printed
    assert "        means Androids with Private DNS" in printed
    assert "        fix   edged explain" in printed
    assert "mode: watch changes nothing for anyone" in printed


def test_an_open_line_has_one_cause_and_is_told_of_it_once() -> None:
    printed = text(report("open"))

    assert "  if it should be blocked:  edged explain 100.64.1.78" in printed.splitlines()
    assert "means" not in printed
    assert {f.means for f in judge("open")[1] if f.step == "dns"} == {"the line is open, or its DNS goes past edged"}


def test_a_program_gets_every_step_by_itself() -> None:
    told = facts(report("killed"))

    assert told["standing"] == "dead"
    assert len(told["steps"]) == 22
    assert {step["state"] for step in told["steps"]} == {"pass", "fail", "skip"}
    assert json.loads(json.dumps(told)) == told
