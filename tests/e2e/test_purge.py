# SPDX-License-Identifier: Apache-2.0
"""What `purge` of the Debian package takes away, run as dpkg runs it, on folders of its own in a mount namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

POSTRM = Path(__file__).resolve().parents[2] / "config" / "debian" / "postrm"
PURGED = """
set -e
for folder in /etc /var/lib /run; do mount -t tmpfs none $folder; done
mkdir -p /etc/edged/secrets /var/lib/edged/backup /run/edged /var/lib/theirs
mount -t tmpfs none /var/lib/edged/backup
touch /etc/edged/edged.yaml /var/lib/edged/edged.sqlite /var/lib/edged/backup/keys.csv /var/lib/theirs/precious
# of the daemon's user, who may write there
ln -s /var/lib/theirs /var/lib/edged/link
ln -s /var/lib/theirs/precious /etc/edged/secrets/billing
sh "$0" purge
find /etc /var/lib /run -type f | sort
ls -d /etc/edged /run/edged 2>/dev/null || true
"""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare"),
]


def test_purge_follows_no_link_and_leaves_what_is_mounted_there(tmp_path: Path) -> None:
    helper = tmp_path / "deb-systemd-helper"
    helper.write_text("#!/bin/sh\n")
    helper.chmod(0o755)

    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", PURGED, str(POSTRM)],
        env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["/var/lib/edged/backup/keys.csv", "/var/lib/theirs/precious"]
