from __future__ import annotations

import pytest

from edged.dns import message
from edged.dns.codes import Rcode
from edged.dns.special import NAMES, Special
from edged.dns.verdict import Kind, decide
from edged.model import Access
from tests.dns_lab import lab_zone


@pytest.mark.parametrize("row", NAMES, ids=lambda r: r.name)
@pytest.mark.parametrize("qtype", [1, 28, 65, 255])
def test_no_special_name_gets_the_portal(row: Special, qtype: int) -> None:
    zone = lab_zone()

    verdict = decide(Access.BLOCKED, message.ask(row.zone, qtype), zone)

    assert verdict.kind is Kind.SPECIAL
    assert verdict.why == row.why
    assert not set(verdict.addresses) & set(zone.sinkhole.by_type[1][1] + zone.sinkhole.by_type[28][1])
    assert verdict.body is not None
    assert verdict.body.rcode == row.rcode


@pytest.mark.parametrize("row", [r for r in NAMES if r.name.startswith(".")], ids=lambda r: r.name)
def test_a_special_zone_holds_all_below_it(row: Special) -> None:
    verdict = decide(Access.BLOCKED, message.ask(f"x.y.{row.zone}"), lab_zone())

    assert verdict.kind is Kind.SPECIAL


def test_every_row_says_why_and_stands_once() -> None:
    assert all(row.why for row in NAMES)
    assert len({row.zone for row in NAMES}) == len(NAMES)
    assert {row.rcode for row in NAMES} == {Rcode.NOERROR, Rcode.NXDOMAIN}


def test_only_names_that_mean_this_resolver_are_kept_from_paying_subscribers() -> None:
    assert [row.name for row in NAMES if row.everyone] == [".resolver.arpa"]
