# SPDX-License-Identifier: Apache-2.0
"""Enforcement: what each packet filter should hold, what it holds, the smallest change between the two."""
