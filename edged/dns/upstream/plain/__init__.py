# SPDX-License-Identifier: Apache-2.0
"""Plain DNS to an upstream."""
