# SPDX-License-Identifier: Apache-2.0
"""Where a connection was going before the packet filter led it to us."""
