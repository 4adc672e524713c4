# SPDX-License-Identifier: Apache-2.0
"""What an operator types for a subscriber (id, address, login, device, page reference) in, billing's id out. Pure."""

from __future__ import annotations

from collections.abc import Callable

from edged.model import Subscriber
from edged.ops.control import Refused
from edged.policy.access import View
from edged.values import parse_address, parse_mac, parse_prefix

Referenced = Callable[[str, View], tuple[str, ...]]
"""The known subscribers who have a page reference."""


def subscriber_of(view: View, subject: str, referenced: Referenced | None = None) -> str:
    """Billing's id behind ``subject``; what is none of the known things is an id that is not listed. ``Refused``."""
    subject = subject.strip()
    if not subject:
        raise Refused("name a subscriber: billing's id, or an address, a login or a device of theirs", 2)
    if subject in view.table.subscribers or subject in view.learned.overrides:
        return subject
    found = _by_address(view, subject) or view.table.logins.get(subject) or _by_device(view, subject)
    if found is None and referenced is not None:
        return _by_reference(subject, referenced(subject, view)) or subject
    return subject if found is None else found.id


def _by_reference(subject: str, ids: tuple[str, ...]) -> str:
    if len(ids) > 1:
        raise Refused(f"{subject} is the page reference of {' and of '.join(ids)}: give the id", 2)
    return "".join(ids)


def meant(view: View, subject: str) -> str:
    """The listed id that ``subject`` may be a slip of; empty: none."""
    bare = subject.strip().lstrip("#0 ")
    return bare if bare != subject and bare in view.table.subscribers else ""


def _by_address(view: View, subject: str) -> Subscriber | None:
    try:
        address = parse_address(subject)
    except ValueError:
        _refuse_prefix(subject)
        return None
    match = view.match(address)
    if match is None:
        raise Refused(f"billing lists nobody at {address}")
    return match[1]


def _refuse_prefix(subject: str) -> None:
    if "/" not in subject:
        return
    try:
        parse_prefix(subject)
    except ValueError:
        return
    raise Refused(f"{subject} is a network, not a subscriber: give an id or one address", 2)


def _by_device(view: View, subject: str) -> Subscriber | None:
    try:
        mac = parse_mac(subject)
    except ValueError:
        return None
    found = view.holder_of(mac)
    # twelve digits alone may be an id of billing's
    if found is None and not subject.isalnum():
        raise Refused(f"billing lists no device {mac}")
    return found
