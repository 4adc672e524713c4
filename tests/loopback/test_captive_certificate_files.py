"""The certificate's files as they change on a real machine: half written, swapped by links, gone, ended, mended."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from edged.captive.files.service import TlsFiles
from edged.captive.selfsigned import self_signed
from edged.captive.settings import CertificateFiles
from edged.errors import ConfigError
from tests.loopback.test_ops_parts import house_in, part, raised

HOST = "portal.example.net"
DAY = 86400.0


def pair(days: int = 90, at: float | None = None) -> tuple[bytes, bytes]:
    return self_signed(HOST, [ip_address("203.0.113.10")], time.time() if at is None else at, days)


@dataclass
class Disk:
    """A certificate that is served, and its files."""

    chain: Path
    key: Path
    files: TlsFiles

    def write(self, chain: bytes | None = None, key: bytes | None = None) -> None:
        if key is not None:
            self.key.write_bytes(key)
        if chain is not None:
            self.chain.write_bytes(chain)

    def taken(self, late: float = 0.0) -> bool:
        """One look, as each minute brings: was a new certificate taken?"""
        return self.files.looked(time.time() + late) is not None


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    chain, key = tmp_path / "portal.pem", tmp_path / "portal.key"
    found = Disk(chain, key, TlsFiles(CertificateFiles(chain=chain, key=key), HOST))
    found.write(*pair())
    found.files.load(time.time())
    return found


def test_a_look_between_the_key_and_the_chain_of_a_renewal_is_no_fault(disk: Disk) -> None:
    before, (chain, key) = disk.files.life, pair(80)

    disk.write(key=key)
    assert not disk.taken()
    assert disk.files.refused == ()
    assert disk.files.life == before
    disk.write(chain=chain)

    assert disk.taken()
    assert disk.files.life != before
    assert disk.files.refused == ()


def test_a_renewal_that_stays_broken_is_told_and_tried_again(disk: Disk) -> None:
    chain, key = pair(80)
    disk.write(key=key)
    assert not disk.taken()
    assert not disk.taken()

    assert disk.files.refused[0].found == "the key of another certificate"
    disk.write(chain=chain)
    assert disk.taken()
    assert disk.files.refused == ()


def test_a_renewal_that_is_taken_back_is_forgotten(disk: Disk) -> None:
    kept = disk.key.rename(disk.key.with_suffix(".kept"))
    disk.write(key=b"nonsense")
    assert not disk.taken()
    assert not disk.taken()
    assert disk.files.refused
    kept.rename(disk.key)

    assert not disk.taken()
    assert disk.files.refused == ()


def test_links_that_are_swapped_one_by_one_lead_to_the_new_pair_as_certbot_does_it(tmp_path: Path) -> None:
    live, archive = tmp_path / "live", tmp_path / "archive"
    live.mkdir()
    archive.mkdir()

    def swap(name: str, number: int) -> None:
        fresh = live / f".{name}"
        fresh.symlink_to(archive / f"{name}{number}.pem")
        fresh.replace(live / f"{name}.pem")

    for number in (1, 2):
        chain, key = pair(80 + number)
        (archive / f"fullchain{number}.pem").write_bytes(chain)
        (archive / f"privkey{number}.pem").write_bytes(key)
    swap("fullchain", 1)
    swap("privkey", 1)
    files = TlsFiles(CertificateFiles(chain=live / "fullchain.pem", key=live / "privkey.pem"), HOST)
    files.load(time.time())
    before = files.life

    swap("privkey", 2)
    assert files.looked(time.time()) is None
    swap("fullchain", 2)
    assert files.looked(time.time()) is not None
    assert files.life != before


def test_a_file_that_cannot_be_read_any_more_is_told_and_the_old_one_serves(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write(*pair(80))
    disk.key.chmod(0)
    monkeypatch.chdir(disk.key.parent)
    nobody, root = pwd.getpwnam("nobody").pw_uid, os.geteuid()
    if root == 0:
        # root reads everything; from inside the folder, nobody need not be let through its parents
        disk.key.parent.chmod(0o755)
        disk.files.paths = CertificateFiles(chain=Path(disk.chain.name), key=Path(disk.key.name))
        os.seteuid(nobody)
    try:
        assert not disk.taken()
        assert not disk.taken()
    finally:
        os.seteuid(root)
    assert "Permission denied" in disk.files.refused[0].found

    disk.key.chmod(0o600)
    assert disk.taken()


def test_files_that_are_gone_are_told_and_the_certificate_goes_on(disk: Disk) -> None:
    disk.chain.unlink()

    assert not disk.taken()
    assert not disk.taken()
    assert "No such file" in disk.files.refused[0].found
    assert disk.files.life is not None


def test_a_certificate_that_has_ended_is_not_taken_for_one_that_works(disk: Disk) -> None:
    before = disk.files.life
    disk.write(*pair(1, time.time() - 9 * DAY))

    assert not disk.taken()
    assert not disk.taken()
    assert disk.files.refused[0].found.startswith("a certificate that ended on ")
    assert disk.files.life == before


def test_a_daemon_starts_with_a_certificate_out_of_its_time_and_not_with_one_for_another_name(disk: Disk) -> None:
    disk.write(*pair(1, time.time() - 9 * DAY))
    with pytest.raises(ConfigError, match="ended on"):
        disk.files.load(time.time())
    disk.files.load(time.time(), whenever=True)
    assert disk.files.life is not None
    assert disk.files.life.ends < time.time()

    disk.write(*pair(90, time.time() + 9 * DAY))
    with pytest.raises(ConfigError, match="begins on"):
        disk.files.load(time.time())
    disk.files.load(time.time(), whenever=True)  # an edge without a battery wakes up in 1970

    disk.write(*self_signed("other.example.net", [], time.time()))
    with pytest.raises(ConfigError, match="for other names"):
        disk.files.load(time.time(), whenever=True)


# --- what the operator sees ----------------------------------------------------------------------

PORTAL = """\
portal:
  url: https://portal.example.net
  addresses: ["203.0.113.10"]
  certificate: {{chain: {folder}/portal.pem, key: {folder}/portal.key}}
  listen: {{https: ["127.0.0.1:0"]}}
"""


def laid(folder: Path, days: int = 90, at: float | None = None) -> str:
    chain, key = pair(days, at)
    (folder / "portal.pem").write_bytes(chain)
    (folder / "portal.key").write_bytes(key)
    return PORTAL.format(folder=folder)


async def test_status_says_how_long_the_certificate_is_good(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=laid(tmp_path)) as house:
        assert part(house, "portal").fact.endswith("certificate good for 89 days")
        assert part(house, "portal").state == "OK"
        assert not [code for code in raised(house) if code.startswith("certificate")]


async def test_a_certificate_near_its_end_is_an_alarm_and_so_is_one_that_has_ended(tmp_path: Path) -> None:
    more = laid(tmp_path, 90, time.time() - 81 * DAY + 7200)
    async with house_in(tmp_path, more=more) as house:
        assert "The portal's certificate ends in 9 days (" in raised(house)["certificate-ending"]
        assert part(house, "portal").state == "WARN"

    (tmp_path / "two").mkdir()
    more = laid(tmp_path / "two", 90, time.time() - 91 * DAY)
    async with house_in(tmp_path / "two", more=more) as house:
        assert "certificate ended on " in raised(house)["certificate-ending"]
        assert "browsers refuse the page" in raised(house)["certificate-ending"]


async def test_changed_files_that_cannot_be_used_are_an_alarm_until_they_are_mended(tmp_path: Path) -> None:
    async with house_in(tmp_path, more=laid(tmp_path)) as house:
        chain, key = pair(80)
        (tmp_path / "portal.key").write_bytes(key)
        house.captive.look_at_certificate()
        assert "certificate-not-renewed" not in raised(house)
        house.captive.look_at_certificate()

        sentence = raised(house)["certificate-not-renewed"]
        assert "portal.certificate.key: the key of another certificate; expected the key that belongs to" in sentence
        assert "Until it is mended: certificate good for 89 days." in sentence
        (tmp_path / "portal.pem").write_bytes(chain)
        house.captive.look_at_certificate()
        assert "certificate-not-renewed" not in raised(house)


async def test_a_reload_is_possible_while_the_certificate_has_ended(tmp_path: Path) -> None:
    more = laid(tmp_path, 90, time.time() - 91 * DAY)
    async with house_in(tmp_path, more=more) as house:
        await house.reload()

        assert house.reload_state.ok
