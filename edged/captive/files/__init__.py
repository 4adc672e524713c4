# SPDX-License-Identifier: Apache-2.0
"""What the room reads from disk: templates, logos, the certificate."""
