# SPDX-License-Identifier: Apache-2.0
"""``edged keys``: what lists, makes, changes, prints and hands out keys, and who uses them."""
