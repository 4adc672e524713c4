# SPDX-License-Identifier: Apache-2.0
"""The hub's HTTP: edges' questions in, signed answers out."""
