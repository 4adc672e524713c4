from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from edged.billing.cells import parse_cells
from edged.billing.feed_fields import SUBSCRIBER
from edged.billing.mapping import map_keys, map_subscribers
from edged.billing.reading import make_snapshot
from edged.errors import UpstreamError
from edged.model import Account, Rate, State
from edged.values import parse_prefix
from edged.yamltext import load_text

VECTORS: dict[str, list[dict[str, Any]]] = load_text(
    (Path(__file__).parent.parent / "vectors" / "billing_feed.yaml").read_text("utf-8")
)
NOW = 1_795_000_000.0  # November 2026


def sentence(read: Any) -> str:
    with pytest.raises(UpstreamError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("vector", VECTORS["subscribers"], ids=lambda v: v["name"])
def test_a_list_of_subscribers_is_mapped_or_refused_as_the_feed_says(vector: dict[str, Any]) -> None:
    if "good" in vector:
        assert len(map_subscribers(vector["objects"])) == vector["good"]
    else:
        text = sentence(lambda: map_subscribers(vector["objects"]))
        assert all(part in text for part in vector["wrong"]), text


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda v: v["name"])
def test_a_list_of_keys_is_mapped_or_refused_as_the_feed_says(vector: dict[str, Any]) -> None:
    if "good" in vector:
        assert len(map_keys(vector["objects"], NOW)) == vector["good"]
    else:
        text = sentence(lambda: map_keys(vector["objects"], NOW))
        assert all(part in text for part in vector["wrong"]), text


@pytest.mark.parametrize("vector", [v for v in VECTORS["keys"] if "wrong" in v], ids=lambda v: v["name"])
def test_no_error_shows_a_passphrase(vector: dict[str, Any]) -> None:
    text = sentence(lambda: map_keys(vector["objects"], NOW))

    assert not [entry for entry in vector["objects"] if str(entry["passphrase"]) in text]


def test_every_field_of_the_contract_arrives() -> None:
    (ana, other) = map_subscribers(VECTORS["subscribers"][0]["objects"])
    (key,) = map_keys(VECTORS["keys"][0]["objects"], NOW)

    assert ana.addresses == (parse_prefix("100.64.1.7"), parse_prefix("2001:db8:100:700::/56"))
    assert ana.since == 1795154400.0
    assert ana.account == Account("Ana", "49.90", "EUR", "2026-11-01", "https://customer.example.net/pay/7f3a", "es")
    assert (ana.devices, ana.logins, ana.brand, ana.reason) == (
        ("02:00:5e:10:00:01",), ("ana@fibre",), "north", "unpaid",
    )  # fmt: skip
    assert other.state is State.NOTICE
    assert (key.vlan, key.device_limit, key.rate) == (112, 10, Rate(100_000_000, 20_000_000))
    assert key.passphrase.reveal_text() == "copper-otter-violin-42"


def test_an_invoice_has_its_number_and_a_list_without_any_is_named_as_before() -> None:
    plain = map_subscribers([{"id": "1", "state": "blocked", "amount_due": "1.00"}])
    numbered = map_subscribers([{"id": "1", "state": "blocked", "amount_due": "1.00", "invoice": "2026-7"}])

    assert numbered[0].account.invoice == "2026-7"

    def name(subscribers: Any) -> str:
        return make_snapshot(subscribers, None, revision="", known=None, read_at=NOW).id

    # computed by the version before the field was known: an update makes no list another one
    assert name(plain) == "4f7b69e7"
    assert name(numbered) != "4f7b69e7"


def test_the_first_five_errors_are_named_and_the_rest_counted() -> None:
    text = sentence(lambda: map_subscribers([{"id": str(n), "state": "gone"} for n in range(40)]))

    assert text.count("expected active, notice or blocked") == 5
    assert text.endswith("and 35 more")


def test_one_object_cannot_fill_the_memory() -> None:
    many = [f"100.64.{n // 256}.{n % 256}" for n in range(300)]

    assert "at most 256" in sentence(lambda: map_subscribers([{"id": "1", "state": "blocked", "addresses": many}]))
    assert "at most" in sentence(lambda: map_subscribers([{"id": "x" * 1000, "state": "blocked"}]))


def test_the_id_of_a_snapshot_is_that_of_its_content_in_any_order() -> None:
    objects = VECTORS["subscribers"][0]["objects"]
    keys = map_keys(VECTORS["keys"][0]["objects"], NOW)

    def name(objects: list[Any], revision: str = "8812", keyed: bool = True) -> str:
        subscribers = map_subscribers(objects)
        return make_snapshot(subscribers, keys if keyed else None, revision=revision, known=None, read_at=NOW).id

    revision, digest = name(objects).split(".")
    assert revision == "8812"
    assert len(digest) == 8
    assert name(objects[::-1]) == name(objects)
    assert name(objects, revision="") == digest
    assert name(objects, keyed=False) != name(objects)
    assert name([*objects, {"id": "1003", "state": "active"}]) != name(objects)
    # it is typed after --accept, and what billing says is nothing that a shell runs
    for hostile in ("-x", "$(reboot)", 'W/"33a64"', "a;b", "`x`", "a'b", "~", "*"):
        typed = name(objects, revision=hostile)
        assert shlex.split(f"edged sync --accept {typed}") == ["edged", "sync", "--accept", typed]
        assert re.fullmatch(r"[A-Za-z0-9_.:@%+=/][A-Za-z0-9_.:@%+=/-]*", typed)


def test_a_hundred_thousand_subscribers_would_be_mapped_in_seconds() -> None:
    objects = [
        {
            "id": str(n),
            "state": "blocked",
            "reason": "unpaid " + str(n % 2),  # a fresh copy each, as a decoder makes them
            "since": "2026-11-20T06:00:00Z",
            "addresses": [f"100.64.{n // 256 % 256}.{n % 256}", f"2001:db8:{n // 256:x}:{n % 256:x}00::/56"],
            "devices": [f"02:00:5e:{n // 65536:02x}:{n // 256 % 256:02x}:{n % 256:02x}"],
            "amount_due": "49.90",
            "currency": "EUR",
            "brand": "north",
        }
        for n in range(20_000)
    ]

    began = time.process_time()
    subscribers = map_subscribers(objects)
    mapped = time.process_time() - began

    assert len(subscribers) == 20_000
    assert subscribers[0].reason is subscribers[-2].reason
    assert mapped < 5  # seconds; 0.5 when measured alone


def test_a_table_brings_the_number_of_an_invoice_and_one_of_nearly_that_name_is_ignored_as_ever() -> None:
    def read(column: str) -> str:
        table = parse_cells(f"id,state,addresses,{column}\n1,blocked,100.64.1.7,2026-7\n", "t.csv", SUBSCRIBER)
        (one,) = map_subscribers(table.objects)
        return one.account.invoice

    assert read("invoice") == "2026-7"
    assert [read(column) for column in ("Invoice", "invoices", "invoice_no", "Rechnung")] == ["", "", "", ""]
