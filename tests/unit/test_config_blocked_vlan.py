# SPDX-License-Identifier: Apache-2.0
"""Where the VLAN of the blocked ends: by name, as written, or unknown and said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.derived import rules
from edged.config.loading import Loaded, load
from edged.errors import ConfigError

CONFIG = """\
radius: {{auth: ["127.0.0.1:1812"], clients: [{{name: b, networks: ["10.7.0.0/24"], secret: one-of-its-own}}]}}
mpsk: {{networks: {{{networks}}}}}
enforce: [{enforce}]
"""


def loaded(tmp_path: Path, networks: str, enforce: str = "nftables: {interfaces: [lan0, lan0.666, 'ppp*']}") -> Loaded:
    path = tmp_path / "edged.yaml"
    path.write_text(CONFIG.format(networks=networks, enforce=enforce))
    return load(str(path))


def problems(found: Loaded) -> dict[str, str]:
    return {p.key: p.found for p in found.warnings if p.key.startswith("mpsk")}


@pytest.mark.parametrize("name", ["lan0.666", "lan0.0666", "vlan666", "vlan0666", "br-lan.666"])
def test_the_interface_that_linux_names_after_the_vlan_is_the_one(name: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, "R: {blocked: {vlan: 666}}", f"nftables: {{interfaces: [lan0, lan0.66, {name}]}}")

    assert rules(found.config).blocked_vlans == (name,)
    assert problems(found) == {}


@pytest.mark.parametrize("name", ["lan0", "lan666", "lan0.66", "lan0.6660", "vlan6", "lan0.6*"])
def test_a_name_that_only_looks_like_it_is_not_and_the_operator_is_told(name: str, tmp_path: Path) -> None:
    found = loaded(tmp_path, "R: {blocked: {vlan: 666}}", f"nftables: {{interfaces: ['{name}']}}")

    assert rules(found.config).blocked_vlans == ()
    assert problems(found) == {"mpsk.networks.R.blocked": "VLAN 666, and no interface of enforce is named after it"}


def test_what_is_written_holds_and_two_networks_may_have_two(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "R: {blocked: {vlan: 7, interface: ppp7}}, S: {blocked: {vlan: 666}}, T: {blocked: {vlan: 666}}, U: {}",
    )

    assert rules(found.config).blocked_vlans == ("lan0.666", "ppp7")
    assert problems(found) == {}


def test_an_interface_that_enforce_does_not_name_is_told(tmp_path: Path) -> None:
    found = loaded(tmp_path, "R: {blocked: {vlan: 7, interface: br7}}")

    assert problems(found) == {"mpsk.networks.R.blocked.interface": "br7, which enforce does not name"}
    assert problems(loaded(tmp_path, "R: {blocked: {vlan: 7, interface: br7}}", "nftables: {}")) == {}


@pytest.mark.parametrize("other", ["S: {vlan: 666}", "S: {unknown: {vlan: 666}}", "S: {vlan: 1, blocked: reject}"])
def test_a_vlan_of_the_blocked_that_others_have_too_is_told(other: str, tmp_path: Path) -> None:
    found = problems(loaded(tmp_path, f"R: {{blocked: {{vlan: 666}}}}, {other}"))

    shared = {"mpsk.networks.R.blocked.vlan": "666, which is also the VLAN of others"}
    assert found == (shared if "666" in other else {})


def test_where_nothing_is_enforced_nothing_is_asked_for(tmp_path: Path) -> None:
    assert problems(loaded(tmp_path, "R: {blocked: {vlan: 666}}", "")) == {}


@pytest.mark.parametrize("name", ["'lan 0'", "a-name-of-sixteen-", "'lan0;'", "7", "'ppp*'"])
def test_what_is_no_interface_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, f"R: {{blocked: {{vlan: 666, interface: {name}}}}}")

    assert [p.key for p in refused.value.problems] == ["mpsk.networks.R.blocked.interface"]


def test_reject_and_a_bare_vlan_are_what_they_were(tmp_path: Path) -> None:
    networks = loaded(tmp_path, "R: {blocked: reject}, S: {blocked: {vlan: 666}}, T: {}").config.mpsk

    assert networks.is_blocked_vlan("S", 666)
    assert not networks.is_blocked_vlan("S", 665)
    assert not networks.is_blocked_vlan("S", None)
    assert not any(networks.is_blocked_vlan(ssid, vlan) for ssid in ("R", "T", "elsewhere") for vlan in (666, None))
