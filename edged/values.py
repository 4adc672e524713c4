# SPDX-License-Identifier: Apache-2.0
"""The small values that cross every room: addresses, prefixes, MAC addresses, secrets. Text in, value out. Pure."""

from __future__ import annotations

import hmac
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, NewType, NoReturn

IpAddress = IPv4Address | IPv6Address

BITS = {4: 32, 6: 128}
"""Address length in bits per IP version."""


INTERFACE = re.compile(r"[A-Za-z0-9_.@:-]{1,15}|[A-Za-z0-9_.@:-]{0,14}\*")
"""A Linux interface name (15 octets at most), or a beginning and ``*``: PPP servers make one per session."""


class Prefix(NamedTuple):
    """An IP prefix as three integers: 80 octets of memory where ``ipaddress`` takes six times that."""

    version: int
    """4 or 6."""
    network: int
    """The whole address as an integer, host bits zero."""
    length: int
    """0 to 32 or 0 to 128."""

    def __str__(self) -> str:
        text = _text(self.version, self.network)
        return text if self.is_host else f"{text}/{self.length}"

    @property
    def is_host(self) -> bool:
        """True when the prefix is one single address."""
        return self.length == BITS[self.version]

    @property
    def last(self) -> int:
        """The highest address in the prefix, as an integer."""
        return self.network | ((1 << (BITS[self.version] - self.length)) - 1)

    def contains(self, other: Prefix) -> bool:
        """True when every address of ``other`` lies in this prefix."""
        if other.version != self.version or other.length < self.length:
            return False
        return other.network >> (BITS[self.version] - self.length) == self.network >> (BITS[self.version] - self.length)

    def overlaps(self, other: Prefix) -> bool:
        """True when the two share an address: prefixes nest or are disjoint."""
        return self.contains(other) or other.contains(self)


# a list of a hundred thousand lines is twice as many prefixes: what billing writes nearly always goes without ipaddress

_OCTETS = {str(octet): octet for octet in range(256)}
_HEXTET = frozenset("0123456789abcdefABCDEF:")
_LOW_HALF = (1 << 64) - 1


def _text(version: int, number: int) -> str:
    """An address as RFC 5952 (or dotted decimal) spells it."""
    if version == 4:
        return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if number & _LOW_HALF or not number:
        return str(IPv6Address(number))
    # the lower half is zero, so the longest run of zeros is that at the end
    hextets = [number >> shift & 0xFFFF for shift in (112, 96, 80, 64)]
    while not hextets[-1]:
        hextets.pop()
    return ":".join([f"{hextet:x}" for hextet in hextets]) + "::"


def _ipv4_number(text: str) -> int:
    """ValueError unless it is four decimal octets without leading zeros."""
    try:
        a, b, c, d = (_OCTETS[octet] for octet in text.split("."))
    except KeyError:
        raise ValueError(text) from None
    return a << 24 | b << 16 | c << 8 | d


def _ipv6_number(text: str) -> int:
    """ValueError for what is no IPv6 address, and for one with a zone: it means nothing on another host."""
    head, gap, tail = text.partition("::")
    groups, hextets = head.split(":"), tail.split(":") if tail else []
    count = len(groups) + len(hextets)
    if head and gap and count < 8 and _HEXTET.issuperset(text) and all(map(_is_hextet, groups + hextets)):
        number = 0
        for hextet in (*groups, *("0",) * (8 - count), *hextets):
            number = number << 16 | int(hextet, 16)
        return number
    if "%" in text:
        raise ValueError(text)
    return int(IPv6Address(text))


def _is_hextet(group: str) -> bool:
    return 0 < len(group) <= 4


def parse_prefix(text: str) -> Prefix:
    """The prefix that ``text`` names; a bare address is one of full length. ValueError when it names none.

    Host bits must be zero: ``10.0.0.1/24`` is more often a slip than an intention.
    """
    address, slash, length_text = text.partition("/")
    version = 6 if ":" in address else 4
    try:
        network = _ipv4_number(address) if version == 4 else _ipv6_number(address)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address or prefix") from None
    bits = BITS[version]
    if slash and not (length_text.isascii() and length_text.isdigit() and len(length_text) <= 3):
        raise ValueError(f"{text!r} has a prefix length that is not a number")
    length = int(length_text) if slash else bits
    if length > bits:
        raise ValueError(f"{text!r} has a prefix length above {bits}")
    if network & ((1 << (bits - length)) - 1):
        masked = _text(version, network >> (bits - length) << (bits - length))
        raise ValueError(f"{text!r} has bits set after the prefix; write {masked}/{length}")
    return Prefix(version, network, length)


def host_prefix(address: IpAddress) -> Prefix:
    """The prefix of full length that holds ``address`` alone."""
    return Prefix(address.version, int(address), BITS[address.version])


def parse_address(text: str) -> IpAddress:
    """The IP address that ``text`` spells, an IPv4-mapped IPv6 address as IPv4. ValueError when it spells none."""
    try:
        address = ip_address(text)
    except (ValueError, AddressValueError):
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


MacAddress = NewType("MacAddress", str)
"""A MAC address in its one canonical spelling: six lower-case pairs with colons."""

_MAC = re.compile(
    r"[0-9a-f]{12}|[0-9a-f]{2}(?P<pairs>[:-])[0-9a-f]{2}(?:(?P=pairs)[0-9a-f]{2}){4}"
    r"|[0-9a-f]{4}(?P<quads>[.:-])[0-9a-f]{4}(?P=quads)[0-9a-f]{4}|[0-9a-f]{6}-[0-9a-f]{6}",
    re.IGNORECASE | re.ASCII,
)


_SEPARATORS = {ord(separator): None for separator in ":-."}


def parse_mac(text: str) -> MacAddress:
    """The MAC address behind any usual spelling (bare, colons, dashes, dotted). ValueError when there is none."""
    if len(text) > 17 or not _MAC.fullmatch(text):
        raise ValueError(f"{text!r} is not a MAC address")
    return MacAddress(bytes.fromhex(text.translate(_SEPARATORS)).hex(":"))


def mac_octets(mac: MacAddress) -> bytes:
    """The six octets of ``mac``."""
    return bytes.fromhex(mac.replace(":", ""))


class Secret:
    """Octets that never show: no repr, no str, no pickle, no JSON. ``reveal`` is the one way out."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes | str) -> None:
        self._octets = octets.encode() if isinstance(octets, str) else bytes(octets)

    def reveal(self) -> bytes:
        """The octets themselves. Search for this word to find every place that uses a secret."""
        return self._octets

    def reveal_text(self) -> str:
        """The octets as UTF-8 text."""
        return self._octets.decode()

    def __len__(self) -> int:
        return len(self._octets)

    def __bool__(self) -> bool:
        return bool(self._octets)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, self._octets))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")


class Endpoint(NamedTuple):
    """A local or remote transport address."""

    address: IpAddress
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """``1.2.3.4:53`` or ``[::1]:53`` as an Endpoint. ValueError with the right spelling otherwise."""
    host, colon, port_text = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not ADDRESS:PORT; IPv6 is written [::1]:53")
    try:
        address = ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f"{text!r} does not begin with an IP address") from None
    if not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and int(port_text) <= 65535):
        raise ValueError(f"{text!r} does not end in a port between 0 and 65535")
    return Endpoint(address, int(port_text))
