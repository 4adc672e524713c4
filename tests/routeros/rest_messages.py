"""A request of RouterOS' REST API in, its status, its JSON and the work it was out. Pure but for the console.

As the vendor's manual "REST API" of October 2026 has it: a JSON wrapper of the console, whose values are all strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from tests.routeros.console import Console, Outcome
from tests.routeros.latency import Work
from tests.routeros.sentences import API, MISSING, Command, TrapError
from tests.routeros.table import Table, Values

NO_IDENTIFIER = "missing or invalid resource identifier"
NOT_JSON = "Failed to parse json"
NO_RIGHT = "not enough permissions (9)"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for."""

    method: str
    target: str
    """As on the request's line, without ``/rest``: nothing is decoded, since the router decodes no ``%2A``."""
    body: bytes = b""
    is_json: bool = True
    """It bears the header that says so."""


@dataclass(slots=True)
class Response:
    """What it gets when the router has worked."""

    status: int
    value: object = None
    """None: no body."""
    work: Work = field(default_factory=Work)
    item: str = ""
    """The path of what was created, for ``Location``."""
    is_endless: bool = False
    """A command that tells for ever: nobody hears of it before the router ends the request."""

    @property
    def body(self) -> bytes:
        return b"" if self.value is None else json.dumps(self.value, separators=(",", ":"), sort_keys=True).encode()


class _AbsentError(Exception):
    """No record has this id."""


def refused(status: int, detail: str = "") -> Response:
    """An error's response."""
    said = {"error": status, "message": HTTPStatus(status).phrase}
    return Response(status, said | ({"detail": detail} if detail else {}))


def answer(console: Console, request: Request, policy: str) -> Response:
    """What is done and said. ``policy``: the rights of who asks."""
    path, _, query = request.target.partition("?")
    method = _METHODS.get(request.method)
    if method is None:
        return refused(503)
    if request.body and not request.is_json:
        return refused(415)
    if "%2a" in path.lower():
        # the router does not know the asterisk of an id when it is encoded
        return refused(400, "no such command prefix")
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    try:
        return method(console, segments, query, _arguments(request.body), policy)
    except _AbsentError:
        return refused(404)
    except TrapError as error:
        return refused(500 if error.message == NO_RIGHT else 400, error.message)


# --- what is meant ---------------------------------------------------------------------------------


def _arguments(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body or b"{}", parse_float=_no_number, parse_constant=_no_number)
    except ValueError:
        raise TrapError(NOT_JSON, API) from None
    if not isinstance(found, dict):
        raise TrapError(NOT_JSON, API)
    return found


def _no_number(text: str) -> object:
    raise ValueError(text)


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
    raise TrapError(NOT_JSON, API)


def _texts(arguments: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in arguments.items()}


def _words(value: object, separator: str) -> list[str]:
    """A list of texts, or a text that is one."""
    return [_text(word) for word in value] if isinstance(value, list) else _text(value).split(separator)


def _place(console: Console, segments: list[str]) -> tuple[Table, str]:
    """The menu, and the id or name of an item in it; empty: the menu itself is meant. TrapError: there is no such."""
    for menu, item in (("/".join(segments), ""), ("/".join(segments[:-1]), segments[-1])):
        table = console.tables.get(f"/{menu}")
        if table is not None:
            if item in table.menu.verbs:
                raise TrapError("no such command", MISSING)
            table.expire(console.now)
            return table, item
    raise TrapError(f"no such command or directory ({segments[-1]})", MISSING)


def _record(console: Console, table: Table, item: str) -> tuple[str, Values]:
    """An item's id and what is printed of it."""
    try:
        row = table.rows[table.find(item)]
    except TrapError:
        raise _AbsentError from None
    return row.id, table.printed(row, console.now)


def _may_write(policy: str) -> bool:
    return "write" in policy.split(",")


# --- methods ---------------------------------------------------------------------------------------


def _get(console: Console, segments: list[str], query: str, _: Mapping[str, object], policy: str) -> Response:
    table, item = _place(console, segments)
    filters = dict(parse_qsl(query, keep_blank_values=True))
    wanted = filters.pop(".proplist", "")
    if item:
        printed = _record(console, table, item)[1]
        found = {name: printed[name] for name in wanted.split(",") if name in printed} if wanted else printed
        return Response(200, found, Work(walked=1, values=len(found)))
    # of a list the id is told whether it is asked for or not
    names = f".id,{wanted}" if wanted and not table.menu.single else wanted
    command = Command(
        table.menu.path,
        "print",
        {".proplist": names} if names else {},
        tuple(f"?{name}={value}" for name, value in filters.items()),
    )
    outcome = console.execute(command, policy)
    rows = _rows(outcome)
    is_one = table.menu.single or table.menu.path == "/system/resource"
    return Response(200, rows[0] if is_one and rows else rows, outcome.work)


def _put(console: Console, segments: list[str], _: str, arguments: Mapping[str, object], policy: str) -> Response:
    table, item = _place(console, segments)
    if item:
        raise TrapError(f"no such command or directory ({item})", MISSING)
    outcome = console.execute(Command(table.menu.path, "add", _texts(arguments)), policy)
    added, printed = _record(console, table, outcome.replies[-1].pairs["ret"])
    return Response(201, printed, _told(outcome.work, printed), item=f"{table.menu.path}/{added}")


def _patch(console: Console, segments: list[str], _: str, arguments: Mapping[str, object], policy: str) -> Response:
    table, item = _place(console, segments)
    if not item or not _may_write(policy):
        raise TrapError(NO_IDENTIFIER)
    found, _printed = _record(console, table, item)
    outcome = console.execute(Command(table.menu.path, "set", _texts(arguments) | {".id": found}), policy)
    printed = _record(console, table, found)[1]
    return Response(200, printed, _told(outcome.work, printed))


def _delete(console: Console, segments: list[str], _: str, __: Mapping[str, object], policy: str) -> Response:
    table, item = _place(console, segments)
    if not item or not _may_write(policy):
        raise TrapError(NO_IDENTIFIER)
    found, _printed = _record(console, table, item)
    outcome = console.execute(Command(table.menu.path, "remove", {".id": found}), policy)
    return Response(204, None, outcome.work)


def _post(console: Console, segments: list[str], _: str, arguments: Mapping[str, object], policy: str) -> Response:
    *menu, verb = segments
    given = dict(arguments)
    queries = tuple(f"?{word}" for word in _words(given.pop(".query", []), "\n"))
    if ".proplist" in given:
        given[".proplist"] = ",".join(_words(given[".proplist"], ","))
    path = f"/{'/'.join(menu)}" if menu else ""
    try:
        outcome = console.execute(Command(path, verb, _texts(given), queries), policy)
    except TrapError as error:
        if error.message in {"no such command", "no such command prefix"}:
            raise TrapError(f"no such command or directory ({verb})", MISSING) from None
        raise
    if outcome.listens:
        return Response(200, [], outcome.work, is_endless=True)
    said = dict(outcome.replies[-1].pairs)
    return Response(200, _rows(outcome) or said or [], outcome.work)


_METHODS = {"GET": _get, "PUT": _put, "PATCH": _patch, "DELETE": _delete, "POST": _post}


def _rows(outcome: Outcome) -> list[Values]:
    return [dict(reply.pairs) for reply in outcome.replies if reply.kind == "!re"]


def _told(work: Work, printed: Values) -> Work:
    """The work of a change whose whole record is told afterwards. Whether it is walked to, no source says: not here."""
    work.walked += 1
    work.values += len(printed)
    return work
