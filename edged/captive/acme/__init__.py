# SPDX-License-Identifier: Apache-2.0
"""The certificate that edged fetches itself (RFC 8555): when, what is remembered, and the child that does it."""
