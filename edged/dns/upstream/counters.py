# SPDX-License-Identifier: Apache-2.0
"""What the resolver counts. Plain data, read at scrape time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class UpstreamCounters:
    """Plain counts since the start."""

    queries: int = 0
    tcp: int = 0
    tls: int = 0
    """TLS connections that were made."""
    timeouts: int = 0
    """Queries without a usable answer."""
    mismatches: int = 0
    failures: int = 0
    """Questions that no upstream answered."""
    hits: int = 0
    stale: int = 0
    coalesced: int = 0
