# SPDX-License-Identifier: Apache-2.0
"""One renderer for every log, fields by an allow-list. Each scene is a process: logging is a process's own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMS = pytest.mark.parametrize("form", ["text", "json"])

# what a browser asked for, a key, a subscriber: the words that may never be read in a log
UNSPEAKABLE = ("www.private.example", "copper-otter-violin-42", "100.64.7.9", "/private/path")

SCENE = """
import logging, sys
import structlog
from edged.ops import logs

log = structlog.get_logger("edged.dns.service")
logs.configure({level!r}, sys.argv[1], "tower-12")
{body}
"""


def lines(form: str, body: str, level: str = "info") -> list[str]:
    """What ``body`` leaves on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", SCENE.format(level=level, body=body), form],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def fields(form: str, line: str) -> dict[str, Any]:
    if form == "json":
        parsed: dict[str, Any] = json.loads(line)
        return parsed
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)', line)
    return {name: value.strip('"') for name, value in pairs}


def events(form: str, body: str, level: str = "info") -> list[dict[str, Any]]:
    return [fields(form, line) for line in lines(form, body, level)]


# --- the allow-list --------------------------------------------------------------------------------


@FORMS
def test_a_field_that_is_not_on_the_list_never_appears(form: str) -> None:
    said = lines(
        form,
        'log.info("dns-answer", qname="www.private.example", passphrase="copper-otter-violin-42",'
        ' address="100.64.7.9", url="/private/path", count=3)\n'
        'log.bind(qname="www.private.example", nas="ap-1").warning("bound", url="/private/path")\n'
        "structlog.contextvars.bind_contextvars(qname='www.private.example')\n"
        'log.warning("in-context")',
    )

    assert len(said) == 3
    for word in (*UNSPEAKABLE, "qname", "passphrase", "address", "url"):
        assert word not in "\n".join(said)
    assert "count" in said[0]
    assert "ap-1" in said[1]


@FORMS
def test_a_field_that_is_on_the_list_appears_with_time_level_logger_and_site(form: str) -> None:
    (said,) = events(form, "log.warning('enforce-drift', target='nftables', count=12, error='two words = \"one\"')")

    assert said["event"] == "enforce-drift"
    assert said["level"] == "warning"
    assert said["logger"] == "edged.dns.service"
    assert said["site"] == "tower-12"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", said["timestamp"])
    assert said["target"] == "nftables"
    assert str(said["count"]) == "12"
    assert "two words" in said["error"]


@FORMS
def test_a_reload_gives_the_site_its_new_name(form: str) -> None:
    before, after = events(
        form, f'log.warning("before")\nlogs.configure("info", "{form}", "tower-13")\nlog.warning("after")'
    )

    assert (before["site"], after["site"]) == ("tower-12", "tower-13")


@FORMS
def test_extras_of_a_librarys_log_never_appear(form: str) -> None:
    (said,) = lines(
        form,
        'logging.getLogger("somelib").warning("slow", extra={"qname": "www.private.example", "url": "/private/path"})',
    )

    assert not any(word in said for word in UNSPEAKABLE)
    assert fields(form, said)["event"] == "slow"


# --- one renderer ----------------------------------------------------------------------------------


@FORMS
def test_a_librarys_log_goes_through_the_same_renderer(form: str) -> None:
    ours, theirs = events(form, 'log.warning("ours")\nlogging.getLogger("somelib").warning("%s of %d went", "one", 2)')

    assert theirs["event"] == "one of 2 went"
    assert theirs["logger"] == "somelib"
    assert set(theirs) == set(ours) == {"event", "level", "logger", "site", "timestamp"}


@FORMS
def test_whatever_is_logged_an_event_is_one_line(form: str) -> None:
    said = lines(
        form,
        'log.warning("two\\nlines", error="three\\nmore\\r\\nlines \\x1b[2J \\x85 \\u2028")\n'
        'logging.getLogger("somelib").warning("a\\nb\\rc")\n'
        'log.warning("odd", error=b"\\xff", count=object, why=None, reason=["a", {"b": 1}])',
    )

    assert len(said) == 3
    assert all(line.isprintable() for line in said)


@FORMS
def test_requests_and_client_errors_of_the_web_library_are_not_logged(form: str) -> None:
    assert not lines(
        form,
        'logging.getLogger("aiohttp.access").info("GET /private/path")\n'
        'logging.getLogger("aiohttp.server").error("Error handling request /private/path")\n'
        'logging.getLogger("asyncio").info("Using selector")',
        "debug",
    )


@FORMS
def test_what_is_below_the_level_is_left_out(form: str) -> None:
    said = events(form, 'log.debug("a")\nlog.info("b")\nlog.warning("c")\nlog.error("d")', "warning")

    assert [event["event"] for event in said] == ["c", "d"]


@FORMS
def test_a_reload_changes_the_level_of_loggers_already_in_use_and_doubles_no_line(form: str) -> None:
    said = events(
        form,
        'log.info("before")\nlogs.configure("error", sys.argv[1], "tower-12")\nlog.info("between")\n'
        'logs.configure("info", sys.argv[1], "tower-12")\nlog.info("after")',
    )

    assert [event["event"] for event in said] == ["before", "after"]


# --- exceptions ------------------------------------------------------------------------------------

FAULT = """
def work():
    passphrase = "copper-otter-violin" + "-42"
    raise ValueError("it broke")
try:
    work()
except ValueError:
    {say}
"""


@FORMS
@pytest.mark.parametrize(
    "say",
    ['log.exception("fault")', 'log.error("fault", exc_info=True)', 'logging.getLogger("lib").exception("fault")'],
)
def test_an_exception_is_rendered_with_its_place_and_without_local_variables(form: str, say: str) -> None:
    (said,) = lines(form, FAULT.format(say=say))

    assert "copper-otter-violin-42" not in said
    assert "ValueError: it broke" in said
    assert "in work" in said
    assert fields(form, said)["event"] == "fault"


@FORMS
def test_a_task_that_nobody_waited_for_is_heard_of(form: str) -> None:
    said = events(
        form,
        "import asyncio, gc\n"
        "async def fail(): raise ValueError('it broke')\n"
        "async def main():\n"
        "    task = asyncio.create_task(fail())\n"
        "    await asyncio.sleep(0.01)\n"
        "    del task\n"
        "    gc.collect()\n"
        "asyncio.run(main())",
    )

    assert [event["logger"] for event in said] == ["asyncio"]
    assert "ValueError: it broke" in said[0]["exception"]
