# SPDX-License-Identifier: Apache-2.0
"""Printed rows of tracked connections and the lines that changed in, the ids of the connections that must go out. Pure.

An address and its port are one property on some versions and two on others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from edged.values import BITS, Prefix, parse_prefix

ENDS = ("src-address", "dst-address", "reply-src-address", "reply-dst-address")
"""Both ends of both directions: who began it, and who answers behind a port forward."""
PROPERTIES = ",".join((".id", "protocol", "src-port", *ENDS))

Printed = Mapping[str, str]


class Lines:
    """Addresses of one family, looked up by the network that they are in."""

    def __init__(self, prefixes: Iterable[Prefix], version: int) -> None:
        self._by_length: dict[int, set[int]] = {}
        self._bits = BITS[version]
        for prefix in prefixes:
            if prefix.version == version:
                self._by_length.setdefault(prefix.length, set()).add(prefix.network)

    def __bool__(self) -> bool:
        return bool(self._by_length)

    def __contains__(self, number: int) -> bool:
        return any(
            number >> (self._bits - length) << (self._bits - length) in networks
            for length, networks in self._by_length.items()
        )


class Due:
    """Whether a connection must go: all of a line that is blocked now; of one that is open now its UDP flows alone.

    A TCP connection to the page ends by itself, and the answer that is on its way still arrives.
    """

    def __init__(self, blocked: Iterable[Prefix], opened: Iterable[Prefix], version: int) -> None:
        self._shut, self._open, self._version = Lines(blocked, version), Lines(opened, version), version

    def __call__(self, row: Printed) -> bool:
        """True for a row that has an id and must go."""
        numbers = {number for name in ENDS if name in row for number in _numbers(row[name], row, self._version)}
        is_udp = row.get("protocol") in {"udp", "17"}
        concerned = any(number in self._shut or (is_udp and number in self._open) for number in numbers)
        return concerned and bool(row.get(".id"))


def _numbers(text: str, row: Printed, version: int) -> Iterator[int]:
    """The address in ``text``, with or without a port behind it."""
    bare, is_joined = text.strip("[]"), "src-port" not in row
    candidates = [bare]
    if is_joined and row.get("protocol") not in {"icmp", "icmpv6", "icmp6", "1", "58"} and ":" in text:
        candidates.insert(0, text.rpartition(":")[0].strip("[]"))
    for candidate in candidates:
        try:
            prefix = parse_prefix(candidate)
        except ValueError:
            continue
        if prefix.version == version and prefix.is_host:
            yield prefix.network
            return
