from __future__ import annotations

import asyncio
import errno
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from edged.billing.client import BillingClient, _fault
from edged.errors import UpstreamError


@asynccontextmanager
async def answering(context: ssl.SSLContext | None, fixed: bytes | None = None) -> AsyncIterator[int]:
    """A server that answers every request with 200 (or ``fixed``), over TLS or, without a context, in clear."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # a record of TLS is no request, and is answered as such a server does
        first = await reader.read(65536)
        if fixed is not None:
            writer.write(fixed)
            writer.close()
            return
        good = first.startswith(b"GET ")
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % (b"200 OK" if good else b"400 Bad Request"))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def pem(authority: trustme.CA, folder: Path) -> Path:
    path = folder / "authority.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


async def said(address: str, authority: Path | None = None) -> str:
    """The sentence that a request to ``address`` ends in; empty: it was answered."""
    client = BillingClient("billing.test", seconds=5.0, octets=1000, authority=authority)
    try:
        await client.request("GET", address)
    except UpstreamError as error:
        return str(error)
    finally:
        await client.close()
    return ""


async def test_a_private_authority_is_trusted_where_it_is_named_and_said_to_be_unknown_elsewhere(
    tmp_path: Path,
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    async with answering(serving(authority.issue_cert("127.0.0.1"))) as port:
        address = f"https://127.0.0.1:{port}/"

        assert await said(address, pem(authority, tmp_path)) == ""
        for other in (None, pem(stranger, tmp_path)):
            assert await said(address, other) == (
                "billing.test: its certificate is not trusted (signed by nobody known);"
                " billing.ca names a private authority"
            )


async def test_a_certificate_for_another_name_is_said_to_be_that(tmp_path: Path) -> None:
    authority = trustme.CA()
    async with answering(serving(authority.issue_cert("crm.example.net", "192.0.2.1"))) as port:
        for host in ("127.0.0.1", "localhost"):
            sentence = await said(f"https://{host}:{port}/", pem(authority, tmp_path))

            assert sentence == "billing.test: its certificate is for another name"


@pytest.mark.parametrize("days", [(-20, -10), (10, 20)], ids=["expired", "not yet valid"])
async def test_a_certificate_out_of_its_time_is_said_to_be_that(tmp_path: Path, days: tuple[int, int]) -> None:
    authority = trustme.CA()
    now = datetime.now(UTC)
    certificate = authority.issue_cert(
        "127.0.0.1", not_before=now + timedelta(days=days[0]), not_after=now + timedelta(days=days[1])
    )
    async with answering(serving(certificate)) as port:
        sentence = await said(f"https://127.0.0.1:{port}/", pem(authority, tmp_path))

    assert sentence == "billing.test: its certificate has expired or is not yet valid"


async def test_a_port_that_speaks_no_tls_is_said_to_be_that() -> None:
    async with answering(None) as port:
        assert await said(f"http://127.0.0.1:{port}/") == ""
        sentence = await said(f"https://127.0.0.1:{port}/")

    assert sentence == "billing.test: it does not speak TLS there (http:// or another port?)"


async def test_a_server_that_hangs_up_is_said_to_have_closed_the_connection() -> None:
    async with answering(serving(trustme.CA().issue_cert("127.0.0.1"))) as port:
        sentence = await said(f"http://127.0.0.1:{port}/")

    assert sentence == "billing.test: it closed the connection without an answer"


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        # RFC 5246, section 7.2: an alert, fatal, handshake_failure
        (bytes.fromhex("15030300020228"), "cannot agree on TLS: .*handshake failure"),
        (b"", "cannot connect: connection reset by peer"),
    ],
)
async def test_no_tls_in_common_is_a_sentence(reply: bytes, sentence: str) -> None:
    async with answering(None, reply) as port:
        told = await said(f"https://127.0.0.1:{port}/")

    assert re.fullmatch(f"billing.test: {sentence}", told), told


async def test_a_refused_connection_is_said_in_the_systems_words_without_the_address() -> None:
    async with answering(None) as port:
        pass

    sentence = await said(f"http://127.0.0.1:{port}/secret-path")

    assert sentence == "billing.test: cannot connect: connection refused"


async def test_a_name_that_nobody_knows_is_said_in_the_resolvers_words() -> None:
    sentence = await said("http://no-such-host.invalid/")

    assert sentence.startswith("billing.test: cannot connect: ")
    assert "Errno" not in sentence
    assert "None" not in sentence


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 7000)"), "connection refused"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 7000, 0, 0), "
                "[Errno 113] Connect call failed ('192.0.2.1', 7000)"
            ),
            "connection refused, no route to host",
        ),
        (OSError(), "no reason is known"),
    ],
)
def test_several_addresses_have_each_fault_once(error: OSError, words: str) -> None:
    assert _fault(error) == words
