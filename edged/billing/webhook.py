# SPDX-License-Identifier: Apache-2.0
"""A billing system's post to our webhook in, a verdict out. Pure; the clock and the memory are passed in.

Signatures are an HMAC (RFC 2104) over the raw body. Whatever a post says is a hint to read, never the truth:
docs/feed.md ("Being told"), docs/webhook.md, docs/decisions/0014.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl

from edged.billing.feed_fields import KEY, SUBSCRIBER, Wrong, found, items
from edged.billing.paging import parse_json
from edged.errors import UpstreamError
from edged.values import Secret

FRESH = 300.0
"""Seconds by which the time in a post may differ from ours, either way."""
_NAMES = 1024
"""Subscribers, and keys, in one post."""
_FIELDS = 4000
"""Fields of a form: a whole customer with every additional attribute has some hundred."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request, as the shell read it."""

    body: bytes
    fields: Mapping[str, tuple[str, ...]]
    """Values of each header field by its name in lower case."""

    def field(self, name: str) -> str:
        """The value of a field that came exactly once; empty otherwise: of two signatures none counts."""
        values = self.fields.get(name, ())
        return values[0] if len(values) == 1 else ""


class Fault(StrEnum):
    """Why a post is refused: the labels of a metric."""

    SIGNATURE = "signature"
    MALFORMED = "malformed"
    TIME = "time"
    REPLAY = "replay"
    RATE = "rate"
    NOT_FOUND = "not-found"
    METHOD = "method"
    SIZE = "size"
    SLOW = "slow"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Hint:
    """What to read again, now."""

    subscribers: tuple[str, ...] = ()
    """Billing's ids."""
    keys: tuple[str, ...] = ()
    id: str = ""
    """Of the post; empty: this billing system gives none that means anything."""
    at: float = 0.0
    """When it was sent, epoch seconds; 0: not said."""
    everything: bool = False
    """True: something has changed, and the post does not say for whom."""
    proven: bool = True
    """False: nothing shows who sent it, so it gets a much smaller share of our attention."""

    @property
    def is_empty(self) -> bool:
        """True for a post about something that nobody here reads."""
        return not (self.subscribers or self.keys or self.everything)


@dataclass(frozen=True, slots=True)
class Ping:
    """Somebody asks whether we are there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A post that tells us nothing; ``sentence`` is for whoever sets the billing system up."""

    status: int
    sentence: str
    fault: Fault


Verdict = Hint | Ping | Refused
Seen = Callable[[str, float], bool]
"""Whether a post of that id, sent at that time, was accepted before."""

_UNSIGNED = Refused(401, "the signature is missing or is not that of this body with our secret", Fault.SIGNATURE)
_NOT_JSON = Refused(400, "the body is not a JSON object", Fault.MALFORMED)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_DIGESTS = {20: "sha1", 32: "sha256"}
"""Hash by the length of its digest in octets."""


def _is_signed(hexadecimal: str, body: bytes, secret: Secret, digests: Mapping[int, str]) -> bool:
    """True when ``hexadecimal`` is the HMAC of ``body``; compared in constant time."""
    if len(hexadecimal) > 64 or not _HEX.fullmatch(hexadecimal):
        return False
    given = bytes.fromhex(hexadecimal)
    digest = digests.get(len(given))
    return digest is not None and hmac.compare_digest(given, hmac.digest(secret.reveal(), body, digest))


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        said = parse_json(body)
    except UpstreamError:
        return None
    return said if isinstance(said, dict) else None


# --- rest, file: docs/feed.md ---------------------------------------------------------------------

_SCHEME = "sha256="
_BODY = {
    "id": SUBSCRIBER["id"],
    "at": SUBSCRIBER["since"],
    "subscribers": items(_NAMES, SUBSCRIBER["id"]),
    "keys": items(_NAMES, KEY["id"]),
}


def _feed(post: Post, secret: Secret, now: float, seen: Seen) -> Verdict:
    signature = post.field("x-edged-signature")
    if not signature.startswith(_SCHEME):
        return _UNSIGNED
    if not _is_signed(signature.removeprefix(_SCHEME), post.body, secret, {32: "sha256"}):
        return _UNSIGNED
    said = _object(post.body)
    if said is None:
        return _NOT_JSON
    values: dict[str, Any] = {"subscribers": (), "keys": ()}
    for name, read in _BODY.items():
        if name in said:
            try:
                values[name] = read(said[name])
            except Wrong as wrong:
                return Refused(400, f"{name}: {wrong}", Fault.MALFORMED)
        elif name not in values:
            return Refused(400, f"{name} is missing", Fault.MALFORMED)
    return _judged(Hint(**values, everything=not (values["subscribers"] or values["keys"])), now, seen)


def _judged(hint: Hint, now: float, seen: Seen) -> Verdict:
    if hint.at < now - FRESH:
        return Refused(
            409, "at is older than five minutes: is this a repetition, or a clock that is wrong?", Fault.TIME
        )
    if hint.at > now + FRESH:
        return Refused(409, "at is more than five minutes ahead of our clock", Fault.TIME)
    if seen(hint.id, hint.at):
        return Refused(409, "this id was accepted before", Fault.REPLAY)
    return hint


# --- splynx: Config -> Integrations -> Hooks ------------------------------------------------------

_OF_CUSTOMERS = re.compile("customer|service|invoice|payment|transaction|proforma|finance|billing", re.IGNORECASE)
"""Models whose change may be one of a customer's state."""
_READING = ("get", "list", "view", "search")
"""Actions that change nothing."""
Lookup = Callable[..., object]
"""The value at a path of names; None: there is none."""


def _splynx(post: Post, secret: Secret, _now: float, _seen: Seen) -> Verdict:
    # the documented receiver answers a ping before it looks at a signature, and takes JSON or a form
    at = _nested(post.body) if post.body.lstrip()[:1] == b"{" else _form(post.body)
    if at is not None and at("type") == "ping":
        return Ping()
    if not _is_signed(post.field("x-splynx-signature"), post.body, secret, _DIGESTS):
        return _UNSIGNED
    if at is None or at("type") not in ("event", ""):  # a tuple: what came may not be hashable
        return Refused(400, "the body is no event of Splynx, as JSON or as a form", Fault.MALFORMED)
    call, model, action = (_text(at(*path)) for path in (("call",), ("data", "model"), ("data", "action")))
    named = [at("data", "customer_id"), at("data", "attributes", "customer_id")]
    if re.split(r"[\\/]", model)[-1].lower() in {"customer", "customers"}:
        named.append(at("data", "attributes", "id"))
    if action.lower().startswith(_READING):
        return Hint()
    customers = tuple(dict.fromkeys(filter(None, map(_number, named))))
    return Hint(customers, everything=not customers and bool(_OF_CUSTOMERS.search(f"{call} {model}")))


def _nested(body: bytes) -> Lookup | None:
    said = _object(body)

    def at(*path: str) -> object:
        value: object = said
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    return None if said is None else at


def _form(body: bytes) -> Lookup | None:
    """A form with PHP's names: ``data[attributes][id]=7``."""
    try:
        pairs = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        return None

    def at(first: str, *rest: str) -> object:
        return pairs.get(first + "".join(f"[{name}]" for name in rest))

    return at


def _text(value: object) -> str:
    return value[:256] if isinstance(value, str) else ""


def _number(value: object) -> str:
    """A customer's number as billing's id; numbers arrive as text, too. Empty: it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 < value < 10**18 else ""
    if not isinstance(value, str) or not (value.isascii() and value.isdigit() and len(value) <= 18):
        return ""
    return value.lstrip("0")


# --- uisp: System -> Webhooks ---------------------------------------------------------------------

_UISP_OF_CLIENTS = frozenset({"client", "service", "invoice", "payment", "creditNote", "refund", "proformaInvoice"})


def _uisp(post: Post, secret: Secret, _now: float, _seen: Seen) -> Verdict:
    """UISP signs nothing. A proxy before us may show the secret; without it a post is a rumour."""
    shown = post.fields.get("authorization")
    if shown is not None and not _bears(post.field("authorization"), secret):
        return Refused(401, "the Authorization is not Bearer with our secret", Fault.SIGNATURE)
    said = _object(post.body)
    if said is None:
        return _NOT_JSON
    entity, change = said.get("entity"), said.get("changeType")
    if change == "test":
        return Ping()
    if not isinstance(entity, str) or not isinstance(change, str) or not isinstance(said.get("uuid"), str):
        return Refused(400, f"uuid, changeType, entity: expected text, found {found(entity)}", Fault.MALFORMED)
    if entity not in _UISP_OF_CLIENTS:
        return Hint(proven=shown is not None)
    at = _nested(post.body) if entity != "client" else None
    client = _number(at("extraData", "entity", "clientId") if at else said.get("entityId"))
    return Hint((client,) if client else (), everything=not client, proven=shown is not None)


def _bears(authorization: str, secret: Secret) -> bool:
    scheme, _, shown = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(shown.encode("utf-8", "replace"), secret.reveal())


# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hook:
    """How one billing system tells us."""

    read: Callable[[Post, Secret, float, Seen], Verdict]
    accepted: int
    """The status that it takes for "heard"."""


HOOKS: dict[str, Hook] = {
    "rest": Hook(_feed, 202),
    "hub": Hook(_feed, 202),
    "file": Hook(_feed, 202),
    "splynx": Hook(_splynx, 200),
    "uisp": Hook(_uisp, 200),
}
"""By ``billing.source``."""
