# SPDX-License-Identifier: Apache-2.0
"""The host that the daemon runs on: its addresses and neighbours, systemd, the event loop's signs of life."""
