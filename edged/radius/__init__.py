# SPDX-License-Identifier: Apache-2.0
"""RADIUS over UDP: packets in, verified, answered by an injected handler (RFC 2865, 2866, 5080, 5997)."""
