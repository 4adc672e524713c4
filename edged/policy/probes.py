# SPDX-License-Identifier: Apache-2.0
"""Host names that operating systems ask to find out whether they are online. Pure data.

They beat the garden: a probe that succeeds hides the page. Source: vendors' documents and public code, 2026-11.
"""

from __future__ import annotations

PROBE_HOSTS: tuple[str, ...] = (
    # Apple: captive.apple.com and the older names that devices in the field still ask
    "captive.apple.com",
    "www.apple.com",
    "netcts.cdn-apple.com",
    "www.appleiphonecell.com",
    "www.airport.us",
    "www.ibook.info",
    "www.itools.info",
    "www.thinkdifferent.us",
    "gsp1.apple.com",
    # Android, ChromeOS, Chrome, Edge: generate_204; www.google.com over HTTPS in parallel
    "connectivitycheck.gstatic.com",
    "connectivitycheck.gstatic.cn",
    "connectivitycheck.android.com",
    "www.google.com",
    "www.gstatic.com",
    "clients3.google.com",
    "play.googleapis.com",
    "www.googleapis.cn",
    "edge-http.microsoft.com",
    # vendors' own mirrors of the Android check
    "connect.rom.miui.com",
    "connectivitycheck.platform.hicloud.com",
    "connectivitycheck.cbg-app.huawei.com",
    "connectivitycheck.platform.hihonorcloud.com",
    "connectivity.samsung.com.cn",
    "conn1.oppomobile.com",
    "conn2.oppomobile.com",
    "wifi.vivo.com.cn",
    "connectivitycheck.grapheneos.network",
    "grapheneos.online",
    # Windows: the web probes, their IPv6 twins, and the DNS probe of wired Windows before 11
    "www.msftconnecttest.com",
    "ipv6.msftconnecttest.com",
    "www.msftncsi.com",
    "ipv6.msftncsi.com",
    "dns.msftncsi.com",
    # Firefox
    "detectportal.firefox.com",
    # NetworkManager, one per distribution
    "fedoraproject.org",
    "static.redhat.com",
    "nmcheck.gnome.org",
    "network-test.debian.org",
    "connectivity-check.ubuntu.com",
    "ping.archlinux.org",
    "networkcheck.kde.org",
    # readers, consoles, players
    "spectrum.s3.amazonaws.com",
    "fireoscaptiveportal.com",
    "conntest.nintendowifi.net",
    "ctest.cdn.nintendo.net",
    "captive.roku.com",
    "test.steampowered.com",
)
