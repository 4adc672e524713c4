# SPDX-License-Identifier: Apache-2.0
"""One HTTP request to a billing system, its reply out, bounded in time and size. Dials out. RFC 9110.

No address with a key in it, no cookie, no proxy of the environment, no redirect: the headers given say who we are.
"""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from edged.errors import UpstreamError

_CONNECT_S = 10.0
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    octets: bytes
    headers: Mapping[str, str]
    """Names in any case."""
    path: str = ""
    query: str = ""
    """As they stood in the request line, percent-encoded; the query without its ``?``."""

    def header(self, name: str) -> str:
        """The value of a header; empty when there is none."""
        return self.headers.get(name, "")


class StatusError(UpstreamError):
    """A status that is no answer to what was asked."""

    def __init__(self, name: str, status: int) -> None:
        self.status = status
        meaning = {401: " (the key is not accepted)", 403: " (the key is not accepted)"}
        redirect = " (redirects are not followed)" if 300 <= status < 400 else ""
        super().__init__(f"{name} answered {status}{meaning.get(status, redirect)}")


class BillingClient:
    """Connections to one billing system."""

    def __init__(self, name: str, *, seconds: float, octets: int, authority: Path | None = None) -> None:
        self.name = name
        """For the operator, at the head of every sentence of failure."""
        self._seconds = seconds
        self._octets = octets
        self._authority = authority
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, address: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """The reply to one request, read whole. UpstreamError, never with the address or a header in it."""
        with _upstream(self.name, self._seconds):
            async with self._open().request(
                method, address, headers=headers, data=body, allow_redirects=False
            ) as response:
                octets = bytearray()
                async for piece in response.content.iter_chunked(_PIECE):
                    octets += piece
                    if len(octets) > self._octets:
                        raise UpstreamError(f"{self.name}: a page is larger than {self._octets >> 20} MiB")
                asked = response.url
                return Reply(response.status, bytes(octets), response.headers, asked.raw_path, asked.raw_query_string)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # without an authority of ours the library's own context, which it has made: a store takes a megabyte
                connector=aiohttp.TCPConnector(ssl=_context(self.name, self._authority) if self._authority else True),
                timeout=aiohttp.ClientTimeout(total=self._seconds, sock_connect=_CONNECT_S),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                # some systems bind a token to it: one for ever
                headers={"User-Agent": "edged"},
            )
        return self._session


def _context(name: str, authority: Path) -> ssl.SSLContext:
    """Certificates are judged by ``authority`` alone."""
    try:
        return ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError):
        raise UpstreamError(f"{name}: billing.ca {authority} cannot be read as a PEM certificate") from None


@contextmanager
def _upstream(name: str, seconds: float) -> Iterator[None]:
    """Whatever goes wrong on the way there, as one sentence without address or key."""
    try:
        yield
    except TimeoutError:
        raise UpstreamError(f"{name}: no answer within {seconds:.0f} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise UpstreamError(f"{name}: {_distrust(error.certificate_error)}") from None
    except aiohttp.ClientConnectorSSLError as error:
        raise UpstreamError(f"{name}: {_no_tls(error.os_error)}") from None
    except aiohttp.ClientConnectorError as error:
        raise UpstreamError(f"{name}: cannot connect: {_fault(error.os_error)}") from None
    except aiohttp.ServerDisconnectedError:
        raise UpstreamError(f"{name}: it closed the connection without an answer") from None
    except aiohttp.ClientOSError as error:
        raise UpstreamError(f"{name}: the connection broke off: {_fault(error)}") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise UpstreamError(f"{name}: {type(error).__name__} while reading") from None


# X509_verify_cert_error_string(3) of OpenSSL
_TIME = {9, 10}
_NAME = {62, 64}

_PLAIN = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}
"""What OpenSSL, by its version, calls an answer that is no TLS at all."""


def _distrust(error: Exception) -> str:
    """What is wrong with a certificate, and what mends it."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    if code in _NAME:
        return "its certificate is for another name"
    if code in _TIME:
        return "its certificate has expired or is not yet valid"
    return "its certificate is not trusted (signed by nobody known); billing.ca names a private authority"


def _no_tls(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else ""
    if reason in _PLAIN:
        return "it does not speak TLS there (http:// or another port?)"
    # a constant of OpenSSL, such as TLSV1_ALERT_PROTOCOL_VERSION
    return f"cannot agree on TLS: {(reason or 'for no reason given').lower().replace('_', ' ')}"


def _fault(error: OSError) -> str:
    """The system's own words, without the address that asyncio puts among them."""
    if error.errno is not None and error.errno > 0:
        numbers = [error.errno]
    else:  # several addresses, each with a fault of its own; or a name that is not known, whose words are these
        numbers = [int(number) for number in re.findall(r"\[Errno ([0-9]{1,4})\]", str(error.strerror or error))]
    if isinstance(error, ConnectionError) and not numbers:
        numbers = [errno.ECONNRESET]  # asyncio's own: the other side hung up
    said = [os.strerror(number) for number in dict.fromkeys(numbers)] or [error.strerror or "no reason is known"]
    return ", ".join(words[:1].lower() + words[1:] for words in said)
