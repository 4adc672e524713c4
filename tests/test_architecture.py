"""The house of ARCHITECTURE.md, checked: purity by file name, cages of libraries, labels, sizes."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "edged"
SOURCES = sorted(PACKAGE.rglob("*.py"))

FRONT_DOOR = (
    "cli.py",
    "commands/",
    "process.py",
    "daemon.py",
    "arrows.py",
    "backoffice.py",
    "clerk.py",
    "keysafe.py",
    "moving.py",
    "sharing.py",
    "standin.py",
    "watching.py",
    "writer.py",
    "ops/",
    "host/",
    "config/",
    "phone/",
)

# below the front door these alone may touch a socket, the loop, a clock, a file or a log
IO_NAMES = ("service.py", "client.py")
IO_FOLDERS = ("sources", "targets")
# the hinge's memory: files by design.md ("state: the current value, the database"), each named for what it keeps
IO_STATE = {
    "state/database.py", "state/files.py", "state/overrides.py", "state/snapshots.py",
    "state/guard_memory.py", "state/keys.py", "state/sessions.py", "state/hooks.py", "state/outbox.py",
    "state/sealing_key.py", "state/grants.py", "state/life.py",
    "state/shared/capture.py", "state/shared/inspection.py",
    "state/current.py",  # asyncio.Event to wait for a change; touches nothing outside the process
}  # fmt: skip

# what the servers of two rooms are made of; it listens nowhere by itself. Batches of datagrams, with their C twin.
# Sockets that every room which listens takes from one place
IO_SHARED = {"webserver.py", "native/datagrams.py", "fdstore.py"}

# what the process with CAP_NET_ADMIN does with it; its own loop and the daemon's end are service.py and client.py
IO_KERNEL = {"enforce/kernel/netlink.py", "enforce/kernel/acts.py"}

IMPURE = {
    "asyncio", "socket", "ssl", "select", "selectors", "threading", "multiprocessing", "concurrent", "subprocess",
    "time", "logging", "structlog", "aiohttp", "sqlite3", "tempfile", "shutil", "signal", "pyroute2", "sched",
}  # fmt: skip

IMPURE_CALLS = {
    "open", "open_file", "read_text", "write_text", "read_bytes", "write_bytes", "utcnow", "today", "print",
}  # fmt: skip

CAGES = {
    "aiohttp": {
        "captive/http/service.py",
        "captive/service.py",
        "billing/client.py",
        "billing/hook/http/service.py",
        "hub/http/service.py",
        "ops/service.py",
        "ops/dashboard/service.py",
        "webserver.py",
    },
    "jinja2": {"captive/page/pages.py"},
    "yaml": {"yamltext.py", "config/document.py", "billing/sources/file.py"},
    "sqlite3": {
        "state/database.py",
        "state/keys.py",
        "state/sessions.py",
        "state/guard_memory.py",
        "state/outbox.py",
        "state/grants.py",
        "state/life.py",
        "state/shared/capture.py",
    },
    "asyncpg": {"state/shared/client.py"},
    "acme": {"captive/acme/client.py"},
    "josepy": {"captive/acme/client.py"},
    "prometheus_client": {"ops/metrics.py"},
    "routeros_api": {"enforce/targets/routeros/api.py"},
    "scapy": {"phone/link.py", "phone/exchanges.py", "phone/settling.py"},
}

# what only tests load: a licence or a way of working that edged must not inherit
TEST_CAGES = {
    "librouteros": {"loopback/test_routeros_judges.py", "loopback/test_routeros_reconcile.py"},
}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@functools.cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text("utf-8"))))


@functools.cache
def imports(path: Path) -> tuple[str, ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def may_do_io(name: str) -> bool:
    path = Path(name)
    return (
        name.startswith(FRONT_DOOR)
        or path.name in IO_NAMES
        or any(part in IO_FOLDERS for part in path.parts[:-1])
        or name in IO_STATE | IO_SHARED | IO_KERNEL
    )


PURE = [path for path in SOURCES if not may_do_io(relative(path))]


def test_only_files_named_for_it_touch_the_outside_world() -> None:
    touched = {relative(path): {name.partition(".")[0] for name in imports(path)} & IMPURE for path in PURE}

    assert len(PURE) > 100
    assert not {name: sorted(modules) for name, modules in touched.items() if modules}


def test_pure_files_never_open_a_file_or_read_a_clock() -> None:
    assert not {relative(path): found for path in PURE if (found := _calls(path) & IMPURE_CALLS)}


def _calls(path: Path) -> set[str]:
    """What a file calls by its bare name, and what it calls of anything; an ``open`` of something may be its own."""
    called = [node.func for node in nodes(path) if isinstance(node, ast.Call)]
    bare = {f.id for f in called if isinstance(f, ast.Name)}
    return bare | {f.attr for f in called if isinstance(f, ast.Attribute)} - {"open"}


@pytest.mark.parametrize("library", sorted(CAGES))
def test_each_third_party_library_stays_in_its_cage(library: str) -> None:
    users = {relative(p) for p in SOURCES if any(n.partition(".")[0] == library for n in imports(p))}

    assert users <= CAGES[library]


@pytest.mark.parametrize("library", sorted(TEST_CAGES))
def test_each_judge_stays_in_its_tests(library: str) -> None:
    tests = ROOT / "tests"
    says_so = re.compile(rf"^\s*(from|import) {library}\b", re.MULTILINE)
    users = {p.relative_to(tests).as_posix() for p in tests.rglob("*.py") if says_so.search(p.read_text("utf-8"))}

    assert users == TEST_CAGES[library]
    assert not [relative(path) for path in SOURCES if any(n.partition(".")[0] == library for n in imports(path))]


def test_every_module_opens_with_its_label() -> None:
    assert SOURCES
    for path in SOURCES:
        module = nodes(path)[0]
        # beside scapy, which is GPL-2.0-only: either licence (decision 0041)
        licence = "Apache-2.0 OR GPL-2.0-only" if relative(path).startswith("phone/") else "Apache-2.0"
        assert path.read_text("utf-8").startswith(f"# SPDX-License-Identifier: {licence}\n"), relative(path)
        assert isinstance(module, ast.Module)
        assert ast.get_docstring(module), relative(path)


def test_the_phone_is_a_program_of_its_own() -> None:
    phone = [path for path in SOURCES if relative(path).startswith("phone/")]
    taken = {name for path in phone for name in imports(path)}
    ours = {name for name in taken if name.partition(".")[0] == "edged"}

    assert all(name.startswith("edged.phone.") for name in ours)
    assert {name.partition(".")[0] for name in taken} - {"edged", "scapy"} <= sys.stdlib_module_names
    others = [path for path in SOURCES if path not in phone]
    assert not [relative(path) for path in others if any(name.startswith("edged.phone") for name in imports(path))]


def test_files_and_functions_stay_small() -> None:
    long = [
        f"{relative(path)}: {f.name} ({(f.end_lineno or f.lineno) - f.lineno + 1})"
        for path in SOURCES
        for f in nodes(path)
        if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) and (f.end_lineno or f.lineno) - f.lineno >= 60
    ]

    assert not long
    assert not [relative(path) for path in SOURCES if path.read_text("utf-8").count("\n") > 400]


def test_rooms_have_the_same_furniture() -> None:
    for room in ("dns", "captive", "radius", "mpsk", "billing", "enforce"):
        names = {p.name for p in (PACKAGE / room).iterdir()}

        assert {"settings.py", "service.py"} <= names, room


def test_the_table_has_one_writer() -> None:
    writers = {
        relative(path)
        for path in SOURCES
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"publish", "learn"}
        and isinstance(node.func.value, (ast.Attribute, ast.Name))
        and (node.func.value.attr if isinstance(node.func.value, ast.Attribute) else node.func.value.id) == "current"
    }

    assert len(writers) == 1, writers
