# SPDX-License-Identifier: Apache-2.0
"""hostapd and wpa_supplicant on simulated radios, told and asked through their control sockets. Inside the guest.

Both stay for as long as they are needed: to start a program takes the guest a tenth of a second.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.e2e.lab import Lab, until

HOSTAPD = {"2.10": "/usr/sbin/hostapd", "2.11": os.environ.get("WIFI_HOSTAPD_211", "")}
LOGS = Path("/run/logs")
CHANNEL, FREQUENCY_MHZ = 1, 2412
"""All are on one: to look for the others would take a station most of its time."""
PATIENCE_S = 20.0

Settings = dict[str, str | int]


class Control:
    """The control socket of hostapd or wpa_supplicant: commands, their answers, and what it reports meanwhile."""

    _numbers = itertools.count()

    def __init__(self, path: Path) -> None:
        self._here = LOGS / f"control-{next(self._numbers)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._here))
        self._socket.settimeout(PATIENCE_S)
        self._events: list[str] = []
        try:
            until(f"{path} is there", lambda: self._reached(path), timeout=PATIENCE_S)
        except BaseException:
            self.close()
            raise
        self.tell("ATTACH")

    def _reached(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
        self._here.unlink(missing_ok=True)

    def ask(self, command: str) -> str:
        """The answer to ``command``, without its last line end."""
        self._socket.send(command.encode())
        said = self._hear()
        assert said is not None, f"no answer to {command.split(maxsplit=1)[0]}"
        return said

    def tell(self, command: str) -> None:
        """A command that must succeed."""
        answer = self.ask(command)
        assert answer == "OK", f"{command.split(maxsplit=1)[0]}: {answer}"

    def mark(self) -> int:
        """A place in the events, for ``wait``: only what comes after it counts."""
        self.ask("PING")  # what was reported before its answer is heard, and lies before
        return len(self._events)

    def wait(self, mark: int, *patterns: str, timeout: float = PATIENCE_S) -> str:
        """The first event since ``mark`` that one of ``patterns`` is found in; AssertionError when none comes."""
        end = time.monotonic() + timeout
        while True:
            for event in self._events[mark:]:
                if any(re.search(pattern, event) for pattern in patterns):
                    return event
                mark += 1
            left = end - time.monotonic()
            assert left > 0, f"not within {timeout:.0f} s: {' or '.join(patterns)}; {self._events[-5:]}"
            self._socket.settimeout(left)
            try:
                self._hear(answers=False)
            finally:
                self._socket.settimeout(PATIENCE_S)

    def events(self, mark: int) -> list[str]:
        """What was reported since ``mark``."""
        self.ask("PING")
        return self._events[mark:]

    def _hear(self, *, answers: bool = True) -> str | None:
        """Events into the list up to the next answer, or up to one event; None when nothing comes."""
        while True:
            try:
                said = self._socket.recv(65536).decode("utf-8", "replace")
            except TimeoutError:
                return None
            if not said.startswith("<"):
                return said.removesuffix("\n")
            self._events.append(said[3:])
            if not answers:
                return None


class _Program:
    """A program in a namespace with a log of its own, until it is closed."""

    def __init__(self, lab: Lab, namespace: str, name: str, *command: str) -> None:
        self.log = LOGS / f"{name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", lab.name(namespace), *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)


@dataclass(frozen=True, slots=True)
class Member:
    """A station as its access point sees it."""

    vlan: int | None
    authorized: bool
    akm: str
    """Suite selector of its key management, as ``00-0f-ac-2``."""
    protected: bool = False
    """Whether its management frames are (IEEE 802.11w)."""


class AccessPoint:
    """hostapd on one radio of the namespace ``name``; ``bssid`` is the radio's address."""

    def __init__(self, lab: Lab, name: str, radio: str, version: str, settings: Settings) -> None:
        self.name, self.radio, self.version, self.settings = name, radio, version, settings
        folder = LOGS / name
        folder.mkdir(exist_ok=True)
        base: Settings = {
            "interface": radio, "driver": "nl80211", "ctrl_interface": str(folder), "hw_mode": "g",
            "channel": CHANNEL, "auth_algs": 1,
        }  # fmt: skip
        configuration = folder / "hostapd.conf"
        configuration.write_text("".join(f"{key}={value}\n" for key, value in {**base, **settings}.items()))
        self._program = _Program(lab, name, name, HOSTAPD[version], "-dd", "-t", "-K", str(configuration))
        try:
            self.control = Control(folder / radio)
        except BaseException:
            self._program.close()
            raise
        # its socket is there before
        until(f"{name} is up", lambda: "state=ENABLED" in self.control.ask("STATUS"), timeout=PATIENCE_S)
        self.bssid = _field("bssid[0]", self.control.ask("STATUS"))

    def close(self) -> None:
        self.control.close()
        self._program.close()

    @property
    def log(self) -> str:
        return self._program.log.read_text("utf-8", "replace")

    def member(self, mac: str) -> Member | None:
        """The station with this address; None: it is not here."""
        said = self.control.ask(f"STA {mac}")
        if not said.startswith(mac):
            return None
        facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        vlan = facts.get("vlan_id")
        flags = facts["flags"]
        return Member(
            int(vlan) if vlan else None, "[AUTHORIZED]" in flags, facts.get("AKMSuiteSelector", ""), "[MFP]" in flags
        )

    def vlan_of(self, station: Station) -> int | None:
        """The VLAN that it is let on in; None: it is not, or in none."""
        member = self.member(station.mac)
        return member.vlan if member and member.authorized else None

    def members(self) -> set[str]:
        """Addresses of the stations that are let on."""
        found: set[str] = set()
        said = self.control.ask("STA-FIRST")
        while re.match(r"[0-9a-f]{2}:", said):
            mac = said[:17]
            if "[AUTHORIZED]" in said:
                found.add(mac)
            said = self.control.ask(f"STA-NEXT {mac}")
        return found


class Station:
    """A resident's device: wpa_supplicant on one radio of the namespace ``name``, which is all that is in there."""

    def __init__(self, lab: Lab, name: str, radio: str) -> None:
        self.lab, self.name, self.radio = lab, name, radio
        folder = LOGS / name
        folder.mkdir(exist_ok=True)
        configuration = folder / "wpa_supplicant.conf"
        configuration.write_text(f"ctrl_interface={folder}\n")
        self._program = _Program(
            lab, name, name, "wpa_supplicant", "-dd", "-t", "-K", "-Dnl80211", f"-i{radio}", f"-c{configuration}"
        )
        try:
            self.control = Control(folder / radio)
        except BaseException:
            self._program.close()
            raise

    def close(self) -> None:
        self.control.close()
        self._program.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def log(self) -> str:
        return self._program.log.read_text("utf-8", "replace")

    @property
    def mac(self) -> str:
        """The address that it has now."""
        return _field("address", self.control.ask("STATUS"))

    def state(self) -> str:
        """``COMPLETED`` when it is on."""
        return _field("wpa_state", self.control.ask("STATUS"))

    def choose(self, ssid: str, passphrase: str, *, key_mgmt: str = "WPA-PSK", **settings: str | int) -> int:
        """Type the key, and let it try until it is told otherwise: a mark for ``joined`` and ``refused``."""
        secret = "sae_password" if key_mgmt == "SAE" else "psk"
        quoted = passphrase if len(passphrase) == 64 else f'"{passphrase}"'
        network: Settings = {
            "ssid": f'"{ssid}"', "key_mgmt": key_mgmt, secret: quoted, "proto": "RSN", "pairwise": "CCMP",
            "scan_freq": FREQUENCY_MHZ, "freq_list": FREQUENCY_MHZ, **settings,
        }  # fmt: skip
        self.control.ask("REMOVE_NETWORK all")
        number = self.control.ask("ADD_NETWORK")
        for key, value in network.items():
            self.control.tell(f"SET_NETWORK {number} {key} {value}")
        mark = self.control.mark()
        self.control.tell(f"SELECT_NETWORK {number}")
        return mark

    def joined(self, mark: int, timeout: float = PATIENCE_S) -> str:
        """Wait until it is on; the BSSID of its access point."""
        event = self.control.wait(mark, "CTRL-EVENT-CONNECTED", "CTRL-EVENT-SSID-TEMP-DISABLED", timeout=timeout)
        assert "CONNECTED" in event, f"{self.name}: {event}"
        return event.split("Connection to ")[1].split()[0]

    def refused(self, mark: int, timeout: float = PATIENCE_S) -> str:
        """Wait until it gives up, as a phone that says "wrong password"; the event."""
        event = self.control.wait(
            mark, "CTRL-EVENT-CONNECTED", "CTRL-EVENT-SSID-TEMP-DISABLED", "CTRL-EVENT-ASSOC-REJECT",
            "CTRL-EVENT-AUTH-REJECT", timeout=timeout,
        )  # fmt: skip
        assert "CTRL-EVENT-CONNECTED" not in event, f"{self.name} is on"
        return event

    def join(self, ssid: str, passphrase: str, *, key_mgmt: str = "WPA-PSK", **settings: str | int) -> str:
        """``choose`` and ``joined``."""
        return self.joined(self.choose(ssid, passphrase, key_mgmt=key_mgmt, **settings))

    def left(self, mark: int) -> bool:
        """Whether it was off at any time since ``mark``."""
        return any("CTRL-EVENT-DISCONNECTED" in event for event in self.control.events(mark))

    def roam(self, bssid: str) -> int:
        """Go over to another access point of the network that it is on, as where its signal is better: a mark."""
        mark = self.control.mark()
        # of another access point that was there before, under the same address, it may still have the beacon
        self.control.tell("BSS_FLUSH 0")
        until(f"{self.name} hears {bssid}", lambda: self._hears(bssid), timeout=PATIENCE_S)
        self.control.tell(f"ROAM {bssid}")
        return mark

    def _hears(self, bssid: str) -> bool:
        if self.control.ask(f"BSS {bssid}"):
            return True
        mark = self.control.mark()
        if self.control.ask(f"SCAN freq={FREQUENCY_MHZ} only_new=1") == "OK":
            self.control.wait(mark, "CTRL-EVENT-SCAN-RESULTS", "CTRL-EVENT-SCAN-FAILED")
        return False

    def leave(self) -> None:
        """As a phone whose Wi-Fi is switched off."""
        self.control.ask("REMOVE_NETWORK all")
        until(f"{self.name} is off", lambda: self.state() in {"INACTIVE", "DISCONNECTED"}, timeout=PATIENCE_S)


def _field(name: str, said: str) -> str:
    """The value of one line ``name=value``."""
    return next(line.split("=", 1)[1] for line in said.splitlines() if line.startswith(f"{name}="))
