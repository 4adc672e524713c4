# SPDX-License-Identifier: Apache-2.0
"""``make lab``: a subscriber, a router with edged and an "internet" in namespaces, and a tour or a shell.

``tour.py`` walks through a block and a payment; ``--shell`` leaves a shell on the router; ``--down`` removes all.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.e2e.edge import BLOCKED, GARDEN_HOST, Edge
from tests.e2e.lab import BAD4, BAD6, RESOLVER4, Lab, available

PREFIX = "edged-lab"


def main() -> int:
    """Run the tour, the shell, or the clean-up."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--shell", action="store_true", help="leave a shell on the router")
    arguments.add_argument("--down", action="store_true", help="remove every trace of a lab")
    given = arguments.parse_args()
    why = available()
    if why:
        print(f"the lab {why}", file=sys.stderr)
        return 1
    if given.down:
        with Lab(prefix=PREFIX) as lab:
            pass  # building begins and ends by removing what is there
        for namespace in lab.namespaces:
            shutil.rmtree(Path("/etc/netns") / f"{PREFIX}-{namespace}", ignore_errors=True)
        for folder in Path(tempfile.gettempdir()).glob("edged-e2e-*"):
            shutil.rmtree(folder, ignore_errors=True)
        print("every trace of the lab is gone")
        return 0
    with Edge(prefix=PREFIX) as edge:
        edge.wait_for("the block is in force", lambda: edge.access(BAD4) == "blocked")
        if given.shell:
            _shell(edge)
        else:
            _tour(edge)
    return 0


def _step(what: str, show: Callable[[], str]) -> None:
    print(f"\n\033[1m{what}\033[0m" if sys.stdout.isatty() else f"\n{what}")
    for line in show().rstrip().splitlines():
        print(f"    {line}")
    sys.stdout.flush()


def _tour(edge: Edge) -> None:
    _step("1. Billing says that subscriber 1001 is blocked. The operator asks:", lambda: edge.command("status").stdout)
    _step("2. The help desk asks about their line:", lambda: edge.command("explain", BAD4).stdout)
    _step(
        f"3. Their device asks {RESOLVER4}, a resolver of its own choosing, for example.com:",
        lambda: "\n".join(edge.dig("bad", "example.com") + edge.dig("bad", "example.com", "AAAA")),
    )
    _step("4. Their browser opens http://example.com:", lambda: edge.curl("bad", "http://example.com/", "-sI").stdout)
    _step("5. https:// to a foreign name fails at once:", lambda: edge.curl("bad", "https://www.example.org/").stderr)
    _step("6. The customer portal is in the garden:", lambda: edge.curl("bad", f"https://{GARDEN_HOST}/").stdout)
    _step("7. A neighbour notices nothing:", lambda: edge.curl("good", "http://example.com/").stdout)
    _step(
        "8. What the kernel holds:",
        lambda: edge.lab.run("router", "nft", "list", "set", "inet", "edged", "blocked4h").stdout,
    )

    def pay() -> str:
        edge.tell({**BLOCKED, "state": "active"})
        begun = time.monotonic()
        edge.wait_for(
            "the line is open", lambda: "internet" in edge.curl("bad", "http://example.com/", "-4", timeout=2).stdout
        )
        return f"billing says active; the internet answered {time.monotonic() - begun:.2f} s later"

    _step("9. They pay:", pay)
    _step("10. And now:", lambda: edge.command("explain", BAD6).stdout)


def _shell(edge: Edge) -> None:
    router = edge.lab.name("router")
    print(
        f"""
A shell on the router. Things to try:
    edged status -c {edge.config}
    edged explain -c {edge.config} {BAD4}
    ip netns exec {edge.lab.name("bad")} dig @{RESOLVER4} example.com
    ip netns exec {edge.lab.name("bad")} curl -i http://example.com/
    nft list table inet edged
    $EDITOR {edge.directory}/feed.json        (what billing says)
Leave the shell and every trace is gone.
"""
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    subprocess.run(["ip", "netns", "exec", router, os.environ.get("SHELL", "/bin/bash")], check=False, env=environment)


if __name__ == "__main__":
    raise SystemExit(main())
