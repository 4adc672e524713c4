# SPDX-License-Identifier: Apache-2.0
"""The dashboard on the ops address: what happened over the last day, and how the edge is now. It only reads."""
