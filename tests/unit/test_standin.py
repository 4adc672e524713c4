# SPDX-License-Identifier: Apache-2.0
"""What is missing on disk is left out or stood in for, each time with a warning; the daemon starts all the same."""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edged.captive.selfsigned import self_signed
from edged.captive.settings import CertificateFiles, PortalSettings
from edged.errors import ConfigError
from edged.standin import Served, served

DAY = 86400.0
NAMES = {"stand-in.pem", "stand-in.key", "stand-in.host"}


def settings(**more: Any) -> PortalSettings:
    return PortalSettings.model_validate(
        {
            "url": "https://portal.example.net",
            "addresses": ["203.0.113.10", "2001:db8::10"],
            "listen": {"http": ["127.0.0.1:0"], "https": ["127.0.0.1:0"]},
            **more,
        }
    )


def warnings(found: Served) -> dict[str, str]:
    assert all(problem.warning for problem in found.warnings)
    return {problem.key: f"{problem.found}: {problem.expected}" for problem in found.warnings}


def chain_of(found: Served) -> bytes:
    certificate = found.settings.certificate
    assert isinstance(certificate, CertificateFiles)
    return certificate.chain.read_bytes()


@pytest.fixture
def bought(tmp_path: Path) -> dict[str, str]:
    """A certificate of the operator's own."""
    chain, key = self_signed("portal.example.net", (), 1_800_000_000.0)
    (tmp_path / "portal.pem").write_bytes(chain)
    (tmp_path / "portal.key").write_bytes(key)
    return {"chain": str(tmp_path / "portal.pem"), "key": str(tmp_path / "portal.key")}


# --- files of the operator -------------------------------------------------------------------------


def test_what_is_all_there_is_served_as_it_is(tmp_path: Path, bought: dict[str, str]) -> None:
    logo, templates = tmp_path / "logo.svg", tmp_path / "templates"
    logo.write_text("<svg/>")
    templates.mkdir()
    wanted = settings(
        certificate=bought, templates=str(templates), brands={"default": {"name": "Example", "logo": str(logo)}}
    )

    found = served(wanted, tmp_path / "state")

    assert found == Served(wanted, ())
    assert not (tmp_path / "state").exists(), "nothing was made"


def test_absent_files_are_left_out_each_with_its_warning_and_the_rest_stays(tmp_path: Path) -> None:
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg/>")
    wanted = settings(
        certificate={"chain": "/nonexistent/chain", "key": "/nonexistent/key"},
        templates="/nonexistent/templates",
        brands={
            "default": {"name": "Example", "logo": str(logo), "colour": "#0a5cff"},
            "north": {"name": "North", "logo": "/nonexistent/north.svg", "colour": "#0f766e"},
        },
    )

    found = served(wanted, tmp_path / "state")

    absent = "no such file or directory"
    assert warnings(found) == {
        "portal.brands.north.logo": f"/nonexistent/north.svg: {absent}: the page shows the name alone",
        "portal.templates": f"/nonexistent/templates: {absent}: the built-in pages are shown",
        "portal.certificate": f"/nonexistent/chain: {absent}: a self-signed certificate stands in, and browsers warn",
    }
    brands = found.settings.brands
    assert (brands["default"].logo, brands["north"].logo) == (logo, None)
    assert brands["north"].colour == "#0f766e"
    assert found.settings.templates is None
    assert found.settings.url == wanted.url


def test_a_certificate_without_its_key_is_stood_in_for_with_one_warning(tmp_path: Path, bought: dict[str, str]) -> None:
    Path(bought["key"]).unlink()

    found = served(settings(certificate=bought), tmp_path / "state")

    assert list(warnings(found)) == ["portal.certificate"]
    assert bought["key"] in warnings(found)["portal.certificate"]
    assert chain_of(found) == (tmp_path / "state" / "stand-in.pem").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_certificate_in_a_directory_that_edged_may_not_enter_is_stood_in_for(
    tmp_path: Path, bought: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "live"
    live.mkdir(mode=0o700)
    for name in ("portal.pem", "portal.key"):
        (tmp_path / name).rename(live / name)
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert bought
    os.setegid(65534)
    os.seteuid(65534)
    try:
        found = served(settings(certificate={"chain": "live/portal.pem", "key": "live/portal.key"}), Path("state"))
    finally:
        os.seteuid(0)
        os.setegid(0)

    assert "live/portal.pem: permission denied" in warnings(found)["portal.certificate"]


# --- the stand-in ----------------------------------------------------------------------------------


def test_the_stand_in_fits_the_host_the_addresses_and_its_key(tmp_path: Path) -> None:
    found = served(settings(), tmp_path / "state")

    certificate = x509.load_pem_x509_certificate(chain_of(found))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["portal.example.net"]
    assert set(map(str, names.get_values_for_type(x509.IPAddress))) == {"203.0.113.10", "2001:db8::10"}
    key = load_pem_private_key((tmp_path / "state" / "stand-in.key").read_bytes(), None)
    assert key.public_key() == certificate.public_key()
    files = found.settings.certificate
    assert isinstance(files, CertificateFiles)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.chain, files.key)
    assert warnings(found) == {"portal.certificate": "a self-signed certificate stands in: browsers warn"}


def test_the_stand_ins_key_is_its_owners_alone(tmp_path: Path) -> None:
    served(settings(), tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == NAMES
    assert (tmp_path / "stand-in.key").stat().st_mode & 0o777 == 0o600


def test_the_stand_in_is_the_same_at_every_start_until_host_or_addresses_change(tmp_path: Path) -> None:
    first = chain_of(served(settings(), tmp_path))

    assert chain_of(served(settings(), tmp_path)) == first
    assert chain_of(served(settings(foreign_tls="reset"), tmp_path)) == first
    other_host = chain_of(served(settings(url="https://pay.example.net"), tmp_path))
    assert other_host != first
    assert chain_of(served(settings(url="https://pay.example.net"), tmp_path)) == other_host
    other_address = chain_of(served(settings(url="https://pay.example.net", addresses=["203.0.113.11"]), tmp_path))
    assert other_address != other_host


def test_the_stand_in_is_made_again_after_thirty_days(tmp_path: Path) -> None:
    first = chain_of(served(settings(), tmp_path))
    chain = tmp_path / "stand-in.pem"
    made = chain.stat().st_mtime

    os.utime(chain, (made, made - 29 * DAY))
    assert chain_of(served(settings(), tmp_path)) == first
    os.utime(chain, (made, made - 31 * DAY))
    assert chain_of(served(settings(), tmp_path)) != first


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_stand_in_of_which_a_part_is_gone_is_made_again_whole(name: str, tmp_path: Path) -> None:
    first = chain_of(served(settings(), tmp_path))
    (tmp_path / name).unlink()

    found = served(settings(), tmp_path)

    assert chain_of(found) != first
    files = found.settings.certificate
    assert isinstance(files, CertificateFiles)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.chain, files.key)


@pytest.mark.parametrize(
    "without", [{"url": None}, {"listen": {"http": ["127.0.0.1:0"]}}], ids=["no page", "no https listener"]
)
def test_nothing_stands_in_where_nothing_is_served(without: dict[str, Any], tmp_path: Path) -> None:
    found = served(settings(**without), tmp_path / "state")

    assert found.settings.certificate is None
    assert found.warnings == ()
    assert not (tmp_path / "state").exists()


def test_nothing_stands_in_for_a_certificate_that_edged_fetches_itself(tmp_path: Path) -> None:
    wanted = settings(certificate={"acme": "https://acme.example/directory", "contact": "noc@example.net"})

    found = served(wanted, tmp_path)

    assert isinstance(found.settings.certificate, CertificateFiles)
    assert found.settings.certificate.chain == tmp_path / "acme" / f"{wanted.host}.pem"
    assert warnings(found) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_certificate_that_is_damaged_is_put_aside_and_a_good_one_stays(tmp_path: Path) -> None:
    wanted = settings(certificate={"acme": "https://acme.example/directory", "contact": "noc@example.net"})
    path = tmp_path / "acme" / f"{wanted.host}.pem"
    path.parent.mkdir()
    chain, key = self_signed(wanted.host, [], time.time() - 99 * 86400)
    path.write_bytes(key + chain)
    served(wanted, tmp_path)
    assert path.exists(), "that it has ended may be the clock's fault"

    path.write_bytes(key + chain[:99])
    served(wanted, tmp_path)

    assert [found.name for found in path.parent.iterdir()] == [f"{wanted.host}.damaged"]


def test_a_state_directory_that_cannot_be_written_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")

    with pytest.raises(ConfigError, match=r"state\.directory"):
        served(settings(), tmp_path / "state")
