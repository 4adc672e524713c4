# SPDX-License-Identifier: Apache-2.0
"""Mapped lists in, one named ``Snapshot`` out. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edged.errors import UpstreamError
from edged.model import Key, Snapshot, Subscriber

_REVISION_LENGTH = 64
"""An operator types it after ``--accept``."""


Progress = Callable[[str, int, int | None], None]
"""Is told, while a long list is read, of what, how many came so far, and of how many (None: not known)."""


def silent(_what: str, _done: int, _of: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source read, and how it will know that nothing changed since."""

    snapshot: Snapshot
    marks: dict[str, str] = field(default_factory=dict)
    """The source's own: entity tags, revisions, file stamps."""


def make_snapshot(
    subscribers: tuple[Subscriber, ...],
    keys: tuple[Key, ...] | None,
    *,
    revision: str,
    known: int | None,
    read_at: float,
) -> Snapshot:
    """A snapshot whose id names exactly its content, whatever order the lists came in."""
    digest = content_digest(subscribers, keys)
    name = f"{revision}.{digest}" if revision else digest
    return Snapshot(name, revision, read_at, subscribers, known, keys)


def check_revision(revision: object) -> str:
    """``revision`` as text, empty when there is none. UpstreamError when it cannot be typed on one line."""
    if revision is None:
        return ""
    if not isinstance(revision, str) or not revision.isascii() or not revision.isprintable() or " " in revision:
        raise UpstreamError("the reading is refused: revision: expected printable ASCII text without spaces")
    if len(revision) > _REVISION_LENGTH:
        raise UpstreamError(f"the reading is refused: revision: expected at most {_REVISION_LENGTH} characters")
    return revision


def content_digest(subscribers: Iterable[Subscriber], keys: Iterable[Key] | None) -> str:
    """Eight hexadecimal digits of SHA-256: enough to tell readings apart, too few to try passphrases on."""
    digest = hashlib.sha256()
    for line in sorted(map(_subscriber_line, subscribers)):
        digest.update(line)
    if keys is not None:
        digest.update(b"keys\n")
        for line in sorted(map(_key_line, keys)):
            digest.update(line)
    return digest.hexdigest()[:8]


def _subscriber_line(s: Subscriber) -> bytes:
    # the mapping refuses control characters, so US, RS and LF cannot occur inside a field
    a = s.account
    lists = "\x1e".join(
        (
            ",".join([f"{v}.{network:x}/{length}" for v, network, length in s.addresses]),
            ",".join(s.devices),
            "\x1d".join(s.logins),
        )
    )
    fields = (s.id, s.state, s.reason, repr(s.since), lists, s.brand)
    account = (a.name, a.amount_due, a.currency, a.due, a.pay_url, a.language)
    return ("\x1f".join(fields + account) + "\n").encode()


def _key_line(k: Key) -> bytes:
    fields = (k.id, k.ssid, k.site, k.subscriber, k.label, k.passphrase.reveal().hex(), ",".join(k.devices))
    numbers = (k.vlan, k.device_limit, k.not_before, k.expires, k.rate and (k.rate.down, k.rate.up))
    return ("\x1f".join((*fields, *map(repr, numbers))) + "\n").encode()


def evidence(answers: Iterable[Subscriber]) -> Snapshot:
    """Single answers in the shape of a list: words on these subscribers, silence on everybody else."""
    return Snapshot("", "", 0.0, tuple(answers))
