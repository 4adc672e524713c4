# SPDX-License-Identifier: Apache-2.0
"""The commands of ``edged``: arguments in, an answer on standard output and an exit status out."""
