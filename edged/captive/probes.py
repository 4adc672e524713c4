# SPDX-License-Identifier: Apache-2.0
"""The connectivity checks of operating systems and browsers, one row each. Pure data and one look-up.

Source of every row: vendors' documents and public source code, read in 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """One check: what is asked, and the one answer that says "online"."""

    client: str
    host: str
    path: str
    """Without a query; what it is asked for varies (``?ipv4``)."""
    status: int
    """Status of success."""
    body: str
    """What the body of success says or begins with; empty: no body."""
    why: str
    """What we rely on, or how the row is known."""


_GOOGLE = "/generate_204"
_APPLE_OLD = "older name of the same check, still asked by devices in the field"
_APPLE_WHY = "any other answer opens the sign-in sheet"
_SUCCESS = "Success"
_NM_WHY = "a redirect is not followed, so it reads as a portal; asked every 300 s"
_204_WHY = "vendor's own mirror of the Android check"
_KINDLE_UUID = "81ce4465-7167-4dcb-835b-dcc9e44c112a"

PROBES: tuple[Probe, ...] = (
    Probe("apple", "captive.apple.com", "/hotspot-detect.html", 200, _SUCCESS, _APPLE_WHY),
    Probe(
        "apple",
        "captive.apple.com",
        "/",
        200,
        _SUCCESS,
        "the same page, asked without a path by some releases",
    ),
    Probe("apple", "www.apple.com", "/library/test/success.html", 200, _SUCCESS, _APPLE_WHY),
    Probe("apple", "netcts.cdn-apple.com", "/", 200, _SUCCESS, "second host of recent releases"),
    Probe("apple", "www.appleiphonecell.com", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("apple", "www.airport.us", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("apple", "www.ibook.info", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("apple", "www.itools.info", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("apple", "www.thinkdifferent.us", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("apple", "gsp1.apple.com", "/", 200, _SUCCESS, _APPLE_OLD),
    Probe("android", "connectivitycheck.gstatic.com", _GOOGLE, 204, "", "a redirect opens its Location"),
    Probe(
        "android",
        "www.google.com",
        _GOOGLE,
        204,
        "",
        "asked over HTTPS in parallel: success there means online",
    ),
    Probe("android", "www.google.com", "/gen_204", 204, "", "fallback"),
    Probe("android", "play.googleapis.com", _GOOGLE, 204, "", "fallback"),
    Probe("android", "connectivitycheck.android.com", _GOOGLE, 204, "", "older releases"),
    Probe("android", "clients3.google.com", _GOOGLE, 204, "", "older Android, ChromeOS shill"),
    Probe("android", "connectivitycheck.gstatic.cn", _GOOGLE, 204, "", "China"),
    Probe("android", "www.googleapis.cn", _GOOGLE, 204, "", "China"),
    Probe("android", "connect.rom.miui.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "connectivitycheck.platform.hicloud.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "connectivitycheck.cbg-app.huawei.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "connectivitycheck.platform.hihonorcloud.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "connectivity.samsung.com.cn", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "conn1.oppomobile.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "conn2.oppomobile.com", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "wifi.vivo.com.cn", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "connectivitycheck.grapheneos.network", _GOOGLE, 204, "", _204_WHY),
    Probe("android", "grapheneos.online", _GOOGLE, 204, "", "fallback of GrapheneOS"),
    Probe(
        "chrome",
        "www.gstatic.com",
        _GOOGLE,
        204,
        "",
        "another 2xx, a 3xx or 511 is a portal; other errors are not",
    ),
    Probe("chrome", "connectivitycheck.gstatic.com", _GOOGLE, 204, "", "the newer host of the same check"),
    Probe("chrome", "edge-http.microsoft.com", "/captiveportal/generate_204", 204, "", "Edge, rules of Chromium"),
    Probe("windows", "www.msftconnecttest.com", "/connecttest.txt", 200, "Microsoft Connect Test", "exact text"),
    Probe("windows", "www.msftconnecttest.com", "/redirect", 200, "", "what Windows opens in the browser then"),
    Probe("windows", "ipv6.msftconnecttest.com", "/connecttest.txt", 200, "Microsoft Connect Test", "IPv6 twin"),
    Probe("windows", "www.msftncsi.com", "/ncsi.txt", 200, "Microsoft NCSI", "before Windows 10 1607"),
    Probe("windows", "ipv6.msftncsi.com", "/ncsi.txt", 200, "Microsoft NCSI", "its IPv6 twin"),
    Probe(
        "firefox",
        "detectportal.firefox.com",
        "/canonical.html",
        200,
        "<meta",
        "a 3xx or changed text shows the bar",
    ),
    Probe(
        "firefox",
        "detectportal.firefox.com",
        "/success.txt",
        200,
        "success\n",
        "a 3xx or changed text shows the bar",
    ),
    Probe("networkmanager", "fedoraproject.org", "/static/hotspot.txt", 200, "OK", _NM_WHY),
    Probe("networkmanager", "static.redhat.com", "/test/rhel-networkmanager.txt", 200, "OK", _NM_WHY),
    Probe(
        "networkmanager",
        "nmcheck.gnome.org",
        "/check_network_status.txt",
        200,
        "NetworkManager is online",
        _NM_WHY,
    ),
    Probe("networkmanager", "network-test.debian.org", "/nm", 200, "NetworkManager is online", _NM_WHY),
    Probe("networkmanager", "connectivity-check.ubuntu.com", "/", 204, "", _NM_WHY),
    Probe("networkmanager", "ping.archlinux.org", "/nm-check.txt", 200, "NetworkManager is online", _NM_WHY),
    Probe("networkmanager", "networkcheck.kde.org", "/", 200, "OK", _NM_WHY),
    Probe(
        "kindle",
        "spectrum.s3.amazonaws.com",
        "/kindle-wifi/wifistub.html",
        200,
        _KINDLE_UUID,
        "tablets, Alexa",
    ),
    Probe("kindle", "spectrum.s3.amazonaws.com", "/kindle-wifi/wifistub-eink.html", 200, _KINDLE_UUID, "readers"),
    Probe("kindle", "spectrum.s3.amazonaws.com", "/kindle-wifi/wifiredirect.html", 200, _KINDLE_UUID, "readers"),
    Probe("kindle", "fireoscaptiveportal.com", _GOOGLE, 204, "", "Fire OS"),
    Probe("nintendo", "conntest.nintendowifi.net", "/", 200, "", "success also needs the header X-Organization"),
    Probe("nintendo", "ctest.cdn.nintendo.net", "/", 200, "ok", "Switch: a mismatch opens the console's browser"),
    Probe("roku", "captive.roku.com", "/ok", 200, "ok", "its hotel and dormitory mode"),
    Probe("steam", "test.steampowered.com", "/204", 204, "", "handhelds and the desktop client"),
)

_PATHS: dict[str, frozenset[str]] = {
    host: frozenset(p.path for p in PROBES if p.host == host) for host in {p.host for p in PROBES}
}


def is_probe(host: str, path: str) -> bool:
    """True when ``path`` (a query is ignored) on ``host`` (lower case) is a row of the table."""
    return path.partition("?")[0] in _PATHS.get(host, ())
