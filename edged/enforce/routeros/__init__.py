# SPDX-License-Identifier: Apache-2.0
"""What a RouterOS router should hold, what it holds, and the commands between the two. Pure."""
