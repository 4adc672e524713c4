# SPDX-License-Identifier: Apache-2.0
"""This thread's capabilities and what else a process gives up for good: capabilities(7), prctl(2), landlock(7). I/O.

A thread that is started later, and a child, begin with what its maker has: call these before there is one.
"""

from __future__ import annotations

import ctypes
import struct
from typing import NamedTuple

NET_ADMIN = 12
_LAST = 63

_VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3."""
_SET_PDEATHSIG, _SET_DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS = 1, 4, 24, 38
_AMBIENT, _AMBIENT_RAISE, _AMBIENT_LOWER, _AMBIENT_CLEAR = 47, 2, 3, 4
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
"""System calls; the same on every machine."""
_WRITES = {1: 0x1FF2, 2: 0x3FF2, 3: 0x7FF2}
"""What opens a file to be written, and makes, moves, cuts or removes one, by the version of Landlock."""


class Sets(NamedTuple):
    """Three sets, a bit for each capability."""

    effective: int
    permitted: int
    inheritable: int


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int, second: int = 0) -> bool:
    number = ctypes.c_ulong
    return bool(_libc().prctl(option, number(argument), number(second), number(0), number(0)) == 0)


def held() -> Sets:
    """What this thread holds; nothing where the kernel does not say."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION, 0))
    data = ctypes.create_string_buffer(24)
    if _libc().capget(header, data):
        return Sets(0, 0, 0)
    low, high = struct.unpack_from("=III", data.raw), struct.unpack_from("=III", data.raw, 12)
    return Sets(*(a | b << 32 for a, b in zip(low, high, strict=True)))


def _take(wanted: Sets) -> bool:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION, 0))
    words = [value >> shift & 0xFFFFFFFF for shift in (0, 32) for value in wanted]
    return bool(_libc().capset(header, ctypes.create_string_buffer(struct.pack("=6I", *words))) == 0)


def has(capability: int) -> bool:
    """True when ``capability`` can be used now."""
    return bool(held().effective >> capability & 1)


def hand_on(capability: int) -> None:
    """Let programs that are started hold ``capability`` too, whoever they run as (the ambient set)."""
    now = held()
    if _take(now._replace(inheritable=now.inheritable | 1 << capability)):
        _prctl(_AMBIENT, _AMBIENT_RAISE, capability)


def drop(capability: int) -> bool:
    """Give ``capability`` up in every set, for good: no program that is started gets it either. False: it stays.

    The bounding set asks for CAP_SETPCAP; without it, that no new privilege is given is what holds.
    """
    _prctl(_CAPBSET_DROP, capability)
    _prctl(_NO_NEW_PRIVS, 1)
    _prctl(_AMBIENT, _AMBIENT_LOWER, capability)
    _take(Sets(*(value & ~(1 << capability) for value in held())))
    return not held().permitted >> capability & 1


def keep_only(capability: int) -> None:
    """Give everything up but ``capability``, which programs that are started hold too."""
    for other in range(_LAST + 1):
        if other != capability:
            _prctl(_CAPBSET_DROP, other)
            _prctl(_AMBIENT, _AMBIENT_LOWER, other)
    _prctl(_NO_NEW_PRIVS, 1)
    _take(Sets(*(1 << capability,) * 3))
    _prctl(_AMBIENT, _AMBIENT_RAISE, capability)


def clear_ambient() -> None:
    """Programs that are started get none of our capabilities, unless they are root's."""
    _prctl(_AMBIENT, _AMBIENT_CLEAR)


def end_with_parent(signal: int) -> None:
    """Let the kernel send ``signal`` when the thread that started this process is gone."""
    _prctl(_SET_PDEATHSIG, signal)


def hide() -> None:
    """No core dump, and nobody of the same user looks into this process or traces it."""
    _prctl(_SET_DUMPABLE, 0)


def write_nowhere() -> bool:
    """Open no file to be written ever again, sysctls included. False: this kernel has no Landlock, or may not."""
    libc = _libc()
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    writes = ctypes.create_string_buffer(struct.pack("=Q", _WRITES[min(version, max(_WRITES))]), 8)
    ruleset = libc.syscall(_LANDLOCK_CREATE, writes, ctypes.c_size_t(8), 0)
    return bool(ruleset >= 0 and libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
