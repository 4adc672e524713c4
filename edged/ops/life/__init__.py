# SPDX-License-Identifier: Apache-2.0
"""``edged log``: what befalls each subscriber's line, noted as it happens and told as one life."""
