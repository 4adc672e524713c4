# SPDX-License-Identifier: Apache-2.0
"""What an edge tells its hub of itself."""
