# SPDX-License-Identifier: Apache-2.0
"""The portal's settings in, a certificate in ``state.directory``/acme out: the schedule and its child process. I/O.

The daemon never loads the library: a child lives for one order or one question, some seconds every few weeks.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import structlog

from edged.captive.acme import record
from edged.captive.acme.challenge import Challenges
from edged.captive.acme.messages import MAX_LINE, Done, Event, Failed, Job, Renewal, Serve, event_of, line_of_job
from edged.captive.acme.schedule import Memory, Step, failed, issued, next_step
from edged.captive.certificate import Life, fitting
from edged.captive.settings import CertificateAcme, PortalSettings
from edged.errors import ConfigError
from edged.state.files import write_atomically

log = structlog.get_logger(__name__)

_LOOK_S = 600.0
"""Seconds between two looks at the clock, which may be set, and at the file, which may go."""
_CHILD_S = 300.0
"""Seconds that a child may live; its own deadline is shorter."""
_ASK_FAILED_S = 6 * 3600.0
"""Seconds until an authority that gave no renewal information is asked again: the renewal does not depend on it."""
_MODULE = "edged.captive.acme.client"


@dataclass(frozen=True, slots=True)
class Standing:
    """How the renewal is going. Epoch seconds."""

    failures: int
    """In a row; 0: all is well."""
    error: str
    """Why the last one failed."""
    next_at: float
    """When the next order is planned."""
    working: bool
    """True while a child is at it."""


class AcmeService:
    """Keeps the portal's certificate fresh; does nothing where the settings name no authority."""

    def __init__(
        self,
        portal: PortalSettings,
        directory: Path,
        *,
        renewed: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``directory`` is the state's; ``renewed`` is called when a new certificate is in its file."""
        self.challenges = Challenges()
        self._folder = directory / record.FOLDER
        self._renewed, self._clock = renewed, clock
        self._wake = asyncio.Event()
        self._child: asyncio.subprocess.Process | None = None
        self._host, self._settings = portal.host, _acme(portal)
        self._memory = self._remembered()

    @property
    def standing(self) -> Standing | None:
        """How it goes; None: the certificate is not ours to fetch."""
        if self._settings is None:
            return None
        memory = self._memory if self._memory.tried == self._settings.acme else Memory()
        _, at = self._next()
        return Standing(memory.failures, memory.error, at, self._child is not None)

    def reconfigure(self, portal: PortalSettings) -> None:
        """Take new settings: a changed host, authority, hook or contact begins anew, at once."""
        if (portal.host, _acme(portal)) == (self._host, self._settings):
            return
        self._kill()
        self._host, self._settings = portal.host, _acme(portal)
        # the operator has mended something: what failed before counts no more
        self._memory = replace(self._remembered(), tried="", failures=0, retry_at=0.0, error="")
        self._wake.set()

    async def run(self) -> None:
        """Order, renew and ask until cancelled."""
        try:
            while True:
                self._wake.clear()
                step, at = self._next()
                if self._settings is None or step is Step.WAIT or at > self._clock():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(min(max(at - self._clock(), 0.0), _LOOK_S)):
                            await self._wake.wait()
                    continue
                await (self._ask(self._settings) if step is Step.ASK else self._order(self._settings))
        finally:
            self._kill()

    def _next(self) -> tuple[Step, float]:
        now = self._clock()
        if self._settings is None:
            return Step.WAIT, now + _LOOK_S
        return next_step(self._settings.acme, self._life(), self._memory, now)

    def _life(self) -> Life | None:
        """Of the certificate in its file; None when there is none that can be used."""
        try:
            octets = record.certificate_files(self._folder, self._host).chain.read_bytes()
            return fitting(octets, octets, self._host)
        except (OSError, ConfigError):
            return None

    # --- the two jobs ----------------------------------------------------------------------------

    async def _order(self, settings: CertificateAcme) -> None:
        if find_spec("acme") is None:
            # not kept: the restart after its installation tries at once
            self._memory = self._failed(settings, Failed(f"the library acme is not installed: {record.INSTALL}"))
            return
        log.info("acme-order", attempt=self._memory.failures + 1)
        outcome = await self._child_said("order", settings)
        if settings is not self._settings:
            return  # a reload came between; what was killed does not count
        if isinstance(outcome, Done):
            life = self._life()
            self._remember(issued(settings.acme, self._clock()))
            log.info("acme-issued", until=life.ends if life else 0.0)
            self._renewed()
            return
        lost = outcome if isinstance(outcome, Failed) else Failed("the child did not say how it ended")
        self._remember(self._failed(settings, lost))

    def _failed(self, settings: CertificateAcme, lost: Failed) -> Memory:
        memory = failed(
            self._memory, settings.acme, lost.reason, now=self._clock(),
            chance=secrets.SystemRandom().random(), not_before=lost.not_before,
        )  # fmt: skip
        log.warning("acme-failed", error=lost.reason, count=memory.failures, until=memory.retry_at)
        return memory

    async def _ask(self, settings: CertificateAcme) -> None:
        outcome = await self._child_said("ask", settings)
        if settings is not self._settings:
            return
        if isinstance(outcome, Renewal):
            self._remember(replace(self._memory, suggested=outcome.at, ask_at=outcome.again))
            return
        # the certificate is renewed with a third of its life left whether the authority says so or not
        self._remember(replace(self._memory, ask_at=self._clock() + _ASK_FAILED_S))

    # --- the child -------------------------------------------------------------------------------

    async def _child_said(self, step: str, settings: CertificateAcme) -> Event:
        """Start a child for one job; its last word."""
        job = Job(
            "ask" if step == "ask" else "order", settings.acme, settings.contact, self._host, str(self._folder),
            str(settings.hook or ""), str(settings.ca or ""),
        )  # fmt: skip
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", _MODULE,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            return Failed(f"the child does not start: {error.strerror}")
        self._child = child
        try:
            async with asyncio.timeout(_CHILD_S):
                return await self._talk(child, job)
        except (TimeoutError, ValueError, ConnectionError) as error:
            return Failed(f"the child was ended: {str(error) or 'it took too long'}")
        finally:
            self._kill()
            self.challenges.clear()
            await child.wait()

    async def _talk(self, child: asyncio.subprocess.Process, job: Job) -> Event:
        """Give ``job`` and serve what the child asks for, until its last word. ValueError: it talks nonsense."""
        if child.stdin is None or child.stdout is None:
            raise ValueError("no pipes")
        child.stdin.write(line_of_job(job))
        while line := await child.stdout.readline():
            event = event_of(line)
            if not isinstance(event, Serve):
                return event
            self.challenges.serve(event.token, event.key_authorization)
            child.stdin.write(b"served\n")
        return Failed("the child ended without a word")

    def _kill(self) -> None:
        """End the child, if one lives, and what it has started."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    # --- memory ----------------------------------------------------------------------------------

    def _remembered(self) -> Memory:
        try:
            return record.memory_of(record.memory_path(self._folder, self._host).read_bytes())
        except OSError:
            return Memory()

    def _remember(self, memory: Memory) -> None:
        self._memory = memory
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(record.memory_path(self._folder, self._host), [record.encoded(memory)])
        except OSError as error:
            log.warning("acme-memory-unkept", error=error.strerror)


def _acme(portal: PortalSettings) -> CertificateAcme | None:
    """The settings of the authority, where there is one and a page to fetch a certificate for."""
    return portal.certificate if isinstance(portal.certificate, CertificateAcme) and portal.url else None
