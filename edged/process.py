# SPDX-License-Identifier: Apache-2.0
"""The process around the house: limits, signals, what systemd is told, and the exit status. I/O."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
import traceback
from pathlib import Path

import structlog

from edged import __version__
from edged.config.derived import places
from edged.config.loading import Loaded, load
from edged.config.roles import refuse_others
from edged.daemon import House
from edged.enforce.kernel.client import Privileged, separated
from edged.errors import ConfigError, UpstreamError
from edged.fdstore import FdStore
from edged.host import systemd
from edged.host.leaving import drained
from edged.ops import logs
from edged.ops.text import problems
from edged.ops.tour import tour_text
from edged.state.files import claim

log = structlog.get_logger(__name__)


def run(path: Path, *, tour: bool = False, hub_alone: bool = False) -> int:
    """Run until SIGINT or SIGTERM; the exit status. SIGHUP reloads. ``hub_alone``: of a file for a hub only."""
    passed = systemd.passed()
    loaded = load(path)
    if hub_alone:
        refuse_others(loaded)
    config = loaded.config
    logs.configure(config.ops.log.level, config.ops.log.format, config.site)
    if loaded.warnings:
        sys.stderr.write(problems(loaded.warnings, loaded.document.lines, str(path), "edged starts.") + "\n")
    claimed = claim(config.state.directory)
    kernel: Privileged | None = None
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it; the connections are capped all the same
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        kernel = separated()
        tell, widen = systemd.notify if systemd.is_listening() else None, kernel.widen if kernel else None
        fds = FdStore(passed, tell, widen, away=config.pair.addresses)
        if fds.fit(places(config)):
            systemd.barrier()
        return asyncio.run(_serve(loaded, fds, kernel, tour=tour))
    except UpstreamError as error:
        log.critical("cannot-start", error=str(error))
        return os.EX_TEMPFAIL
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001  # our own bug: loud, once; systemd starts us again, what is enforced stays
        # types and places, never the message: it may hold what must not be logged
        log.critical("room-failed", error=" < ".join(_kinds(error)), where=" < ".join(_places(error)))
        return os.EX_SOFTWARE
    finally:
        if kernel is not None:
            kernel.close()
        os.close(claimed)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _kinds(error: BaseException) -> list[str]:
    return list(dict.fromkeys((type(_innermost(error)).__name__, type(error).__name__)))


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(_innermost(error).__traceback__)
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)][:8]


async def _serve(loaded: Loaded, fds: FdStore, kernel: Privileged | None, *, tour: bool) -> int:
    house = House(loaded, fds, kernel)
    life = asyncio.create_task(_live(house, tour=tour), name="house")
    loop = asyncio.get_running_loop()
    last: list[asyncio.Task[None]] = []

    def end() -> None:
        if last or not house.is_running():
            life.cancel()  # not begun, or told twice: at once
        else:
            last.append(asyncio.create_task(_leave(house, life), name="leaving"))

    def gone() -> None:
        """Nobody here may give its capability to another one: a new start can. What is enforced stays meanwhile."""
        status = kernel.ended if kernel is not None else None
        log.critical("kernel-process-gone", status=status, hint="edged ends, to be started again")
        end()

    if kernel is not None:
        kernel.watch(gone)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, house.reload_wanted.set)
    try:
        await life
    except asyncio.CancelledError:
        log.info("stopped")
    return os.EX_OK if kernel is None or kernel.ended is None else os.EX_TEMPFAIL


async def _leave(house: House, life: asyncio.Task[None]) -> None:
    """Whoever was heard is answered before everything ends; whoever comes meanwhile waits in the kept sockets."""
    try:
        left = await drained(house.doors)
        if left:
            log.info("left-unanswered", count=left)
    finally:
        life.cancel()


async def _live(house: House, *, tour: bool) -> None:
    try:
        await house.open()
        log.info("serving", version=__version__, mode=house.loaded.config.mode)
        systemd.notify(f"READY=1\nMAINPID={os.getpid()}")
        if tour:
            if house.billing is not None:
                await house.billing.sync()
            sys.stdout.write(tour_text(house) + "\n")
            sys.stdout.flush()
        await house.run()
    finally:
        systemd.notify("STOPPING=1")
        await house.close()
