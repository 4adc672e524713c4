# SPDX-License-Identifier: Apache-2.0
"""Other people's RADIUS in front of edged: radsecproxy over TLS, FreeRADIUS as a proxy, eapol_test, radclient."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from edged.radius.attributes import text
from edged.radius.packet import Answer, Code, Hidden, Packet
from edged.radius.radsec.counters import Refusal
from edged.radius.radsec.service import Limits, RadSecService
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.state.sessions import Status
from edged.values import IpAddress, Secret
from tests.loopback.test_radius import SECRET, Network

NEEDED = ("radsecproxy", "freeradius", "eapol_test", "radclient", "openssl")
MISSING = [program for program in NEEDED if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")]

MAC = "8ab3a0ebd5e5"
ACCESS = f"User-Name={MAC},User-Password={MAC},NAS-Identifier=b7-1,Message-Authenticator=0x00"
START = f"User-Name={MAC},Acct-Status-Type=Start,Acct-Session-Id=81a0,Acct-Input-Gigawords=1"
OUTSIDE = "secret-of-the-ap"
"""Between the access point and the proxy."""


LONGEST = "0123456789abcdef" * 3 + "0123456789abcde"
"""A passphrase of 63 characters: four cipher blocks."""


class Resident(Network):
    """The network of the loopback tests, and one resident with the longest passphrase there is."""

    async def authorize(self, packet: Packet, client: ClientSettings, source: IpAddress) -> Answer | None:
        if text(packet.attributes, "User-Name") == "long":
            return Answer(Code.ACCESS_ACCEPT, (Hidden("Tunnel-Password", Secret(LONGEST)),))
        return await super().authorize(packet, client, source)


@dataclass
class Served:
    """edged's two RADIUS services, and what they were asked."""

    network: Network
    udp: RadiusService
    tls: RadSecService
    folder: Path
    settings: RadiusSettings

    @property
    def ports(self) -> dict[str, int]:
        return {role: endpoint.port for role, endpoint in self.udp.endpoints} | {"tls": self.tls.endpoints[0].port}


def _settings(folder: Path) -> RadiusSettings:
    authority = trustme.CA()
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    for name in ("radius", "proxy"):
        leaf = authority.issue_cert(f"{name}.example.net")
        (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
        (folder / f"{name}.key").write_bytes(leaf.private_key_pem.bytes())
    return RadiusSettings.model_validate(
        {
            "auth": ["127.0.0.1:0"],
            "acct": ["127.0.0.1:0"],
            "tls": {
                "listen": ["127.0.0.1:0"], "ca": folder / "ca.pem", "chain": folder / "radius.pem",
                "key": folder / "radius.key",
            },
            "clients": [
                {"name": "udp", "networks": ["127.0.0.0/8"], "secret": SECRET},
                {"name": "tls", "networks": ["127.0.0.0/8"], "secret": SECRET, "certificate": "proxy.example.net"},
            ],
        }
    )  # fmt: skip


@asynccontextmanager
async def _serving(folder: Path, settings: RadiusSettings | None = None) -> AsyncIterator[Served]:
    settings = settings or _settings(folder)
    network = Resident()
    udp = RadiusService(settings, authorize=network.authorize, account=network.account)
    tls = RadSecService(settings, exchanges=udp.exchanges, clients=udp.clients, limits=Limits(sweep=0.05))
    await udp.start()
    await tls.start()
    running = [asyncio.create_task(udp.run()), asyncio.create_task(tls.run())]
    try:
        yield Served(network, udp, tls, folder, settings)
        assert not any(task.done() for task in running), "a service has ended by itself"
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task
        await tls.stop()
        await udp.stop()


@asynccontextmanager
async def _program(log: Path, *command: str) -> AsyncIterator[Callable[[], str]]:
    """A foreign server while the context lasts; what it has said so far."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        try:
            yield lambda: log.read_text("utf-8", "replace")
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(5.0):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def _until(condition: Callable[[], object], wait: float = 10.0) -> None:
    async with asyncio.timeout(wait):
        while not condition():
            await asyncio.sleep(0.02)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def _radclient(kind: str, port: int, attributes: str, secret: str = OUTSIDE, tries: int = 3) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "radclient", "-x", "-r", str(tries), "-t", "1", f"127.0.0.1:{port}", kind, secret,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate(attributes.encode())
    return process.returncode or 0, output.decode()


# --- radsecproxy: UDP in, TLS out ------------------------------------------------------------------

RADSECPROXY = """\
ListenUDP 127.0.0.1:{port}
LogLevel 2
tls default {{
  CACertificateFile {folder}/ca.pem
  CertificateFile {folder}/{certificate}.pem
  CertificateKeyFile {folder}/{certificate}.key
}}
client ap {{
  host 127.0.0.1
  type udp
  secret {outside}
}}
server edged {{
  host 127.0.0.1
  port {tls}
  type tls
  secret radsec
  statusServer on
  certificateNameCheck off
}}
realm * {{
  server edged
  accountingServer edged
}}
"""


@asynccontextmanager
async def _radsecproxy(served: Served, certificate: str = "proxy") -> AsyncIterator[tuple[int, Callable[[], str]]]:
    port = _free_port()
    path = served.folder / "radsecproxy.conf"
    path.write_text(
        RADSECPROXY.format(
            port=port, folder=served.folder, certificate=certificate, outside=OUTSIDE, tls=served.ports["tls"]
        )
    )
    command = ("/usr/sbin/radsecproxy", "-f", "-c", str(path))
    async with _program(served.folder / "radsecproxy.log", *command) as said:
        yield port, said


async def test_radsecproxy_carries_authentication_and_accounting_over_one_connection(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _radsecproxy(served) as (port, said):
        await _until(lambda: served.tls.counters.accepted, 15.0)
        status, output = await _radclient("auth", port, ACCESS)
        assert status == 0, output + said()
        assert "Received Access-Accept" in output
        # it re-encrypts what is hidden for the next hop, with its own secret there
        assert 'Tunnel-Password:0 = "Pancakes1124"' in output
        assert f"MS-MPPE-Recv-Key = 0x{bytes(range(32)).hex()}" in output
        assert 'Tunnel-Private-Group-Id:0 = "131"' in output
        status, output = await _radclient("acct", port, START)
        assert status == 0, output + said()
        (event,) = served.network.events
        assert event is not None
        assert (event.status, event.octets_in) == (Status.START, 1 << 32)
        assert served.tls.counters.open == 1
        assert sum(served.udp.counters.discards.values()) == 0


async def test_the_longest_passphrase_survives_being_encrypted_anew(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _radsecproxy(served) as (port, said):
        await _until(lambda: served.tls.counters.accepted, 15.0)
        _, output = await _radclient("auth", port, "User-Name=long,User-Password=x,Message-Authenticator=0x00")
        assert f'Tunnel-Password:0 = "{LONGEST}"' in output, output + said()


def _fence(beginning: str) -> str:
    """The one block of the manual that has this line."""
    manual = (Path(__file__).resolve().parents[2] / "docs" / "wifi-access-points.md").read_text("utf-8")
    (found,) = [block for block in re.findall(r"```[a-z]*\n(.*?)```", manual, re.DOTALL) if beginning in block]
    return str(found)


async def test_the_manuals_certificates_and_its_radsecproxy_work_word_for_word(tmp_path: Path) -> None:
    made = subprocess.run(["sh", "-ec", _fence("openssl req -x509")], cwd=tmp_path, capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    settings = {
        "auth": ["127.0.0.1:0"],
        "acct": ["127.0.0.1:0"],
        "tls": {
            "listen": ["127.0.0.1:0"], "ca": tmp_path / "ca.pem", "chain": tmp_path / "radius.example.net.pem",
            "key": tmp_path / "radius.example.net.key",
        },
        "clients": [
            {
                "name": "building-7", "networks": ["0.0.0.0/0"], "secret": SECRET,
                "certificate": "ap.building-7.example.net",
            }
        ],
    }  # fmt: skip
    async with _serving(tmp_path, RadiusSettings.model_validate(settings)) as served:
        port, accounting = _free_port(), _free_port()
        told = _fence("ListenUDP")
        for here, there in (
            ("10.7.0.2:1812", f"127.0.0.1:{port}"),
            ("10.7.0.2:1813", f"127.0.0.1:{accounting}"),
            ("/etc/radsecproxy/", f"{tmp_path}/"),
            ("10.7.0.0/24", "127.0.0.0/8"),
            ("192.0.2.10", "127.0.0.1"),
            ("port 2083", f"port {served.ports['tls']}"),
        ):
            assert here in told
            told = told.replace(here, there)
        (tmp_path / "manual.conf").write_text(told)
        command = ("/usr/sbin/radsecproxy", "-f", "-c", str(tmp_path / "manual.conf"))
        async with _program(tmp_path / "manual.log", *command) as said:
            await _until(lambda: served.tls.counters.accepted or "error" in said().lower(), 15.0)
            secret = "the-secret-of-building-7"
            status, output = await _radclient("auth", port, ACCESS, secret)
            assert status == 0, output + said()
            status, output = await _radclient("acct", accounting, START, secret)
            assert status == 0, output + said()


async def test_a_reject_passes_radsecproxy_with_its_words(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _radsecproxy(served) as (port, said):
        await _until(lambda: served.tls.counters.accepted, 15.0)
        status, output = await _radclient("auth", port, "User-Name=bob,User-Password=no,Message-Authenticator=0x00")
        assert (status, "Received Access-Reject" in output) == (1, True), output + said()
        assert 'Reply-Message = "tls"' in output, "the client is the one of the certificate"


async def test_radsecproxy_asks_whether_we_live_and_is_content(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _radsecproxy(served) as (port, said):
        # its watchdog is a Status-Server after some 25 seconds without traffic
        await _until(lambda: served.udp.counters.requests[Code.STATUS_SERVER], 45.0)
        await _radclient("auth", port, ACCESS)
        assert served.tls.counters.accepted == 1, "the connection was not given up: " + said()


async def test_radsecproxy_with_a_name_that_no_client_has_is_turned_away(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served:
        only = served.settings.model_copy(update={"clients": served.settings.clients[1:]})
        served.tls.reconfigure(only, None)
        async with _radsecproxy(served, "radius") as (port, _):
            await _until(lambda: served.tls.counters.refused[Refusal.WRONG_NAME], 15.0)
            status, _ = await _radclient("auth", port, ACCESS, tries=1)
            assert status == 1
            assert served.network.asked == []


# --- FreeRADIUS as a proxy -------------------------------------------------------------------------

FREERADIUS = """\
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {folder}
run_dir = {folder}
pidfile = {folder}/freeradius.pid
max_request_time = 10
log {{
  destination = stdout
}}
thread pool {{
  start_servers = 1
}}
modules {{
}}
client ap {{
  ipaddr = 127.0.0.1
  secret = {outside}
}}
home_server edged_auth {{
  type = auth
  ipaddr = 127.0.0.1
  port = {auth}
  secret = {inside}
  require_message_authenticator = yes
  response_window = 1
  zombie_period = 1
  status_check = status-server
  check_interval = 6
  num_answers_to_alive = 3
}}
home_server edged_acct {{
  type = acct
  ipaddr = 127.0.0.1
  port = {acct}
  secret = {inside}
  response_window = 1
  zombie_period = 1
  status_check = status-server
  check_interval = 6
  num_answers_to_alive = 3
}}
home_server_pool edged_auth {{
  home_server = edged_auth
}}
home_server_pool edged_acct {{
  type = fail-over
  home_server = edged_acct
}}
realm edged {{
  auth_pool = edged_auth
  acct_pool = edged_acct
  nostrip
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = {port}
  }}
  listen {{
    type = acct
    ipaddr = 127.0.0.1
    port = {port_acct}
  }}
  authorize {{
    update control {{
      Proxy-To-Realm := "edged"
    }}
  }}
  preacct {{
    update control {{
      Proxy-To-Realm := "edged"
    }}
  }}
}}
"""


@asynccontextmanager
async def _freeradius(served: Served) -> AsyncIterator[tuple[int, int, Callable[[], str]]]:
    port, port_acct = _free_port(), _free_port()
    folder = served.folder / "freeradius"
    folder.mkdir(mode=0o700)
    text = FREERADIUS.format(
        folder=folder, outside=OUTSIDE, inside=SECRET.reveal_text(), auth=served.ports["auth"],
        acct=served.ports["acct"], port=port, port_acct=port_acct,
    )  # fmt: skip
    (folder / "radiusd.conf").write_text(text)
    command = ("/usr/sbin/freeradius", "-f", "-xx", "-l", "stdout", "-d", str(folder), "-n", "radiusd")
    async with _program(served.folder / "freeradius.log", *command) as said:
        try:
            await _until(lambda: "Ready to process requests" in said(), 20.0)
        except TimeoutError:
            raise AssertionError(said()) from None
        yield port, port_acct, said


async def test_freeradius_as_a_proxy_passes_keys_and_accounting_and_gets_its_proxy_state_back(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _freeradius(served) as (port, acct, said):
        # without its own Proxy-State in the reply FreeRADIUS would not know whose it is
        status, output = await _radclient("auth", port, ACCESS + ",Proxy-State=0x6f6e65,Proxy-State=0x74776f")
        assert status == 0, output + said()
        assert 'Tunnel-Password:0 = "Pancakes1124"' in output
        assert output.rindex("Proxy-State = 0x6f6e65") < output.rindex("Proxy-State = 0x74776f")
        status, output = await _radclient("acct", acct, START)
        assert status == 0, output + said()
        assert [event.status for event in served.network.events if event] == [Status.START]
        assert sum(served.udp.counters.discards.values()) == 0


async def test_freeradius_asks_with_status_server_after_silence_and_is_answered(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served, _freeradius(served) as (port, _, said):
        silent = ACCESS.replace(f"User-Name={MAC}", "User-Name=silent")
        asking = asyncio.create_task(_radclient("auth", port, silent, tries=8))
        await _until(lambda: served.udp.counters.requests[Code.STATUS_SERVER], 30.0)
        await _until(lambda: "response to status check" in said(), 10.0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking


# --- eapol_test: the RADIUS client of hostapd ------------------------------------------------------

EAPOL = """\
network={
  key_mgmt=WPA-EAP
  eap=MD5
  identity="bob"
  password="wrong"
}
"""


async def _eapol_test(served: Served, secret: str) -> str:
    path = served.folder / "eapol.conf"
    path.write_text(EAPOL)
    process = await asyncio.create_subprocess_exec(
        "eapol_test", "-c", str(path), "-a", "127.0.0.1", "-p", str(served.ports["auth"]), "-s", secret, "-t", "4",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode("utf-8", "replace")


async def test_hostapds_own_client_takes_our_reject_of_eap_for_authentic(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served:
        output = await _eapol_test(served, SECRET.reveal_text())
        assert "code=3 (Access-Reject)" in output
        assert "dropped" not in output
        assert served.network.asked == ["bob"]


async def test_hostapds_own_client_with_another_secret_gets_silence(tmp_path: Path) -> None:
    async with _serving(tmp_path) as served:
        output = await _eapol_test(served, "another-secret")
        assert "Access-Reject" not in output
        assert served.network.asked == []


# --- radclient -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "kind", "attributes", "reply"),
    [
        ("auth", "auth", ACCESS, "Access-Accept"),
        ("auth", "status", "Message-Authenticator=0x00", "Access-Accept"),
        ("acct", "acct", START, "Accounting-Response"),
        ("acct", "status", "Message-Authenticator=0x00", "Accounting-Response"),
    ],
)
async def test_radclient_over_udp(tmp_path: Path, role: str, kind: str, attributes: str, reply: str) -> None:
    async with _serving(tmp_path) as served:
        status, output = await _radclient(kind, served.ports[role], attributes, SECRET.reveal_text(), tries=1)
        assert status == 0, output
        assert f"Received {reply}" in output
