# SPDX-License-Identifier: Apache-2.0
"""The resident's key sheet: what is handed over on paper."""
