# SPDX-License-Identifier: Apache-2.0
"""``edged routeros script``: which router is meant, what is asked for, and that no secret leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.cli import main
from edged.config.loading import loaded_text
from edged.ops.control import Refused
from edged.ops.routerscript import router_script
from tests.routeros.sentences import TrapError
from tests.routeros_scripts import filled, furnished

CERTIFICATE = '  certificate: {acme: "https://acme.example.net/directory", contact: noc@example.net}\n'
BASE = f"""
site: t
billing: {{source: rest, url: "https://billing.example.net", key: hush-key}}
subscribers: {{networks: ["100.64.0.0/10", "2001:db8:100::/40"]}}
portal:
  url: https://portal.example.net
  addresses: ["203.0.113.10", "2001:db8::10"]
{CERTIFICATE}garden: {{names: [customer.example.net, "*.example-pay.com", .example.org], networks: ["203.0.113.20/32"]}}
enforce:
"""
API = "  - routeros: {host: 192.0.2.1, user: edged, password: hush-hush}\n"
COA = "  - radius: {nas: 192.0.2.5, secret: hush-hush, attribute: Mikrotik-Address-List}\n"
FILTER = "  - radius: {nas: 192.0.2.6, secret: hush-hush, attribute: Filter-Id}\n"
NFTABLES = "  - nftables: {interfaces: [lan0]}\n"
ALL = NFTABLES + API + COA + FILTER


def script(
    text: str, router: str | None = None, *sources: str, only: tuple[str, ...] = (), remove: bool = False
) -> str:
    config = loaded_text(text, "edged.yaml", read_files=False).config
    return router_script(config, router, sources, only, remove=remove)


def refusal(text: str, router: str | None = None, *sources: str) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        script(text, router, *sources)
    return caught.value.status, str(caught.value)


# --- which router ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "router", "status", "said"),
    [
        (NFTABLES, None, 1, "no MikroTik router"),
        (FILTER, None, 1, "no MikroTik router"),
        (ALL, None, 2, "which router? 192.0.2.1, 192.0.2.5"),
        (ALL, "192.0.2.6", 1, "it has 192.0.2.1, 192.0.2.5"),
        (ALL, "nftables", 1, "it has 192.0.2.1, 192.0.2.5"),
        (API, None, 2, "--from ADDRESS is missing"),
    ],
)
def test_a_router_that_is_not_meant_for_sure_is_a_refusal_that_says_the_next_step(
    entries: str, router: str | None, status: int, said: str
) -> None:
    found, text = refusal(BASE + entries, router)

    assert found == status
    assert said in text


@pytest.mark.parametrize(
    ("entries", "router", "source", "said"),
    [
        (API, None, "edge", "--from 'edge' is no address"),
        (COA, None, "192.0.2.0/24", "--from takes single addresses"),
        (COA.replace("attr", 'blocked: "!all", attr'), None, "192.0.2.10", "give `blocked`"),
        (COA.replace("attr", "blocked: edged-garden, attr"), None, "192.0.2.10", "give `blocked`"),
    ],
)
def test_what_no_script_can_be_made_for_is_refused(entries: str, router: str | None, source: str, said: str) -> None:
    assert said in refusal(BASE + entries, router, source)[1]


def test_the_only_router_need_not_be_named_and_the_first_entry_of_a_name_counts() -> None:
    assert script(BASE + NFTABLES + API, None, "192.0.2.10") == script(BASE + ALL, "192.0.2.1", "192.0.2.10")
    twice = API + API.replace("user: edged", "user: other")
    assert '"other"' not in script(BASE + twice, None, "192.0.2.10")


# --- what it says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("router", ["192.0.2.1", "192.0.2.5"])
@pytest.mark.parametrize("remove", [False, True])
def test_no_secret_of_the_configuration_is_in_any_script(router: str, remove: bool) -> None:
    assert "hush" not in script(BASE + ALL, router, "192.0.2.10", remove=remove)


@pytest.mark.parametrize("router", ["192.0.2.1", "192.0.2.5"])
def test_the_script_is_one_that_a_router_can_read_and_take_back(router: str) -> None:
    console = furnished()

    with pytest.raises(TrapError, match="nothing was changed"):
        console.script(script(BASE + ALL, router, "192.0.2.10"))
    assert console.script(filled(script(BASE + ALL, router, "192.0.2.10"))).endswith("prepared for edged")
    assert console.script(script(BASE + ALL, router, remove=True)) == "what was edged's is gone"


def test_names_below_a_garden_name_are_told_where_a_router_cannot_have_them() -> None:
    text = script(BASE + ALL, "192.0.2.5", "192.0.2.10")

    assert (
        "# Not in the garden, since no list of a router holds all names below one: *.example-pay.com *.example.org\n"
        in text
    )
    assert "|edged-garden customer.example.net|edged-garden example.org|" in text
    assert "customer.example.net" not in script(BASE + ALL, "192.0.2.1", "192.0.2.10")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (CERTIFICATE, "stand-in certificate"),
        ("  url: https://portal.example.net\n", "portal.url is not set"),
        (', "2001:db8::10"', "no IPv6 address"),
    ],
)  # fmt: skip
def test_what_is_left_out_is_told_at_the_head(line: str, said: str) -> None:
    text = script((BASE + ALL).replace(line, "") + "mpsk: {}\n", "192.0.2.1", "192.0.2.10")

    assert said in text.partition("\n{\n")[0]


def test_the_listeners_are_where_the_configuration_has_them() -> None:
    text = BASE.replace("  certificate", '  listen: {http: ["0.0.0.0:8080"], https: ["0.0.0.0:8443"]}\n  certificate')

    assert 'to-ports="8443"' in script(text + API, None, "192.0.2.10")


# --- the command -----------------------------------------------------------------------------------


def test_the_command_prints_it_and_reads_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edged.yaml"
    path.write_text(BASE.replace("hush-key", "!file /nowhere/key") + API.replace("hush-hush", "!file /nowhere/api"))

    assert main(["routeros", "script", "-c", str(path), "--from", "192.0.2.10", "--from", "2001:db8::5"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith('# Prepares the router "192.0.2.1" for edged.')
    assert 'address="192.0.2.10/32,2001:db8::5/128"' in printed.out
    assert printed.err == ""

    assert main(["routeros", "script", "192.0.2.1", "-c", str(path), "--only", "rules"]) == 0
    assert ":local password" not in capsys.readouterr().out
    assert main(["routeros", "script", "-c", str(path), "--remove"]) == 0
    assert capsys.readouterr().out.startswith("# Takes away")
    assert main(["routeros", "script", "-c", str(path)]) == 2
    assert "--from ADDRESS is missing" in capsys.readouterr().err
    assert main(["routeros", "script", "-c", str(tmp_path / "none.yaml")]) == 78
