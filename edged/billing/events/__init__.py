# SPDX-License-Identifier: Apache-2.0
"""Telling billing: events from the rooms to the server's ``/events``, at least once."""
