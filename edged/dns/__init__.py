# SPDX-License-Identifier: Apache-2.0
"""The sinkhole: an authoritative root for blocked subscribers, a true resolver for everyone else."""
