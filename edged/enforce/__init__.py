# SPDX-License-Identifier: Apache-2.0
"""Enforcement: what should be in each packet filter, what is there, and the smallest change between the two."""
