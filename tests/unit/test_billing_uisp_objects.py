from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edged.billing.uisp_objects import (
    ChangedError,
    Known,
    Pages,
    Service,
    map_clients,
    parse_addresses,
    parse_client,
    parse_names,
    parse_services,
    reason_word,
    slug,
    wanted_sites,
)
from edged.errors import UpstreamError
from edged.values import parse_prefix
from edged.yamltext import load_text

VECTORS: dict[str, list[dict[str, Any]]] = load_text(
    (Path(__file__).parent.parent / "vectors" / "billing_uisp.yaml").read_text("utf-8")
)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("vector", VECTORS["services"], ids=lambda v: v["name"])
def test_a_service_is_read_or_refuses_the_reading(vector: dict[str, Any]) -> None:
    if "good" in vector:
        (service,) = parse_services(encoded([vector["entry"]]))
        assert [service.id, service.client, service.status, service.site, service.reason] == vector["good"]
    else:
        with pytest.raises(UpstreamError) as caught:
            parse_services(encoded([vector["entry"]]))
        assert vector["wrong"] in str(caught.value)


@pytest.mark.parametrize("vector", VECTORS["addresses"], ids=lambda v: v["name"])
def test_the_addresses_of_a_site_are_hosts_or_refused(vector: dict[str, Any]) -> None:
    if "good" in vector:
        addresses = parse_addresses(encoded(vector["reply"]))
        assert [str(address) for address in addresses] == vector["good"]
        assert all(address.is_host for address in addresses)
    else:
        with pytest.raises(UpstreamError) as caught:
            parse_addresses(encoded(vector["reply"]))
        assert vector["wrong"] in str(caught.value)


@pytest.mark.parametrize("vector", VECTORS["clients"], ids=lambda v: v["name"])
def test_what_the_page_may_say_to_a_client(vector: dict[str, Any]) -> None:
    if "good" in vector:
        number, client = parse_client(encoded(vector["reply"]))
        account = client.account
        assert number == 1
        assert [account.name, account.amount_due, account.currency, client.brand] == vector["good"]
    else:
        with pytest.raises(UpstreamError) as caught:
            parse_client(encoded(vector["reply"]))
        assert vector["wrong"] in str(caught.value)


def test_a_site_with_more_addresses_than_a_household_has_is_refused() -> None:
    with pytest.raises(UpstreamError, match="has 300 addresses"):
        parse_addresses(encoded([f"10.0.{n // 250}.{n % 250}" for n in range(300)]))


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"code": 0}', b"null", b"7", b'"x"', b"[" * 100_000])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    for parse in (parse_services, parse_addresses, parse_names):
        with pytest.raises(UpstreamError):
            parse(body)


def test_names_without_an_id_or_a_name_are_left_out() -> None:
    assert parse_names(encoded([{"id": 1, "name": "A"}, {"id": 2}, {"name": "B"}, 7, {"id": "3", "name": "C"}])) == {
        1: "A",
        3: "C",
    }


@pytest.mark.parametrize(
    ("reason", "word"),
    [(None, "unpaid"), (1, "unpaid"), (2, "abuse"), (3, "moving-to-prague"), (9, "suspended")],
)
def test_a_reason_is_unpaid_where_uisp_names_none_or_one_of_payment(reason: int | None, word: str) -> None:
    assert reason_word(reason, {1: "Payments overdue", 2: "Abuse", 3: "Moving to  Prague"}) == word


def test_a_brand_is_the_name_in_lower_case_with_hyphens() -> None:
    assert slug("  North  Net\tGmbH ") == "north-net-gmbh"
    assert len(slug("x" * 300)) == 64


# --- pages ---------------------------------------------------------------------------------------------------------


def services(*numbers: int) -> list[Service]:
    return [Service(number, number, 3) for number in numbers]


def test_pages_join_at_the_service_they_share() -> None:
    pages = Pages()

    assert pages.add(services(1, 2, 3))
    assert pages.offset == 2
    assert pages.add(services(3, 4))
    assert not pages.add(services(4))
    assert list(pages.services) == [1, 2, 3, 4]


@pytest.mark.parametrize("second", [[], [2, 3], [4, 5], [3, 1], [3, 3]], ids=["gone", "back", "on", "again", "twice"])
def test_a_seam_that_does_not_fit_is_a_list_that_changed(second: list[int]) -> None:
    pages = Pages()
    pages.add(services(1, 2, 3))

    with pytest.raises(ChangedError):
        pages.add(services(*second))


def test_an_empty_list_ends_at_once() -> None:
    assert not Pages().add([])


# --- the join ------------------------------------------------------------------------------------------------------


def known(suspended: list[Service], active: list[Service], sites: dict[str, list[str]], **more: Any) -> Known:
    return Known(
        suspended={s.id: s for s in suspended},
        active={s.id: s for s in active},
        sites={site: tuple(map(parse_prefix, addresses)) for site, addresses in sites.items()},
        clients={}, reasons={}, organizations={}, **more,
    )  # fmt: skip


def test_two_suspended_services_of_one_client_are_one_subscriber_with_both_lines() -> None:
    found = map_clients(
        known([Service(2, 7, 3, "b"), Service(1, 7, 3, "a")], [], {"a": ["10.0.0.1"], "b": ["10.0.0.2", "10.0.0.1"]})
    )

    assert [(s.id, [str(p) for p in s.addresses]) for s in found] == [("7", ["10.0.0.1", "10.0.0.2"])]


def test_a_client_is_not_listed_before_one_of_its_sites_has_answered_unless_it_was_before() -> None:
    waiting = [Service(1, 7, 3, "a"), Service(2, 8, 3, "")]

    assert [s.id for s in map_clients(known(waiting, [], {}))] == ["8"]
    assert [s.id for s in map_clients(known(waiting, [], {"a": []}))] == ["7", "8"]
    assert [s.id for s in map_clients(known(waiting, [], {}, listed=frozenset({7})))] == ["7", "8"]


def test_sites_of_suspended_services_and_of_active_ones_of_the_same_clients_are_wanted() -> None:
    suspended = [Service(1, 7, 3, "a"), Service(2, 8, 3, "")]
    active = [Service(3, 7, 1, "b"), Service(4, 9, 1, "c"), Service(5, 8, 1, "")]

    assert wanted_sites(suspended, active) == {"a", "b"}
