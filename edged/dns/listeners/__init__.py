# SPDX-License-Identifier: Apache-2.0
"""What DNS listens on: ``dns.listen``, and beside a wildcard a socket for every address of this host."""
