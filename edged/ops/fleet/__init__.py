# SPDX-License-Identifier: Apache-2.0
"""``edged fleet``: how the edges of a hub are, the key that they know it by, and one that is no more."""
