# SPDX-License-Identifier: Apache-2.0
"""One connection of a RADIUS client over TLS."""
