# SPDX-License-Identifier: Apache-2.0
"""DNS over TLS to an upstream."""
