# SPDX-License-Identifier: Apache-2.0
"""An alarm's code in, who is affected out: the words of docs/troubleshooting.md (a test compares). Pure."""

from __future__ import annotations

AFFECTED = {
    "billing-held": "nobody is newly blocked; payments in it are honoured.",
    "billing-unreachable": "new blocks and payments wait.",
    "billing-fallback": "nobody: lists come from billing itself, judged by this edge's own limits.",
    "billing-stale": "new blocks and payments wait; with then: open nobody is blocked meanwhile.",
    "target-failing": "what is enforced stays as it was; changes wait, payments too.",
    "target-in-the-way": (
        "blocked lines that should see a page and do not, or cannot reach the garden; lines that pay are not."
    ),
    "reload-refused": "nobody.",
    "page-incomplete": "who sees the page; with a self-signed certificate browsers warn and people take it for fraud.",
    "certificate-ending": (
        "nobody yet; from its end on every browser warns, and who has opened the page within the last week cannot "
        "go past the warning."
    ),
    "radsec-certificate-ending": (
        "nobody yet; from its end on access points and proxies that come over TLS refuse it: no device gets on, "
        "and no accounting arrives."
    ),
    "certificate-not-renewed": "nobody until then; where there is none yet, the page comes over HTTP.",
    "left-in-force": "those who were blocked then stay so; nothing updates it.",
    "upstreams-silent": (
        "blocked lines, which reach the garden while old answers stand in for a day at the most; open lines that "
        "have edged as their resolver. Each upstream is tried again by itself."
    ),
    "garden-not-admitted": "blocked lines whose payment page failed at the first try.",
    "addresses-contested": (
        "nobody is blocked by mistake: the one who is treated better has the address, then the first in order of "
        "id. The other may be online although blocked."
    ),
    "names-contested": "nobody is blocked by mistake: the one who is treated better has it.",
    "sessions-unknown": (
        "lines whose address changes: who was blocked on an address stays so there for ten minutes (ten times "
        "billing.poll.sessions, if that is longer), a new address of theirs is open; after that all of these "
        "lines are open, for an address may be a paying customer's by then. What RADIUS accounting reports still "
        "counts."
    ),
    "lines-unknown": "they are online; nothing can be enforced on them.",
    "state-damaged": (
        "overrides, passes and keys made by hand; billing's list and billing's keys come back by themselves."
    ),
    "store-failing": (
        "lines are opened and blocked as ever; accounting is not acknowledged, passes are not given, overrides "
        "that open a line are saved later."
    ),
    "hub-empty": "nobody yet: each edge keeps its last good list; an edge without one blocks nobody.",
    "hub-certificate-ending": (
        "nobody yet; from its end on every edge refuses the hub and keeps its last good list: new blocks and payments "
        "wait, where there is no billing.fallback."
    ),
    "edge-silent": (
        "perhaps nobody: an edge that is cut off keeps its last good list, so that new blocks and payments wait there."
    ),
    "edge-behind": "new blocks and payments of those edges' subscribers wait.",
    "store-apart": (
        "this edge goes on as ever; what it learns reaches other edges later, and device limits may be exceeded for "
        "that time."
    ),
    "store-newer": ("this edge goes on as ever; it shares nothing until it is upgraded."),
    "store-site-doubled": (
        "nobody; which of them said something cannot be told in the store, in a hub's reports and in figures."
    ),
    "store-clock": ("who has two words on one thing from two edges: the wrong one of them may hold."),
    "store-unsealed": ("devices with those keys get on at other edges and not here."),
    "store-refused": ("nobody; what those rows were to say is not in force here."),
    "store-keys-doubled": ("devices of the younger key, until it has another passphrase."),
    "store-lost": "overrides, passes and sessions do not outlive a restart.",
}
"""By code."""
