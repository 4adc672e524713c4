# SPDX-License-Identifier: Apache-2.0
"""Errors by whose fault it is: the operator, a peer, another system. Pure.

Ordinary refusals are values with a reason, never exceptions. Anything else that is raised is our own bug.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the operator's input: where it is, what was found there, what was expected."""

    key: str
    """Path of the key as the operator spells it, for example ``dns.listen[0]``; empty for the whole file."""
    found: str
    """What stands there (never a secret)."""
    expected: str
    """What would be right, in the operator's words."""
    hint: str = ""
    """The nearest right word, or the line to write."""
    line: int = 0
    """1-based; 0 when no line can be named."""
    column: int = 0
    """1-based."""
    width: int = 1
    """How many columns the fault spans, for the caret."""
    warning: bool = False
    """True when the input is usable but has a consequence that the operator should know."""


class ConfigError(Exception):
    """The operator's fault: a file, a key, a certificate, a port. Carries every problem found; exit status 78."""

    def __init__(
        self, problems: tuple[Problem, ...] | list[Problem], path: str = "", lines: Sequence[str] = ()
    ) -> None:
        self.problems = tuple(problems)
        self.path = path
        self.lines = lines
        """The file's lines, secrets masked, for the caret; empty when there are none to show."""
        super().__init__("; ".join(f"{p.key}: {p.found}; expected {p.expected}" for p in self.problems))

    @classmethod
    def of(cls, key: str, found: str, expected: str, hint: str = "") -> ConfigError:
        """A ConfigError of exactly one problem."""
        return cls((Problem(key=key, found=found, expected=expected, hint=hint),))

    @classmethod
    def unbound(cls, key: str, endpoint: object, error: OSError) -> ConfigError:
        """The ConfigError of an endpoint that cannot be listened on."""
        found, expected, hint = _UNBOUND.get(
            error.errno or 0, (f"cannot be bound: {error.strerror}", "an endpoint", "")
        )
        return cls.of(key, f"{endpoint} {found}", expected, hint)


_UNBOUND = {
    errno.EADDRINUSE: ("is in use", "a free port", "ss -lnp says by whom"),
    errno.EADDRNOTAVAIL: (
        "is not an address of this host",
        "one of its addresses, or 0.0.0.0 or [::]",
        "pair.addresses names what comes later",
    ),
    errno.EACCES: ("needs a privilege", "a port above 1023", "the service unit grants CAP_NET_BIND_SERVICE"),
}


class WireError(Exception):
    """A peer's fault: octets that its protocol does not allow. The shell counts ``reason`` and sends ``reply``."""

    def __init__(self, reason: str, reply: bytes | None = None) -> None:
        self.reason = reason
        """One of a closed set of labels, safe for a metric."""
        self.reply = reply
        """What the protocol prescribes as an answer; None: silence."""
        super().__init__(reason)


class UpstreamError(Exception):
    """Another system failed us: billing, a resolver, a router, the database. Retried; never ends the daemon."""
