"""What ``edged check`` says of ``hub:``: a list to serve, no secrets in clear, a certificate that lasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from edged.config.loading import loaded_text
from edged.config.roles import is_hub_alone, refuse_others
from edged.errors import ConfigError, Problem
from edged.ops.meaning import meaning

BILLING = "billing: {source: rest, url: https://b.example, secret: the-key-at-billing}\n"
HUB = 'hub: {listen: "127.0.0.1:9443", keys: [a-bearer-key-of-a-test]}\n'
BILLING_HUB = (
    "billing: {source: hub, url: https://h.example, key: k, guard: {leave_to_hub: true},"
    " signed_by: [A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=]}"
)


def warned(text: str) -> dict[str, Problem]:
    return {problem.key: problem for problem in loaded_text(text, "edged.yaml").warnings if problem.key[:3] == "hub"}


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as refusal:
        loaded_text(text, "edged.yaml")
    return str(refusal.value)


def pair(directory: Path, days: float) -> str:
    """``tls`` of a certificate that is good for so many days more."""
    ends = datetime.now(UTC) + timedelta(days=days)
    begins = min(datetime.now(UTC), ends) - timedelta(days=1)
    issued = trustme.CA().issue_cert("hub.example.net", not_before=begins, not_after=ends)
    (directory / "hub.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (directory / "hub.key").write_bytes(issued.private_key_pem.bytes())
    return f"tls: {{chain: {directory}/hub.pem, key: {directory}/hub.key}}"


def test_a_hub_on_loopback_with_a_list_and_a_key_of_its_own_has_nothing_said_of_it() -> None:
    assert warned(BILLING + HUB) == {}


def test_a_hub_without_billing_has_no_list_and_is_refused() -> None:
    assert "billing: nothing; expected where the list comes from that edges are served" in refused(HUB)


def test_bearer_keys_that_can_be_guessed_are_refused() -> None:
    assert "at least 16 characters" in refused(BILLING + HUB.replace("a-bearer-key-of-a-test", "short"))


def test_a_public_address_without_tls_is_warned_of() -> None:
    found = warned(BILLING + HUB.replace("127.0.0.1:9443", "192.0.2.5:9443"))

    assert found["hub.listen"].expected == "passphrases and names travel in clear"


def test_answers_that_are_kept_for_longer_than_a_minute_are_warned_of() -> None:
    assert "hub.cache" not in warned(BILLING + HUB.replace("]}", "], cache: 60s}"))

    found = warned(BILLING + HUB.replace("]}", "], cache: 2m}"))["hub.cache"]

    assert found.found == "120 s"
    assert "after a payment" in found.expected


def test_billing_s_own_key_is_not_for_edges() -> None:
    found = warned(BILLING + HUB.replace("a-bearer-key-of-a-test", "a-bearer-key-of-a-test, the-key-at-billing"))

    assert list(found) == ["hub.keys[1]"]
    text = (BILLING + HUB).replace("a-bearer-key-of-a-test", "!file /a").replace("the-key-at-billing", "!file /b")
    assert loaded_text(text, "edged.yaml", read_files=False).warnings == ()


def test_a_certificate_that_ends_within_two_weeks_is_warned_of(tmp_path: Path) -> None:
    def said(days: float) -> list[str]:
        text = BILLING + HUB.replace("]}", f"], {pair(tmp_path, days)}}}")
        return [problem.found for problem in warned(text).values()]

    assert said(15) == []
    assert said(13) == ["a certificate that ends within two weeks"]
    assert said(-1) == ["a certificate that has ended"]


def test_files_of_tls_that_are_away_are_warned_of_and_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    text = BILLING + HUB.replace("]}", f"], {pair(tmp_path, 90)}}}")
    (tmp_path / "hub.key").unlink()
    assert warned(text)["hub.tls.key"].found.endswith("hub.key: no such file or directory")

    (tmp_path / "hub.pem").write_text("nothing\n")

    assert "hub.tls.chain: no certificate" in refused(text)


def test_what_a_hub_means_is_said_and_of_a_hub_alone_nothing_that_is_not_there() -> None:
    alone = meaning(loaded_text(BILLING + HUB, "edged.yaml"))
    assert alone["serves"] == (
        "edges at http://127.0.0.1:9443/edged, by 1 bearer key; one that is silent for 5 min is an alarm"
    )
    assert alone["blocks"] == "nobody here; its edges block whatever rest calls blocked"
    assert alone.keys() == {"serves", "blocks", "guard"}

    both = meaning(loaded_text(BILLING + HUB + 'radius: {acct: ["127.0.0.1:1813"]}\n', "edged.yaml"))
    assert both["blocks"] == "whatever rest calls blocked, in no network"
    assert {"serves", "garden", "page", "enforces"} <= both.keys()
    assert "serves" not in meaning(loaded_text(BILLING, "edged.yaml"))


def test_an_edge_that_leaves_amounts_to_its_hub_is_not_said_to_have_limits_of_its_own() -> None:
    edge = meaning(loaded_text(BILLING_HUB, "edged.yaml"))

    assert edge["blocks"].startswith("whatever the hub calls blocked")
    assert edge["guard"] == "the hub's, for amounts; what may never be blocked is judged here"


def test_a_hub_alone_is_one_that_subscribers_meet_nothing_of() -> None:
    alone = loaded_text(BILLING + HUB, "edged.yaml")
    assert is_hub_alone(alone.config)
    refuse_others(alone)

    both = loaded_text(BILLING + HUB + 'radius: {acct: ["127.0.0.1:1813"]}\n', "edged.yaml")
    assert not is_hub_alone(both.config)
    with pytest.raises(ConfigError) as refusal:
        refuse_others(both)
    (problem,) = refusal.value.problems
    assert (problem.key, problem.line) == ("radius.acct", 3)
    assert not is_hub_alone(loaded_text(BILLING, "edged.yaml").config)
