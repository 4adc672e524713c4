# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire in each dialect, as the pages under docs/wifi/ show it; `python -m tests.dialect_pages`.

Made of the golden packets and of what edged answers them with, so that no page shows what the program does not send.
"""

from __future__ import annotations

import re
from pathlib import Path

from edged.mpsk.desk import Desk
from edged.mpsk.dialects import DIALECTS
from edged.mpsk.dialects.row import AUDIT_SESSION, session_of
from edged.mpsk.keyring import compile_keyring
from edged.radius.admission import AUTHENTICATION, SignedSources, admit
from edged.radius.attributes import Attributes, tlvs, values
from edged.radius.clients import Source
from edged.radius.dictionary import BY_NAME, DEFINITIONS, LONG_EXTENDED, VENDOR_SPECIFIC, Data, Definition, Hiding
from edged.radius.packet import Packet, decode
from edged.radius.reply import encode_answer, salts_from
from edged.values import MacAddress, Secret, parse_mac
from tests.mpsk_world import HOME, NOW, VECTORS, answered, client, mpsk_settings, stored

GOLDEN = VECTORS["golden"]
PACKETS = {row["dialect"]: bytes.fromhex(row["request"]) for row in GOLDEN["packets"]}
PAGES = Path(__file__).resolve().parents[1] / "docs" / "wifi"
BLOCK = re.compile(r"^```\n([a-z-]+), asked:\n.*?^```$", re.MULTILINE | re.DOTALL)
"""A block of a page, by its first line."""
_STANDARD = {row.number: row for row in DEFINITIONS if not row.vendor}
_OF_VENDOR = {(row.vendor, row.number): row for row in DEFINITIONS if row.vendor}


def told_by(packet: Packet) -> list[str]:
    """A line for each attribute, in the order of the wire; a key or a nonce as its length alone."""
    lines: list[str] = []
    for number, value in packet.attributes:
        if number == VENDOR_SPECIFIC:
            vendor = int.from_bytes(value[:4], "big")
            lines += [_of_vendor(vendor, inner, data) for inner, data in tlvs(value[4:])]
        elif number not in LONG_EXTENDED:
            lines.append(_line(_STANDARD[number], value))
    extended = (row for row in DEFINITIONS if row.extended)
    return lines + [_line(row, value) for row in extended for value in values(packet.attributes, row.name)]


def _of_vendor(vendor: int, number: int, value: bytes) -> str:
    row = _OF_VENDOR.get((vendor, number))
    return _line(row, value) if row else f"  {f'26.{vendor}.{number}':<31} {len(value)} octets"


def _line(row: Definition, value: bytes) -> str:
    return f"  {row.name:<31} {_shown(row, value)}"


def _shown(row: Definition, value: bytes) -> str:
    bare = value[1:] if row.tagged and row.data is Data.INTEGER else value
    match row:
        case Definition(hiding=Hiding.SALT | Hiding.PASSWORD):
            return "hidden with the secret"
        case Definition(data=Data.INTEGER):
            return str(int.from_bytes(bare, "big"))
        case Definition(data=Data.IPV4):
            return ".".join(str(octet) for octet in bare)
        case Definition(name="Cisco-AVPair"):
            return _pair(bare)
        case Definition(data=Data.OCTETS) if not bare.isascii() or b"\0" in bare or row.name == "Message-Authenticator":
            return f"{len(bare)} octets"
        case _:
            return bare.decode()


def _pair(value: bytes) -> str:
    name, _, said = value.partition(b"=")
    return value.decode() if name.isascii() and said.isascii() and b"\0" not in said else f"{name.decode()}=…"


def _desk(dialect: str, mac: MacAddress) -> Desk:
    made = Desk(mpsk_settings(GOLDEN["ssid"]))
    known = () if DIALECTS[dialect].read else (mac,)
    passphrase = Secret(GOLDEN["passphrase"])
    key = stored("flat-12", ssid=GOLDEN["ssid"], passphrase=passphrase, vlan=GOLDEN["vlan"], devices=known)
    made.ring = compile_keyring([key], (), (GOLDEN["ssid"],), NOW)
    return made


def block(dialect: str) -> str:
    """The lines of ``dialect``: its golden request, the reply as it leaves, and what a Disconnect-Request names."""
    mac, asking = parse_mac(GOLDEN["mac"]), client(dialect=dialect)
    request = admit(PACKETS[dialect], Source(HOME, asking, str(HOME)), AUTHENTICATION, SignedSources())
    assert isinstance(request, Packet)
    answer = answered(_desk(dialect, mac), request, asking)
    assert answer is not None
    reply = decode(encode_answer(answer, request, Secret(GOLDEN["secret"]), salts_from(7)))
    row = DIALECTS[dialect]
    session = session_of(row.session, request.attributes, mac)
    named = _named(session, row.session)
    return "\n".join(
        [
            f"{dialect}, asked:",
            *told_by(decode(PACKETS[dialect])),
            f"answered ({reply.code.name.replace('_', '-').title()}):",
            *told_by(reply),
            f"sent away by: {named}",
        ]
    )


def _named(session: Attributes, wanted: tuple[str, ...]) -> str:
    """The names of what goes into a Disconnect-Request; in brackets what this packet did not have."""
    there = {attribute.type for attribute in session}

    def word(name: str) -> str:
        number = BY_NAME["Cisco-AVPair" if name == AUDIT_SESSION else name]
        return name if (VENDOR_SPECIFIC if number.vendor else number.number) in there else f"({name})"

    return ", ".join(word(name) for name in wanted)


def blocks_of(page: str) -> dict[str, str]:
    """Dialect to block, without its fence, of everything that a page shows."""
    return {match[1]: match[0].removeprefix("```\n").removesuffix("\n```") for match in BLOCK.finditer(page)}


def renewed(page: str) -> str:
    """The page with each block as the program has it now."""
    return BLOCK.sub(lambda match: f"```\n{block(match[1])}\n```", page)


if __name__ == "__main__":
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(renewed(path.read_text("utf-8")), "utf-8")
