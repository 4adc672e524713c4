# SPDX-License-Identifier: Apache-2.0
"""The hinge: one snapshot of billing in, one immutable table out that answers what an address gets. Pure."""
