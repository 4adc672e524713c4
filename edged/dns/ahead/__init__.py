# SPDX-License-Identifier: Apache-2.0
"""Garden names resolved before anybody asks."""
