# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium in a namespace of the lab, with a fresh profile, as close to a user's as Playwright allows."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import BrowserContext, Playwright

from tests.e2e.lab import Lab

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--disable-component-update",
    "--disable-sync", "--password-store=basic",
)  # fmt: skip
_QUIET = ["--disable-background-networking", "--disable-client-side-phishing-detection", "--enable-automation"]
"""What Playwright adds for quiet tests, and a user's browser does not have."""


def wrapper(lab: Lab, folder: Path, namespace: str = "bad") -> str:
    """A program in ``folder`` that starts Chromium on a subscriber's line, by default the blocked one's."""
    program = folder / "chromium-in-namespace"
    program.write_text(f'#!/bin/sh\nexec ip netns exec {lab.name(namespace)} chromium "$@"\n')
    program.chmod(0o755)
    return str(program)


def launched(
    driver: Playwright, lab: Lab, folder: Path, *flags: str, window: bool = False, namespace: str = "bad"
) -> BrowserContext:
    """A browser that asks its connectivity check as a user's does; its home and profile are in ``folder``."""
    return driver.chromium.launch_persistent_context(
        str(folder / "profile"), executable_path=wrapper(lab, folder, namespace), headless=not window,
        args=[*FLAGS, *flags], ignore_default_args=_QUIET, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
