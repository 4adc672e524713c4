# SPDX-License-Identifier: Apache-2.0
"""Who is online, as billing sees it, for lines whose address changes."""
