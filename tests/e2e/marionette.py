# SPDX-License-Identifier: Apache-2.0
"""Firefox, driven by its own Marionette: frames of ``length:json`` over TCP. No geckodriver, no library.

Protocol: a command is ``[0, id, name, parameters]``, its answer ``[1, id, error, result]``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
from enum import IntEnum
from pathlib import Path
from typing import Any, Self

import trustme

from tests.e2e.lab import Lab

PORT = 2828
PREFERENCES: dict[str, Any] = {
    # Marionette's own defaults for testing turn the captive portal service off
    "remote.prefs.recommended": False,
    "marionette.port": PORT,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "termsofuse.bypassNotification": True,
}
"""Of a profile that asks its user nothing; everything about the network is as shipped."""


class Portal(IntEnum):
    """nsICaptivePortalService, its ``state``."""

    UNKNOWN = 0
    NOT_CAPTIVE = 1
    UNLOCKED = 2
    LOCKED = 3


_BAR = 'window.gNotificationBox.getNotificationWithValue("captive-portal-detected")'
_STATE = 'return Cc["@mozilla.org/network/captive-portal-service;1"].getService(Ci.nsICaptivePortalService).state'
_TRUST = """Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)
  .addCertFromBase64(arguments[0], "C,,"); return true"""
_ERROR = """const of = document.getNetErrorInfo ?? document.getFailedCertSecurityInfo;
  return of ? of.call(document).errorCodeString : ''"""


class FirefoxError(AssertionError):
    """What Firefox answered instead of a result: ``kind`` is the WebDriver error code."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message


class Firefox:
    """A Firefox with a fresh profile in a namespace of the lab, while the context lasts."""

    def __init__(self, lab: Lab, namespace: str, folder: Path, **preferences: Any) -> None:
        self._lab, self._namespace, self._folder = lab, namespace, folder
        self._preferences = {**PREFERENCES, **preferences}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._sent = 0

    def __enter__(self) -> Self:
        profile = self._folder / "profile"
        profile.mkdir(parents=True)
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in self._preferences.items())
        (profile / "user.js").write_text("".join(lines))
        command = [
            "firefox-esr",
            "--headless",
            "--marionette",
            "--no-remote",
            "--remote-allow-system-access",
            "--profile",
            str(profile),
        ]
        with (self._folder / "firefox.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", self._lab.name(self._namespace), *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self._folder), "LANG": "C.UTF-8"},
            )  # fmt: skip
        try:
            self._connect(time.monotonic() + 60.0)
            self.ask("WebDriver:NewSession", strictFileInteractability=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError, FirefoxError):
                self.ask("Marionette:Quit", flags=["eForceQuit"])
            self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder / "profile", ignore_errors=True)

    def ask(self, command: str, **parameters: Any) -> Any:
        """The result of one command. FirefoxError when it is refused, TimeoutError after a minute."""
        assert self._socket is not None
        self._sent += 1
        frame = json.dumps([0, self._sent, command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(frame), frame))
        while True:
            _, number, error, result = self._frame()
            if number == self._sent:
                break
        if error:
            raise FirefoxError(error["error"], error["message"])
        return result.get("value", result) if isinstance(result, dict) else result

    def go(self, url: str) -> str:
        """Open ``url``; Firefox's name for what went wrong, or nothing when a page came."""
        try:
            self.ask("WebDriver:Navigate", url=url)
        except FirefoxError as error:
            if error.kind not in {"unknown error", "insecure certificate", "timeout"}:
                raise
            shown = self.chrome("return gBrowser.selectedBrowser.documentURI.spec")
            code = shown.partition("?e=")[2].partition("&")[0]
            found = self.content(_ERROR)
            return str(found or code or error.kind)
        return ""

    def chrome(self, script: str, *arguments: Any) -> Any:
        """The value of a script with the rights of the browser itself."""
        return self._script("chrome", script, arguments)

    def content(self, script: str, *arguments: Any) -> Any:
        """The value of a script in the page."""
        return self._script("content", script, arguments)

    def text(self) -> str:
        """What a reader of the page sees."""
        return str(self.content("return document.body ? document.body.innerText : ''"))

    def trust(self, authority: trustme.CA) -> None:
        """Take the lab's authority for a public one."""
        pem = authority.cert_pem.bytes().decode().strip().splitlines()
        self.chrome(_TRUST, "".join(pem[1:-1]))

    def portal(self) -> Portal:
        """What it believes of the line."""
        return Portal(self.chrome(_STATE))

    def bar(self) -> bool:
        """True while it offers to sign in to the network."""
        return bool(self.chrome(f"return !!{_BAR}"))

    def press_bar(self) -> None:
        """Press the bar's button. The tab that it leads to may be there before: Firefox opens it when it starts."""
        self.chrome(f"{_BAR}.buttonContainer.querySelector('button').click(); return true")

    def look_at(self, url: str) -> bool:
        """Turn to the tab that shows ``url``; False while there is none."""
        for handle in self.ask("WebDriver:GetWindowHandles"):
            self.ask("WebDriver:SwitchToWindow", handle=handle, focus=True)
            if self.ask("WebDriver:GetCurrentURL") == url:
                return True
        return False

    def screenshot(self, path: Path) -> None:
        """Keep the page's picture."""
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(self.ask("WebDriver:TakeScreenshot", full=False)))

    def _script(self, context: str, script: str, arguments: tuple[Any, ...]) -> Any:
        self.ask("Marionette:SetContext", value=context)
        try:
            return self.ask("WebDriver:ExecuteScript", script=script, args=list(arguments))
        finally:
            self.ask("Marionette:SetContext", value="content")

    def _connect(self, end: float) -> None:
        with self._lab.inside(self._namespace):
            while True:
                try:
                    self._socket = socket.create_connection(("127.0.0.1", PORT), 60.0)
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)
                    continue
                break
        self._frame()  # the greeting

    def _frame(self) -> Any:
        assert self._socket is not None
        length, octet = b"", b""
        while octet != b":":
            length += octet
            octet = self._socket.recv(1)
            if not octet:
                raise ConnectionResetError("Firefox has gone")
        frame = b""
        while len(frame) < int(length):
            frame += self._socket.recv(int(length) - len(frame))
        return json.loads(frame)
