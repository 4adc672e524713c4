"""The items of one menu: commands' arguments in, items changed. No clock: seconds since the start come in.

An item's id is a number that grows; what is given with a timeout, or as dynamic, is in memory only and does not outlive
a reboot. Not in any document, so decided here, on the harsh side: after a reboot or a restored backup ids begin anew
behind the last one that is stored, so that an id seen before may be another item's.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.routeros.menus import Menu
from tests.routeros.sentences import ARGUMENT, MISSING, TrapError
from tests.routeros.values import ChoiceError, Version, interval, seconds

Values = dict[str, str]
Told = Callable[[str, Values], None]


@dataclass(slots=True)
class Row:
    """One item."""

    number: int
    values: Values
    """What was given, as RouterOS spells it; without ``dynamic`` and ``timeout``."""
    shown: Values = field(default_factory=dict)
    """What the router adds."""
    is_dynamic: bool = False
    expires: float | None = None

    @property
    def id(self) -> str:
        return f"*{self.number:X}"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a table keeps over a reboot, and what a backup holds of it."""

    rows: tuple[Row, ...]
    last: int


class Table:
    """One menu of one router. ``told`` hears of every item that changed, and of ``.dead`` ones."""

    def __init__(self, menu: Menu, version: Version, told: Told) -> None:
        self.menu = menu
        self.fields = {name: spec for name, spec in menu.fields.items() if version >= spec.since}
        # the id comes first, for people who read
        self._defaults = {".id": ""} | {
            name: spec.default for name, spec in self.fields.items() if spec.default is not None
        }
        self._shows_dynamic = "dynamic" in self.fields or "dynamic" in menu.shown
        self._told = told
        self.rows: dict[int, Row] = {}
        self.last = 0
        self._alike: dict[tuple[str, ...], int] = {}
        self._twins: set[tuple[str, ...]] = set()
        """Keys that more than one item has had."""
        self._expiring: list[tuple[float, int]] = []

    # --- what goes in ------------------------------------------------------------------------------

    def spelled(self, arguments: Mapping[str, str]) -> Values:
        """Every argument as RouterOS keeps it. TrapError for a field that there is not and for a value that is none."""
        found: Values = {}
        for name, value in arguments.items():
            if name not in self.fields:
                raise TrapError(f"unknown parameter {name}")
            try:
                found[name] = self.fields[name].spell(value) if value else ""
            except ChoiceError:
                raise TrapError(f"input does not match any value of {name}", ARGUMENT) from None
            except ValueError:
                raise TrapError(f"invalid value for argument {name}", ARGUMENT) from None
        return found

    def add(
        self,
        arguments: Mapping[str, str],
        now: float,
        shown: Values,
        before: str | None = None,
        *,
        is_twin: bool = False,
    ) -> str:
        """The new item's id. TrapError when it cannot be. ``is_twin``: it may be like another one."""
        values = self.spelled(arguments)
        missing = [name for name in self.menu.required if not values.get(name)]
        if missing:
            raise TrapError(f"missing value(s) of argument(s) {' '.join(missing)}")
        place = None if before is None else self._place(before)
        row = Row(self.last + 1, {}, shown)
        if is_twin:
            key = self._key(values)
            self._alike.pop(key, None)
            self._twins.add(key)
        self._give(row, values, now)
        self.last += 1
        self.rows[row.number] = row
        if place is not None:
            self._put_before([row.number], place)
        self._told(row.id, self.printed(row, now))
        return row.id

    def set(self, numbers: list[int], arguments: Mapping[str, str], now: float) -> None:
        """Change items. TrapError when one of them cannot be so, and then it and those after it stay."""
        values = self.spelled(arguments)
        empty = [name for name in self.menu.required if values.get(name, "-") == ""]
        if empty:
            raise TrapError(f"invalid value for argument {empty[0]}", ARGUMENT)
        for number in numbers:
            row = self.rows[number]
            self._give(row, values, now)
            self._told(row.id, self.printed(row, now))

    def _give(self, row: Row, given: Values, now: float) -> None:
        changed = dict(given)
        timeout, dynamic = changed.pop("timeout", None), changed.pop("dynamic", None)
        values = {name: value for name, value in (row.values | changed).items() if value}
        self._claim(row, values)
        row.values = values
        if dynamic:
            row.is_dynamic = dynamic == "true"
        if timeout:
            row.expires = now + seconds(timeout)
            row.is_dynamic = True
            heapq.heappush(self._expiring, (row.expires, row.number))
        elif timeout == "":
            row.expires = None

    def _claim(self, row: Row, values: Values) -> None:
        key = self._key(values)
        if not any(key):
            return
        if self._alike.setdefault(key, row.number) != row.number:
            raise TrapError("failure: already have such entry")
        if self._key(row.values) != key:
            self._let_go(row)

    def _let_go(self, row: Row) -> None:
        key = self._key(row.values)
        if self._alike.get(key) == row.number:
            del self._alike[key]
            if key in self._twins:
                others = [n for n, other in self.rows.items() if other is not row and self._key(other.values) == key]
                if others:
                    self._alike[key] = others[-1]

    def _key(self, values: Values) -> tuple[str, ...]:
        """Empty: of this menu nothing is a duplicate."""
        return tuple(values.get(name, "") for name in self.menu.alike)

    def remove(self, numbers: list[int]) -> None:
        """Take items away."""
        for number in numbers:
            row = self.rows.pop(number)
            self._let_go(row)
            self._told(row.id, {".id": row.id, ".dead": "true"})

    def expire(self, now: float) -> None:
        """Take those away whose time is up."""
        while self._expiring and self._expiring[0][0] <= now:
            at, number = heapq.heappop(self._expiring)
            row = self.rows.get(number)
            if row is not None and row.expires == at:
                self.remove([number])

    # --- order -------------------------------------------------------------------------------------

    def move(self, numbers: list[int], before: str | None) -> None:
        """Put items before another; None: at the end."""
        if before is None:
            self._put_before(numbers, None)
        else:
            place = self._place(before)
            self._put_before([number for number in numbers if number != place], place)

    def _place(self, before: str) -> int:
        place = self.find(before)
        if self.rows[place].is_dynamic:
            # the bouncer found that rules of the router's own cannot be displaced; the words of the trap are ours
            raise TrapError("failure: stand-in: nothing goes before a dynamic rule")
        return place

    def _put_before(self, numbers: list[int], place: int | None) -> None:
        moved = {number: self.rows[number] for number in numbers}
        rest = {number: row for number, row in self.rows.items() if number not in moved}
        if place is None:
            self.rows = rest | moved
            return
        self.rows = {}
        for number, row in rest.items():
            if number == place:
                self.rows |= moved
            self.rows[number] = row

    # --- what comes out ----------------------------------------------------------------------------

    def find(self, text: str) -> int:
        """The number of an id, or of a name. TrapError when there is none."""
        try:
            number = int(text[1:], 16) if text.startswith("*") else 0
        except ValueError:
            number = 0
        if number in self.rows:
            return number
        named = [n for n, row in self.rows.items() if text and self._name(row) == text]
        if not named:
            raise TrapError(self._absent(), "" if self._is_volatile else MISSING)
        return named[0]

    @property
    def _is_volatile(self) -> bool:
        return self.menu.path.endswith("/connection")

    def _absent(self) -> str:
        # both texts are seen in public: the one with a number comes from the part that holds the items
        return "no such item (4)" if self._is_volatile else "no such item"

    @staticmethod
    def _name(row: Row) -> str:
        return row.values.get("name") or row.shown.get("name", "")

    def printed(self, row: Row, now: float) -> Values:
        """All properties of an item, as ``print`` gives them."""
        found = self._defaults | row.values | row.shown
        if self.menu.single:
            del found[".id"]
        else:
            found[".id"] = row.id
        for name in self.menu.hidden:
            found.pop(name, None)
        if row.expires is not None:
            found["timeout"] = interval(max(0, -int(-(row.expires - now) // 1)))
        if self._shows_dynamic:
            found["dynamic"] = "true" if row.is_dynamic else "false"
        return found

    def all(self, now: float) -> Iterator[Values]:
        """Every item in its order."""
        return (self.printed(row, now) for row in self.rows.values())

    # --- over a reboot -----------------------------------------------------------------------------

    def stored(self) -> Stored:
        """What is on the flash."""
        rows = tuple(
            replace(row, values=dict(row.values), shown=dict(row.shown))
            for row in self.rows.values()
            if not row.is_dynamic and not self._is_volatile
        )
        return Stored(rows, max((row.number for row in rows), default=0))

    def load(self, stored: Stored) -> None:
        """Hold what ``stored`` has, and nothing else. Fields that this version has not are lost."""
        self.rows, self._alike, self._expiring = {}, {}, []
        for row in stored.rows:
            kept = {name: value for name, value in row.values.items() if name in self.fields}
            self.rows[row.number] = replace(row, values=kept, shown=dict(row.shown))
            key = self._key(kept)
            if any(key):
                if key in self._alike:
                    self._twins.add(key)
                self._alike[key] = row.number
        self.last = stored.last

    def state(self, *, without: tuple[str, ...] = (".id", "creation-time", "timeout")) -> list[dict[str, Any]]:
        """What there is, without what every run has another of; for an oracle."""
        return [{k: v for k, v in values.items() if k not in without} for values in self.all(0.0)]
