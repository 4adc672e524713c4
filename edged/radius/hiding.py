# SPDX-License-Identifier: Apache-2.0
"""Hidden attribute values: clear octets, shared secret and authenticator -> hidden octets, and back. Pure.

RFC 2865 section 5.2 (User-Password), RFC 2868 section 3.5 (Tunnel-Password), RFC 2548 section 2.4.2.
"""

from __future__ import annotations

from hashlib import md5

from edged.errors import WireError
from edged.native.radius import Sealed
from edged.radius.attributes import wrapped
from edged.radius.dictionary import BY_NAME, Hiding
from edged.radius.packet import Hidden
from edged.values import Secret

MAX_PASSWORD = 128
"""RFC 2865 section 5.2."""
MAX_SALTED = 239
"""What fits into one attribute: 15 blocks less the length octet."""
_BLOCK = 16
_NO_SALT = bytes(2)


def hide_password(password: Secret, secret: Secret, request_authenticator: bytes) -> bytes:
    """The value of a User-Password: 16 to 128 octets, a multiple of 16."""
    clear = password.reveal()
    if len(clear) > MAX_PASSWORD:
        raise ValueError(f"a password has at most {MAX_PASSWORD} octets")
    return _chain(_padded(clear) or bytes(_BLOCK), secret.reveal(), request_authenticator)


def reveal_password(value: bytes, secret: Secret, request_authenticator: bytes) -> bytes:
    """The password in a User-Password, its padding cut off. WireError when RFC 2865 has no such length."""
    if not _BLOCK <= len(value) <= MAX_PASSWORD or len(value) % _BLOCK:
        raise WireError("bad-password")
    return _unchain(value, secret.reveal(), request_authenticator).rstrip(b"\0")


def hide_salted(clear: bytes, secret: Secret, request_authenticator: bytes, salt: bytes) -> bytes:
    """Salt and ciphertext of ``clear``. ``salt`` is two octets, its top bit set, unique within the packet."""
    if len(clear) > MAX_SALTED:
        raise ValueError(f"a hidden value has at most {MAX_SALTED} octets")
    if len(salt) != 2 or not salt[0] & 0x80:
        raise ValueError("a salt is two octets with the top bit set")
    plain = _padded(bytes((len(clear),)) + clear)
    return salt + _chain(plain, secret.reveal(), request_authenticator + salt)


def reveal_salted(value: bytes, secret: Secret, request_authenticator: bytes) -> bytes:
    """The clear octets behind salt and ciphertext; padding may be anything. WireError when it cannot be."""
    salt, cipher = value[:2], value[2:]
    if not cipher or len(cipher) % _BLOCK:
        raise WireError("bad-hidden-value")
    plain = _unchain(cipher, secret.reveal(), request_authenticator + salt)
    if plain[0] >= len(plain):
        raise WireError("bad-hidden-value")
    return plain[1 : 1 + plain[0]]


def sealed(hidden: Hidden) -> Sealed:
    """The attribute that carries ``hidden`` up to its salt, and its plaintext. ValueError when none can."""
    row = BY_NAME[hidden.name]
    if row.hiding is not Hiding.SALT:
        raise ValueError(f"{hidden.name} is not hidden with a salt")
    clear = hidden.secret.reveal()
    if len(clear) > MAX_SALTED:
        raise ValueError(f"a hidden value has at most {MAX_SALTED} octets")
    plain = _padded(bytes((len(clear),)) + clear)
    number, value = wrapped(row, (bytes((hidden.tag,)) if row.tagged else b"") + _NO_SALT + plain)
    return bytes((number, len(value) + 2)) + value[: -len(_NO_SALT + plain)], plain


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % _BLOCK)


def _chain(plain: bytes, secret: bytes, start: bytes) -> bytes:
    """Each block XOR MD5(secret, the ciphertext before it); ``start`` stands before the first."""
    done, previous = b"", start
    for position in range(0, len(plain), _BLOCK):
        previous = _xor(plain[position : position + _BLOCK], md5(secret + previous).digest())
        done += previous
    return done


def _unchain(cipher: bytes, secret: bytes, start: bytes) -> bytes:
    done, previous = b"", start
    for position in range(0, len(cipher), _BLOCK):
        block = cipher[position : position + _BLOCK]
        done += _xor(block, md5(secret + previous).digest())
        previous = block
    return done


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(_BLOCK, "big")
