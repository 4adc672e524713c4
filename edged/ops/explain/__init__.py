# SPDX-License-Identifier: Apache-2.0
"""``edged explain``: why a line, a device, a key, a network, a RADIUS client or a name is answered as it is."""
