# SPDX-License-Identifier: Apache-2.0
"""A BNG told over RADIUS: which session is to be blocked, what it was told, what is to be said to it next. Pure."""
