# SPDX-License-Identifier: Apache-2.0
"""Foreign programs read what edged answers in each dialect: radclient, radsniff, pyrad; scapy builds broken packets."""

from __future__ import annotations

import asyncio
import hashlib
import io
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pyrad import packet as pyrad
from pyrad.dictionary import Dictionary
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.radius import Radius, RadiusAttribute
from scapy.utils import wrpcap

from edged.mpsk.desk import Desk
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.keyring import compile_keyring
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import attribute
from edged.radius.client import change, disconnect
from edged.radius.clients import Source
from edged.radius.packet import Answer, Packet, decode
from edged.radius.reply import encode_answer, salts_from
from edged.radius.service import RadiusService
from edged.radius.settings import ClientSettings, RadiusSettings
from edged.values import Endpoint, IpAddress, Secret, parse_mac
from tests.mpsk_world import HOME, NOW, VECTORS, answered, client, mpsk_settings, stored

GOLDEN = VECTORS["golden"]
SECRET = Secret(GOLDEN["secret"])
ROWS: list[dict[str, Any]] = GOLDEN["packets"]
PASSPHRASE, PMK = GOLDEN["passphrase"], "44a4f34b6270fccb7dffa8c9e610e3b80f021c8165bcf53c99c3f818167982ab"
UNBOUND = {row["dialect"] for row in ROWS if DIALECTS[row["dialect"]].read}
BY_NAME = pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["dialect"]))
FREERADIUS = shutil.which("radclient") and shutil.which("radsniff")
needs_freeradius = pytest.mark.skipif(not FREERADIUS, reason="Debian's freeradius-utils is not installed")
VLAN = {"aruba": "Aruba-User-Vlan = 131", "mikrotik": "0x00000083"}
"""How FreeRADIUS' tools write it; the VLAN trio in all other dialects."""


def desk(dialect: str) -> Desk:
    made = Desk(mpsk_settings(GOLDEN["ssid"]))
    mac = parse_mac(GOLDEN["mac"])
    key = stored(
        "k-1", ssid=GOLDEN["ssid"], passphrase=Secret(PASSPHRASE), vlan=GOLDEN["vlan"],
        devices=() if dialect in UNBOUND else (mac,),
    )  # fmt: skip
    made.ring = compile_keyring([key], (), (GOLDEN["ssid"],), NOW)
    return made


def reply_of(octets: bytes, dialect: str) -> bytes:
    """The reply as it leaves, through everything but the socket."""
    asking = client(dialect=dialect)
    request = admit(octets, Source(HOME, asking, str(HOME)), AUTHENTICATION, SignedSources())
    assert isinstance(request, Packet)
    answer = _ask(desk(dialect), request, asking)
    return encode_answer(answer, request, SECRET, salts_from(7))


def _ask(at: Desk, request: Packet, asking: ClientSettings) -> Answer:
    answer = answered(at, request, asking)
    assert answer is not None
    return answer


# --- pyrad -----------------------------------------------------------------------------------------

DICTIONARY = Dictionary(
    io.StringIO(
        "ATTRIBUTE User-Name 1 string\nATTRIBUTE Tunnel-Password 69 string has_tag,encrypt=2\n"
        "ATTRIBUTE Message-Authenticator 80 octets\n"
        "VENDOR Microsoft 311\nBEGIN-VENDOR Microsoft\nATTRIBUTE MS-MPPE-Recv-Key 17 octets encrypt=2\n"
        "END-VENDOR Microsoft\nVENDOR Aruba 14823\nBEGIN-VENDOR Aruba\n"
        "ATTRIBUTE Aruba-MPSK-Passphrase 44 string encrypt=2\nEND-VENDOR Aruba\n"
    )
)
HIDDEN = {
    "ruckus-unbound": ("MS-MPPE-Recv-Key", bytes.fromhex(PMK)),
    "aruba": ("Aruba-MPSK-Passphrase", PASSPHRASE),
}
IN_CLEAR = {"mikrotik", "cisco-ipsk", "cisco-easy-psk", "eleven", "huawei", "ruckus"}


@BY_NAME
def test_pyrad_verifies_and_decrypts_the_accept(row: dict[str, Any]) -> None:
    octets = bytes.fromhex(row["request"])
    reply = reply_of(octets, row["dialect"])

    request = pyrad.AuthPacket(packet=octets, secret=SECRET.reveal(), dict=DICTIONARY)
    assert request.VerifyReply(pyrad.Packet(packet=reply, secret=SECRET.reveal(), dict=DICTIONARY), reply)
    judged = pyrad.AuthPacket(packet=reply, secret=SECRET.reveal(), dict=DICTIONARY)
    judged.authenticator = octets[4:20]
    assert reply[20:22] == b"\x50\x12"
    if row["dialect"] in IN_CLEAR:
        clear = bytes.fromhex(PMK) if row["dialect"] == "ruckus" else PASSPHRASE.encode()
        assert clear in reply
        return
    assert PASSPHRASE.encode() not in reply
    name, wanted = HIDDEN.get(row["dialect"], ("Tunnel-Password:0", PASSPHRASE))
    (value,) = _decrypted(judged, name)
    assert value == wanted


def _decrypted(judged: pyrad.AuthPacket, name: str) -> list[Any]:
    for spelt in (name, name.partition(":")[0]):
        with suppress(KeyError):
            found = judged[spelt]
            return [found] if isinstance(found, (str, bytes)) else list(found)
    return []


# --- radsniff --------------------------------------------------------------------------------------


@needs_freeradius
@BY_NAME
def test_radsniff_reads_the_request_and_the_accept_from_a_capture(row: dict[str, Any], tmp_path: Path) -> None:
    octets = bytes.fromhex(row["request"])
    reply = reply_of(octets, row["dialect"])
    there, back = IP(src="192.0.2.1", dst="192.0.2.2"), IP(src="192.0.2.2", dst="192.0.2.1")
    capture = tmp_path / "radius.pcap"
    wrpcap(
        str(capture),
        [
            Ether() / there / UDP(sport=50000, dport=1812) / octets,
            Ether() / back / UDP(sport=1812, dport=50000) / reply,
        ],
    )

    said = subprocess.run(
        ["radsniff", "-I", str(capture), "-s", SECRET.reveal_text(), "-x"], capture_output=True, text=True, timeout=30,
        check=False,
    ).stdout  # fmt: skip

    assert "Access-Request" in said
    assert "Access-Accept" in said
    assert_read(row["dialect"], said)


def assert_read(dialect: str, said: str) -> None:
    """The key, the VLAN and the key's name, as FreeRADIUS' tools print them."""
    match dialect:
        case "ruckus-unbound":
            key = f"MS-MPPE-Recv-Key = 0x{PMK}"
        case "ruckus":
            key = f"0x00{PMK}"
        case "aruba":
            key = f"Aruba-MPSK-Passphrase = 0x{PASSPHRASE.encode().hex()}"
        case "mikrotik" | "huawei":
            key = PASSPHRASE if PASSPHRASE in said else PASSPHRASE.encode().hex()
        case "cisco-ipsk" | "cisco-easy-psk" | "eleven":
            key = f'Cisco-AVPair = "psk={PASSPHRASE}"'
        case "omada-unbound":
            key = PMK
        case _:
            key = f'Tunnel-Password:0 = "{PASSPHRASE}"'
    assert key in said
    if dialect == "mikrotik":
        assert "131" in said or "0x00000083" in said
    else:
        assert VLAN.get(dialect, 'Tunnel-Private-Group-Id:0 = "131"') in said
        assert 'User-Name = "key:local:k-1"' in said


SESSIONS = {
    "hostapd": (attribute("Calling-Station-Id", "8A-B3-A0-EB-D5-E5"), attribute("NAS-Identifier", "ap-lobby-1")),
    "ruckus": (attribute("Calling-Station-Id", "8A-B3-A0-EB-D5-E5"), attribute("NAS-IP-Address", HOME)),
    "mikrotik": (attribute("User-Name", "8A:B3:A0:EB:D5:E5"),),
    "cisco": (attribute("Cisco-AVPair", b"audit-session-id=0A07000100000013"),),
}
PRINTED = {
    "hostapd": ('Calling-Station-Id = "8A-B3-A0-EB-D5-E5"', 'NAS-Identifier = "ap-lobby-1"'),
    "ruckus": ('Calling-Station-Id = "8A-B3-A0-EB-D5-E5"', "NAS-IP-Address = 127.0.0.1"),
    "mikrotik": ('User-Name = "8A:B3:A0:EB:D5:E5"',),
    "cisco": ('Cisco-AVPair = "audit-session-id=0A07000100000013"',),
}


@needs_freeradius
@pytest.mark.parametrize("dialect", SESSIONS)
@pytest.mark.parametrize(("code", "name"), [(40, "Disconnect-Request"), (43, "CoA-Request")])
async def test_radsniff_and_pyrad_read_what_sends_a_device_away(
    dialect: str, code: int, name: str, tmp_path: Path
) -> None:
    stamp = attribute("Event-Timestamp", 1_800_000_000)
    loop = asyncio.get_running_loop()
    transport, heard = await loop.create_datagram_endpoint(Replies, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    send = disconnect if code == 40 else change
    await send(Endpoint(HOME, port), SECRET, (*SESSIONS[dialect], stamp), waits=(0.05,))
    octets = heard.queue.get_nowait()
    transport.close()

    judged = pyrad.CoAPacket(packet=octets, secret=SECRET.reveal(), dict=DICTIONARY)
    assert (judged.code, octets[20:22]) == (code, b"\x50\x12")
    assert judged.VerifyCoARequest()
    capture = tmp_path / "das.pcap"
    out = IP(src="192.0.2.2", dst="192.0.2.1") / UDP(sport=50000, dport=3799)
    wrpcap(str(capture), [Ether() / out / octets])
    said = subprocess.run(
        ["radsniff", "-I", str(capture), "-s", SECRET.reveal_text(), "-x"], capture_output=True, text=True, timeout=30,
        check=False,
    ).stdout  # fmt: skip
    assert name in said
    assert "Event-Timestamp" in said
    assert all(words in said for words in PRINTED[dialect])


# --- radclient -------------------------------------------------------------------------------------


@asynccontextmanager
async def served(dialect: str, clients: tuple[ClientSettings, ...]) -> AsyncIterator[int]:
    """The port of a RADIUS service before one desk."""
    at = desk(dialect)

    def authorize(request: Packet, asking: ClientSettings, _source: IpAddress) -> Answer:
        return _ask(at, request, asking)

    async def account(_packet: Packet, _client: ClientSettings, _source: IpAddress) -> bool:
        return True

    settings = RadiusSettings.model_validate({"auth": ["127.0.0.1:0"], "clients": list(clients)})
    radius = RadiusService(settings, authorize=authorize, account=account)
    await radius.start()
    running = asyncio.create_task(radius.run())
    try:
        yield radius.endpoints[0][1].port
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await radius.stop()


def spelt(octets: bytes) -> str:
    """A golden request as radclient is told it; it hides, signs and numbers by itself."""
    words = []
    for number, value in decode(octets).attributes:
        if number == 2:
            words.append(f'User-Password = "{GOLDEN["mac"].replace(":", "")}"')
        elif number == 80:
            words.append("Message-Authenticator = 0x00")
        elif number == 26:
            vendor, inner = int.from_bytes(value[:4], "big"), value[4:]
            words.append(f"Attr-26.{vendor}.{inner[0]} = 0x{inner[2:].hex()}")
        elif number == 245:
            name = {1: "FreeRADIUS-802.1X-Anonce", 2: "FreeRADIUS-802.1X-EAPoL-Key-Msg"}[value[6]]
            words.append(f"{name} = 0x{value[7:].hex()}")
        else:
            words.append(f"Attr-{number} = 0x{value.hex()}")
    return "\n".join(words) + "\n"


@needs_freeradius
@BY_NAME
async def test_radclient_asks_in_every_dialect_and_reads_its_answer(row: dict[str, Any]) -> None:
    dialect = row["dialect"]
    asked = spelt(bytes.fromhex(row["request"]))
    word = dialect if row.get("configured") else "auto"

    async with served(dialect, (client(dialect=word),)) as port:
        process = await asyncio.create_subprocess_exec(
            "radclient", "-x", "-r", "1", "-t", "3", f"127.0.0.1:{port}", "auth", SECRET.reveal_text(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate(asked.encode())

    said = output.decode()
    assert "Received Access-Accept" in said, said
    assert_read(dialect, said.partition("Received Access-Accept")[2])


# --- scapy -----------------------------------------------------------------------------------------


def broken() -> list[tuple[str, bytes]]:
    """Packets that no honest access point sends, each with its own fault."""
    secret, made = SECRET.reveal(), []
    sound = {row["dialect"]: bytes.fromhex(row["request"]) for row in ROWS}
    for name, octets in sound.items():
        packet = Radius(octets)
        doubled = packet.copy()
        doubled.attributes = [*packet.attributes, *packet.attributes]
        bare = packet.copy()
        bare.attributes = [a for a in packet.attributes if a.type != 80]
        long = packet.copy()
        long.attributes = [*packet.attributes, RadiusAttribute(type=26, len=255, value=b"\0\0\x61\xdd" + b"\x99\xff")]
        zero = packet.copy()
        zero.attributes = [*packet.attributes, RadiusAttribute(type=26, len=0, value=b"")]
        for fault, bent in (("doubled", doubled), ("unsigned", bare), ("too long", long), ("no length", zero)):
            bent.len = None
            made.append((f"{name} {fault}", bytes(bent)))
        made.append((f"{name} forged", octets[:22] + hashlib.md5(secret).digest() + octets[38:]))
    return made


@pytest.mark.parametrize(("name", "octets"), broken(), ids=[name for name, _ in broken()])
async def test_scapys_broken_packets_get_no_key_and_the_next_request_its_answer(name: str, octets: bytes) -> None:
    dialect = name.split(maxsplit=1)[0]
    # as from a client that has always signed: without a signature there is no answer at all
    strict = replace_client(client(dialect=dialect))
    loop = asyncio.get_running_loop()
    async with served(dialect, (strict,)) as port:
        transport, replies = await loop.create_datagram_endpoint(Replies, remote_addr=("127.0.0.1", port))
        transport.sendto(octets)
        sound = bytes.fromhex(next(row["request"] for row in ROWS if row["dialect"] == dialect))
        transport.sendto(sound[:1] + b"\xee" + sound[2:])  # the signature fits its own identifier alone
        transport.sendto(sound)
        async with asyncio.timeout(5):
            first = await replies.queue.get()
        transport.close()

    assert (first[0], first[1]) == (2, sound[1])
    assert replies.queue.empty()


def replace_client(asking: ClientSettings) -> ClientSettings:
    return asking.model_copy(update={"message_authenticator": "require"})


class Replies(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002
        self.queue.put_nowait(data)
