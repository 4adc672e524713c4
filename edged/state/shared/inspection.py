# SPDX-License-Identifier: Apache-2.0
"""One look at the shared store, for ``edged doctor``: it makes no table and writes no row. I/O."""

from __future__ import annotations

import time
from typing import Any

from edged.errors import UpstreamError
from edged.state.sealing import Seal
from edged.state.shared.capture import unsealed
from edged.state.shared.client import CLOCK, PRESENT, SCHEMA, dial, failures
from edged.state.shared.presence import Inspection, present
from edged.state.shared.rows import KEY, KINDS, parts_of, received
from edged.state.shared.target import Target

_KEYS = 50
_THERE = "SELECT to_regclass('edged_meta') IS NOT NULL AND to_regclass('edged_rows') IS NOT NULL"
_META = "SELECT schema::integer, coalesce(writable::integer, 0) AS writable FROM edged_meta"
_MAY_WRITE = "SELECT bool_and(has_table_privilege('edged_rows', each)) FROM unnest($1::text[]) AS each"
_NEWEST_KEYS = f"""
SELECT kind::text, name::text, changed::float8, gone::boolean, left(body::text, 20000) AS body
FROM edged_rows WHERE scope = '*' AND kind = '{KEY}' ORDER BY tx DESC LIMIT {_KEYS}
"""  # noqa: S608  # our own number


async def inspect(target: Target, seal: Seal | None) -> Inspection:
    """What is there now. ``seal``: of ``state.shared_key``."""
    try:
        async with failures():
            connection = await dial(target, "edged-doctor")
            try:
                return await _inspected(connection, seal)
            finally:
                connection.terminate()
    except UpstreamError as error:
        return Inspection(error=str(error))


async def _inspected(connection: Any, seal: Seal | None) -> Inspection:
    begun = time.time()
    clock = await connection.fetchval(CLOCK)
    within = (time.time() - begun) / 2
    ahead = begun + within - clock
    who = present(row[0] for row in await connection.fetch(PRESENT))
    is_read_only = await connection.fetchval("SHOW transaction_read_only") == "on"
    if not await connection.fetchval(_THERE):
        return Inspection(ahead=ahead, within=within, present=who, refused=_refused(is_read_only=is_read_only))
    meta = await connection.fetchrow(_META)
    if meta is None:
        raise UpstreamError("the shared store has no line in edged_meta")
    may_write = await connection.fetchval(_MAY_WRITE, ["SELECT", "INSERT", "UPDATE", "DELETE"])
    keys = await connection.fetch(_NEWEST_KEYS) if seal is not None and may_write else []
    opened = sum(_opens(seal, row) for row in keys) if seal is not None else 0
    return Inspection(
        schema=meta["schema"], is_newer=meta["writable"] > SCHEMA, ahead=ahead, within=within, keys=len(keys),
        refused=_refused(is_read_only=is_read_only, may_write=may_write), unopened=len(keys) - opened, present=who,
    )  # fmt: skip


def _refused(*, is_read_only: bool, may_write: bool = True) -> str:
    if is_read_only:
        return "takes no writes (is it a standby?)"
    return "" if may_write else "does not let this user read and write edged_rows"


def _opens(seal: Seal, row: Any) -> bool:
    try:
        key = received(row["kind"], row["name"], row["body"], row["changed"], gone=row["gone"])
        (key_id,) = parts_of(KINDS[KEY], key.name)
        unsealed(seal, str(key_id), key.body)
    except UpstreamError:
        return False
    return True
