# SPDX-License-Identifier: Apache-2.0
"""Splynx API 2.0: its query grammar, its log-in, its loosely typed rows, and what becomes of them."""
