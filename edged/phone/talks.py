# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What is said over a TCP connection: nothing, a request, a ClientHello, a request inside TLS. Octets in and out."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress

_MOST = 32 * 1024
"""Octets kept of an answer."""
_ALERT, _HANDSHAKE = 21, 22


class Nothing:
    """Only whether the connection opens."""

    complete = True

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def heard(self, octets: bytes) -> bytes:
        """Nothing either."""
        del octets
        return b""

    def facts(self) -> dict[str, object]:
        """Nothing was said."""
        return {}


def whole_http(octets: bytes) -> bool:
    """True when a response with a Content-Length has all of it; without one its end is the connection's."""
    head, gap, body = octets.partition(b"\r\n\r\n")
    if not gap:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return len(body) >= int(value)
    return head[9:12] in {b"204", b"304"}


def whole_dns(octets: bytes) -> bool:
    """True when a DNS message with its length in front is whole (RFC 1035 section 4.2.2)."""
    return len(octets) >= 2 and len(octets) >= 2 + int.from_bytes(octets[:2], "big")


class Plain:
    """A request and its answer."""

    def __init__(self, request: bytes, is_whole: Callable[[bytes], bool]) -> None:
        self._request, self._is_whole = request, is_whole
        self.octets = b""

    @property
    def complete(self) -> bool:
        """True when the answer is whole, or longer than anybody reads."""
        return bool(self.octets) and (self._is_whole(self.octets) or len(self.octets) >= _MOST)

    def begin(self) -> bytes:
        """The request."""
        return self._request

    def heard(self, octets: bytes) -> bytes:
        """Keep the answer."""
        self.octets += octets
        return b""

    def facts(self) -> dict[str, object]:
        """The octets as they came, one character each."""
        return {"octets": self.octets[:_MOST].decode("latin-1")}


class Hello:
    """A ClientHello, made by OpenSSL, and what the first record after it is."""

    def __init__(self, name: str) -> None:
        self._out, context = ssl.MemoryBIO(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # nothing is trusted or sent after the hello
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(ssl.MemoryBIO(), self._out, server_hostname=name)
        self._octets = b""

    @property
    def complete(self) -> bool:
        """True when the first record is known."""
        return len(self._octets) >= 7

    def begin(self) -> bytes:
        """The ClientHello."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    def heard(self, octets: bytes) -> bytes:
        """Keep the first octets; the handshake never goes on."""
        self._octets += octets
        return b""

    def facts(self) -> dict[str, object]:
        """``tls``: hello, alert (with its number, RFC 8446 section 6) or no-tls; empty when nothing came."""
        octets = self._octets
        if len(octets) >= 7 and octets[0] == _ALERT:
            return {"tls": "alert", "alert": octets[6]}
        if octets:
            return {"tls": "hello" if octets[0] == _HANDSHAKE else "no-tls"}
        return {}


class Secure:
    """A request inside TLS, to a name whose certificate must be good as a browser wants it."""

    def __init__(self, name: str, request: bytes, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._request, self._octets = request, b""
        self._is_open, self._is_over = False, False
        self._facts: dict[str, object] = {}

    @property
    def complete(self) -> bool:
        """True when the answer is whole or TLS has failed."""
        return self._is_over or (bool(self._octets) and whole_http(self._octets)) or len(self._octets) >= _MOST

    def begin(self) -> bytes:
        """The ClientHello."""
        self._go_on()
        return self._out.read()

    def heard(self, octets: bytes) -> bytes:
        """Go on with the handshake, the request or the answer."""
        self._in.write(octets)
        self._go_on()
        return self._out.read()

    def facts(self) -> dict[str, object]:
        """``tls`` good, untrusted or failed, with ``why`` or ``expires``; and the octets of the answer."""
        return {**self._facts, "octets": self._octets[:_MOST].decode("latin-1")}

    def _go_on(self) -> None:
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
                certificate = self._tls.getpeercert() or {}
                self._facts = {"tls": "good", "expires": ssl.cert_time_to_seconds(str(certificate["notAfter"]))}
                self._tls.write(self._request)
            while octets := self._tls.read(16384):
                self._octets += octets
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            self._facts, self._is_over = {"tls": "untrusted", "why": error.verify_message}, True
            return
        except ssl.SSLError as error:
            if not self._is_open:
                self._facts = {"tls": "failed", "why": (error.reason or "no TLS").lower().replace("_", " ")}
        self._is_over = True
