# SPDX-License-Identifier: Apache-2.0
"""Signed answers of a hub: HTTP Message Signatures (RFC 9421) in the one profile that a hub and its edges use. Pure.

Label ``edged``, ed25519 (RFC 8032), over the path and query that were asked for and three fields of the answer. The
status is not covered: a cache may turn a 200 into a 304 and back. The body is covered by its digest as it is decoded,
so that a cache may compress. docs/fleet.md, "What is signed".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edged.errors import UpstreamError
from edged.values import Secret

DIGEST, READ_AT = "X-Edged-Digest", "X-Edged-Read-At"
"""Fields of an answer: what its body is, and when billing last confirmed it, in epoch seconds."""
PUBLIC_OCTETS = 32
COVERED = '("@path";req "@query";req "etag" "x-edged-digest" "x-edged-read-at")'
"""The components in their order (RFC 9421 section 2.5), as they stand in ``Signature-Input``."""

_INPUT = re.compile(
    rf'edged=(?P<params>{re.escape(COVERED)};created=[0-9]{{1,15}};keyid="(?P<keyid>[0-9a-f]{{16}})";alg="ed25519")'
)
_SIGNATURE = re.compile(r"edged=:(?P<octets>[A-Za-z0-9+/]{86}==):")
_EPOCH = re.compile(r"[0-9]{1,15}")
_LONGEST = 2048
"""Characters of a path, a query or a field that is covered."""


def digest(body: bytes) -> str:
    """The value of ``X-Edged-Digest`` for ``body`` before any content coding; spelled as RFC 9530 section 2 does."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def keyid(public: bytes) -> str:
    """What names the raw public key of 32 octets: 16 hexadecimal digits."""
    return hashlib.sha256(public).hexdigest()[:16]


def public_key(private: Secret) -> bytes:
    """The raw public key, 32 octets, of the 32 octets that are kept secret."""
    return Ed25519PrivateKey.from_private_bytes(private.reveal()).public_key().public_bytes_raw()


class Signer:
    """Signs answers with one key."""

    def __init__(self, private: Secret) -> None:
        """``private``: 32 octets."""
        self._key = Ed25519PrivateKey.from_private_bytes(private.reveal())
        self.public = self._key.public_key().public_bytes_raw()
        self._keyid = keyid(self.public)
        # a change wakes many edges that asked the same, and of the same octets the signature is the same (RFC 8032)
        self._signature = lru_cache(maxsize=256)(self._signed)

    def sign(
        self, path: str, query: str, etag: str, body_digest: str, *, read_at: int, created: int
    ) -> tuple[str, str]:
        """The values of ``Signature-Input`` and ``Signature`` for one answer.

        ``path`` and ``query`` as they stand in the request line that the edge wrote, percent-encoded, ``query`` without
        its ``?``. ``read_at`` and ``created``: epoch seconds.
        """
        params = f'{COVERED};created={created};keyid="{self._keyid}";alg="ed25519"'
        return f"edged={params}", self._signature(_base(path, query, (etag, body_digest, str(read_at)), params))

    def _signed(self, base: bytes) -> str:
        return f"edged=:{base64.b64encode(self._key.sign(base)).decode()}:"


def verify(publics: Iterable[bytes], path: str, query: str, headers: Mapping[str, str], body: bytes | None) -> int:
    """When billing last confirmed what ``body`` says, epoch seconds: shown by a signature of one of ``publics``.

    ``headers``: found by lower-case name. ``body``: decoded; for a 304 the one that is kept from before; None where
    there is none to compare (HEAD). UpstreamError says what is wrong.
    """
    stated = _INPUT.fullmatch(_field(headers, "signature-input"))
    signed = _SIGNATURE.fullmatch(_field(headers, "signature"))
    if stated is None or signed is None:
        raise UpstreamError("the answer is not signed by a hub: no signature of the form that docs/fleet.md describes")
    public = next((each for each in publics if keyid(each) == stated["keyid"]), None)
    if public is None:
        raise UpstreamError(f"the answer is signed with the key {stated['keyid']}, which signed_by does not name")
    etag, said, read_at = (_field(headers, name) for name in ("etag", DIGEST.lower(), READ_AT.lower()))
    try:
        octets = base64.b64decode(signed["octets"], validate=True)
        base = _base(path, query, (etag, said, read_at), stated["params"])
        Ed25519PublicKey.from_public_bytes(public).verify(octets, base)
    except (InvalidSignature, UnicodeEncodeError, binascii.Error, ValueError) as error:
        raise UpstreamError(
            "the signature is not that of this answer: changed on the way, or another path than the hub's url"
        ) from error
    if body is not None and not hmac.compare_digest(digest(body), said):
        raise UpstreamError("the body is not the one that the hub signed")
    if not _EPOCH.fullmatch(read_at):
        raise UpstreamError(f"{READ_AT}: {read_at[:40]!r}, expected epoch seconds")
    return int(read_at)


def _base(path: str, query: str, fields: tuple[str, str, str], params: str) -> bytes:
    """The signature base (RFC 9421 section 2.5); an absent query is ``?`` (section 2.2.7). UnicodeEncodeError."""
    etag, body_digest, read_at = fields
    return (
        f'"@path";req: {path}\n"@query";req: ?{query}\n"etag": {etag}\n"x-edged-digest": {body_digest}\n'
        f'"x-edged-read-at": {read_at}\n"@signature-params": {params}'
    ).encode("ascii")


def _field(headers: Mapping[str, str], name: str) -> str:
    """A covered field without the space around it; no line may begin within it."""
    value = headers.get(name, "").strip()
    if not value.isprintable() or len(value) > _LONGEST:
        raise UpstreamError(f"the field {name} is not one line of text")
    return value
