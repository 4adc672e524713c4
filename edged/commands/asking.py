# SPDX-License-Identifier: Apache-2.0
"""Questions to a person at a terminal: a default in brackets, a look at the answer, a second chance. I/O."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from contextlib import suppress

from edged.commands.terminal import waiting
from edged.ops.init.trying import Trouble

Test = Callable[[str], Trouble | None]


def is_there(no_input: bool) -> bool:  # noqa: FBT001  # as the flag is called
    """True where somebody sits who can be asked."""
    return not no_input and all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout))


def prepare() -> None:
    """Let the arrow keys work, where this Python can."""
    with suppress(ImportError):
        import readline  # noqa: F401  # imported for what it does to input()


def ask(question: str, default: str, test: Test) -> str:
    """An answer that ``test`` finds nothing wrong with, or that was insisted upon. EOFError, KeyboardInterrupt."""
    answer = input(f"{question} [{default}]: ").strip() or default
    while (trouble := _tried(test, answer)) is not None:
        tell(trouble)
        if trouble.must:
            answer = input(f"{question} [{default}]: ").strip() or default
            continue
        again = input("  Enter goes on with it all the same; or another answer: ").strip()
        if not again:
            break
        answer = again
    return answer


def ask_secret(question: str, file: str) -> str:
    """A secret, read without echo; empty: it was left out."""
    print(f"{question}, for {file}; it is not shown. Enter leaves it for later.")
    return getpass.getpass("  > ").strip()


def insists(trouble: Trouble) -> bool:
    """True when a person goes on although there is ``trouble``; False: they want to answer again."""
    tell(trouble)
    return input("  Enter goes on all the same; a answers again: ").strip().lower() not in {"a", "again"}


def tell(trouble: Trouble) -> None:
    """What is wrong, and what to do."""
    print(f"  ! {trouble.what}\n    {trouble.fix}")


def _tried(test: Test, answer: str) -> Trouble | None:
    with waiting("  looking"):
        return test(answer)
