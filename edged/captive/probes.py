# SPDX-License-Identifier: Apache-2.0
"""The connectivity checks of operating systems and browsers, one row each. Pure data and one look-up.

A row says what is asked for over plain HTTP, and the one answer that its client takes for "online", octet by octet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """How a row is known. All read in 2026-11."""

    CODE = "read in the client's public source code"
    VENDOR = "the vendor's own documents or package"
    FIELD = "third parties' captures and servers, in public repositories; the vendor does not say"


@dataclass(frozen=True, slots=True)
class Success:
    """What the vendor's own server answers to a device that is online."""

    status: int
    content_type: str = ""
    """Empty: the answer has no body."""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    """Beyond the usual ones: what the client looks for."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One check: what is asked, and the one answer that says "online"."""

    client: str
    host: str
    path: str
    """Without a query; what it is asked for varies (``?ipv4``)."""
    success: Success
    why: str
    """What we rely on."""
    source: Source


_TEXT, _HTML = "text/plain", "text/html"
_204 = Success(204)


def _text(body: bytes) -> Success:
    return Success(200, _TEXT, body)


_APPLE_LINE = b"<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"
# captive.apple.com ends the line, www.apple.com does not: 69 and 68 octets
_APPLE, _APPLE_BARE = Success(200, _HTML, _APPLE_LINE + b"\n"), Success(200, _HTML, _APPLE_LINE)
_CANONICAL = b'<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>'
"""The value of ``captivedetect.canonicalContent`` in Firefox ESR 153, compared as a whole."""
_ONLINE = b"NetworkManager is online"
"""What NetworkManager expects where its configuration names no other text; more may follow."""
_UBUNTU = Success(204, headers=(("X-NetworkManager-Status", "online"),))
"""Ubuntu's configuration names no text, so its 204 counts for nothing without the header."""
_KINDLE = Success(200, _HTML, b"<html>\n<body>\n81ce4465-7167-4dcb-835b-dcc9e44c112a\n</body>\n</html>\n")
"""Amazon's own page has a longer head; devices search for the UUID."""
_NINTENDO = (("X-Organization", "Nintendo"),)
_CONNTEST = (
    b'<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    b'"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd"><html><head><title>HTML Page</title></head>'
    b'<body bgcolor="#FFFFFF">This is test.html page</body></html>'
)

_GOOGLE = "/generate_204"
_APPLE_OLD = "older name of the same check, still asked by devices in the field"
_APPLE_WHY = "any other answer opens the sign-in sheet"
_NM_WHY = "a redirect is not followed, so it reads as a portal; asked every 300 s"
_204_WHY = "vendor's own mirror of the Android check"
_FIREFOX_WHY = "a 3xx, a 511 or changed text shows the bar"
_BY_HTTPS = "asked over HTTPS in parallel: success there means online"
_CHROME_WHY = "another 2xx, a 3xx or 511 is a portal; other errors are not"

PROBES: tuple[Probe, ...] = (
    Probe("apple", "captive.apple.com", "/hotspot-detect.html", _APPLE, _APPLE_WHY, Source.FIELD),
    Probe("apple", "captive.apple.com", "/", _APPLE, "the same page, asked without a path", Source.FIELD),
    Probe("apple", "www.apple.com", "/library/test/success.html", _APPLE_BARE, _APPLE_WHY, Source.FIELD),
    Probe("apple", "netcts.cdn-apple.com", "/", _APPLE, "second host of recent releases", Source.FIELD),
    Probe("apple", "www.appleiphonecell.com", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("apple", "www.airport.us", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("apple", "www.ibook.info", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("apple", "www.itools.info", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("apple", "www.thinkdifferent.us", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("apple", "gsp1.apple.com", "/", _APPLE, _APPLE_OLD, Source.FIELD),
    Probe("android", "connectivitycheck.gstatic.com", _GOOGLE, _204, "a redirect opens its Location", Source.CODE),
    Probe("android", "www.google.com", _GOOGLE, _204, _BY_HTTPS, Source.CODE),
    Probe("android", "www.google.com", "/gen_204", _204, "fallback", Source.CODE),
    Probe("android", "play.googleapis.com", _GOOGLE, _204, "fallback", Source.CODE),
    Probe("android", "connectivitycheck.android.com", _GOOGLE, _204, "older releases", Source.CODE),
    Probe("android", "clients3.google.com", _GOOGLE, _204, "older Android, ChromeOS shill", Source.CODE),
    Probe("android", "connectivitycheck.gstatic.cn", _GOOGLE, _204, "China", Source.CODE),
    Probe("android", "www.googleapis.cn", _GOOGLE, _204, "China", Source.CODE),
    Probe("android", "connect.rom.miui.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "connectivitycheck.platform.hicloud.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "connectivitycheck.cbg-app.huawei.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "connectivitycheck.platform.hihonorcloud.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "connectivity.samsung.com.cn", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "conn1.oppomobile.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "conn2.oppomobile.com", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "wifi.vivo.com.cn", _GOOGLE, _204, _204_WHY, Source.FIELD),
    Probe("android", "connectivitycheck.grapheneos.network", _GOOGLE, _204, _204_WHY, Source.CODE),
    Probe("android", "grapheneos.online", _GOOGLE, _204, "fallback of GrapheneOS", Source.CODE),
    Probe("chrome", "www.gstatic.com", _GOOGLE, _204, _CHROME_WHY, Source.CODE),
    Probe("chrome", "connectivitycheck.gstatic.com", _GOOGLE, _204, "the newer host of the same check", Source.CODE),
    Probe(
        "chrome",
        "edge-http.microsoft.com",
        "/captiveportal/generate_204",
        _204,
        "Edge, rules of Chromium",
        Source.FIELD,
    ),
    Probe(
        "windows",
        "www.msftconnecttest.com",
        "/connecttest.txt",
        _text(b"Microsoft Connect Test"),
        "exact text; opens the browser at /redirect, which is a page load",
        Source.VENDOR,
    ),
    Probe(
        "windows",
        "ipv6.msftconnecttest.com",
        "/connecttest.txt",
        _text(b"Microsoft Connect Test"),
        "IPv6 twin",
        Source.VENDOR,
    ),
    Probe(
        "windows", "www.msftncsi.com", "/ncsi.txt", _text(b"Microsoft NCSI"), "before Windows 10 1607", Source.VENDOR
    ),
    Probe("windows", "ipv6.msftncsi.com", "/ncsi.txt", _text(b"Microsoft NCSI"), "its IPv6 twin", Source.VENDOR),
    Probe(
        "firefox",
        "detectportal.firefox.com",
        "/canonical.html",
        Success(200, _HTML, _CANONICAL),
        _FIREFOX_WHY,
        Source.CODE,
    ),
    Probe("firefox", "detectportal.firefox.com", "/success.txt", _text(b"success\n"), _FIREFOX_WHY, Source.CODE),
    Probe("networkmanager", "fedoraproject.org", "/static/hotspot.txt", _text(b"OK"), _NM_WHY, Source.CODE),
    Probe("networkmanager", "static.redhat.com", "/test/rhel-networkmanager.txt", _text(b"OK"), _NM_WHY, Source.CODE),
    Probe("networkmanager", "nmcheck.gnome.org", "/check_network_status.txt", _text(_ONLINE), _NM_WHY, Source.CODE),
    Probe("networkmanager", "network-test.debian.org", "/nm", _text(_ONLINE + b"\n"), _NM_WHY, Source.VENDOR),
    Probe("networkmanager", "connectivity-check.ubuntu.com", "/", _UBUNTU, _NM_WHY, Source.FIELD),
    Probe("networkmanager", "ping.archlinux.org", "/nm-check.txt", _text(_ONLINE + b"\n"), _NM_WHY, Source.VENDOR),
    Probe("networkmanager", "networkcheck.kde.org", "/", _text(b"OK"), _NM_WHY, Source.FIELD),
    Probe(
        "kindle",
        "spectrum.s3.amazonaws.com",
        "/kindle-wifi/wifistub.html",
        _KINDLE,
        "tablets; Alexa every 5 minutes",
        Source.CODE,
    ),
    Probe("kindle", "spectrum.s3.amazonaws.com", "/kindle-wifi/wifistub-eink.html", _KINDLE, "readers", Source.FIELD),
    Probe("kindle", "spectrum.s3.amazonaws.com", "/kindle-wifi/wifiredirect.html", _KINDLE, "readers", Source.FIELD),
    Probe("android", "fireoscaptiveportal.com", _GOOGLE, _204, "Fire OS, rules of Android", Source.FIELD),
    Probe(
        "nintendo",
        "conntest.nintendowifi.net",
        "/",
        Success(200, _HTML, _CONNTEST, _NINTENDO),
        "3DS, Wii U: without the header there is no Internet",
        Source.FIELD,
    ),
    Probe(
        "nintendo",
        "ctest.cdn.nintendo.net",
        "/",
        Success(200, _TEXT, b"ok", _NINTENDO),
        "Switch: a mismatch opens the console's browser",
        Source.FIELD,
    ),
    Probe("roku", "captive.roku.com", "/ok", _text(b"ok"), "its hotel and dormitory mode", Source.FIELD),
    Probe("steam", "test.steampowered.com", "/204", _204, "handhelds and the desktop client", Source.FIELD),
)

_ROWS: dict[tuple[str, str], Probe] = {(probe.host, probe.path): probe for probe in reversed(PROBES)}


def find_probe(host: str, path: str) -> Probe | None:
    """The row for ``path`` (a query is ignored) on ``host`` (lower case); None: it is no check.

    One check of two clients (Android and Chrome ask the same) is the first of its rows: success is the same.
    """
    return _ROWS.get((host, path.partition("?")[0]))


def is_probe(host: str, path: str) -> bool:
    """True when ``path`` (a query is ignored) on ``host`` (lower case) is a row of the table."""
    return find_probe(host, path) is not None
