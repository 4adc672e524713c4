"""Where a phone may be played: what this host says of an interface in, the refusal and the next step out."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.cli import main
from edged.config.schema import Config
from edged.ops.control import Refused
from edged.ops.probe import service
from edged.ops.probe.place import Place, why_not
from edged.ops.probe.service import _phone
from edged.ops.probe.values import Phone, expected
from edged.yamltext import load_text

TEXT = """
subscribers: {networks: ["100.64.0.0/10"], exempt: ["100.64.0.53"]}
portal: {url: https://portal.example.net, addresses: ["203.0.113.10"]}
enforce: [nftables: {interfaces: [lan0]}]
"""
CONFIG = Config.model_validate(load_text(TEXT))
PLACE = Place("eth0", ("eth0", "lan0"), True, True, True, "02:00:5e:00:00:01", frozenset({"192.0.2.7"}), True, {})
PHONE = Phone("02:00:5e:10:00:77", {4: "100.64.1.77"})


def refusal(phone: Phone = PHONE, **changed: Any) -> str:
    return why_not(replace(PLACE, **changed), phone, expected(CONFIG), CONFIG.enforce)


def test_an_interface_of_ethernet_and_a_free_address_of_the_served_networks_are_fine() -> None:
    assert refusal() == ""
    assert refusal(interface="lan0", forwards=False) == "", "an engineer's laptop may name its interface so"


def test_every_refusal_names_what_is_wrong_and_the_next_step() -> None:
    cases = [
        (refusal(interface="eht0", exists=False), "did you mean eth0?"),
        (refusal(interface="wwan9", exists=False), "there are eth0, lan0"),
        (refusal(is_ethernet=False), "not Ethernet"),
        (refusal(is_up=False), "ip link set eth0 up"),
        (refusal(interface="lan0"), "ip link set probe1 master lan0 up"),
        (refusal(own=frozenset({"100.64.1.77"})), "give another one"),
        (refusal(mac=PHONE.mac), "leave it out"),
        (refusal(replace(PHONE, addresses={4: "198.51.100.7"})), "no network of subscribers.networks"),
        (refusal(replace(PHONE, addresses={4: "100.64.0.53"})), "subscribers.exempt"),
    ]
    for said, words in cases:
        assert words in said


def test_a_mac_address_of_this_host_is_fine_where_it_does_not_route() -> None:
    assert refusal(mac=PHONE.mac, forwards=False) == ""


def arguments(*words: str, **changed: Any) -> Namespace:
    return Namespace(**{"as": list(words), "gateway": [], "resolver": [], "public": [], "foreign": None, **changed})


def test_whom_to_play_is_an_address_a_family_and_a_mac_address() -> None:
    both = _phone(arguments("100.64.1.77", "2001:db8::7", "02-00-5E-10-00-77"), PLACE)
    assert (both.addresses, both.mac, both.leases) == (
        {4: "100.64.1.77", 6: "2001:db8::7"}, "02:00:5e:10:00:77", False,
    )  # fmt: skip
    assert _phone(arguments("02:00:5e:10:00:77"), PLACE).leases
    made_up = _phone(arguments("100.64.1.77"), PLACE).mac
    assert made_up.startswith("02:")
    assert made_up != _phone(arguments("100.64.1.77"), PLACE).mac


def test_words_that_are_no_address_are_usage() -> None:
    for words in (["nobody"], ["100.64.1.7", "100.64.1.8"], ["02:00:5e:10:00:77", "02:00:5e:10:00:78"],
                  ["01:00:5e:00:00:01"]):  # fmt: skip
        with pytest.raises(Refused) as caught:
            _phone(arguments(*words), PLACE)
        assert caught.value.status == 2
    with pytest.raises(Refused, match="--public"):
        _phone(arguments("100.64.1.7", public=["dns.google"]), PLACE)


def test_an_option_that_cannot_be_used_is_usage_before_anything_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, empty = tmp_path / "edged.yaml", tmp_path / "empty.pem"
    empty.write_text("")
    path.write_text(TEXT + "garden: {names: [.pay.example]}\n")
    cases = {
        ("--ca", "/nonexistent"): "No such file",
        ("--ca", str(empty)): "no certificates in it",
        ("--foreign", "a..b"): "is no name",
        ("--foreign", "Shop.pay.example"): "is in the garden",
    }
    for option, said in cases.items():
        assert main(["probe", "-c", str(path), "--as", "100.64.1.7", "--via", "lo", *option]) == 2
        assert said in capsys.readouterr().err


def test_without_scapy_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "find_spec", lambda _: None)

    with pytest.raises(Refused, match=r"pip install .* requirements-probe\.lock"):
        service._refuse_unable()
    assert (Path(__file__).parents[2] / "requirements-probe.lock").exists()


def test_the_command_wants_to_know_whom_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["probe", "--as", "100.64.1.7"])
    assert caught.value.code == 2
    assert "--via" in capsys.readouterr().err
