# SPDX-License-Identifier: Apache-2.0
"""Streams cut anywhere, certificates of any octets, and whom an address and a name make."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.errors import WireError
from edged.radius.radsec.certificate import names
from edged.radius.radsec.framing import LONGEST, Framing
from edged.radius.radsec.peers import choose, is_expected
from edged.radius.settings import ClientSettings, RadiusSettings

packets = st.lists(
    st.binary(max_size=300).map(lambda body: b"\x01\x07" + (20 + len(body)).to_bytes(2, "big") + bytes(16) + body)
)


def _read(framing: Framing) -> list[bytes]:
    found = []
    while (octets := framing.packet()) is not None:
        found.append(octets)
    return found


@given(packets, st.lists(st.integers(1, 50), min_size=1))
def test_a_stream_cut_anywhere_gives_the_packets_that_were_sent(sent: list[bytes], cuts: list[int]) -> None:
    framing, stream, found, position, turn = Framing(), b"".join(sent), list[bytes](), 0, 0
    while position < len(stream):
        step = cuts[turn % len(cuts)]
        framing.receive(stream[position : position + step])
        found += _read(framing)
        position, turn = position + step, turn + 1
    assert found == sent
    assert len(framing) == 0


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_stream_is_packets_and_a_rest_or_a_wire_error(pieces: list[bytes]) -> None:
    framing, total = Framing(), 0
    for piece in pieces:
        framing.receive(piece)
        try:
            for octets in _read(framing):
                assert 20 <= len(octets) <= LONGEST
                assert int.from_bytes(octets[2:4], "big") == len(octets)
                total += len(octets)
        except WireError:
            return
    assert total + len(framing) == sum(map(len, pieces)), "nothing is lost and nothing is made up"


LEAF = x509.load_pem_x509_certificate(
    trustme.CA().issue_cert("ap.example.net", "192.0.2.1").cert_chain_pems[0].bytes()
).public_bytes(serialization.Encoding.DER)


@given(st.binary(max_size=400))
def test_a_certificate_of_any_octets_names_somebody_or_nobody(octets: bytes) -> None:
    assert isinstance(names(octets), frozenset)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=5 * settings().max_examples)
@given(st.lists(st.tuples(st.integers(0, len(LEAF) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_certificate_names_somebody_or_nobody(changes: list[tuple[int, int]]) -> None:
    assert names(LEAF) == {"ap.example.net"}
    octets = bytearray(LEAF)
    for position, octet in changes:
        octets[position] = octet
    assert isinstance(names(bytes(octets)), frozenset)


hosts = st.integers(0, 255).map(lambda last: IPv4Address(f"10.0.0.{last}"))
clients = st.lists(
    st.builds(
        lambda start, length, name: {
            "name": f"{name}-{start}-{length}",
            "networks": [f"10.0.0.{start >> (32 - length) << (32 - length)}/{length}"],
            "secret": "of-no-matter",
            "certificate": name,
        },
        st.integers(0, 255), st.sampled_from([24, 26, 28, 32]), st.sampled_from([None, "a", "b"]),
    ),
    max_size=8, unique_by=lambda row: (row["networks"][0], row["certificate"]),
)  # fmt: skip


@given(clients, hosts, st.frozensets(st.sampled_from(["a", "b", "c"])))
def test_a_name_that_matches_goes_before_an_address_and_a_longer_prefix_before_a_shorter(
    rows: list[dict[str, object]], host: IPv4Address, shown: frozenset[str]
) -> None:
    known = RadiusSettings.model_validate({"clients": rows}).clients
    found = choose(host, shown, known)

    def length(client: ClientSettings) -> int:
        return client.networks[0].length

    at = [it for it in known if is_expected(host, (it,))]
    fitting = [it for it in at if it.certificate is None or it.certificate in shown]
    if found is None:
        assert not fitting
        return
    assert found in fitting
    named = [it for it in fitting if it.certificate is not None]
    assert bool(named) == (found.certificate is not None)
    assert length(found) == max(map(length, named or fitting))
