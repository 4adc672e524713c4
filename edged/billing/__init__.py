# SPDX-License-Identifier: Apache-2.0
"""Billing: poll a source, judge what it says, publish one snapshot. edged never decides who owes money."""
