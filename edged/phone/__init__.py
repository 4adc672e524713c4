# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A phone on a line, played with scapy in a process of its own (``python -m edged.phone``). I/O.

Orders in, as lines of JSON, and what was seen out: it judges nothing (``edged.ops.probe`` does). scapy is GPL-2.0-only:
these files may be used under either licence, import nothing else of edged, and nothing of edged imports them
(decision 0041).
"""
