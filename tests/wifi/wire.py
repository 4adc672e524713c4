# SPDX-License-Identifier: Apache-2.0
"""What access points and edged say to each other, read off the wire, and vectors made of it. Inside the guest.

Outside, ``python -m tests.wifi.wire`` puts what a run has recorded together: ``tests/vectors/mpsk_wifi.json``.
"""

from __future__ import annotations

import contextlib
import json
import platform
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.errors import WireError
from edged.mpsk.question import split_called_station
from edged.radius.attributes import first, integer, text
from edged.radius.mending import mended
from edged.radius.packet import Code, Packet, decode
from edged.state.sessions import Status
from edged.values import MacAddress, Secret, parse_mac
from tests.e2e.lab import LAN, Lab
from tests.wifi.air import HOSTAPD, AccessPoint, Station

ROOT = Path(__file__).resolve().parents[2]
RECORDS = Path("/run/out/vectors.json")
VECTORS = ROOT / "tests/vectors/mpsk_wifi.json"
PORTS = {1812, 1813}
_EVERYTHING, _IPV4, _UDP = 0x0003, 0x0800, 17
_RECEIVE_BUFFER_FORCED = 33
"""SO_RCVBUFFORCE: a whole test is kept until it is read."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Datagram:
    """One RADIUS packet as it was on the wire."""

    source: str
    destination: str
    octets: bytes
    packet: Packet | None
    """None: cannot be decoded, even mended."""

    @property
    def code(self) -> int:
        return self.octets[0]

    @property
    def mac(self) -> MacAddress | None:
        """The station that it is about; None: no request, or about none."""
        if self.packet is None:
            return None
        said = text(self.packet.attributes, "Calling-Station-Id")
        return parse_mac(said) if said else None


class Wire:
    """The access points' network at the router; what passes is kept from the start on."""

    def __init__(self, lab: Lab, secret: str) -> None:
        self._secret = Secret(secret)
        with lab.inside("router"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_EVERYTHING))
        self._socket.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCED, 1 << 23)
        self._socket.bind((LAN, _EVERYTHING))
        self._socket.setblocking(False)
        self._heard: list[Datagram] = []

    def close(self) -> None:
        self._socket.close()

    def clear(self) -> None:
        """Forget what passed."""
        self._listen()
        self._heard.clear()

    def heard(self) -> list[Datagram]:
        """Every RADIUS packet since ``clear``, oldest first."""
        self._listen()
        return list(self._heard)

    def requests(self, mac: str, code: Code = Code.ACCESS_REQUEST) -> list[Datagram]:
        """Requests about one station."""
        return [d for d in self.heard() if d.code == code and d.mac == mac]

    def reply(self, request: Datagram) -> Datagram | None:
        """What was answered to ``request``."""
        back = (request.destination, request.source)
        later = self._heard[self._heard.index(request) :]
        return next((d for d in later if (d.source, d.destination) == back and d.octets[1] == request.octets[1]), None)

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram, (_, protocol, *_) = self._socket.recvfrom(65535)
                if protocol == _IPV4:
                    self._heard += self._read(datagram)

    def _read(self, datagram: bytes) -> Iterator[Datagram]:
        head = (datagram[0] & 15) * 4
        if datagram[9] != _UDP:
            return
        ports = struct.unpack_from("!HH", datagram, head)
        if not PORTS & set(ports):
            return
        ends = [f"{socket.inet_ntoa(datagram[12 + 4 * n : 16 + 4 * n])}:{port}" for n, port in enumerate(ports)]
        octets = datagram[head + 8 :]
        octets = octets[: int.from_bytes(octets[2:4], "big")]
        yield Datagram(ends[0], ends[1], octets, self._decoded(octets))

    def _decoded(self, octets: bytes) -> Packet | None:
        try:
            return decode(octets)
        except WireError:
            whole = mended(octets, self._secret)
            return None if whole is None else decode(whole)


class Recorder:
    """Vectors: a request as it was, and what was true of it."""

    def __init__(self, wire: Wire, secret: str) -> None:
        self._wire = wire
        self._secret = secret
        self.rows: list[Object] = []

    def access(self, name: str, note: str, point: AccessPoint, station: Station, passphrase: str) -> None:
        """The latest Access-Request about ``station`` at ``point``, and its answer."""
        mac = station.mac
        request = [r for r in self._wire.requests(mac) if _is_of(r, point)][-1]
        reply = self._wire.reply(request)
        assert reply is not None
        assert request.packet is not None
        assert reply.packet is not None
        expected: Object = {"code": reply.code}
        frame = first(request.packet.attributes, "FreeRADIUS-802.1X-EAPoL-Key-Msg")
        anonce = first(request.packet.attributes, "FreeRADIUS-802.1X-Anonce")
        if frame is not None and anonce is not None:
            akm = integer(request.packet.attributes, "WLAN-AKM-Suite") or 0
            expected |= {"anonce": anonce.hex(), "eapol_key_msg": frame.hex(), "akm": f"{akm:08x}"}
            expected |= _derived(station.log, frame[81:97])
        vlan = text(reply.packet.attributes, "Tunnel-Private-Group-Id")
        if vlan:
            expected["vlan"] = int(vlan)
        row = {"id": name, "note": note, "passphrase": passphrase, "expected": expected}
        self._keep(row, point, mac, request)

    def accounting(self, name: str, point: AccessPoint, mac: str, status: Status) -> None:
        """The latest Accounting-Request of that Acct-Status-Type about ``mac`` at ``point``."""
        request = [
            r for r in self._wire.requests(mac, Code.ACCOUNTING_REQUEST)
            if _is_of(r, point) and r.packet and integer(r.packet.attributes, "Acct-Status-Type") == status
        ][-1]  # fmt: skip
        assert request.packet is not None
        user = text(request.packet.attributes, "User-Name")
        row = {"id": name, "note": status.name.title(), "user_name": user}
        self._keep(row, point, mac, request)

    def _keep(self, row: Object, point: AccessPoint, mac: str, request: Datagram) -> None:
        self.rows.append({
            **row, "hostapd_version": point.version, "mode": int(point.settings["wpa_psk_radius"]),
            "ssid_hex": str(point.settings["ssid"]).encode().hex(), "secret": self._secret, "bssid": point.bssid,
            "sta_mac": mac, "request_hex": request.octets.hex(),
        })  # fmt: skip

    def write(self) -> None:
        """What this guest has recorded, and with what."""
        if not self.rows:
            return
        banner = r"v\d+\.\d+\S*"
        versions = {
            name: re.search(banner, _said(program, "-v"))[0]  # type: ignore[index]  # all three say it
            for name, program in (("hostapd 2.10", HOSTAPD["2.10"]), ("hostapd 2.11", HOSTAPD["2.11"]),
                                  ("wpa_supplicant", "wpa_supplicant"))
        }  # fmt: skip
        versions |= {"kernel": f"{platform.release()} (User Mode Linux, mac80211_hwsim)"}
        RECORDS.write_text(
            json.dumps({"recorded": time.strftime("%Y-%m-%d", time.gmtime()), "with": versions, "vectors": self.rows})
        )


def _is_of(request: Datagram, point: AccessPoint) -> bool:
    given = request.packet.attributes if request.packet else ()
    return split_called_station(first(given, "Called-Station-Id") or b"")[0] == point.bssid


def _said(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def _derived(log: str, mic: bytes) -> Object:
    """PMK and KCK as the station printed them on the way to this MIC; none: it printed no such MIC."""
    found: Object = {}
    for line in log.splitlines():
        said = re.search(r"(PMK|XXKey|KCK|Derived Key MIC) - hexdump\(len=\d+\):((?: [0-9a-f]{2})+)", line)
        if said is None:
            continue
        name, octets = said[1].lower(), bytes.fromhex(said[2])
        if name == "derived key mic":
            if octets == mic:
                return found
        else:
            found["pmk" if name == "xxkey" else name] = octets.hex()
    return {}


def main(out: str) -> int:
    """Put the records of every guest under ``out`` together."""
    files = sorted(Path(out).glob("*/vectors.json"))
    runs = [json.loads(file.read_text("utf-8")) for file in files]
    rows = sorted((row for run in runs for row in run["vectors"]), key=lambda row: row["id"])
    if not rows:
        print(f"nothing recorded in {out}: make test-wifi first")
        return 1
    about = (
        "Requests that real hostapd sent to edged with real wpa_supplicant stations over simulated radios, recorded by"
        " tests/wifi; the answers are edged's, and the stations joined or were refused accordingly. PMK and KCK are"
        " what the station printed in its own debug log."
    )
    document = {"about": about, "recorded": runs[0]["recorded"], "with": runs[0]["with"], "vectors": rows}
    VECTORS.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"{len(rows)} vectors in {VECTORS}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ".run/wifi/out"))
