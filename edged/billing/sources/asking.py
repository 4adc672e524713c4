# SPDX-License-Identifier: Apache-2.0
"""Asking billing about single subscribers whom a list has left out. Dials through the source; bounded in time."""

from __future__ import annotations

import asyncio
from typing import Protocol

from edged.errors import UpstreamError
from edged.model import Subscriber


class Answering(Protocol):
    """Whoever can be asked about one subscriber."""

    async def read_one(self, subscriber: str) -> Subscriber | None:
        """What billing says of one subscriber now; None: nothing. UpstreamError."""


_SECOND_LOOK_TIME = 15.0
"""Seconds for all of them: an operator may be waiting."""


async def second_look(source: Answering, ids: list[str]) -> list[Subscriber]:
    """Turn absence into evidence: who is answered with ``active`` has paid, whatever the list says."""
    answers: list[Subscriber] = []
    try:
        async with asyncio.timeout(_SECOND_LOOK_TIME):
            for name in ids:
                answer = await source.read_one(name)
                if answer is not None:
                    answers.append(answer)
    except (UpstreamError, TimeoutError):
        pass  # those who were not answered stay as they are
    return answers
