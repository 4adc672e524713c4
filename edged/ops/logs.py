# SPDX-License-Identifier: Apache-2.0
"""Structured logs on standard error, one line an event, through one renderer. Fields pass by an allow-list.

A field that is not listed does not appear: a name that a subscriber looked up, a URL or a key cannot slip in.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "exc_info", "exception", "stack_info",
        # who and where: of the network, never of a visitor
        "site", "room", "endpoint", "client", "nas", "target", "source", "brand", "ssid", "dialect", "key", "path",
        # what and why: closed sets and counts
        "reason", "end", "cause", "code", "action", "kind", "state", "mode", "version", "count", "limit", "added",
        "removed", "wanted",
        "known", "subscribers", "keys", "blocked", "snapshot", "revision", "seconds", "seconds_left", "age", "attempt",
        "error", "changed", "restart", "pending", "done", "who", "why", "subject", "until", "status", "problem", "hint",
        "found", "expected", "fault", "reasons", "older_taken", "octets", "elements", "actual", "rules_written",
        "rules_touched", "upstreams", "role", "latest", "same_as", "public_key",
        # file and line of our own code
        "where",
    }
)  # fmt: skip


def _allow_listed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: value for key, value in event.items() if key in ALLOWED}


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Control characters in a peer's text neither end a line nor move a cursor; the renderers escape newlines."""
    return {key: _printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def of_a_command() -> None:
    """Outside the daemon: errors alone, on standard error. What is a warning there, the command's own answer says."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            _errors_alone,
            structlog.processors.add_log_level,
            _allow_listed,
            _one_line,
            structlog.processors.LogfmtRenderer(key_order=["level", "event"], bool_as_flag=False),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _errors_alone(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if method in {"debug", "info", "warning"}:
        raise structlog.DropEvent
    return event


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["text", "json"], site: str) -> None:
    """Send every log of the daemon, the libraries' included, to standard error in one form."""

    def with_site(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {"site": site, **event}

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _allow_listed,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            # the allow-list comes last: before it ran, ProcessorFormatter still needs its own fields
            foreign_pre_chain=shared[:-1],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # here and not above: loggers keep their chain from the first use on, and a reload may rename the site
                with_site,
                _allow_listed,
                _one_line,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # aiohttp logs requests with their URLs at debug and client errors at error: neither is ours to keep
    for noisy in ("aiohttp.access", "aiohttp.server", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "aiohttp.server" else logging.WARNING)
