# SPDX-License-Identifier: Apache-2.0
"""aiohttp's server without what repeats a client's words: its error page, its log and its version. Touches sockets.

RFC 9110, RFC 9112.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = structlog.get_logger(__name__)

LIMITS: dict[str, Any] = {
    "tcp_keepalive": False,
    "access_log": None,
    # octets of the request line and of a field: what every browser stays below
    "max_line_size": 8190,
    "max_field_size": 8190,
    # header fields: browsers send twenty
    "max_headers": 64,
    "auto_decompress": False,
}
"""What every ``QuietProtocol`` is made with."""


class QuietProtocol(web.RequestHandler):
    """One connection; whoever makes it says what is counted and what an error looks like."""

    __slots__ = ("error_page", "faulty", "malformed")

    malformed: Callable[[], None]
    """Told of what is no HTTP."""
    faulty: Callable[[BaseException | None], None]
    """Told of a bug of ours."""
    error_page: Callable[[int], web.StreamResponse]
    """The answer with a status: 400 for what is no HTTP, 500 for a bug of ours."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # it quotes the request
    ) -> web.StreamResponse:
        """Our page in place of aiohttp's."""
        if isinstance(exc, HttpProcessingError):
            self.malformed()
        else:
            self.faulty(exc)
        if request.writer.output_size > 0:
            raise ConnectionResetError
        return self.error_page(status)

    def log_exception(self, *_args: Any, **fields: Any) -> None:
        """Count what aiohttp would log."""
        self.faulty(fields.get("exc_info"))


def report_fault(event: str, error: BaseException | None, count: int) -> None:
    """Log the ``count``-th bug of ours; its type alone, since the text may hold what a client sent."""
    if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood is not a log
        log.error(event, error=type(error).__name__, count=count)


def unversioned(response: web.Response) -> web.Response:
    """``response`` with our name and no version: nothing to look an exploit up by."""
    response.headers["Server"] = "edged"
    return response
