# SPDX-License-Identifier: Apache-2.0
"""Bodies that a hub keeps, within their room."""

from __future__ import annotations

from edged.hub.answer import Body
from edged.hub.shelf.service import Shelf


async def test_many_small_bodies_take_no_more_room_than_few_large_ones() -> None:
    shelf = Shelf(octets=64 * 1024)
    for number in range(10_000):
        shelf.keep((str(number),), Body.of(b"[]"))
    assert len(shelf._bodies) <= 64
    assert await shelf.there(("9999",)) is not None
    assert await shelf.there(("0",)) is None
