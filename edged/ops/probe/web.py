# SPDX-License-Identifier: Apache-2.0
"""What the web did with a phone's connections, and the configuration's promise, in; pass or fail out. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape

from edged.ops.probe.http import Judged, judged, parse, poison
from edged.ops.probe.orders import CHECKS, Check
from edged.ops.probe.values import Expected, Facts, Finding, Trial
from edged.ops.probe.verdicts import DOWN, failed, passed, skipped, unanswered

_INTERNAL_ERROR = 80
_TITLE = re.compile(r"<title>([^<]{1,120})</title>", re.IGNORECASE)
_DAY_S = 86400.0
_NAMES_FIRST = "not tried: DNS gave no address for {name}"
_CHECK_MEANS = "this client shows no page by itself"


def web(trial: Trial, now: float) -> Iterator[Finding]:
    """All of it, family by family. ``now``: epoch seconds."""
    for f in trial.phone.families:
        for finding in _web(trial, f, now):
            yield replace(finding, fix=finding.fix.replace("ADDRESS", trial.phone.addresses[f]))


def _web(trial: Trial, f: int, now: float) -> Iterator[Finding]:
    for check in CHECKS:
        yield _check(trial, check, f)
    facts, foreign = trial.web.get(f"tls/{f}"), trial.phone.foreign
    if facts is None:
        yield skipped("tls", f, _NAMES_FIRST.format(name=foreign))
    else:
        yield _foreign_tls("tls", f, trial.told(foreign, f)[0], facts, trial.expected)
    yield from _direct(trial, f)
    yield _garden(trial, f)
    yield from _ours(trial, f, now)


def _check(trial: Trial, check: Check, f: int) -> Finding:
    step = f"check-{check.client}"
    facts, host, expected = trial.web.get(f"{step}/{f}"), check.probe.host, trial.expected
    if facts is None:
        return skipped(step, f, _NAMES_FIRST.format(name=host))
    at = f"{trial.told(host, f)[0]} port 80"
    answer = parse(facts.get("octets", "")) if facts["outcome"] in {"answer", "cut"} else None
    if answer is None:
        return failed(step, f, unanswered(facts, at), _CHECK_MEANS, f"port 80 must come to edged; {DOWN}")
    if judged(check.probe, answer) is Judged.ONLINE:
        return failed(
            step, f, f"{answer.status}, the vendor's own success", "the device thinks that it is online: no page",
            f"edged explain ADDRESS says whether it is blocked; the garden must not hold {host}",
        )  # fmt: skip
    if answer.leads_to != expected.host:
        led = f" to {answer.leads_to}" if answer.leads_to else ""
        return failed(
            step, f, f"{answer.status}{led}, and not to {expected.host}", "something else answers in edged's place",
            "find out who answers: is there another captive portal or proxy on the way?",
        )  # fmt: skip
    if remembered := poison(answer):
        return failed(
            step, f, f"{answer.status} with {remembered}", "it would still be in force when the line is open again",
            "what changes edged's answers on the way? edged sends nothing of that kind",
        )  # fmt: skip
    return passed(step, f, f"{answer.status} to {answer.location}")


def _foreign_tls(step: str, f: int, at: str, facts: Facts, expected: Expected) -> Finding:
    """A foreign name over TLS: the alert that makes browsers look for the page, and never a certificate."""
    tls, is_reset = facts.get("tls", ""), facts["outcome"] in {"cut", "refused"}
    if tls == "alert":
        number = facts["alert"]
        if number == _INTERNAL_ERROR or expected.foreign_tls == "reset":
            return passed(step, f, f"{at} ends it with TLS alert {number}")
        return failed(
            step, f, f"{at} sends TLS alert {number}", "not every browser looks for the page after it",
            "is it edged that answers? its alert is 80 (internal_error)",
        )  # fmt: skip
    if is_reset and expected.foreign_tls == "reset":
        return passed(step, f, f"{at} broke it off, as portal.foreign_tls says")
    if tls == "hello":
        return failed(
            step, f, f"a TLS server answers at {at}", "HTTPS passes: the line is open, or its way leads past edged",
            "edged explain ADDRESS says whether it is blocked; then look for rules of yours that come first",
        )  # fmt: skip
    seen = f"{at} answers with something that is no TLS" if tls else unanswered(facts, f"{at} port 443")
    return failed(
        step, f, seen, "browsers wait, show an error and look for no page", f"port 443 must come to edged; {DOWN}"
    )


def _direct(trial: Trial, f: int) -> Iterator[Finding]:
    """What a device does with addresses that it knows from before the block."""
    public, expected, seen = trial.phone.public[f], trial.expected, trial.web
    if expected.opens(public):
        yield skipped("direct", f, f"{public} is in garden.networks; --public takes another one")
        return
    yield _http_direct(f, public, expected, seen[f"http-direct/{f}"])
    yield _foreign_tls("tls-direct", f, public, seen[f"tls-direct/{f}"], expected)
    yield _refused("quic", f, f"{public} UDP port 443", seen[f"quic/{f}"], expected)
    yield _refused("dot", f, f"{public} port 853", seen[f"dot/{f}"], expected)


def _http_direct(f: int, public: str, expected: Expected, facts: Facts) -> Finding:
    answer = parse(facts.get("octets", "")) if facts["outcome"] in {"answer", "cut"} else None
    means = "apps that know an address from before the block see errors, or the Internet, instead of the page"
    if answer is None:
        return failed("http-direct", f, unanswered(facts, f"{public} port 80"), means, f"as for the checks; {DOWN}")
    if answer.leads_to == expected.host:
        return passed("http-direct", f, f"{public}: {answer.status} to {answer.location}")
    # a program gets no page: 511 (RFC 6585)
    if answer.status == 511:
        return passed("http-direct", f, f"{public}: 511, the line must be opened first")
    return failed(
        "http-direct", f, f"{public}: {answer.status}, and not the page", means,
        "edged explain ADDRESS; a target must lead port 80 of this line to edged (edged plan)",
    )  # fmt: skip


_PASSES = {
    "quic": "browsers go around the page with HTTP/3",
    "dot": "Androids with Private DNS ask past edged: they see errors and no page",
}


def _refused(step: str, f: int, at: str, facts: Facts, expected: Expected) -> Finding:
    """What must not pass: refused at once, or silence where the operator wants it."""
    outcome = facts["outcome"]
    if outcome in {"icmp", "refused"}:
        return passed(step, f, unanswered(facts, at))
    if outcome == "silence":
        if expected.forward != "reject":
            return passed(step, f, f"no answer from {at}" + (", as forward: drop says" if expected.forward else ""))
        return failed(
            step, f, f"no answer from {at}", "devices wait for it before they try what leads to the page",
            "a rule of yours drops it before edged refuses it: let forwarded packets of subscribers through to the "
            "table inet edged",
        )  # fmt: skip
    return failed(
        step, f, f"{at} answers", _PASSES[step],
        "edged explain ADDRESS says whether the line is blocked; a forward chain that accepts it, or a flow offload, "
        "comes before edged's",
    )  # fmt: skip


def _garden(trial: Trial, f: int) -> Finding:
    name, facts = trial.expected.garden, trial.web.get(f"garden/{f}")
    if not name or facts is None:
        return skipped("garden", f, _NAMES_FIRST.format(name=name) if name else "the garden has no name to try")
    at = f"{name} ({trial.told(name, f)[0]})"
    if facts.get("tls") == "hello":
        return passed("garden", f, f"{at} answers with TLS")
    means, where = "the payment site does not load", f"nft list set inet edged garden{f} must hold its address"
    if facts.get("tls") == "alert":
        return failed("garden", f, f"{at}: TLS alert {facts['alert']}, so edged answered in its place", means, where)
    return failed("garden", f, unanswered(facts, at), means, f"is it up? {where}")


# --- the page and its API -------------------------------------------------------------------------


def _ours(trial: Trial, f: int, now: float) -> Iterator[Finding]:
    expected = trial.expected
    told = trial.told(expected.host, f)
    for step, judge in (("page", _page), ("api", _api)):
        facts = trial.web.get(f"{step}/{f}")
        if facts is None:
            if expected.portal[f]:
                yield skipped(step, f, _NAMES_FIRST.format(name=expected.host))
            else:
                yield skipped(step, f, "portal.addresses has none of this family: devices use the other one")
        elif told[0] not in expected.portal[f]:
            yield failed(
                step, f, f"{expected.host} is {told[0]}", "devices look for the page where it is not",
                f"the public DNS must say portal.addresses: {', '.join(expected.portal[f])}",
            )  # fmt: skip
        else:
            at = f"{expected.host} ({told[0]})"
            insecure = _insecure(step, f, at, facts)
            if insecure and step == "api":
                yield skipped(step, f, "not tried: the page is not to be had (page)")
            else:
                yield insecure or judge(f, facts, now)


def _insecure(step: str, f: int, at: str, facts: Facts) -> Finding | None:
    """What is wrong before anything is asked for."""
    tls = facts.get("tls", "")
    if tls == "good":
        return None
    means = "whoever opens the page sees a warning, and devices show no sign-in sheet that works"
    if tls == "untrusted":
        return failed(
            step, f, f"{at}: {facts['why']}", means,
            "a certificate that devices trust (manual: certificates.md); of an authority of your own: --ca FILE",
        )  # fmt: skip
    seen = f"{at}: TLS fails, {facts['why']}" if tls else unanswered(facts, at)
    return failed(step, f, seen, "nobody sees the page", f"the page must be served there; {DOWN}")


def _page(f: int, facts: Facts, now: float) -> Finding:
    answer = parse(facts.get("octets", ""))
    if answer is None or answer.status != 200:
        seen = f"status {answer.status}" if answer else "no answer inside TLS"
        return failed("page", f, seen, "nobody sees the page", "edged status, and its log")
    days, title = (facts["expires"] - now) / _DAY_S, _TITLE.search(answer.body)
    named = f'"{unescape(_utf8(title[1])).strip()}", ' if title else ""
    return passed("page", f, f"{named}{len(answer.body):,} octets; certificate good for {days:.0f} d")


def _api(f: int, facts: Facts, now: float) -> Finding:
    del now
    answer = parse(facts.get("octets", ""))
    try:
        said = json.loads(answer.body) if answer is not None and answer.status == 200 else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return failed(
            "api", f, f"status {answer.status}" if answer else "no answer inside TLS",
            "devices that were told of the API do not find the page", "manual: captive-api.md",
        )  # fmt: skip
    if said.get("captive") is not True:
        return failed(
            "api", f, f"captive: {json.dumps(said.get('captive'))}", "edged takes this line for open",
            "edged explain ADDRESS says which rule decided",
        )  # fmt: skip
    return passed("api", f, f"captive: true, {said.get('user-portal-url', 'no page')}")


def _utf8(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")
