# SPDX-License-Identifier: Apache-2.0
"""The redirector and the pay page: a blocked subscriber's web request in, the provider's own page out."""
