# SPDX-License-Identifier: Apache-2.0
"""The hinge's memory: the current value that every room reads, and the database of what edged itself learned."""
