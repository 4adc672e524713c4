# SPDX-License-Identifier: Apache-2.0
"""The listening sockets: who comes in, and which TLS client is sent away before any cryptography."""
