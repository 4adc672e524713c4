"""A router's console: commands in, replies and the work they were out. State, on a clock that is injected; no sockets.

What a hand or an accident does to a router is here too: ``hand``, ``reboot``, ``backup``, ``restore``, ``upgrade``.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.routeros.latency import Work
from tests.routeros.lookup import found_by, property_of
from tests.routeros.menus import MENUS
from tests.routeros.query import Query
from tests.routeros.script import LARGEST, Script
from tests.routeros.script import text as spelled_out
from tests.routeros.sentences import API, MISSING, SCRIPT, Command, Pairs, Reply, TrapError, done, to_octets
from tests.routeros.table import Stored, Table, Values
from tests.routeros.values import Version, interval, truth

EMPTY_SINCE = Version(7, 18)
"""``!empty`` where a print finds nothing."""
EXECUTE_SINCE = Version(7, 8, 0, 1)
"""``as-string`` of ``/execute`` (7.8rc1)."""
DATES_SINCE = Version(7, 10)
"""Dates as 2026-11-28 instead of nov/28/2026; said by memory, in no source that was read."""
FULL = "local,telnet,ssh,ftp,reboot,read,write,policy,test,winbox,password,web,sniff,sensitive,api,romon,rest-api"
READ = ",".join(word for word in FULL.split(",") if word not in {"ftp", "write", "policy"})
DEEPEST = 5
"""Scripts within scripts."""
_PRINT_WORDS = frozenset({".proplist", "count-only", "detail", "stats", "without-paging", "terse", "brief"})
_NOT_PLAYED = frozenset({"follow", "follow-only", "interval", "from", "as-value", "value-list", "file", "append"})
_NUMBERS = (".id", "numbers", "number")


@dataclass(slots=True)
class Outcome:
    """What a command came to."""

    replies: list[Reply]
    work: Work = field(default_factory=Work)
    listens: str = ""
    """The menu whose changes the command goes on telling."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who may log in."""

    password: str = field(repr=False)
    policy: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What a router would hold again."""

    tables: Mapping[str, Stored]


class Console:
    """One router. ``clock`` gives seconds that never go back; ``wall`` is what its own clock said when it was made."""

    def __init__(
        self, version: str = "7.18.2", *, clock: Callable[[], float] = time.monotonic, wall: float = 1_795_000_000.0
    ) -> None:
        self._clock = clock
        self._made = clock()
        self._wall = wall
        self.booted = self._made
        self.version = Version.parse(version)
        self._spelled = version
        self.listeners: list[Callable[[str, Values], None]] = []
        """Each hears the menu and the item that changed."""
        self.is_full = self.is_read_only = self.does_part = False
        """Faults: no memory for an add; no right for a write; a list of ids is done as far as it goes."""
        self._depth = 0
        self.tables = self._tables()
        self._put("/system/identity", name="MikroTik")
        self._put("/user/group", name="full", policy=FULL)
        self._put("/user/group", name="read", policy=READ)
        self._put("/radius/incoming")
        for name, port in (("api", "8728"), ("api-ssl", "8729")):
            self._put("/ip/service", {"name": name}, port=port)

    def _tables(self) -> dict[str, Table]:
        return {
            path: Table(menu, self.version, self._told_by(path))
            for path, menu in MENUS.items()
            if self.version >= menu.since
        }

    def _told_by(self, path: str) -> Callable[[str, Values], None]:
        def told(_item: str, values: Values) -> None:
            for listener in tuple(self.listeners):
                listener(path, values)

        return told

    def _put(self, path: str, shown: Values | None = None, /, **values: str) -> None:
        self.tables[path].add(values, self.now, shown or {})

    @property
    def now(self) -> float:
        """Seconds of the injected clock."""
        return self._clock()

    # --- commands ----------------------------------------------------------------------------------

    def execute(self, command: Command, policy: str = FULL) -> Outcome:
        """Carry a command out with the rights of ``policy``. TrapError when it fails; what is done by then stays."""
        if command.name == "/execute":
            return self._execute(command, policy)
        table = self.tables.get(command.menu)
        if table is None:
            raise TrapError(
                "no such command" if command.menu in _parents(self.tables) else "no such command prefix", MISSING
            )
        if command.verb not in table.menu.verbs:
            raise TrapError("no such command", MISSING)
        table.expire(self.now)
        if command.verb in {"print", "getall"}:
            return self._print(table, command)
        if command.verb == "listen":
            return Outcome([], listens=command.menu)
        if "write" not in policy.split(",") or self.is_read_only:
            raise TrapError("not enough permissions (9)")
        return self._write(table, command, policy)

    def _print(self, table: Table, command: Command) -> Outcome:
        unknown = [name for name in command.arguments if name not in _PRINT_WORDS]
        if unknown:
            if unknown[0] in _NOT_PLAYED:
                raise TrapError(f"stand-in: {unknown[0]} is not played")
            raise TrapError(f"unknown parameter {unknown[0]}")
        if command.menu == "/system/resource":
            items: Iterable[Values] = (self._resource(),)
        else:
            items = table.all(self.now)
        found = list(filter(Query(command.queries), items)) if command.queries else list(items)
        work = Work(walked=max(len(table.rows), 1))
        if "count-only" in command.arguments:
            return Outcome([done(str(len(found)))], work)
        if ".proplist" in command.arguments:
            names = command.arguments[".proplist"].split(",")
            found = [{name: item[name] for name in names if name in item} for item in found]
        work.values = sum(map(len, found))
        replies = [Reply("!re", item) for item in found]
        if not found and self.version >= EMPTY_SINCE:
            replies.append(Reply("!empty"))
        return Outcome([*replies, done()], work)

    def _resource(self) -> Values:
        track = "stable" if self.version >= Version(7, 0) else "long-term"
        return {
            "uptime": interval(int(self.now - self.booted)),
            "version": f"{self._spelled} ({track})",
            "board-name": "edged stand-in",
            "platform": "MikroTik",
        }

    def _write(self, table: Table, command: Command, policy: str) -> Outcome:
        arguments = dict(command.arguments)
        now = self.now
        if command.verb == "add":
            return self._add(table, arguments)
        if table.menu.single:
            table.set(list(table.rows), arguments, now)
            return Outcome([done()], Work(written=1))
        numbers, missing = self._numbers(table, arguments)
        work = Work(written=len(numbers))
        self._change(table, command.verb, numbers, arguments)
        if missing is not None:
            raise missing
        if command.verb == "run":
            work.scripted = self._run_script(table.rows[numbers[0]].values.get("source", ""), policy)[1]
        return Outcome([done()], work)

    def _change(self, table: Table, verb: str, numbers: list[int], arguments: Values) -> None:
        now = self.now
        match verb:
            case "set":
                table.set(numbers, arguments, now)
            case "enable" | "disable":
                table.set(numbers, {"disabled": truth("no" if verb == "enable" else "yes")}, now)
            case "comment":
                table.set(numbers, {"comment": arguments.get("comment", "")}, now)
            case "unset":
                table.set(numbers, {arguments.get("value-name", ""): ""}, now)
            case "move":
                table.move(numbers, arguments.get("destination"))
            case "remove":
                table.remove(numbers)
            case "sign":
                for number in numbers:
                    table.rows[number].shown["fingerprint"] = hashlib.sha256(table.rows[number].id.encode()).hexdigest()

    def _add(self, table: Table, arguments: Values) -> Outcome:
        if self.is_full:
            # what a full router says is in no source that was read
            raise TrapError("failure: stand-in: no memory")
        before = arguments.pop("place-before", None) if table.menu.ordered else None
        source = arguments.pop("copy-from", None)
        if source is not None:
            arguments = table.rows[table.find(source)].values | arguments
        shown = {"creation-time": self._date()} if "creation-time" in table.menu.shown else {}
        return Outcome([done(table.add(arguments, self.now, shown, before))], Work(written=1))

    def _numbers(self, table: Table, arguments: Values) -> tuple[list[int], TrapError | None]:
        given = [arguments.pop(name) for name in _NUMBERS if name in arguments]
        if not given:
            raise TrapError("missing value(s) of argument(s) numbers")
        found: list[int] = []
        for text in given[0].split(","):
            try:
                found.append(table.find(text))
            except TrapError as error:
                if self.does_part:
                    return found, error
                raise
        return list(dict.fromkeys(found)), None

    # --- scripts -----------------------------------------------------------------------------------

    def _execute(self, command: Command, policy: str) -> Outcome:
        source, as_string = command.arguments.get("script", ""), "as-string" in command.arguments
        if as_string and self.version < EXECUTE_SINCE:
            raise TrapError("unknown parameter as-string")
        if len(to_octets(source)) > LARGEST:
            raise TrapError("stand-in: a script of more than 64 kB", SCRIPT)
        if not as_string:
            raise TrapError("stand-in: /execute is played with as-string only", API)
        output, count = self._run_script(source, policy, is_told=True)
        return Outcome([done(output)], Work(scripted=count))

    def _run_script(self, source: str, policy: str, *, is_told: bool = False) -> tuple[str, int]:
        count = 0
        if self._depth == DEEPEST:
            raise TrapError("stand-in: scripts that run scripts go no deeper", SCRIPT)
        self._depth += 1

        def run(path: str, arguments: dict[str, Any]) -> Any:
            nonlocal count
            menu, _, verb = path.rpartition("/")
            count += 1
            if verb in {"find", "get"} and menu in self.tables:
                return self._look_up(self.tables[menu], verb, arguments)
            # a list is given with commas
            spelled = {
                name: ",".join(map(spelled_out, value)) if isinstance(value, list) else spelled_out(value)
                for name, value in arguments.items()
            }
            return self.execute(Command(menu, verb, spelled), policy).replies[-1].pairs.get("ret")

        script = Script(run, self.knows)
        try:
            return script.execute(source), count
        except TrapError as error:
            if not is_told:
                raise
            # an error within a script that /execute runs comes back as output (CrowdSec bouncer, 7.24.1)
            return "\n".join([*script.output, error.message]), count
        finally:
            self._depth -= 1

    def knows(self, menu: str) -> bool:
        """True where there is such a menu; a package that is not installed has none."""
        return menu in self.tables or menu in {"", "/system/script"} or menu in _parents(self.tables)

    def _look_up(self, table: Table, verb: str, arguments: dict[str, Any]) -> Any:
        """What only scripts can do: items by what they are, and what an item is."""
        table.expire(self.now)
        if verb == "find":
            return found_by(table, arguments, self.now)
        return property_of(table, arguments, self.now)

    def script(self, source: str) -> str:
        """What ``/import`` of a file with ``source`` prints, with every right. TrapError when it stops."""
        return self._run_script(source, FULL)[0]

    # --- what a hand or an accident does -----------------------------------------------------------

    def hand(self, command: str, /, **arguments: str) -> str:
        """What an operator does at the router: ``command`` is ``/ip/firewall/nat/add``, ``_`` of an argument ``-``."""
        menu, _, verb = command.rpartition("/")
        spelled = {(".id" if key == "id" else key.replace("_", "-")): value for key, value in arguments.items()}
        return self.execute(Command(menu, verb, spelled)).replies[-1].pairs.get("ret", "")

    def twin(self, path: str, **values: str) -> str:
        """An item like another, as a configuration may hold that was imported; a lab's router of 7.21.4 has one."""
        spelled = {key.replace("_", "-"): value for key, value in values.items()}
        return self.tables[path].add(spelled, self.now, {}, is_twin=True)

    def items(self, path: str) -> list[Values]:
        """Every item of a menu as it is printed now."""
        table = self.tables[path]
        table.expire(self.now)
        return list(table.all(self.now))

    def account(self, name: str) -> Account | None:
        """The account of a user who is not disabled."""
        groups = {row.values["name"]: row.values.get("policy", "") for row in self.tables["/user/group"].rows.values()}
        for row in self.tables["/user"].rows.values():
            if row.values["name"] == name and row.values.get("disabled") != "true":
                return Account(row.values.get("password", ""), groups.get(row.values["group"], ""))
        return None

    def track(self, path: str, connections: Iterable[Pairs], *, joins: bool | None = None) -> None:
        """Connections that the router tracks from now on: rows of ``/ip/firewall/connection``, ports on their own.

        ``joins``: an address and its port are one property; None: as 6 has it. Recent 7 has two, since when was in no
        source that was read.
        """
        is_joined = self.version.major < 7 if joins is None else joins
        for connection in connections:
            self.tables[path].add({}, self.now, _joined(connection) if is_joined else dict(connection))

    def reboot(self) -> None:
        """Power off and on: what is in memory only is gone, uptime begins anew."""
        self.restore(self.backup())

    def backup(self) -> Backup:
        """What ``/system/backup/save`` keeps."""
        for table in self.tables.values():
            table.expire(self.now)
        return Backup({path: table.stored() for path, table in self.tables.items()})

    def restore(self, backup: Backup) -> None:
        """Load a backup, and reboot."""
        self.booted = self.now
        self.listeners.clear()
        self.tables = self._tables()
        for path, stored in backup.tables.items():
            if path in self.tables:
                self.tables[path].load(stored)

    def upgrade(self, version: str) -> None:
        """Reboot into another release; downgrades are upgrades too."""
        kept = self.backup()
        self.version, self._spelled = Version.parse(version), version
        self.restore(kept)

    def _date(self) -> str:
        at = time.gmtime(self._wall + self.now - self._made)
        if self.version >= DATES_SINCE:
            return time.strftime("%Y-%m-%d %H:%M:%S", at)
        return time.strftime("%b/%d/%Y %H:%M:%S", at).lower()


def _joined(connection: Pairs) -> Values:
    found = dict(connection)
    for side in ("src", "dst"):
        port = found.pop(f"{side}-port", "")
        if port:
            found[f"{side}-address"] += f":{port}"
    return found


def _parents(paths: Iterable[str]) -> set[str]:
    return {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
