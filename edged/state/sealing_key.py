# SPDX-License-Identifier: Apache-2.0
"""Where the sealing key is kept, and the steps of its change: the state directory, or systemd's credentials. I/O.

In the directory a change goes ``sealing.key.new`` (written), every row (sealed afresh), ``sealing.key`` (replaced by
it). With credentials the operator gives the new key as ``sealing.key`` and the one before as ``sealing.key.old``.
"""

from __future__ import annotations

import os
from pathlib import Path

from edged.errors import ConfigError, UpstreamError
from edged.state.files import kept_secret, secret_file
from edged.state.sealing import Seal
from edged.values import Secret

NAME = "sealing.key"


class SealingKey:
    """The sealing key of one state directory. Every method touches files; none is held open."""

    def __init__(self, directory: Path, credentials: Path | None = None) -> None:
        self._kept = directory / NAME
        self._new = directory / f"{NAME}.new"
        self._given = credentials / NAME if credentials else None

    def seal(self) -> Seal:
        """What seals and opens now; a key is made on first use. ConfigError when a file cannot be read or written."""
        given = self._credentials()
        if given:
            return Seal(*given, *self._own())
        if self.is_changing:
            return Seal(*self._own())
        return Seal(secret_file(self._kept))

    @property
    def is_changing(self) -> bool:
        """True when a change in the directory was begun and not finished: a crash came between."""
        return not self._credentials() and self._new.exists()

    def begin(self) -> Seal | None:
        """The new key first, durable, and the old one behind it; None: the operator has to give the new one.

        UpstreamError when the directory cannot be written.
        """
        try:
            given = self._credentials()
            if given:
                others = (*given[1:], *self._own())
                return Seal(given[0], *others) if others else None
            return Seal(secret_file(self._new), secret_file(self._kept))
        except ConfigError as error:
            raise UpstreamError(str(error)) from error

    def finish(self) -> None:
        """The old key goes from the directory. UpstreamError when it cannot be written; the change goes on then."""
        try:
            if self._credentials():
                self._new.unlink(missing_ok=True)
                self._kept.unlink(missing_ok=True)
            elif self._new.exists():
                self._new.replace(self._kept)
            descriptor = os.open(self._kept.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, ConfigError) as error:
            raise UpstreamError(f"the old sealing key is still there: {error}") from error

    def _credentials(self) -> tuple[Secret, ...]:
        """The operator's key, and the one before it."""
        if self._given is None:
            return ()
        newest, old = kept_secret(self._given), kept_secret(self._given.with_name(f"{NAME}.old"))
        if newest is None and old is not None:
            raise ConfigError.of(
                "sealing key", f"the credential {NAME}.old alone", f"the new key as {NAME} beside it; docs/security.md"
            )
        return tuple(key for key in (newest, old) if key is not None)

    def _own(self) -> tuple[Secret, ...]:
        return tuple(key for key in map(kept_secret, (self._new, self._kept)) if key is not None)
