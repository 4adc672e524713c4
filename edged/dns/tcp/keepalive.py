# SPDX-License-Identifier: Apache-2.0
"""The edns-tcp-keepalive option: was it sent, and our idle timeout put into a reply. Octets -> octets. Pure.

RFC 7828 3. It belongs to the stream, so it is added where the stream is; over UDP it stays one unknown option of many.
"""

from __future__ import annotations

import struct

from edged.dns import names
from edged.dns.codes import HEADER_OCTETS, Type
from edged.dns.tcp.framing import LONGEST

_OPTION = 11
_SENT = struct.pack("!2H", _OPTION, 0)
"""As clients send it: without a timeout (section 3.1)."""
_COUNTS = struct.Struct("!4H")
_RR = struct.Struct("!2HIH")
_OPTION_HEAD = struct.Struct("!2H")


def asked(query: bytes) -> bool:
    """True when ``query`` has the option; False for one that cannot be read."""
    if _SENT not in query:
        return False
    at, end = _options(query)
    while at + _OPTION_HEAD.size <= end:
        code, length = _OPTION_HEAD.unpack_from(query, at)
        if code == _OPTION and length == 0:
            return True
        at += _OPTION_HEAD.size + length
    return False


def with_timeout(reply: bytes, seconds: float) -> bytes:
    """``reply`` with the idle timeout in its OPT record; unchanged when it has none or no room."""
    start, end = _options(reply)
    option = struct.pack("!3H", _OPTION, 2, min(round(seconds * 10), 0xFFFF))
    if not start or len(reply) + len(option) > LONGEST:
        return reply
    length = struct.pack("!H", end - start + len(option))
    return reply[: start - 2] + length + reply[start:end] + option + reply[end:]


def _options(message: bytes) -> tuple[int, int]:
    """Where the options of the OPT record begin and end; 0, 0: there is no record that can be read."""
    try:
        qdcount, *counts = _COUNTS.unpack_from(message, 4)
        at = HEADER_OCTETS
        for _ in range(qdcount):
            at = names.end_of_owner(message, at) + 4
        for _ in range(sum(counts)):
            at = names.end_of_owner(message, at)
            rtype, _, _, length = _RR.unpack_from(message, at)
            at += _RR.size
            if rtype == Type.OPT and at + length <= len(message):
                return at, at + length
            at += length
    except (struct.error, IndexError, ValueError):
        pass
    return 0, 0
