# SPDX-License-Identifier: Apache-2.0
"""The redirector and the pay page: any web request of a blocked subscriber in, the provider's own page out."""
