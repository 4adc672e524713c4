# SPDX-License-Identifier: Apache-2.0
"""DNS over TCP: many queries to a connection, few connections to a client."""
