# SPDX-License-Identifier: Apache-2.0
"""What is opened on every target, or asked of each, while somebody waits for it."""
