# SPDX-License-Identifier: Apache-2.0
"""The webhook's HTTP: bounded posts in, short answers out."""
