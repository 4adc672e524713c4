# SPDX-License-Identifier: Apache-2.0
"""What billing answers about one subscriber at a time."""
