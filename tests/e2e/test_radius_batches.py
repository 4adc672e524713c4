# SPDX-License-Identifier: Apache-2.0
"""A send buffer that is really full: nobody waits for it, and a retransmission gets the answer of before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import lab as places

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(places.available()), reason=places.available() or "ready"),
]

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("native", ["1", "0"])
def test_replies_that_a_full_send_buffer_refuses_are_there_for_the_retransmission(native: str) -> None:
    command = ["unshare", "--net", sys.executable, str(ROOT / "tests" / "e2e" / "radius_buffer.py")]
    environment = os.environ | {"EDGED_NATIVE": native, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0 < found.pop("unsendable") <= 40
    assert found == {"asked": 40, "replayed": 40, "authentic": 40}
