# SPDX-License-Identifier: Apache-2.0
"""What becomes of a request, whichever transport it came by."""
