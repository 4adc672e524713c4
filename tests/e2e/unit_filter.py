"""Become a program under the unit's SystemCallFilter=, NoNewPrivileges= and MemoryDenyWriteExecute=, without systemd.

``python unit_filter.py UNIT PROGRAM …``: the groups as systemd-analyze lists them, the numbers as the C compiler knows
them, one filter of seccomp(2) that lets through what is listed and answers EPERM to all else.
"""

from __future__ import annotations

import ctypes
import re
import struct
import subprocess
import sys
from os import execvp
from pathlib import Path

_LOAD_NUMBER, _IS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_SET_SECCOMP, _FILTER, _NO_NEW_PRIVS, _SET_MDWE = 22, 2, 38, 65
ALWAYS = {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn"}
"""What systemd.exec(5) lets through by itself, beside @default."""


def said(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL).stdout


def groups() -> dict[str, set[str]]:
    """Every group of this systemd with what it names, groups among it."""
    found: dict[str, set[str]] = {}
    members: set[str] = set()
    for line in said("systemd-analyze", "syscall-filter").splitlines():
        word = line.strip()
        if line.startswith("@"):
            members = found.setdefault(word, set())
        elif word and not word.startswith("#"):
            members.add(word)
    return found


def calls(words: list[str], known: dict[str, set[str]]) -> set[str]:
    return {call for word in words for call in (calls([*known[word]], known) if word.startswith("@") else {word})}


def allowed(unit: Path) -> set[str]:
    """In the order of the lines: what is listed, less what is listed after ``~``."""
    known = groups()
    found = calls(["@default"], known) | ALWAYS
    for given in re.findall(r"^SystemCallFilter=(.*)$", unit.read_text(), re.MULTILINE):
        named = calls(given.removeprefix("~").split(), known)
        found = found - named if given.startswith("~") else found | named
    return found


def numbers() -> dict[str, int]:
    """By name; where a name stands for another one, that one's."""
    text = said("cc", "-E", "-dM", "-x", "c", "-include", "sys/syscall.h", "/dev/null")
    defined: dict[str, str] = dict(re.findall(r"#define __NR(\w+) (?:__NR)?(\w+)$", text, re.MULTILINE))
    values = {name: defined.get(value, value) for name, value in defined.items()}
    return {name.removeprefix("_"): int(value) for name, value in values.items() if value.isdigit()}


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def main() -> None:
    unit, *command = sys.argv[1:]
    of = numbers()
    steps = [(_LOAD_NUMBER, 0, 0, 0)]
    for number in sorted(of[call] for call in allowed(Path(unit)) if call in of):
        steps += [(_IS, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    steps.append((_RETURN, 0, 0, _EPERM))
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.cast(instructions, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_SET_MDWE, 1, 0, 0, 0)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    execvp(command[0], command)  # noqa: S606  # what this is for


if __name__ == "__main__":
    main()
