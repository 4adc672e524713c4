# SPDX-License-Identifier: Apache-2.0
"""The resolvers that are asked: how each is, and the ways to ask one."""
