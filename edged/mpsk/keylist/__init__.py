# SPDX-License-Identifier: Apache-2.0
"""The key list: what makes, changes, ends and prints keys. ``service`` writes it; all else here is pure."""
