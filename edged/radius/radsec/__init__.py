# SPDX-License-Identifier: Apache-2.0
"""RADIUS over TLS: streams with client certificates, packets as over UDP (RFC 6613, 6614, 7930)."""
