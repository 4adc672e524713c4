# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 over aiohttp: the one place of the room that knows its types."""
