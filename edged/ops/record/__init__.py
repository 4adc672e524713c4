# SPDX-License-Identifier: Apache-2.0
"""The record of the last day: what was counted, and whose access became another. For status, log and the dashboard."""
