# SPDX-License-Identifier: Apache-2.0
"""``edged doctor``: what is wrong with this host, from end to end, and how to mend it. It changes nothing."""
