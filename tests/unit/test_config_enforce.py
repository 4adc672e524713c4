# SPDX-License-Identifier: Apache-2.0
"""What is said of targets that cannot be, and of routers that cannot be reached safely."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.loading import load
from edged.errors import ConfigError
from edged.ops.meaning import meaning

ROUTER = "host: 192.0.2.1, user: edged, password: geheim"


def said(tmp_path: Path, *entries: str) -> dict[str, str]:
    """Warnings, by key."""
    path = tmp_path / "edged.yaml"
    path.write_text(f"enforce: [{', '.join('{' + entry + '}' for entry in entries)}]\n")
    return {p.key: p.found for p in load(str(path)).warnings if p.key.startswith("enforce")}


def test_a_router_over_tls_is_nothing_to_speak_of(tmp_path: Path) -> None:
    another = ROUTER.replace("192.0.2.1", "192.0.2.9")

    assert said(tmp_path, f"routeros: {{{ROUTER}}}", "nftables: {}", f"routeros: {{{another}}}") == {}


def test_a_second_entry_of_one_machine_is_passed_over_and_the_operator_is_told(tmp_path: Path) -> None:
    found = said(tmp_path, "nftables: {}", f"routeros: {{{ROUTER}}}", f"routeros: {{{ROUTER}}}", "nftables: {}")

    assert found == {
        "enforce[2].routeros": "192.0.2.1 for the second time", "enforce[3].nftables": "nftables for the second time"
    }  # fmt: skip


@pytest.mark.parametrize(
    "host", ["''", "192.0.2.1:8729", "https://192.0.2.1", "core router", "'[2001:db8::1]'", "a..b"]
)
def test_what_is_no_name_and_no_address_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="a name or an address alone"):
        said(tmp_path, f"routeros: {{{ROUTER.replace('192.0.2.1', host)}}}")


def test_one_router_is_known_however_its_address_is_spelled(tmp_path: Path) -> None:
    spellings = ("'2001:db8::1'", "'2001:DB8:0::1'", "core_1.example", "Core_1.example")
    found = said(tmp_path, *(f"routeros: {{{ROUTER.replace('192.0.2.1', spelled)}}}" for spelled in spellings))

    assert set(found) == {"enforce[1].routeros", "enforce[3].routeros"}


def test_a_router_in_clear_is_warned_of(tmp_path: Path) -> None:
    found = said(tmp_path, f"routeros: {{{ROUTER}, tls: false, fingerprint: {'ab' * 32}}}")

    assert found == {
        "enforce[0].routeros.tls": "false",
        "enforce[0].routeros.fingerprint": "fingerprint beside tls: false",
    }


def test_an_authority_that_is_absent_or_read_by_nothing_is_told(tmp_path: Path) -> None:
    absent = tmp_path / "ca.pem"

    assert said(tmp_path, f"routeros: {{{ROUTER}, ca: {absent}}}") == {
        "enforce[0].routeros.ca": f"{absent}: no such file or directory"
    }
    absent.write_text("")
    assert said(tmp_path, f"routeros: {{{ROUTER}, ca: {absent}, fingerprint: {'ab' * 32}}}") == {
        "enforce[0].routeros.ca": "ca beside fingerprint"
    }


def test_one_list_for_two_purposes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="edged-blocked for two lists; expected three lists"):
        said(tmp_path, f"routeros: {{{ROUTER}, garden_list: edged-blocked}}")


def test_what_enforces_is_named_with_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "edged.yaml"
    entries = (
        "nftables: {interfaces: [lan0, ppp*]}",
        f"routeros: {{{ROUTER}}}",
        "radius: {nas: 192.0.2.5, secret: 0123456789abcdef}",
    )
    path.write_text(f"enforce: [{', '.join('{' + entry + '}' for entry in entries)}]\n")

    assert meaning(load(str(path)))["enforces"] == "nftables on lan0, ppp*; routeros 192.0.2.1; radius 192.0.2.5"
    path.write_text("enforce: [{nftables: {}}]\n")
    assert meaning(load(str(path)))["enforces"] == "nftables on every interface"
