"""Certificates that fit, and those that do not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from edged.captive.certificate import examine
from edged.captive.selfsigned import self_signed
from edged.errors import ConfigError
from tests.captive_scene import NOW

DAY = 86400.0
HOST = "portal.example.net"


def made(host: str = HOST, days: int = 90) -> tuple[bytes, bytes]:
    return self_signed(host, [ip_address("203.0.113.10")], NOW, days)


def fault(chain: bytes, key: bytes, host: str = HOST, now: float = NOW) -> str:
    with pytest.raises(ConfigError) as caught:
        examine(chain, key, host, now)
    return caught.value.problems[0].found


def test_a_self_signed_certificate_fits_its_host_and_addresses() -> None:
    chain, key = made()

    assert examine(chain, key, HOST, NOW) == ()
    assert examine(chain, key, "203.0.113.10", NOW) == ()


def test_a_wildcard_covers_one_label_and_no_more() -> None:
    chain, key = made("*.example.net")

    assert examine(chain, key, HOST, NOW) == ()
    assert fault(chain, key, "a.portal.example.net") == "a certificate for other names"


def test_a_certificate_that_ends_soon_is_a_warning() -> None:
    (warning,) = examine(*made(), HOST, NOW + 80 * DAY)

    assert warning.warning


def test_each_misfit_has_its_own_sentence() -> None:
    chain, key = made()
    _, other = made()

    assert fault(chain, other) == "the key of another certificate"
    assert fault(chain, key, "other.example.net") == "a certificate for other names"
    assert fault(chain, key, now=NOW + 91 * DAY).startswith("a certificate that ended on")
    assert fault(chain, key, now=NOW - DAY).startswith("a certificate that begins on")
    assert fault(b"", key) == "no certificate"
    assert fault(chain, b"") == "no private key"
