"""Sheets and devices through the running daemon: who may see keys, what the audit keeps, who is online with what."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edged.mpsk.identity import identity_of
from edged.ops.control import call
from edged.radius.attributes import Attribute, attribute
from edged.radius.authenticator import sign_request
from edged.radius.packet import Code, Packet
from edged.state.keys import LOCAL, KeyId
from edged.values import Secret
from tests.loopback.test_daemon import free_port, running, wait_until_it_serves

ROOT = Path(__file__).resolve().parents[2]
SECRET = Secret("loopback-radius-secret")
MAC, OTHER = "02:00:5e:10:00:09", "02:00:5e:10:00:0a"
CONFIG = """\
site: lab
mode: watch
state: {{directory: {directory}/state}}
subscribers: {{networks: ["100.64.0.0/10"]}}
portal:
  brands:
    default: {{name: North Fibre, phone: "+1 555 0100", logo: {root}/config/example/north-fibre.svg}}
    other: {{name: Other Net}}
radius:
  auth: ["127.0.0.1:{auth}"]
  acct: ["127.0.0.1:{acct}"]
  clients:
    - {{name: building-7, networks: ["127.0.0.0/8"], secret: {secret}}}
mpsk:
  networks:
    Residence: {{}}
    Garden: {{hidden: true, private_address_note: true, devices_per_key: 3}}
ops: {{socket: {directory}/control.sock}}
"""


class Building:
    """A daemon with keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "edged.yaml"
        self.acct = free_port()
        self.config.write_text(
            CONFIG.format(
                directory=directory, root=ROOT, auth=free_port(), acct=self.acct, secret=SECRET.reveal_text()
            )
        )  # fmt: skip
        self._number = 0

    def edged(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edged.cli", arguments[0], *arguments[1:], "-c", str(self.config)],
            cwd=self.directory, check=False, capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def facts(self, *arguments: str) -> dict[str, Any]:
        done = self.edged(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def audit(self) -> list[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.directory / "state" / "edged.sqlite")) as database:
            rows = database.execute("SELECT who, action, subject FROM audit WHERE action = 'print key' ORDER BY rowid")
            return [(str(who), str(action), str(subject)) for who, action, subject in rows]

    def report(self, status: int, *more: Attribute, session: str = "s-1", mac: str = MAC, user: str = "") -> None:
        """One Accounting-Request, and its answer awaited: the record is kept."""
        self._number = (self._number + 1) % 256
        given = (
            attribute("Acct-Status-Type", status),
            attribute("Acct-Session-Id", session),
            attribute("User-Name", user or mac.replace(":", "")),
            attribute("NAS-Identifier", "b7-1"),
            attribute("NAS-Port-Type", 19),
            attribute("Calling-Station-Id", mac.upper().replace(":", "-")),
            attribute("Called-Station-Id", "02-00-5E-00-00-01:Residence"),
            *more,
        )
        octets = sign_request(Packet(Code.ACCOUNTING_REQUEST, self._number, bytes(16), given), SECRET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as access_point:
            access_point.settimeout(5.0)
            access_point.sendto(octets, ("127.0.0.1", self.acct))
            assert access_point.recv(4096)[0] == Code.ACCOUNTING_RESPONSE


@pytest.fixture(scope="module")
def building(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Building]:
    built = Building(tmp_path_factory.mktemp("residents"))
    with running(built.config):
        wait_until_it_serves(built.config)
        rows = [
            "id,ssid,site,label,passphrase,devices,device_limit,subscriber",
            *(f"k-{n},Residence,building-7,Apartment {n},,,,30006" for n in (10, 9, 301)),
            "g-1,Garden,building-8,Flat 1,,,,",
            f"d-1,Residence,,Flat 2,copper-otter-violin-42,{OTHER},,",
            'q-1,Residence,building-9,"=1+1, ""Flat"" 3","quoted,""passphrase;\\42",,4,',
            "gone,Residence,building-9,Flat 4,,,,",
        ]
        (built.directory / "keys.csv").write_text("\n".join(rows))
        done = built.edged("keys", "import", str(built.directory / "keys.csv"))
        assert done.returncode == 0, done.stderr
        assert built.edged("keys", "revoke", "gone").returncode == 0
        yield built


# --- sheets ------------------------------------------------------------------------------------------


def test_a_sheet_is_a_file_for_its_owner_alone_and_a_line_in_the_audit(building: Building) -> None:
    before = len(building.audit())
    loose = building.directory / "sheets.html"
    loose.write_text("old")
    loose.chmod(0o644)

    done = building.edged("keys", "sheet", "--site", "building-7", "--out", str(loose), "--reveal")

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "(4 pages)" in done.stderr
    assert stat.S_IMODE(loose.stat().st_mode) == 0o600
    text = loose.read_text("utf-8")
    units = [text.index(f"<b><bdi>Apartment {n}</bdi></b>") for n in (9, 10, 301)]
    assert units == sorted(units)
    assert "data:image/svg+xml" in text
    assert "30006" not in text, "a sheet names no subscriber"
    noted = building.audit()[before:]
    assert [row[1:] for row in noted] == [("print key", f"k-{n}") for n in (10, 301, 9)]
    assert len({row[0] for row in noted}) == 1
    assert noted[0][0]


def test_off_a_terminal_nothing_is_shown_without_reveal_and_nothing_is_asked(building: Building) -> None:
    before = building.audit()

    done = building.edged("keys", "sheet", "k-9", "--out", str(building.directory / "never.html"))

    assert done.returncode == 2
    assert "--reveal is needed" in done.stderr
    assert not (building.directory / "never.html").exists()
    assert building.audit() == before


def test_on_a_terminal_a_file_is_written_and_no_key_is_on_the_screen(building: Building) -> None:
    secret = building.edged("keys", "show", "k-9").stdout.strip()
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "edged.cli", "keys", "sheet", "k-9", "-c", str(building.config)]
    try:
        done = subprocess.run(
            command, cwd=building.directory, check=False, stdout=slave, stderr=subprocess.PIPE, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    finally:
        os.close(slave)
        os.close(master)

    assert done.returncode == 0, done.stderr
    assert "wrote key-k-9.html (1 page). It holds keys in clear" in done.stderr
    written = building.directory / "key-k-9.html"
    assert secret in written.read_text("utf-8")
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_to_a_pipe_the_document_alone_goes_out(building: Building) -> None:
    done = building.edged("keys", "sheet", "k-9", "--reveal", "--language", "ar")

    assert done.stdout.startswith('<!doctype html>\n<html lang="ar" dir="rtl">')
    assert done.stderr == ""


def test_what_a_network_wants_is_on_its_sheets(building: Building) -> None:
    def sheet(key: str) -> str:
        return building.edged("keys", "sheet", key, "--reveal").stdout

    assert "private or random Wi-Fi address" in sheet("g-1")
    assert "does not show itself" in sheet("g-1")
    assert "Good for up to 3 devices." in sheet("g-1")
    assert "Good for up to 4 devices." in sheet("q-1")
    assert "private or random Wi-Fi address" in sheet("d-1"), "a key with devices is bound to their own addresses"
    assert "devices that are registered" in sheet("d-1")
    assert "private or random" not in sheet("k-9")


def test_a_table_for_mail_merge_holds_the_keys_exactly(building: Building) -> None:
    done = building.edged("keys", "sheet", "--site", "building-9", "--csv", "--reveal", "--sort", "id")
    rows = list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"))))

    assert [row["id"] for row in rows] == ["q-1"], "a revoked key is not handed out"
    assert rows[0]["key"] == 'quoted,"passphrase;\\42'
    assert rows[0]["code"] == 'WIFI:T:WPA;S:Residence;P:quoted\\,\\"passphrase\\;\\\\42;;'
    assert rows[0]["unit"] == '=1+1, "Flat" 3'


def test_a_folder_gets_a_file_for_each_key(building: Building) -> None:
    folder = building.directory / "codes"

    done = building.edged("keys", "sheet", "--site", "building-7", "--qr", "png", "--out", f"{folder}/", "--reveal")

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["key-k-10.png", "key-k-301.png", "key-k-9.png"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["k-9", "nobody"], 1, 'there is no key "nobody".  edged keys list'),
        (["gone"], 1, '"gone" is revoked'),
        (["--site", "building-1"], 1, 'there is no good key of site "building-1"'),
        (["k-9", "--brand", "third"], 1, 'there is no brand "third"; there are default, other'),
        ([], 2, "name the keys"),
        (["k-9", "--site", "building-7"], 2, "not both at once"),
        (["k-9", "--language", "xx"], 2, '--language "xx": one or two of en, es'),
        (["k-9", "--language", "en,es,fr"], 2, '--language "en,es,fr": one or two of'),
        (["k-9", "k-10", "--qr", "svg"], 2, "--out names a folder"),
        (["k-9", "--out", "/nowhere/at/all.html"], 1, "/nowhere/at/all.html was not written"),
    ],
)
def test_what_cannot_be_handed_out_is_refused_in_a_sentence(
    building: Building, arguments: list[str], status: int, said: str
) -> None:
    done = building.edged("keys", "sheet", "--reveal", *arguments)

    assert said in done.stderr
    assert (done.returncode, done.stdout) == (status, "")


def test_a_brand_can_be_chosen(building: Building) -> None:
    said = building.edged("keys", "sheet", "k-9", "--reveal", "--brand", "other").stdout

    assert "Other Net" in said
    assert "+1 555" not in said


def test_no_passphrase_is_in_the_log_or_the_audit(building: Building) -> None:
    building.edged("keys", "sheet", "d-1", "--reveal")

    for path in (building.directory / "state").iterdir():
        assert b"copper-otter-violin-42" not in path.read_bytes(), path


# --- devices -----------------------------------------------------------------------------------------


def device(building: Building, mac: str, *arguments: str) -> dict[str, Any] | None:
    found = building.facts("keys", "devices", *arguments)["devices"]
    return next((one for one in found if one["mac"] == mac), None)


def test_a_device_is_online_from_start_to_stop_with_its_key_and_octets(building: Building) -> None:
    name = identity_of(KeyId(LOCAL, "k-301"))
    building.report(1, session="a", user=name)
    building.report(
        3, attribute("Acct-Session-Time", 90), attribute("Acct-Input-Octets", 7), attribute("Acct-Input-Gigawords", 1),
        attribute("Acct-Output-Octets", 5), attribute("Acct-Output-Gigawords", 2), session="a", user=name,
    )  # fmt: skip

    found = device(building, MAC)

    assert found is not None
    assert (found["key"], found["label"], found["subscriber"]) == ("k-301", "Apartment 301", "30006")
    assert (found["online"], found["nas"].partition("@")[0], found["client"]) == (True, "b7-1", "building-7")
    assert (found["up"], found["down"]) == (2**32 + 7, 2 * 2**32 + 5)
    assert abs(found["since"] - (time.time() - 90)) < 10
    said = building.edged("keys", "devices", "k-301").stdout
    assert re.search(r"Residence  online 1 min 3\d s  ", said)
    assert "8.6 GB  4.3 GB  b7-1 (building-7)" in said
    assert "1 device, 1 online" in said
    explained = " ".join(building.edged("explain", MAC).stdout.split())
    assert "online on Residence since" in explained
    assert "at b7-1 (building-7), key k-301; 8.6 GB down, 4.3 GB up" in explained

    building.report(2, session="a", user=name)

    gone = device(building, MAC)
    assert gone is not None
    assert (gone["online"], gone["since"], gone["down"]) == (False, None, 2 * 2**32 + 5)
    assert device(building, MAC, "--online") is None
    assert "offline on Residence" in building.edged("explain", MAC).stdout


def test_where_the_access_point_does_not_repeat_the_key_the_registered_one_is_named(building: Building) -> None:
    building.report(1, session="b", mac=OTHER)

    found = device(building, OTHER)

    assert found is not None
    assert (found["key"], found["online"]) == ("d-1", True)
    building.report(2, session="b", mac=OTHER)


def test_an_access_point_that_starts_again_ends_its_sessions(building: Building) -> None:
    third = "02:00:5e:10:00:0c"
    building.report(1, session="c", mac=third)
    assert device(building, third, "--online") is not None

    building.report(7, session="boot", mac=third)

    assert device(building, third, "--online") is None
    assert device(building, third) is not None


def test_devices_can_be_asked_for_by_key_and_site(building: Building) -> None:
    building.report(1, session="d", user=identity_of(KeyId(LOCAL, "k-9")))

    assert device(building, MAC, "k-9") is not None
    assert device(building, MAC, "k-10") is None
    assert device(building, MAC, "--site", "building-7") is not None
    assert device(building, MAC, "--site", "building-8") is None
    done = building.edged("keys", "devices", "nobody")
    assert (done.returncode, done.stderr) == (1, 'edged: there is no key "nobody".  edged keys list\n')


def test_the_name_of_a_key_is_nobodys_login(building: Building) -> None:
    """Else a subscriber whose login is spelt alike would have the address of somebody's telephone."""
    building.report(1, session="login", user=identity_of(KeyId(LOCAL, "k-9")))
    with closing(sqlite3.connect(building.directory / "state" / "edged.sqlite")) as database:
        (row,) = database.execute("SELECT login, origin, key, ssid, bssid FROM sessions WHERE session = 'login'")

    assert row == ("", LOCAL, "k-9", "Residence", "02:00:5e:00:00:01")


def test_a_line_without_wifi_is_no_device(building: Building) -> None:
    octets = sign_request(
        Packet(
            Code.ACCOUNTING_REQUEST, 250, bytes(16),
            (
                attribute("Acct-Status-Type", 1), attribute("Acct-Session-Id", "ppp"),
                attribute("User-Name", "ana@fibre"), attribute("Calling-Station-Id", "02:00:5e:10:00:77"),
                attribute("Called-Station-Id", "pppoe-1"), attribute("NAS-Port-Type", 15),
            ),
        ),
        SECRET,
    )  # fmt: skip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
        router.settimeout(5.0)
        router.sendto(octets, ("127.0.0.1", building.acct))
        router.recv(4096)

    assert device(building, "02:00:5e:10:00:77") is None


def test_a_thousand_keys_come_in_parts_and_all_of_them_come(building: Building) -> None:
    rows = ["id,ssid,site,label", *(f"m-{n},Residence,tower,Apartment {n}" for n in range(1000))]
    (building.directory / "many.csv").write_text("\n".join(rows))
    assert building.edged("keys", "import", str(building.directory / "many.csv")).returncode == 0
    before = len(building.audit())

    first = call(building.directory / "control.sock", "keys-sheet", site="tower", who="test")
    done = building.facts("keys", "sheet", "--site", "tower", "--reveal", "--out", str(building.directory / "t.html"))

    assert (first["count"], len(first["keys"]), first["next"]) == (1000, 250, [LOCAL, first["keys"][-1]["id"]])
    assert (done["keys"], done["pages"]) == (1000, 1034)
    assert len(building.audit()) - before == 1250
