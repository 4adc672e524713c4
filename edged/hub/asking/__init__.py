# SPDX-License-Identifier: Apache-2.0
"""Questions about single subscribers, of many edges at once, to one billing system."""
