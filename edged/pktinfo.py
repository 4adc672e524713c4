# SPDX-License-Identifier: Apache-2.0
"""The address a datagram was sent to, from its control messages, as the control message of its reply. Pure.

RFC 2181 section 4 and RFC 2865 section 3 (a reply leaves from the address asked), RFC 3542 section 6.1, ip(7).
"""

from __future__ import annotations

import struct

IPPROTO_IP, IP_PKTINFO = 0, 8
IPPROTO_IPV6, IPV6_RECVPKTINFO, IPV6_PKTINFO = 41, 49, 50
"""Linux's numbers; the socket module does not name them all."""

ControlMessage = tuple[int, int, bytes]

SPACE = 64
"""Room for one ``in6_pktinfo`` and its header, the larger of the two."""
_INFO4 = struct.Struct("=i4s4s")
_INFO6 = struct.Struct("=16sI")
NOWHERE: tuple[ControlMessage, ...] = ()


def reply_from(messages: list[ControlMessage]) -> tuple[ControlMessage, ...]:
    """What makes a reply leave from where the request arrived; nothing when that is unknown."""
    for level, kind, data in messages:
        if (level, kind) == (IPPROTO_IP, IP_PKTINFO) and len(data) >= _INFO4.size:
            # ipi_spec_dst: the local address even of a broadcast; any interface may carry the reply
            local = _INFO4.unpack_from(data)[1]
            return ((level, kind, _INFO4.pack(0, local, bytes(4))),)
        if (level, kind) == (IPPROTO_IPV6, IPV6_PKTINFO) and len(data) >= _INFO6.size:
            local, interface = _INFO6.unpack_from(data)
            link_local = local[:1] == b"\xfe" and local[1] & 0xC0 == 0x80
            return ((level, kind, _INFO6.pack(local, interface if link_local else 0)),)
    return NOWHERE
