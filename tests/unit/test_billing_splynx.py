from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from edged.billing.settings import BillingSettings
from edged.billing.splynx.claims import Claims
from edged.billing.splynx.fields import amount, day, label_names, mac, network, number, parts, wall_clock, words
from edged.billing.splynx.login import Nonce, error_code, is_refusal, login_body, read_token, remedy, sign, why
from edged.billing.splynx.mapping import brand_of, zone_of
from edged.billing.splynx.needs import CUSTOMERS, INVOICES, NEEDS, ONLINE, SERVICES, missing, need_of
from edged.billing.splynx.query import Asked, build_query
from edged.billing.splynx.rows import Changes, Customers, ListChangedError, Online, Services
from edged.errors import UpstreamError
from edged.values import Secret, parse_prefix

VECTORS = yaml.safe_load((Path(__file__).parents[1] / "vectors" / "billing_splynx.yaml").read_text("utf-8"))


def rows(name: str) -> list[Any]:
    def title(row: Any) -> str:
        return str(row.get("name", row.get("code", ""))) if isinstance(row, dict) else repr(row[0])[:40]

    return [pytest.param(row, id=title(row)) for row in VECTORS[name]]


@pytest.mark.parametrize("row", rows("queries"))
def test_queries_are_written_as_php_writes_them(row: dict[str, Any]) -> None:
    assert build_query(row["parameters"]) == row["query"]


@pytest.mark.parametrize("row", rows("signatures"))
def test_a_signature_is_that_of_openssl(row: dict[str, Any]) -> None:
    key, secret = Secret(row["key"]), Secret(row["secret"])

    assert sign(key, secret, row["nonce"]) == row["signature"]
    body = yaml.safe_load(login_body(key, secret, row["nonce"]))
    assert body == {"auth_type": "api_key", "key": row["key"], "nonce": row["nonce"], "signature": row["signature"]}


@pytest.mark.parametrize("row", rows("refusals"))
def test_a_refusal_has_its_remedy_and_its_sentence(row: dict[str, Any]) -> None:
    assert remedy(row["status"], row["code"]).value == row["remedy"]
    assert row["says"] in why(row["status"], row["code"])
    assert is_refusal(row["status"], row["code"]) is row.get("refusal", False)


@pytest.mark.parametrize("row", rows("codes"))
def test_the_code_of_a_refusal_is_read_or_there_is_none(row: dict[str, Any]) -> None:
    assert error_code(row["body"].encode()) == row["code"]


@pytest.mark.parametrize("row", rows("tokens"))
def test_a_token_lives_as_long_as_the_reply_says_by_its_own_clock(row: dict[str, Any]) -> None:
    reply = f'{{"access_token": "a", "refresh_token": "r", "access_token_expiration": {_json(row["end"])}}}'

    token = read_token(reply.encode(), now=1542491276.0, date=row.get("date", ""))

    assert token.life == row["life"]
    assert 0 < token.rest < token.life
    assert "access_token=a" in token.header
    assert "'a'" not in repr(token)


def _json(value: object) -> str:
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize(
    "reply",
    [
        "[]", "{}", '{"access_token": 1, "refresh_token": "r"}',
        '{"access_token": "a\\r\\nX: y", "refresh_token": "r"}', '{"access_token": "a)", "refresh_token": "r"}',
    ],
)  # fmt: skip
def test_a_reply_without_a_token_is_refused(reply: str) -> None:
    with pytest.raises(UpstreamError, match="without a token"):
        read_token(reply.encode(), now=0.0)


def test_a_nonce_never_repeats_and_never_goes_back() -> None:
    nonce = Nonce()

    assert [nonce.next(now) for now in (100.9, 100.1, 5.0, 300.0)] == [100, 101, 102, 300]


@pytest.mark.parametrize("row", rows("numbers"))
def test_numbers_are_read_in_whatever_type_they_come(row: list[Any]) -> None:
    assert number(row[0]) == row[1]


@pytest.mark.parametrize("row", rows("networks"))
def test_a_network_is_read_exactly_or_said_to_be_odd(row: list[Any]) -> None:
    text, named, exact = row

    assert network(text) == (parse_prefix(named) if named else None, exact)


@pytest.mark.parametrize(
    ("read", "name"), [(parts, "parts"), (mac, "macs"), (day, "days"), (wall_clock, "moments"), (brand_of, "brands")]
)
def test_fields_are_read_leniently(read: Any, name: str) -> None:
    for value, result in VECTORS[name]:
        assert read(value) == result, value


def test_sums_are_decimal_as_they_were_written() -> None:
    for value, result in VECTORS["amounts"]:
        assert amount(value) == (None if result is None else Decimal(result)), value


def test_labels_are_found_in_every_shape() -> None:
    for row, result in VECTORS["labels"]:
        assert label_names(row) == (None if result is None else frozenset(result)), row


@pytest.mark.parametrize(
    ("value", "result"), [("  x ", "x"), (7, "7"), (None, ""), (True, ""), ("a\nb", ""), ("x" * 9, ""), ([], "")]
)
def test_text_is_one_line_or_nothing(value: object, result: str) -> None:
    assert words(value, 8) == result


def test_claims_are_found_above_below_and_at_a_prefix() -> None:
    claims = Claims()
    for text, owner in (("100.64.0.1", 1), ("100.64.1.0/24", 2), ("2001:db8:7::/48", 3), ("100.64.0.9", 4)):
        claims.add(parse_prefix(text), owner)
    claims.add(parse_prefix("100.64.0.9"), 5)

    def free(text: str, *restricted: int) -> bool:
        return claims.is_free(parse_prefix(text), restricted)

    assert not free("100.64.0.1")
    assert free("100.64.0.1", 1)
    assert not free("100.64.0.0/28", 1)
    assert not free("100.64.1.77", 1)
    assert free("100.64.1.77", 2)
    assert not free("2001:db8:7:1::/64")
    assert not free("2001:db8::/32")
    assert free("2001:db8:8::/48")
    assert free("100.64.2.1")
    assert not free("100.64.0.9", 4)
    assert free("100.64.0.9", 4, 5)
    claims.add(parse_prefix("100.64.2.1"), 6)
    assert not free("100.64.2.0/24"), "also after the first question"


def test_claims_of_a_customer_nobody_could_restrict_stand() -> None:
    services = Services({7})
    orphan = {"id": 1, "customer_id": None, "status": "active", "taking_ipv4": 1, "ipv4": "100.64.0.1"}
    services.add([orphan], Asked(SERVICES))

    assert not services.claims.is_free(parse_prefix("100.64.0.1"), {7})


@pytest.mark.parametrize(
    ("more", "addresses"),
    [
        ({"taking_ipv4": "1"}, ["100.64.0.7", "198.51.100.0/29", "2001:db8::/64"]),
        ({"taking_ipv4": 2}, ["2001:db8::/64"]),
        ({"taking_ipv4": "0"}, ["2001:db8::/64"]),
        ({"taking_ipv4": None}, ["2001:db8::/64"]),
        ({"taking_ipv4": 1, "taking_ipv6": "2"}, ["100.64.0.7", "198.51.100.0/29"]),
        ({"taking_ipv4": 1, "status": "stopped"}, ["100.64.0.7", "198.51.100.0/29", "2001:db8::/64"]),
        ({"taking_ipv4": 1, "status": "hidden"}, []),
        ({"taking_ipv4": 1, "status": "disabled"}, []),
        ({"taking_ipv4": 1, "status": "something"}, []),
    ],
)  # fmt: skip
def test_which_addresses_of_a_service_are_the_lines(more: dict[str, Any], addresses: list[str]) -> None:
    row = {"id": 1, "customer_id": "7", "status": "active", "ipv4": "100.64.0.7", "ipv4_route": "198.51.100.0/29",
           "ipv6": "2001:db8::/64", "ipv6_delegated": ""}  # fmt: skip
    services = Services({7})
    services.add([row | more], Asked(SERVICES))

    assert list(map(str, services.lines[7].addresses if 7 in services.lines else ())) == addresses


def test_a_customer_with_more_than_a_household_has_is_cut_short_and_counted() -> None:
    services = Services({7})
    macs = ",".join(f"02005E{n:06x}" for n in range(1100))
    services.add([{"id": 1, "customer_id": 7, "status": "active", "mac": macs}], Asked(SERVICES))

    assert len(services.lines[7].devices) == 1024
    assert services.unread == 76


@pytest.mark.parametrize("page", [[{"id": 1}, {"id": "1"}], [{"id": 1, "status": "active"}]])
def test_a_row_met_twice_or_of_another_status_is_a_list_that_changed(page: list[Any]) -> None:
    with pytest.raises(ListChangedError):
        Customers().add(page, Asked(CUSTOMERS, status="blocked" if len(page) == 1 else ""))


def test_the_log_is_read_down_to_what_was_known_when_it_falls_and_to_its_end_when_not() -> None:
    falling, rising = Changes(5), Changes(5)
    falling.add([{"id": n, "customer_id": n, "date": "2026-11-18"} for n in (8, 7, 5)], Asked("x"))
    rising.add([{"id": n, "customer_id": n, "date": "2026-11-18"} for n in (4, 5, 7)], Asked("x"))

    assert (falling.met, falling.last, falling.customers) == (True, 8, {7, 8})
    assert (rising.met, rising.last, rising.customers) == (False, 7, {7})
    assert rising.add([{"id": 7}, {"id": 8}], Asked("x")) == 2, "a page that moved meanwhile is no fault"


def test_the_zone_of_splynx_is_that_of_its_latest_change() -> None:
    def online(change: float) -> list[Online]:
        return [Online("a", 1, (), 0.0, change), Online("b", 2, (), 5.0, change - 9000)]

    now = 1_795_000_000.0
    assert zone_of(online(now - 60), now) == 0
    assert zone_of(online(now + 5.5 * 3600 - 100), now) == 5.5 * 3600
    assert zone_of(online(now - 40 * 86400), now) == 0, "nobody says anything of today"
    assert zone_of([], now) == 0


def test_a_missing_permission_is_named_in_the_operators_words() -> None:
    assert need_of(f"{CUSTOMERS}/7") is NEEDS[CUSTOMERS]
    assert need_of(f"{CUSTOMERS}/7/internet-services") is NEEDS[SERVICES]
    assert need_of(ONLINE) is NEEDS[ONLINE]
    assert 'Customers, "Customer"; invoices' in missing([NEEDS[CUSTOMERS], NEEDS[INVOICES], NEEDS[CUSTOMERS]])


@pytest.mark.parametrize("absent", ["key", "secret"])
def test_splynx_needs_a_key_and_a_secret(absent: str) -> None:
    given = {"source": "splynx", "url": "https://b.example", "key": "a", "secret": "b"}
    assert BillingSettings.model_validate(given).source == "splynx"
    del given[absent]

    with pytest.raises(ValueError, match=f"{absent} beside source: splynx"):
        BillingSettings.model_validate(given)


@pytest.mark.parametrize("word", ["../x", "pay fast", "https://x", "", "a/b", "é", "x" * 65])
def test_the_add_on_is_one_simple_word_of_a_path(word: str) -> None:
    given = {"source": "splynx", "url": "https://b.example", "key": "a", "secret": "b", "splynx": {"direct_pay": word}}

    with pytest.raises(ValueError, match="direct_pay"):
        BillingSettings.model_validate(given)


def test_a_blank_label_is_refused() -> None:
    with pytest.raises(ValueError, match="a label as it is written in Splynx"):
        BillingSettings.model_validate({"source": "file", "path": "x", "splynx": {"exempt_labels": [" "]}})
