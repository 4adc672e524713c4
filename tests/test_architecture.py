"""The house of ARCHITECTURE.md, checked: purity by file name, cages of libraries, labels, sizes."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "edged"
SOURCES = sorted(PACKAGE.rglob("*.py"))

FRONT_DOOR = (
    "cli.py",
    "keycli.py",
    "usage.py",
    "process.py",
    "daemon.py",
    "arrows.py",
    "backoffice.py",
    "clerk.py",
    "standin.py",
    "watching.py",
    "writer.py",
    "ops/",
    "config/",
)

# below the front door these alone may touch a socket, the loop, a clock, a file or a log
IO_NAMES = ("service.py", "client.py")
IO_FOLDERS = ("sources", "targets")
# the hinge's memory: files by design.md ("state: the current value, the database"), each named for what it keeps
IO_STATE = {
    "state/database.py", "state/files.py", "state/overrides.py", "state/snapshots.py",
    "state/guard_memory.py", "state/keys.py", "state/sessions.py", "state/hooks.py", "state/outbox.py",
    "state/sealing_key.py", "state/grants.py",
    "state/current.py",  # asyncio.Event to wait for a change; touches nothing outside the process
}  # fmt: skip

# what the servers of two rooms are made of; it listens nowhere by itself. Batches of datagrams, with their C twin
IO_SHARED = {"webserver.py", "native/datagrams.py"}

IMPURE = {
    "asyncio", "socket", "ssl", "select", "selectors", "threading", "multiprocessing", "concurrent", "subprocess",
    "time", "logging", "structlog", "aiohttp", "sqlite3", "tempfile", "shutil", "signal", "pyroute2", "sched",
}  # fmt: skip

CAGES = {
    "aiohttp": {
        "captive/http/service.py",
        "captive/service.py",
        "billing/client.py",
        "billing/hook/http/service.py",
        "ops/service.py",
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
    },
    "acme": {"captive/acme/client.py"},
    "josepy": {"captive/acme/client.py"},
    "prometheus_client": {"ops/metrics.py"},
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
        or name in IO_STATE | IO_SHARED
    )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_files_named_for_it_touch_the_outside_world(path: Path) -> None:
    if may_do_io(relative(path)):
        return

    touched = {name.partition(".")[0] for name in imports(path)} & IMPURE

    assert not touched, f"{relative(path)} imports {sorted(touched)}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_pure_files_never_open_a_file_or_read_a_clock(path: Path) -> None:
    if may_do_io(relative(path)):
        return
    calls = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in nodes(path)
        if isinstance(node, ast.Call)
    }

    assert not calls & {
        "open_file",
        "read_text",
        "write_text",
        "read_bytes",
        "write_bytes",
        "utcnow",
        "today",
        "print",
    }
    assert "open" not in {
        node.func.id for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


@pytest.mark.parametrize("library", sorted(CAGES))
def test_each_third_party_library_stays_in_its_cage(library: str) -> None:
    users = {relative(p) for p in SOURCES if any(n.partition(".")[0] == library for n in imports(p))}

    assert users <= CAGES[library]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_opens_with_its_label(path: Path) -> None:
    text = path.read_text("utf-8")

    assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text("utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = [
        f"{f.name} ({(f.end_lineno or f.lineno) - f.lineno + 1})"
        for f in functions
        if (f.end_lineno or f.lineno) - f.lineno >= 60
    ]

    assert not long
    assert text.count("\n") <= 400


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
