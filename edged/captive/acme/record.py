# SPDX-License-Identifier: Apache-2.0
"""The names and formats of the files in ``state.directory``/acme: values in, octets out, and back. Pure.

- ``HOST.pem``: the certificate in use, its key first; one file, so that no reader ever sees half of a renewal
- ``HOST.json``: ``Memory``, what the schedule must not forget
- ``HOST.order.json``: an order under way and the key it is for: a restart goes on with it
- ``account-….json``: the account key, one for each authority
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from edged.captive.acme.schedule import Memory
from edged.captive.settings import CertificateFiles

FOLDER = "acme"
INSTALL = "pip install --require-hashes --no-deps -r requirements-acme.lock"
"""What brings the library, in the environment that edged runs from."""
MAX_OCTETS = 256 * 1024
"""Of any of these files; a chain has some kilobytes."""


def certificate_files(folder: Path, host: str) -> CertificateFiles:
    """Where the certificate for ``host`` lies, as the portal reads it."""
    path = folder / f"{host}.pem"
    return CertificateFiles(chain=path, key=path)


def memory_path(folder: Path, host: str) -> Path:
    """Where ``Memory`` lies."""
    return folder / f"{host}.json"


def order_path(folder: Path, host: str) -> Path:
    """Where an order under way lies."""
    return folder / f"{host}.order.json"


def account_path(folder: Path, directory: str) -> Path:
    """Where the account with the authority at ``directory`` lies."""
    return folder / f"account-{sha256(directory.encode()).hexdigest()[:16]}.json"


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are to one authority."""

    directory: str
    contact: str
    key: dict[str, Any]
    """A JSON Web Key (RFC 7517), private."""
    uri: str = ""
    """Empty: not registered yet."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order that was begun."""

    directory: str
    host: str
    uri: str
    key: str
    """The certificate's private key, PEM."""


def encoded(record: Memory | Account | Order) -> bytes:
    """The octets of a record."""
    return json.dumps(asdict(record), indent=1).encode() + b"\n"


def memory_of(octets: bytes) -> Memory:
    """The memory in ``octets``; an empty one where they are damaged: the worst is one question too many."""
    found = _fields(octets, Memory)
    return Memory(**found) if found else Memory()


def account_of(octets: bytes) -> Account | None:
    """The account in ``octets``; None when they are damaged."""
    found = _fields(octets, Account)
    return Account(**found) if found else None


def order_of(octets: bytes) -> Order | None:
    """The order in ``octets``; None when they are damaged."""
    found = _fields(octets, Order)
    return Order(**found) if found else None


_KINDS: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "dict[str, Any]": dict}


def _fields(octets: bytes, record: type[Memory | Account | Order]) -> dict[str, Any] | None:
    """The fields of ``record`` in a JSON object that has them all, each of its kind."""
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    kinds = {field.name: _KINDS[str(field.type)] for field in fields(record)}
    if not isinstance(found, dict) or not kinds.keys() <= found.keys():
        return None
    right = all(isinstance(found[name], kind) and not isinstance(found[name], bool) for name, kind in kinds.items())
    return {name: found[name] for name in kinds} if right else None
