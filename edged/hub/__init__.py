# SPDX-License-Identifier: Apache-2.0
"""The hub: billing's list in force here, served to other edges as the open feed, signed; and how these edges are."""
