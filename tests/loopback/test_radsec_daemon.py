# SPDX-License-Identifier: Apache-2.0
"""RADIUS over TLS in the whole daemon: keys for an access point, a renewed certificate, what an operator sees."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from edged.config.loading import load
from edged.daemon import House
from edged.errors import ConfigError
from edged.ops import text
from edged.ops.alarms import alarms
from edged.ops.figures import figures
from edged.ops.nases import with_nas
from edged.radius.attributes import Attribute, attribute, values
from edged.radius.authenticator import sign_request
from edged.radius.hiding import hide_password, reveal_salted
from edged.radius.packet import Code, Packet, decode
from edged.radius.radsec.peers import SECRET
from edged.values import Secret
from tests.loopback.house import at_work, written

MAC = "02005e100009"
CONFIGURATION = """\
site: north
mode: watch
state: {{directory: {directory}/state}}
ops: {{listen: "127.0.0.1:0", socket: {directory}/control.sock}}
billing: {{source: file, path: {directory}/billing.yaml, guard: {{first: accept}}}}
subscribers: {{networks: ["100.64.0.0/10"]}}
radius:
  tls: {{listen: ["127.0.0.1:0"], ca: {directory}/ca.pem, chain: {directory}/radsec.pem, key: {directory}/radsec.key}}
  clients:
    - {{name: building-7, networks: ["127.0.0.0/8"], secret: of-no-matter-here, certificate: ap.example.net}}
mpsk:
  networks:
    Residence: {{}}
"""
BILLING = f"""\
subscribers: []
keys:
  - {{id: k-501, subscriber: "2001", ssid: Residence, passphrase: copper-otter-violin-42, vlan: 112,
     devices: ["{MAC}"]}}
"""


def _certify(folder: Path, authority: trustme.CA) -> None:
    server = authority.issue_cert("radius.example.net")
    (folder / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (folder / "radsec.pem").write_bytes(b"".join(pem.bytes() for pem in server.cert_chain_pems))
    (folder / "radsec.key").write_bytes(server.private_key_pem.bytes())


@asynccontextmanager
async def _house(folder: Path, authority: trustme.CA) -> AsyncIterator[House]:
    _certify(folder, authority)
    (folder / "billing.yaml").write_text(BILLING)
    (folder / "state").mkdir()
    async with at_work(written(folder, CONFIGURATION)) as house:
        async with asyncio.timeout(10.0):
            while not house.mpsk.key_facts():
                await asyncio.sleep(0.02)
        yield house


async def _exchange(house: House, authority: trustme.CA, octets: bytes) -> bytes:
    assert house.radsec is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    authority.configure_trust(context)
    authority.issue_cert("ap.example.net").configure_cert(context)
    (endpoint,) = house.radsec.endpoints
    async with asyncio.timeout(10.0):
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port, ssl=context)
        writer.write(octets)
        header = await reader.readexactly(4)
        reply = header + await reader.readexactly(int.from_bytes(header[2:], "big") - 4)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return reply


def _request() -> bytes:
    given = (
        attribute("User-Name", MAC),
        Attribute(2, hide_password(Secret(MAC), SECRET, bytes(16))),
        attribute("Calling-Station-Id", "02-00-5E-10-00-09"),
        attribute("Called-Station-Id", "02-00-5E-00-00-01:Residence"),
    )
    return sign_request(Packet(Code.ACCESS_REQUEST, 1, bytes(16), given), SECRET)


async def test_an_access_point_behind_tls_gets_its_residents_key(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with _house(tmp_path, authority) as house:
        reply = decode(await _exchange(house, authority, _request()))

        assert reply.code is Code.ACCESS_ACCEPT
        (hidden, *_) = values(reply.attributes, "Tunnel-Password")
        assert reveal_salted(hidden[1:], SECRET, bytes(16)) == b"copper-otter-violin-42"
        found = {(it.name, *it.labels): it.value for it in figures(house) if "radsec" in it.name}
        assert found["edged_radsec_connections",] == 1
        assert found["edged_radsec_refused", ("reason", "no-certificate")] == 0
        status = " ".join(text.status(await house.answers.status_facts()).split())
        assert "over TLS, 0 refused" in status
        (told,) = [row for row in with_nas(house, {"subject": "127.0.0.1"})["who"] if "last heard" in row]
        assert "over TLS" in told


async def test_a_reload_takes_a_renewed_certificate_and_refuses_one_that_does_not_work(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    async with _house(tmp_path, old) as house:
        _certify(tmp_path, new)
        await house.reload()
        assert house.reload_state.ok
        assert decode(await _exchange(house, new, _request())).code is Code.ACCESS_ACCEPT

        (tmp_path / "radsec.key").write_text("no key")
        await house.reload()
        assert [problem.key for problem in house.reload_state.problems] == ["radius.tls.key"]
        assert decode(await _exchange(house, new, _request())).code is Code.ACCESS_ACCEPT


async def test_a_certificate_that_ends_is_an_alarm(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with _house(tmp_path, authority) as house:
        assert house.radsec is not None
        codes = [{alarm.code for alarm in alarms(house, house.radsec.ends - days * 86400)} for days in (15, 13, -1)]
        assert ["radsec-certificate-ending" in found for found in codes] == [False, True, True]


async def test_without_its_certificate_the_daemon_does_not_start_and_says_which_file(tmp_path: Path) -> None:
    authority = trustme.CA()
    _certify(tmp_path, authority)
    (tmp_path / "billing.yaml").write_text(BILLING)
    (tmp_path / "edged.yaml").write_text(CONFIGURATION.format(directory=tmp_path))
    (tmp_path / "state").mkdir()
    loaded = load(str(tmp_path / "edged.yaml"))
    (tmp_path / "radsec.pem").unlink()
    house = House(loaded)
    with pytest.raises(ConfigError, match=r"radius\.tls\.chain: .*radsec\.pem: No such file"):
        await house.open()
    await house.close()
