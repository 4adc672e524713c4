# SPDX-License-Identifier: Apache-2.0
"""A brand and the decision on a line in, where its pay button leads out. Pure. RFC 3986.

Only configuration and billing say where; nothing that a visitor sends does.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from edged.captive.answers import NO_DEBT
from edged.captive.settings import BrandSettings, TextSettings
from edged.model import Access
from edged.policy.access import Decision

PAY_PATH = "/pay"
"""On our own host, after the signed link where there is one: leads on, and lets the click be counted."""
_CONCERNED = frozenset({Access.BLOCKED, Access.NOTICE, Access.PASS})
"""Lines with something to pay or to ask about."""
_URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]{1,2040}", re.IGNORECASE)
"""The characters of RFC 3986: no space, quote, angle bracket, backslash, control or letter beyond ASCII."""
_NO_TEXTS = TextSettings()


def destination(brand: BrandSettings, decision: Decision) -> str:
    """Where the button leads: the subscriber's own pay link first, save where paying is not what helps.

    An http(s), tel or mailto URL; empty: no button.
    """
    if decision.access not in _CONCERNED:
        return ""
    pay_url = decision.subscriber.account.pay_url if decision.subscriber else ""
    pay_url = pay_url if is_web(pay_url) else ""
    word = decision.reason if decision.access is Access.BLOCKED else decision.access.value
    particular = brand.reasons.get(word, _NO_TEXTS).link
    order = (particular, pay_url) if decision.reason in NO_DEBT else (pay_url, particular)
    return next(filter(None, (*order, brand.link)), "")


def button_href(where: str, link: str) -> str:
    """What the page writes for ``where``: our own path that leads there; a telephone or a mailbox as it is.

    ``link`` is the token of the signed link that the page was opened with, or empty.
    """
    if not is_web(where):
        return where
    return f"/s/{link}{PAY_PATH}" if link else PAY_PATH


def leads_on(where: str, host: str) -> bool:
    """True where a redirect to ``where`` may be sent: a web page, and none of our own ``host``, which would loop."""
    return is_web(where) and urlsplit(where).hostname != host


def is_web(url: str) -> bool:
    """True for an http or https URL that may stand in a header and behind a button, whoever wrote it."""
    if _URL.fullmatch(url) is None:
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
