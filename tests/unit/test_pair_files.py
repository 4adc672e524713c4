"""What is shipped for a pair of edges, and what the manual says of it; keepalived judges it end to end."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path

from edged.config.schema import Config
from edged.yamltext import load_text

ROOT = Path(__file__).resolve().parents[2]
KEEPALIVED = (ROOT / "config/keepalived/keepalived.conf").read_text("utf-8")


def test_what_keepalived_moves_is_what_the_manual_lists_under_pair() -> None:
    blocks = re.findall(r"virtual_ipaddress(?:_excluded)? \{(.*?)\}", KEEPALIVED, re.DOTALL)
    moved = {ip_address(text) for block in blocks for text in re.findall(r"^\s+([0-9a-f.:]+)/", block, re.MULTILINE)}
    for page in ("pairs.md", "configure.md"):
        found = re.search(r"^ *(pair:\n +addresses: .*)$", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE)
        assert found is not None, page
        listed = Config.model_validate(load_text(found[1])).pair.addresses
        assert set(listed) == {address for address in moved if not address.is_link_local}, page


def test_a_sick_edge_counts_less_and_is_no_fault_and_a_well_one_does_not_take_the_addresses_back() -> None:
    settings = dict(re.findall(r"^\s+(weight|state|priority) (\S+)$", KEEPALIVED, re.MULTILINE))
    assert settings == {"weight": "-10", "state": "BACKUP", "priority": "250"}
    assert not re.search(r"^\s*(nopreempt|use_vmac)", KEEPALIVED, re.MULTILINE)
    assert "enable_script_security\n" in KEEPALIVED


def test_the_package_has_both_files_where_the_configuration_and_the_manual_look_for_them() -> None:
    package = (ROOT / "config/debian/build.sh").read_text("utf-8")
    assert 'install -m 755 "$tree/config/keepalived/edged-healthy" "$home/"\n' in package
    assert "home=$root/usr/lib/edged\n" in package
    assert 'script "/usr/lib/edged/edged-healthy ' in KEEPALIVED
    assert os.access(ROOT / "config/keepalived/edged-healthy", os.X_OK)
    assert 'cp "$tree/config/keepalived/keepalived.conf" "$doc/examples/"\n' in package
    assert "/usr/share/doc/edged/examples/keepalived.conf" in (ROOT / "docs/pairs.md").read_text("utf-8")
