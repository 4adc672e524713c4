# SPDX-License-Identifier: Apache-2.0
"""One store for many edges: each keeps its own file and answers from it; rows are exchanged over PostgreSQL."""
