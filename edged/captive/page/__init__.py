# SPDX-License-Identifier: Apache-2.0
"""The document: what it says to whom, in which words and looks; a page and its words in, one HTML document out."""
