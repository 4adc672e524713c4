# SPDX-License-Identifier: Apache-2.0
"""The list in force: in memory, on disk, and with everybody who acts on it."""
