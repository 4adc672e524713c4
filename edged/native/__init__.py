# SPDX-License-Identifier: Apache-2.0
"""Accelerators in C, each with its Python twin beside it: built where a compiler is found, never needed."""
