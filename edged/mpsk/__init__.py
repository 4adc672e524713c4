# SPDX-License-Identifier: Apache-2.0
"""One SSID, a key for every resident: which key did this device use, and what does it get (IEEE 802.11)."""
