from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from edged.billing.uisp_objects import (
    ChangedError,
    Known,
    Pages,
    Service,
    map_clients,
    parse_addresses,
    parse_client,
    parse_services,
)
from edged.errors import UpstreamError
from edged.model import State
from edged.values import Prefix, parse_prefix

NAMES = st.sampled_from(
    ["id", "clientId", "status", "unmsClientSiteId", "suspensionReasonId", "accountOutstanding", "currencyCode", "x"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


@given(JSON)
def test_whatever_a_console_answers_is_read_or_refused_in_one_sentence(value: object) -> None:
    for parse in (parse_services, parse_addresses, parse_client):
        sentence = ""
        try:
            parse(json.dumps(value).encode())
        except UpstreamError as error:
            sentence = str(error)
        assert "\n" not in sentence


@given(st.lists(st.integers(0, 200), unique=True, max_size=60), st.integers(2, 9), st.randoms())
def test_a_list_that_changes_while_it_is_read_never_loses_a_service_that_stayed(
    before: list[int], size: int, random: Random
) -> None:
    held = sorted(before)
    stayed = set(held)
    pages = Pages()
    try:
        for _ in range(400):
            page = held[pages.offset : pages.offset + size]
            if not pages.add([Service(number, number, 3) for number in page]):
                break
            if held and random.random() < 0.5:
                gone = random.choice(held)
                held.remove(gone)
                stayed.discard(gone)
    except ChangedError:
        return
    assert stayed <= set(pages.services)


sites = st.sampled_from(["a", "b", "c", "d", "e"])
some_services = st.dictionaries(
    st.integers(0, 30),
    st.tuples(st.integers(0, 6), st.sampled_from([1, 3]), sites | st.just("")),
    max_size=20,
)
some_addresses = st.dictionaries(
    sites, st.lists(st.integers(1, 9).map(lambda n: parse_prefix(f"10.0.0.{n}")), max_size=3).map(tuple), max_size=5
)


@given(some_services, some_addresses)
def test_no_line_of_an_active_service_is_ever_blocked(
    found: dict[int, tuple[int, int, str]], addresses: dict[str, tuple[Prefix, ...]]
) -> None:
    services = {n: Service(n, client, status, site) for n, (client, status, site) in found.items()}
    suspended = {n: s for n, s in services.items() if s.status == 3}
    active = {n: s for n, s in services.items() if s.status == 1}

    mapped = map_clients(Known(suspended, active, addresses, {}, {}, {}))

    open_lines = {a for s in active.values() for a in addresses.get(s.site, ())}
    blocked = {a for one in mapped for a in one.addresses}
    assert not blocked & open_lines
    assert {one.id for one in mapped} <= {str(s.client) for s in suspended.values()}
    assert all(one.state is State.BLOCKED for one in mapped)
    assert len({one.id for one in mapped}) == len(mapped)
