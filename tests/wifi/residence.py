# SPDX-License-Identifier: Apache-2.0
"""A building: two access points on a trunk of VLANs, residents' devices in the air, the router with edged, an internet.

Inside the guest. The parts behind the router are those of ``tests/e2e``; hostapd makes its VLANs and their bridges
by itself, as on the access points of a provider.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from contextlib import ExitStack, closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Self

from edged import cli
from tests.e2e.edge import COMMON, GARDEN_HOST, Edge
from tests.e2e.lab import LAN, RESOLVER4, Lab
from tests.wifi.air import LOGS, AccessPoint, Settings, Station
from tests.wifi.wire import Recorder, Wire

SSID = "Residence"
SECRET = "lab-radius-secret"  # what Edge writes into radius.secret
DEFAULT_PASSPHRASE = "the-one-for-everybody"  # of an access point in mode 1
ANA_VLAN, BOB_VLAN, BLOCKED_VLAN, UNKNOWN_VLAN = 101, 102, 666, 999
VLANS = (ANA_VLAN, BOB_VLAN, BLOCKED_VLAN, UNKNOWN_VLAN)
POINTS = {"ap1": ("wlan0", "192.0.2.11"), "ap2": ("wlan1", "192.0.2.12")}
"""Namespace to radio and address on the access points' own network."""
DEVICES = {"phone1": "wlan2", "phone2": "wlan3", "phone3": "wlan4"}
ROUTER = "192.0.2.1"
_DHCP_CLIENT = Path(__file__).with_name("guest") / "udhcpc.sh"

Object = dict[str, Any]
ANA: Object = {
    "id": "1001", "state": "blocked", "reason": "unpaid", "since": "2026-11-20T06:00:00Z", "brand": "north",
    "name": "Ana", "amount_due": "49.90", "currency": "EUR", "pay_url": f"https://{GARDEN_HOST}/pay/7f3a",
}  # fmt: skip
"""Suspended; her lines and devices are added by the test."""
ANA_BLOCKED_ADDRESSES = ("100.66.154.7", "2001:db8:100:29a:0:ff:fe00:200")
"""Of the first device on the VLAN of the blocked: what the DHCP server keeps for it there, and what it makes itself."""
ANA_KEY: Object = {
    "id": "k-101", "subscriber": "1001", "ssid": SSID, "site": "building-7", "vlan": ANA_VLAN,
    "passphrase": "maple-heron-cello-77", "label": "Apartment 101",
}  # fmt: skip
BOB_KEY: Object = {
    "id": "k-102", "subscriber": "1002", "ssid": SSID, "site": "building-7", "vlan": BOB_VLAN,
    "passphrase": "copper otter & violin: 42", "label": "Apartment 102",
}  # fmt: skip

CONFIG = (
    COMMON
    + """\
radius:
  auth: ["0.0.0.0:1812"]
  acct: ["0.0.0.0:1813"]
  clients:
    - {{name: building-7, networks: ["192.0.2.0/24"], secret: !file {directory}/radius.secret,
       disconnect: {{port: 3799}}}}
mpsk:
  networks:
    Residence: {network}
enforce:
  - nftables: {{interfaces: [vlan101, vlan102, vlan666, vlan999]}}
"""
)


def gateway(vlan: int) -> tuple[str, str]:
    """The router's addresses on a VLAN."""
    return f"100.66.{vlan % 256}.1", f"2001:db8:100:{vlan:x}::1"


class Air(Lab):
    """The cables; what is in the air has none."""

    subscribers = (*POINTS, *DEVICES)

    def _connect(self) -> None:
        self._address("router", LAN, f"{ROUTER}/24")
        for name, (radio, address) in POINTS.items():
            self._cable(name, "router", f"p-{name}", None)
            self._ip("router", "link", "set", f"p-{name}", "master", LAN, "up")
            self._address(name, "eth0", f"{address}/24")
            self._move(radio, name)
        for vlan in VLANS:
            self._ip("router", "link", "add", "link", LAN, "name", f"vlan{vlan}", "type", "vlan", "id", str(vlan))
            v4, v6 = gateway(vlan)
            self._address("router", f"vlan{vlan}", f"{v4}/24", f"{v6}/64")
        for name, radio in DEVICES.items():
            self._move(radio, name)

    def _move(self, radio: str, namespace: str) -> None:
        phy = Path(f"/sys/class/net/{radio}/phy80211/name").read_text().strip()
        subprocess.run(["iw", "phy", phy, "set", "netns", "name", self.name(namespace)], check=True)


class Residence(Edge):
    """The building, in use. ``tell`` is billing, ``point`` an access point that is plugged in, ``device`` a phone."""

    lab_class = Air
    template = CONFIG
    guard = "{first: accept, floor: 1000}"
    network = "{blocked: {vlan: 666}}"
    """What ``mpsk.networks`` says of the SSID; ``configure`` writes it."""

    def __init__(self, network: str) -> None:
        self.network = network
        super().__init__(prefix="air")
        self.log = LOGS / "edged.log"
        self._things = ExitStack()
        self._wires = ExitStack()

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self.wire = self._wires.enter_context(closing(Wire(self.lab, SECRET)))
            self.recorder = Recorder(self.wire, SECRET)
            self._start_dhcp()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._things.close()
        self._wires.close()
        super().__exit__()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One ``edged`` command, as an operator on the router, without the second that a new Python takes here."""
        name, *rest = arguments
        said, complained = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(complained):
            status = cli.main([name, "-c", str(self.config), *rest])
        return subprocess.CompletedProcess(arguments, status, said.getvalue(), complained.getvalue())

    def fields(self) -> dict[str, object]:
        return super().fields() | {"network": self.network}

    def change(self, network: str) -> None:
        """Let ``mpsk.networks`` say this of the SSID from now on."""
        self.network = network
        self.configure()
        done = self.command("reload")
        assert done.returncode == 0, done.stderr

    def point(self, name: str = "ap1", version: str = "2.10", mode: int = 2, **settings: str | int) -> AccessPoint:
        """An access point with the residents' SSID, asking edged in ``wpa_psk_radius=mode``, until ``clear``."""
        radio, address = POINTS[name]
        base: Settings = {
            "ssid": SSID, "wpa": 2, "wpa_key_mgmt": "WPA-PSK", "rsn_pairwise": "CCMP", "wpa_psk_radius": mode,
            "nas_identifier": name, "own_ip_addr": address,
            "auth_server_addr": ROUTER, "auth_server_port": 1812, "auth_server_shared_secret": SECRET,
            "acct_server_addr": ROUTER, "acct_server_port": 1813, "acct_server_shared_secret": SECRET,
            "radius_das_port": 3799, "radius_das_client": f"{ROUTER} {SECRET}", "radius_das_require_event_timestamp": 1,
            "radius_das_require_message_authenticator": 1,
            "dynamic_vlan": 1, "vlan_file": "/run/vlans", "vlan_tagged_interface": "eth0", "vlan_bridge": "brvlan",
            "vlan_naming": 1,
        }  # fmt: skip
        Path("/run/vlans").write_text(f"* {radio}.#\n")
        if mode != 3:
            base["macaddr_acl"] = 2
        if mode == 1:
            base["wpa_passphrase"] = DEFAULT_PASSPHRASE
        return self._things.enter_context(closing(AccessPoint(self.lab, name, radio, version, {**base, **settings})))

    def device(self, name: str = "phone1") -> Station:
        """A resident's device, until ``clear``."""
        return self._things.enter_context(closing(Station(self.lab, name, DEVICES[name])))

    def clear(self) -> None:
        """Access points unplugged, devices switched off."""
        self._things.close()
        self.wire.clear()

    def give(self, *keys: Object, subscribers: tuple[Object, ...] = ()) -> None:
        """Make billing's lists these, and wait until edged has the keys."""
        self.tell(*subscribers, keys=list(keys))
        wanted = {
            (key["id"], key["passphrase"], str(key.get("vlan", "")), frozenset(key.get("devices", ()))) for key in keys
        }
        self.wait_for("edged has the keys", lambda: self._keys() == wanted, timeout=15.0)
        self.wait_for("their PMKs are derived", lambda: not self.counters()["edged_key_pmks_pending"])

    def _keys(self) -> set[tuple[str, str, str, frozenset[str]]]:
        exported = self.command("keys", "export", "--origin", "billing", "--reveal").stdout
        return {
            (row["id"], row["passphrase"], row["vlan"], frozenset(row["devices"].split()))
            for row in csv.DictReader(io.StringIO(exported))
        }

    def devices(self, *more: str) -> list[Object]:
        """The rows of ``edged keys devices``: of a key, of those who are online."""
        rows: list[Object] = json.loads(self.command("keys", "devices", *more, "--json").stdout)["devices"]
        return rows

    def online(self) -> dict[str, Object]:
        """Who is on by the accounting of the access points: the address and the facts of ``edged keys devices``."""
        return {row["mac"]: row for row in self.devices("--online")}

    def known(self, mac: str) -> Object:
        """What ``edged keys devices`` says of one device."""
        rows = [row for row in self.devices() if row["mac"] == mac]
        assert len(rows) == 1, rows
        return dict(rows[0])

    def ends(self) -> dict[str, int]:
        """How many devices were sent away, by how it ended; ``waiting``: so many are still to leave."""
        said = self.router_get("http://127.0.0.1:9300/metrics")
        found = re.findall(r"^edged_disconnects_(?:total{end=\"(.+)\"}|(waiting)) (\d+)", said, flags=re.MULTILINE)
        return {end or waiting: int(count) for end, waiting, count in found}

    def explained(self, station: Station) -> str:
        """What ``edged explain`` says of a device, on one line."""
        return " ".join(self.command("explain", station.mac).stdout.split())

    def counters(self) -> dict[str, float]:
        """edged's metrics: name with labels, as Prometheus reads them, to number."""
        lines = self.router_get("http://127.0.0.1:9300/metrics").splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}

    def on_bridge(self, point: AccessPoint, station: Station) -> int | None:
        """The VLAN whose bridge on the access point has heard the station's frames, tagged to the router."""
        heard = self.lab.run(point.name, "bridge", "-j", "fdb", "show").stdout
        bridges = {row["master"] for row in json.loads(heard) if row["mac"] == station.mac and "master" in row}
        assert len(bridges) <= 1, bridges
        return int(re.findall(r"\d+$", bridges.pop())[0]) if bridges else None

    def dhcp(self, station: Station) -> str:
        """What a phone does first: the IPv4 address that it is given."""
        self.lab.run(station.name, "ip", "address", "flush", "dev", station.radio, "scope", "global")
        self.lab.run(
            station.name, "busybox", "udhcpc", "-f", "-n", "-q", "-t", "8", "-T", "1", "-i", station.radio,
            "-s", str(_DHCP_CLIENT),
        )  # fmt: skip
        rows = json.loads(self.lab.run(station.name, "ip", "-j", "-4", "address", "show", "dev", station.radio).stdout)
        return str(rows[0]["addr_info"][0]["local"])

    def slaac(self, station: Station) -> str:
        """The IPv6 address that it makes itself from what the router of its VLAN says."""
        switch = f"net.ipv6.conf.{station.radio}.disable_ipv6="
        self.lab.run(station.name, "sysctl", "-qw", f"{switch}1", f"{switch}0")
        show = ("ip", "-j", "-6", "address", "show", "dev", station.radio, "scope", "global")
        found: list[str] = []

        def addressed() -> bool:
            rows = json.loads(self.lab.run(station.name, *show).stdout)
            found[:] = [entry["local"] for row in rows for entry in row.get("addr_info", ()) if "local" in entry]
            return bool(found)

        self.wait_for("an IPv6 address", addressed, timeout=15.0)
        return found[0]

    def lands(self, point: AccessPoint, station: Station, vlan: int) -> None:
        """It is on ``vlan`` for the access point and the bridge behind it, has an address there, and data passes."""
        self.wait_for(f"{station.name} is on", lambda: station.mac in point.members())
        assert point.vlan_of(station) == vlan
        assert self.dhcp(station).rpartition(".")[0] == gateway(vlan)[0].rpartition(".")[0]
        assert "the internet" in self.sees(station)
        assert self.on_bridge(point, station) == vlan

    def sees(self, station: Station, url: str = "http://example.com/", *flags: str, family: int = 4) -> str:
        """The page that a device gets, redirects followed; empty: none."""
        return self.curl(station.name, url, f"-{family}", "-L", *flags).stdout

    def _start_dhcp(self) -> None:
        ranges = []
        for vlan in VLANS:
            v4, v6 = gateway(vlan)
            ranges += [
                f"--interface=vlan{vlan}", f"--dhcp-range={v4[:-1]}10,{v4[:-1]}200,255.255.255.0,1h",
                f"--dhcp-range={v6[:-1]},ra-only,64",
            ]  # fmt: skip
        self.lab.popen(
            "router", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
            "--port=0", "--no-ping", "--dhcp-authoritative", "--enable-ra", "--bind-dynamic",
            f"--dhcp-leasefile={self.directory}/leases",
            f"--dhcp-host=02:00:00:00:02:00,{ANA_BLOCKED_ADDRESSES[0]}",
            f"--dhcp-option=option:dns-server,{RESOLVER4}", *ranges,
        )  # fmt: skip
