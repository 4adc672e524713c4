# SPDX-License-Identifier: Apache-2.0
"""What is known of each NAS: when it was heard, with which secret, whether it signs. Values in, values out; no I/O.

For the operator's eye; the one rule that hangs on it is which secret an unsigned request is read with.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_HEARD = 4096
"""NASes remembered. Forged addresses leave first; beyond that the one known longest gives way."""


class Heard:
    """Verified requests from one address. Times are epoch seconds; 0: never."""

    __slots__ = (
        "asked",
        "client",
        "last",
        "new_secret",
        "old_secret",
        "refused",
        "requests",
        "signed",
        "tls",
        "unsigned",
    )

    def __init__(self) -> None:
        self.client = ""
        """The name of the client that it is."""
        self.asked = 0.0
        """When something came from there, verified or not."""
        self.last = 0.0
        self.requests = 0
        self.signed = 0.0
        """Access-Requests with a valid Message-Authenticator."""
        self.unsigned = 0.0
        """Access-Requests without one."""
        self.new_secret = 0.0
        """Requests proven to be made with the client's secret."""
        self.old_secret = 0.0
        """The same with ``secret_before``."""
        self.refused = 0.0
        """Requests dropped for want of a Message-Authenticator; anybody can forge one of these."""
        self.tls = 0.0

    def verified(self, *, access: bool, signed: bool) -> None:
        """What was ``asked`` is a request of the client; ``access``: an Access-Request."""
        now = self.last = self.asked
        self.requests += 1
        if access:
            if signed:
                self.signed = now
            else:
                self.unsigned = now

    @property
    def uses_old_secret(self) -> bool:
        """True when the latest proof was made with the secret of before."""
        return self.old_secret > self.new_secret


class Hearing:
    """``Heard`` by address."""

    __slots__ = ("_by_host",)

    def __init__(self) -> None:
        self._by_host: dict[str, Heard] = {}

    def of(self, host: str) -> Heard:
        """What is known of ``host``, an address as text; from now on it is remembered."""
        heard = self._by_host.get(host)
        if heard is None:
            if len(self._by_host) >= MAX_HEARD:
                self._by_host = {known: it for known, it in self._by_host.items() if it.requests}
            if len(self._by_host) >= MAX_HEARD:
                del self._by_host[next(iter(self._by_host))]
            heard = self._by_host[host] = Heard()
        return heard

    def find(self, host: str) -> Heard | None:
        """What is known of ``host``; None: nothing was ever heard from there."""
        heard = self._by_host.get(host)
        return heard if heard is not None and (heard.requests or heard.refused) else None

    def __iter__(self) -> Iterator[tuple[str, Heard]]:
        """Address and what is known of it, where something was verified or could not be."""
        return ((host, heard) for host, heard in self._by_host.items() if heard.requests or heard.refused)
