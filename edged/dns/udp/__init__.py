# SPDX-License-Identifier: Apache-2.0
"""DNS over UDP: sockets that answer from the address that was asked."""
