# SPDX-License-Identifier: Apache-2.0
"""The DNS room alone, on the endpoints given, until killed: everybody of the lab is blocked.

python tests/e2e/dns_server.py 0.0.0.0:53 [::]:53
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from edged.dns.service import DnsService
from edged.dns.settings import DnsSettings
from edged.errors import ConfigError
from edged.model import Access
from edged.state.current import Current
from edged.values import IpAddress
from tests.dns_lab import GARDEN, PORTAL_ADDRESSES, PORTAL_HOST, view_of


async def serve(listen: list[str]) -> None:
    """Listen and answer."""

    async def admit(_: Sequence[tuple[IpAddress, float]]) -> None:
        return

    service = DnsService(
        DnsSettings.model_validate({"listen": listen, "limit": {"per_subscriber": 1_000_000, "per_prefix": 1_000_000}}),
        GARDEN,
        portal_host=PORTAL_HOST,
        portal_addresses=PORTAL_ADDRESSES,
        current=Current(view_of(Access.BLOCKED)),
        admit=admit,
    )
    await service.start()
    sys.stderr.write("ready\n")
    await service.run()


if __name__ == "__main__":
    try:
        asyncio.run(serve(sys.argv[1:]))
    except ConfigError as refusal:
        sys.exit(f"{refusal}")
