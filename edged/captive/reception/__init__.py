# SPDX-License-Identifier: Apache-2.0
"""Where the page's buttons are answered for, and where a page waits until what it says is true."""
