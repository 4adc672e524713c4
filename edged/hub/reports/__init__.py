# SPDX-License-Identifier: Apache-2.0
"""What edges report of themselves, known over a restart of the hub."""
