# SPDX-License-Identifier: Apache-2.0
"""Candidates a second of the search, by suite; the time of a hit and of a miss among 1,000 and 10,000 keys.

python bench/key_search.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from edged.mpsk.eapol import parse_message_2
from edged.mpsk.search import MISS, search
from edged.mpsk.wpa import SUITES, Challenge, Handshake, challenge_of
from tests.mpsk_world import HOSTAPD, challenge

ROUNDS = 7


def pmks(count: int) -> bytes:
    return b"".join(sha256(i.to_bytes(4, "big")).digest() for i in range(count))


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def ft_challenge() -> Challenge:
    row = next(v for v in HOSTAPD if v["id"] == "h211-m3-ft-long")
    made = challenge_of(
        Handshake(
            bytes.fromhex(row["bssid"].replace(":", "")), bytes.fromhex(row["sta_mac"].replace(":", "")),
            bytes.fromhex(row["expected"]["anonce"]),
            parse_message_2(bytes.fromhex(row["expected"]["eapol_key_msg"])), bytes.fromhex(row["ssid_hex"]),
        )
    )  # fmt: skip
    if made is None:
        raise SystemExit("the FT vector does not parse")
    return made


def main() -> None:
    ten_thousand = pmks(10_000)
    print(f"{'suite':12}{'cand/s':>10}{'1k hit ms':>12}{'1k miss ms':>12}{'10k hit ms':>12}{'10k miss ms':>13}")
    for suite in SUITES:
        cells = []
        rate = 0.0
        for count in (1_000, 10_000):
            keys = ten_thousand[: count * 32]
            miss = ft_challenge() if suite == "ft-psk" else challenge(bytes(32), suite=suite)
            last = miss if suite == "ft-psk" else challenge(keys[-32:], suite=suite)
            if search(miss, keys) != MISS or (suite != "ft-psk" and search(last, keys) != count - 1):
                raise SystemExit(f"{suite} finds the wrong key")
            cells += [median_ms(partial(search, last, keys)), median_ms(partial(search, miss, keys))]
            rate = count / cells[-1] * 1000
        print(f"{suite:12}{rate:10,.0f}{cells[0]:12.2f}{cells[1]:12.2f}{cells[2]:12.1f}{cells[3]:13.1f}")
    print("hit: the key is the last one; a device that was seen before costs one candidate")


if __name__ == "__main__":
    main()
