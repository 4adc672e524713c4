# SPDX-License-Identifier: Apache-2.0
"""The paths of ``radius.tls`` in, a TLS context out. Reads files. RFC 6614 section 2.3, RFC 9325."""

from __future__ import annotations

import ssl
from pathlib import Path

from edged.errors import ConfigError
from edged.radius.radsec.certificate import examine
from edged.radius.settings import RadSecSettings

_MAX = 256 * 1024
"""A chain is a few KB, a bundle of authorities some hundred."""
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!PSK"
"""Of TLS 1.2; those of TLS 1.3 are all good."""


class RadSecFiles:
    """The certificate, its key and the authority on disk, and when they were last read."""

    def __init__(self, paths: RadSecSettings) -> None:
        self._paths = paths
        self._seen: tuple[int, ...] = ()
        self.ends = 0.0
        """When the server's certificate ends, epoch seconds."""

    def load(self) -> ssl.SSLContext:
        """A server context with the files as they are now. ConfigError: one of them does not work."""
        seen = self._stamp()
        ca, chain, key = (_read(getattr(self._paths, name), name) for name in ("ca", "chain", "key"))
        ends = examine(ca, chain, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_ciphers(_CIPHERS)
        # a resumed session would outlive a change of the authority: every handshake is a whole one
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_verify_locations(self._paths.ca)
            context.load_cert_chain(self._paths.chain, self._paths.key)
        except (ssl.SSLError, OSError):
            raise ConfigError.of(
                "radius.tls", "files that cannot be used together", "ca, chain and key in PEM"
            ) from None
        self._seen, self.ends = seen, ends
        return context

    def changed(self) -> bool:
        """True when one of the files is another one than was loaded."""
        return self._stamp() != self._seen

    def _stamp(self) -> tuple[int, ...]:
        try:
            found = [path.stat() for path in (self._paths.ca, self._paths.chain, self._paths.key)]
        except OSError:
            return ()
        return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_ino, stat.st_size))


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(_MAX + 1)
    except OSError as error:
        raise ConfigError.of(f"radius.tls.{name}", f"{path}: {error.strerror}", "a file that edged may read") from None
    if len(octets) > _MAX:
        raise ConfigError.of(f"radius.tls.{name}", f"{path}: more than {_MAX // 1024} KiB", "a PEM file")
    return octets
