"""A stand-in for Splynx's API 2.0, written from its published description, with the traps that a client may meet.

Independent of edged: it parses the bracket queries, checks the signature and keeps the tokens itself. As a program:
``python tests/loopback/splynx_server.py --port 8080 --file splynx.json``, the file holding the tables by name.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

Row = dict[str, Any]

TABLES = {
    "admin/customers/customer": "customers",
    "admin/customers/customers-online": "online",
    "admin/finance/invoices": "invoices",
    "admin/administration/partners": "partners",
    "admin/logs/changes": "changes",
}
FAULTS = {
    "numbers-as-text": "every number is text",
    "partial-pages": "three rows a page, whatever is asked",
    "no-limit": "limit and offset are ignored",
    "no-order": "rows come by descending id where ascending was asked, and the other way round",
    "no-filter": "filters are ignored",
    "growing": "one more row at every page",
    "wrong-count": "HEAD counts one more",
    "no-count": "HEAD has no X-total-count",
    "short-life": "a token lives for two seconds",
    "never-lives": "a token has expired when it comes",
    "banned": "every token is banned after one request",
    "banned-for-ever": "every token is banned from the start",
    "ip-changed": "the token is bound to another address, once",
    "ip-changes": "the token is bound to another address, always",
    "user-agent-changed": "the token is bound to another User-Agent, once",
    "no-refresh": "no refresh token is known",
    "truncated": "the body ends in the middle",
    "cut-off": "the connection ends in the middle of a body",
    "not-json": "a body that is no JSON",
    "html": "an error page of a proxy, with status 200",
    "error": "500",
    "redirect": "302",
    "slow": "a reply takes longer than anybody waits",
    "huge": "a body that does not end",
    "no-log-out": "the log-out hangs",
}


@dataclass
class Books:
    """What Splynx holds."""

    customers: list[Row] = field(default_factory=list)
    services: list[Row] = field(default_factory=list)
    online: list[Row] = field(default_factory=list)
    invoices: list[Row] = field(default_factory=list)
    partners: list[Row] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)

    def move(self, customer: int, status: str, day: str = "2026-11-20") -> None:
        """Give a customer another status, as an operator or a payment does: the log has it."""
        row = next(c for c in self.customers if c["id"] == customer)
        self.changes.append(
            {"id": len(self.changes) + 1, "customer_id": customer, "date": day, "time": "12:00:00",
             "old_status": row["status"], "new_status": status, "service_id": None, "administrator_id": 0}
        )  # fmt: skip
        row["status"] = status


@dataclass
class _Token:
    access: str
    refresh: str
    until: float
    agent: str
    banned: bool = False
    used: int = 0


class SplynxServer:
    """Serves ``books``, which a test may change at any time; ``url`` is set by ``serve``."""

    def __init__(self, books: Books, *, key: str, secret: str) -> None:
        self.books = books
        self.faults: set[str] = set()
        self.denied: dict[str, str] = {}
        """Table to the internal code with which it is refused."""
        self.broken: set[str] = set()
        """Tables that are answered with 500."""
        self.requests: list[str] = []
        """Method and path with query, decoded; of the token calls, the method alone."""
        self.nonces: list[int] = []
        self.refusals: list[str] = []
        """Internal codes with which tokens were refused."""
        self.logins = 0
        self.renewals = 0
        self.logouts = 0
        self.url = ""
        self.at_page: Callable[[str], None] | None = None
        """Called with the table's name before each of its pages."""
        self._key = key
        self._secret = secret
        self._tokens: dict[str, _Token] = {}
        self._struck: set[str] = set()

    def application(self) -> web.Application:
        application = web.Application()
        tokens = "/api/2.0/admin/auth/tokens"
        application.router.add_post(tokens, self._login)
        application.router.add_get(tokens + "/{token}", self._renew)
        application.router.add_delete(tokens + "/{token}", self._logout)
        application.router.add_get("/api/2.0/{path:.*}", self._get)
        return application

    # --- tokens ----------------------------------------------------------------------------------

    async def _login(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("POST tokens")
        body = await request.json()
        nonce = body.get("nonce")
        given = hmac.new(self._secret.encode(), f"{nonce}{self._key}".encode(), hashlib.sha256).hexdigest()
        fits = body.get("auth_type") == "api_key" and body.get("key") == self._key and isinstance(nonce, int)
        if not fits or body.get("signature") != given.upper() or (self.nonces and nonce <= self.nonces[-1]):
            return _refuse(401, "UNAUTHORIZED")
        self.nonces.append(nonce)
        self.logins += 1
        return self._issue(request, 201)

    async def _renew(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("GET tokens")
        old = next((t for t in self._tokens.values() if t.refresh == request.match_info["token"]), None)
        if old is None:
            return _refuse(404, "NOT_FOUND")
        if "no-refresh" in self.faults:
            return _refuse(401, "EXPIRED_REFRESH_TOKEN")
        del self._tokens[old.access]
        self.renewals += 1
        return self._issue(request, 200)

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("DELETE tokens")
        if "no-log-out" in self.faults:
            await asyncio.sleep(30)
        self.logouts += 1
        self._tokens = {k: t for k, t in self._tokens.items() if t.refresh != request.match_info["token"]}
        return web.Response(status=204)

    def _issue(self, request: web.Request, status: int) -> web.StreamResponse:
        life = 2.0 if "short-life" in self.faults else 1800
        token = _Token(
            secrets.token_hex(16), secrets.token_hex(16), time.time() + life, request.headers.get("User-Agent", "")
        )
        token.banned = "banned-for-ever" in self.faults
        if "never-lives" in self.faults:
            token.until = 0
        self._tokens[token.access] = token
        document = {
            "access_token": token.access,
            "access_token_expiration": int(token.until),
            "refresh_token": token.refresh,
            "refresh_token_expiration": int(token.until) + 86400,
            "permissions": [],
        }
        return web.json_response(document, status=status)

    def _token_fault(self, request: web.Request) -> str:  # noqa: PLR0911 one a code
        match = re.fullmatch(r"Splynx-EA \(access_token=([^()]+)\)", request.headers.get("Authorization", ""))
        if match is None:
            return "MISSED_AUTHORIZATION_HEADER"
        token = self._tokens.get(match[1])
        if token is None:
            return "UNAUTHORIZED"
        if token.banned:
            return "TOKEN_BANNED"
        if time.time() >= token.until:
            return "EXPIRED_ACCESS_TOKEN"
        if token.agent != request.headers.get("User-Agent", "") or self._strikes("user-agent-changed"):
            return "USER_AGENT_CHANGED"
        if "ip-changes" in self.faults or self._strikes("ip-changed"):
            return "IP_CHANGED"
        token.used += 1
        token.banned = "banned" in self.faults
        return ""

    def _strikes(self, fault: str) -> bool:
        if fault in self.faults and fault not in self._struck:
            self._struck.add(fault)
            return True
        return False

    # --- rows ------------------------------------------------------------------------------------

    async def _get(self, request: web.Request) -> web.StreamResponse:  # noqa: PLR0911 one a trap
        path = request.match_info["path"]
        self.requests.append(f"{request.method} {path}{'?' if request.query_string else ''}"
                             f"{unquote_plus(request.query_string)}")  # fmt: skip
        broken = await self._broken(request)
        if broken is not None:
            return broken
        code = self._token_fault(request)
        if code:
            self.refusals.append(code)
            return _refuse(403 if code == "IP_CHANGED" else 401, code)
        table, fixed, one = _place(path)
        if table is None:
            return _refuse(404, "NOT_FOUND")
        if table in self.broken:
            return _refuse(500, "SERVER_ERROR")
        if table in self.denied:
            return _refuse(405 if "METHOD" in self.denied[table] else 403, self.denied[table])
        rows: list[Row] = [r for r in getattr(self.books, table) if all(_text(r.get(k)) == v for k, v in fixed.items())]
        if one:
            return self._json(self._dressed(rows[0])) if rows else _refuse(404, "NOT_FOUND")
        query = parse_brackets(request.raw_path.partition("?")[2])
        filters = query.get("main_attributes", {})
        if table == "services" and path.split("/")[3] == "0" and not filters:
            return _refuse(400, "INVALID_INPUT_DATA")
        if "no-filter" not in self.faults:
            rows = [r for r in rows if all(_holds(r.get(name), asked) for name, asked in filters.items())]
        if request.method == "HEAD":
            headers = {"X-total-count": str(len(rows) + ("wrong-count" in self.faults))}
            return web.Response(status=204, headers={} if "no-count" in self.faults else headers)
        if self.at_page is not None:
            self.at_page(table)
        if "growing" in self.faults and rows:
            new = dict(rows[-1], id=max(r["id"] for r in getattr(self.books, table)) + 1)
            getattr(self.books, table).append(new)
            rows.append(new)
        return self._json([self._dressed(r) for r in self._paged(rows, query)])

    def _paged(self, rows: list[Row], query: Row) -> list[Row]:
        falling = (query.get("order", {}).get("id") == "DESC") != ("no-order" in self.faults)
        rows = sorted(rows, key=lambda r: int(r["id"]), reverse=falling)
        if "no-limit" in self.faults:
            return rows
        limit = 3 if "partial-pages" in self.faults else int(query.get("limit", 10**9))
        offset = int(query.get("offset", 0))
        return rows[offset : offset + min(limit, int(query.get("limit", 10**9)))]

    def _dressed(self, row: Row) -> Row:
        if "numbers-as-text" not in self.faults:
            return row
        return {k: str(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v for k, v in row.items()}

    def _json(self, document: Any) -> web.Response:
        body = json.dumps(document).encode()
        if "truncated" in self.faults:
            body = body[: len(body) // 2]
        if "not-json" in self.faults:
            body = b"{'id': 1}"
        if "huge" in self.faults:
            body = b" " * 4_000_000 + body
        return web.Response(body=body, content_type="application/json")

    async def _broken(self, request: web.Request) -> web.StreamResponse | None:
        if "slow" in self.faults:
            await asyncio.sleep(30)
        if "error" in self.faults:
            return web.Response(status=500, text="<html>Internal Server Error</html>", content_type="text/html")
        if "redirect" in self.faults:
            return web.Response(status=302, headers={"Location": "http://192.0.2.1/"})
        if request.method == "HEAD":
            return None
        if "html" in self.faults:
            return web.Response(text="<html>maintenance</html>", content_type="text/html")
        if "cut-off" in self.faults:
            response = web.StreamResponse(headers={"Content-Length": "10000"})
            await response.prepare(request)
            await response.write(b'[{"id": 1')
            if request.transport is not None:
                request.transport.close()
            return response
        return None


def _refuse(status: int, code: str) -> web.Response:
    return web.json_response({"error": {"message": "no", "code": status, "internal_code": code}}, status=status)


def _place(path: str) -> tuple[str | None, dict[str, str], bool]:
    """The table that a path names, what its rows must have, and whether it is one row alone."""
    if path in TABLES:
        return TABLES[path], {}, False
    match = re.fullmatch(r"admin/customers/customer/(\d+)(/internet-services)?", path)
    if match is None:
        return None, {}, False
    if match[2]:
        return "services", {} if match[1] == "0" else {"customer_id": match[1]}, False
    return "customers", {"id": match[1]}, True


def parse_brackets(query: str) -> Row:
    """``a[b][0]=c`` as PHP reads it: nested mappings of text."""
    result: Row = {}
    for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        head, *inner = re.findall(r"[^\[\]]+", name)
        here = result
        for part, following in zip([head, *inner], [*inner, None], strict=True):
            if following is None:
                here[part] = value
            else:
                here = here.setdefault(part, {})
    return result


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _holds(value: Any, asked: Any) -> bool:
    if isinstance(asked, str):
        return _text(value) == asked
    operator, against = asked["0"], asked["1"]
    if operator == "IN":
        return _text(value) in against.values()
    mine: Any = _text(value)
    if mine.isdigit() and against.isdigit():
        mine, against = int(mine), int(against)
    return {  # type: ignore[no-any-return]
        "=": mine == against,
        ">=": mine >= against,
        ">": mine > against,
        "!=": mine != against,
    }[operator]


@asynccontextmanager
async def serve(server: SplynxServer, port: int = 0) -> AsyncIterator[SplynxServer]:
    """``server`` on a port of 127.0.0.1."""
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


async def _main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--file", type=Path, required=True)
    arguments.add_argument("--key", default="key")
    arguments.add_argument("--secret", default="secret")
    given = arguments.parse_args()
    server = SplynxServer(Books(**json.loads(given.file.read_text("utf-8"))), key=given.key, secret=given.secret)
    async with serve(server, given.port):
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
