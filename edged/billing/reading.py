# SPDX-License-Identifier: Apache-2.0
"""Mapped lists in, one named ``Snapshot`` out. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from edged.errors import UpstreamError
from edged.model import Key, Snapshot, State, Subscriber

_REVISION_LENGTH = 64
"""An operator types it after ``--accept``."""
_UNTYPED = re.compile(r"^-|[^A-Za-z0-9_.:@%+=/-]")
"""What cannot be typed as it stands."""


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


class Direct:
    """What is so of every source that is billing itself and answers at once."""

    confirmed_at: float | None = None
    """When billing confirmed to whom we asked what the latest answer says, epoch seconds; None: it said so itself."""
    waits = False
    """True: the latest answer came as soon as something had changed, so the next question may follow at once."""
    stands_in = False
    """True while another source answers than the one that the operator named first."""

    def remember(self, read_at: float) -> None:
        """The list from before the start is of that time, epoch seconds: billing itself knows no older one."""

    def hurry(self) -> None:
        """Let the look that is under way end soon: nothing here waits for a change."""


def make_snapshot(
    subscribers: tuple[Subscriber, ...],
    keys: tuple[Key, ...] | None,
    *,
    revision: str,
    known: int | None,
    read_at: float,
    before: Snapshot | None = None,
) -> Snapshot:
    """A snapshot whose id names exactly its content, whatever order the lists came in.

    ``before``: an earlier one; entries that are the same objects there are not summed up again.
    """
    kept = before.sums if before is not None and keys is before.keys else None
    sums = (_subscriber_sum(subscribers, before), kept[1] if kept else _key_sum(keys))
    return Snapshot(_name(revision, sums), revision, read_at, subscribers, known, keys, sums)


def sums_of(snapshot: Snapshot, keys: Iterable[Key] | None) -> tuple[int, int]:
    """What names the subscribers of ``snapshot``, and what names ``keys``, which are its own or kept from before."""
    subscribers, own = snapshot.sums or (_sum(map(_subscriber_line, snapshot.subscribers)), 0)
    return subscribers, own if own and keys is snapshot.keys else _key_sum(keys)


def with_word(snapshot: Snapshot, word: Subscriber, place: int | None) -> Snapshot:
    """``snapshot`` with ``word`` at ``place``, where it lists that subscriber, or (None) after the others."""
    subscribers = list(snapshot.subscribers)
    if place is None:
        return _changed(snapshot, [*subscribers, word], out=(), into=(word,))
    replaced, subscribers[place] = subscribers[place], word
    return _changed(snapshot, subscribers, out=(replaced,), into=(word,))


def with_words(snapshot: Snapshot, words: Iterable[Subscriber]) -> Snapshot:
    """``snapshot`` with ``words`` in place of what it said of these subscribers, or after the others."""
    said = {word.id: word for word in words}
    into = tuple(said.values())
    out = [s for s in snapshot.subscribers if s.id in said]
    subscribers = [said.pop(s.id, s) for s in snapshot.subscribers]
    return _changed(snapshot, [*subscribers, *said.values()], out=out, into=into)


def words_between(before: Snapshot, after: Snapshot, most: int) -> tuple[Subscriber, ...] | None:
    """What ``after`` says that ``before`` did not, as words; who is gone is active. None: more than ``most``, or none.

    The keys must be the same: they are not what a word speaks of.
    """
    if before.keys is not after.keys and before.keys != after.keys:
        return None
    known = {s.id: s for s in before.subscribers}
    words: list[Subscriber] = []
    for s in after.subscribers:
        was = known.pop(s.id, None)
        if was is not s and was != s:
            words.append(s)
            if len(words) > most:
                return None
    words += (Subscriber(name, State.ACTIVE) for name in known)
    return tuple(words) if 0 < len(words) <= most else None


def _changed(
    snapshot: Snapshot, subscribers: list[Subscriber], *, out: Iterable[Subscriber], into: Iterable[Subscriber]
) -> Snapshot:
    total, keys = snapshot.sums or (_sum(map(_subscriber_line, snapshot.subscribers)), _key_sum(snapshot.keys))
    total += _sum(map(_subscriber_line, into)) - _sum(map(_subscriber_line, out))
    sums = (total % _MODULUS, keys)
    return replace(snapshot, id=_name(snapshot.revision, sums), subscribers=tuple(subscribers), sums=sums)


def reused(fresh: Iterable[Subscriber], before: Iterable[Subscriber]) -> Iterator[Subscriber]:
    """``fresh``, each as the equal object of ``before`` where there is one: two readings then take the room of one."""
    known = {s.id: s for s in before}
    for s in fresh:
        same = known.get(s.id)
        yield same if same is not None and same == s else s


def check_revision(revision: object) -> str:
    """``revision`` as text, empty when there is none. UpstreamError when it cannot be typed on one line."""
    if revision is None:
        return ""
    if not isinstance(revision, str) or not revision.isascii() or not revision.isprintable() or " " in revision:
        raise UpstreamError("the reading is refused: revision: expected printable ASCII text without spaces")
    if len(revision) > _REVISION_LENGTH:
        raise UpstreamError(f"the reading is refused: revision: expected at most {_REVISION_LENGTH} characters")
    return revision


_MODULUS = 1 << 256


def _sum(lines: Iterable[bytes]) -> int:
    """The sum of the SHA-256 of every line: the same for every order, and changed by one line at the cost of one."""
    return sum(int.from_bytes(hashlib.sha256(line).digest()) for line in lines) % _MODULUS


def _subscriber_sum(subscribers: tuple[Subscriber, ...], before: Snapshot | None) -> int:
    if before is None or before.sums is None:
        return _sum(map(_subscriber_line, subscribers))
    there, here = set(map(id, before.subscribers)), set(map(id, subscribers))
    into = _sum(_subscriber_line(one) for one in subscribers if id(one) not in there)
    out = _sum(_subscriber_line(one) for one in before.subscribers if id(one) not in here)
    return (before.sums[0] + into - out) % _MODULUS


def _key_sum(keys: Iterable[Key] | None) -> int:
    return 0 if keys is None else (_sum(map(_key_line, keys)) + 1) % _MODULUS


def _name(revision: str, sums: tuple[int, int]) -> str:
    """The revision, as far as a shell takes it as it stands: it is typed to accept a reading; and a digest.

    Eight hexadecimal digits of that: enough to tell readings apart, too few to try passphrases on.
    """
    digest = hashlib.sha256(b"".join(part.to_bytes(32) for part in sums)).hexdigest()[:8]
    typed = _UNTYPED.sub("_", revision)
    return f"{typed}.{digest}" if typed else digest


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
    account = (a.name, a.amount_due, a.currency, a.due, a.pay_url, a.language, *((a.invoice,) if a.invoice else ()))
    return ("\x1f".join(fields + account) + "\n").encode()


def _key_line(k: Key) -> bytes:
    fields = (k.id, k.ssid, k.site, k.subscriber, k.label, k.passphrase.reveal().hex(), ",".join(k.devices))
    numbers = (k.vlan, k.device_limit, k.not_before, k.expires, k.rate and (k.rate.down, k.rate.up))
    return ("\x1f".join((*fields, *map(repr, numbers))) + "\n").encode()


def evidence(answers: Iterable[Subscriber]) -> Snapshot:
    """Single answers in the shape of a list: words on these subscribers, silence on everybody else."""
    return Snapshot("", "", 0.0, tuple(answers))
