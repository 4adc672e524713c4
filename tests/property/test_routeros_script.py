# SPDX-License-Identifier: Apache-2.0
"""The script that prepares a router: from whatever an older one left to the same as from nothing."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from edged.enforce.routeros.commands import literal
from edged.enforce.routeros.layout import Layout
from edged.enforce.routeros.script import ApiAccess, CoaAccess, Preparation, preparing, removing
from edged.enforce.rules import Portal, Rules
from edged.values import parse_prefix
from tests.routeros.console import Console
from tests.routeros_scripts import API, filled, foreign, furnished, prepared, state, written

PORTALS = {4: [ip_address("203.0.113.10"), ip_address("203.0.113.11")], 6: [ip_address("2001:db8::10")]}
NETWORKS = [parse_prefix(t) for t in ("203.0.113.20", "203.0.113.0/24", "2001:db8::20", "2001:db8::/64", "192.0.2.77")]


def portals(version: int) -> st.SearchStrategy[Portal | None]:
    ports = st.sampled_from([0, 1, 5300])
    return st.none() | st.builds(
        lambda address, dns, http, https: Portal(address, dns and 52 + dns, http and 79 + http, https and 442 + https),
        st.sampled_from(PORTALS[version]), ports, ports, ports,
    )  # fmt: skip


@st.composite
def configured(draw: st.DrawFn) -> Preparation:
    portal4, portal6 = draw(portals(4)), draw(portals(6))
    rules = Rules(
        portal4, portal6, tuple(p.address for p in (portal4, portal6) if p is not None),
        garden_networks=tuple(draw(st.lists(st.sampled_from(NETWORKS), unique=True))),
        garden_ports=draw(st.sampled_from([(), (443,), (80, 443)])),
    )  # fmt: skip
    layout = Layout(
        draw(st.sampled_from(["edged-blocked", "SpLBL_blocked"])), "edged-garden", "edged-portal",
        draw(st.booleans()), draw(st.sampled_from(["reject", "drop"])),
    )  # fmt: skip
    api = ApiAccess(draw(st.sampled_from(["edged", "tower"])), "192.0.2.1", tls=True, port=8729)
    is_api = draw(st.booleans())
    sources = draw(st.sampled_from([("192.0.2.10",), ("192.0.2.10", "2001:db8::5"), ("192.0.2.11",)]))
    return replace(
        API, layout=layout, rules=rules, access=api if is_api else CoaAccess(3799),
        names=() if is_api else draw(st.sampled_from([(), ("pay.example.net", "shop.example.net")])),
        sources=tuple(map(parse_prefix, sources)), uri=draw(st.sampled_from([b"", b"https://a.example/x", API.uri])),
        networks=draw(st.sampled_from([(), API.networks, (parse_prefix("192.168.0.0/16"),)])),
    )  # fmt: skip


@settings(max_examples=max(1, settings().max_examples // 6))
@given(st.lists(configured(), min_size=1, max_size=2), configured(), st.sampled_from(["6.49.10", "7.18.2"]))
def test_whatever_older_scripts_left_a_new_one_ends_as_from_nothing(
    older: list[Preparation], new: Preparation, version: str
) -> None:
    console, fresh = furnished(version), furnished(version)
    before = foreign(console)
    for wanted in (*older, new):
        prepared(wanted, console)
    prepared(new, fresh)

    assert state(console) == state(fresh)
    assert foreign(console) == before
    assert written(console, filled(preparing(new))) == []
    console.script(removing(new))
    assert state(console) == state(furnished(version))


CONSOLE = Console("7.18.2", clock=lambda: 0.0)


@given(st.text())
def test_any_text_in_quotes_is_that_text(text: str) -> None:
    assert CONSOLE.script(f":put {literal(text)}") == text
