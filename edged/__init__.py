# SPDX-License-Identifier: Apache-2.0
"""edged: blocked-subscriber redirection and per-resident Wi-Fi keys at the edge of an Internet provider."""

__version__ = "0.1.0"
