# SPDX-License-Identifier: Apache-2.0
"""What is opened on every target the moment that somebody asks: the garden, and ways that a reminder leaves alone."""
