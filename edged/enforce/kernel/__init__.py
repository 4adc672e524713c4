# SPDX-License-Identifier: Apache-2.0
"""This host's packet filter: what is asked of it, and the one process that may. Nothing here loads the policy."""
