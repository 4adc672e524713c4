# SPDX-License-Identifier: Apache-2.0
"""``edged probe``: what a blocked phone would meet, tried from a line; the packets are ``edged.phone``'s."""
