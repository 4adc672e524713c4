# SPDX-License-Identifier: Apache-2.0
"""A MikroTik router as a target: ``api`` is its connection, ``thread`` its turn, ``target`` what all of it is for."""
