# SPDX-License-Identifier: Apache-2.0
"""The certificate files of RADIUS over TLS."""
