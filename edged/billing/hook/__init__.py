# SPDX-License-Identifier: Apache-2.0
"""Being told by billing: its webhook, from the socket to a hint to read."""
