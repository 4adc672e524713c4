# SPDX-License-Identifier: Apache-2.0
"""``edged init``: what the host suggests, whether an answer is true, the first configuration."""
