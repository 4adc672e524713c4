# SPDX-License-Identifier: Apache-2.0
"""Connections that have not said enough yet."""
