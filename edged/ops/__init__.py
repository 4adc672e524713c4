# SPDX-License-Identifier: Apache-2.0
"""What the operator sees: status, explain, metrics, health, logs, and the socket that the command talks to."""
