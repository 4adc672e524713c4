"""Certificates of the stand-in: one of its own authority, one of another, made when it starts."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import cached_property

import trustme


class Certificates:
    """``authority`` is what a client should trust."""

    @cached_property
    def authority(self) -> trustme.CA:
        """Whoever signed the router's certificate."""
        return trustme.CA()

    @property
    def pem(self) -> bytes:
        """The authority's certificate."""
        return bytes(self.authority.cert_pem.bytes())

    def client(self) -> ssl.SSLContext:
        """What a client needs to trust it."""
        return ssl.create_default_context(cadata=self.pem.decode())

    def context(self, is_other: Callable[[], bool]) -> ssl.SSLContext:
        """The server's; another authority's certificate is shown while ``is_other`` says so."""
        own, other = self._context(self.authority), self._context(trustme.CA())

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            if is_other():
                connection.context = other

        own.sni_callback = choose
        return own

    @staticmethod
    def _context(authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "::1", "localhost", "router.example").configure_cert(context)
        return context
