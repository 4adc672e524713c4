# SPDX-License-Identifier: Apache-2.0
"""``edged check`` on ``radius:``: certificates that do not work, clients that nobody can be, two secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from edged.config.loading import load
from edged.errors import ConfigError, Problem
from edged.radius.settings import ClientSettings

CLIENT = "{name: b, networks: ['10.7.0.0/24'], secret: one-of-its-own%s}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    server = authority.issue_cert("radius.example.net")
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    (tmp_path / "radsec.pem").write_bytes(server.cert_chain_pems[0].bytes())
    (tmp_path / "radsec.key").write_bytes(server.private_key_pem.bytes())
    (tmp_path / "other.key").write_bytes(authority.issue_cert("b").private_key_pem.bytes())
    return tmp_path


def _found(folder: Path, client: str = CLIENT % "", tls: bool = True) -> dict[str, Problem]:
    path = folder / "edged.yaml"
    files = f"ca: {folder}/ca.pem, chain: {folder}/radsec.pem, key: {folder}/radsec.key"
    listen = f"tls: {{listen: ['127.0.0.1:2083'], {files}}}" if tls else "auth: ['127.0.0.1:1812']"
    path.write_text(f"radius: {{{listen}, clients: [{client}]}}\n")
    try:
        problems = load(str(path)).warnings
    except ConfigError as error:
        problems = error.problems
    return {problem.key: problem for problem in problems}


def test_certificates_that_work_are_no_problem(folder: Path) -> None:
    assert not {key for key in _found(folder) if key.startswith("radius")}


@pytest.mark.parametrize(
    ("name", "content", "key", "said"),
    [
        ("ca.pem", "nothing", "radius.tls.ca", "no certificate"),
        ("ca.pem", "radsec.pem", "radius.tls.ca", "no authority"),
        ("radsec.pem", "nothing", "radius.tls.chain", "no certificate"),
        ("radsec.key", "nothing", "radius.tls.key", "no private key"),
        ("radsec.key", "other.key", "radius.tls.key", "another certificate"),
    ],
)
def test_a_file_that_does_not_work_is_named(folder: Path, name: str, content: str, key: str, said: str) -> None:
    source = folder / content
    (folder / name).write_bytes(source.read_bytes() if source.exists() else b"no PEM")

    problem = _found(folder)[key]
    assert said in problem.found
    assert not problem.warning


def test_a_key_under_a_passphrase_is_named(folder: Path) -> None:
    key = serialization.load_pem_private_key((folder / "radsec.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    (folder / "radsec.key").write_bytes(locked)

    assert "passphrase" in _found(folder)["radius.tls.key"].found


@pytest.mark.parametrize("name", ["ca.pem", "radsec.pem", "radsec.key"])
def test_a_missing_file_is_said_with_what_follows(folder: Path, name: str) -> None:
    (folder / name).unlink()

    (problem,) = [it for key, it in _found(folder).items() if key.startswith("radius.tls")]
    assert "no such file" in problem.found
    assert problem.expected == "edged does not start without it"


@pytest.mark.parametrize(("days", "said"), [(30, ""), (13, "ends within two weeks"), (-1, "has ended")])
def test_a_certificate_that_ends_is_a_warning_two_weeks_ahead(folder: Path, days: int, said: str) -> None:
    server = trustme.CA().issue_cert("radius.example.net", not_after=datetime.now(UTC) + timedelta(days=days))
    (folder / "radsec.pem").write_bytes(server.cert_chain_pems[0].bytes())
    (folder / "radsec.key").write_bytes(server.private_key_pem.bytes())

    found = _found(folder).get("radius.tls.chain")
    assert (found.found if found else "").endswith(said)
    assert (found is not None) == bool(said)


def test_a_certificate_where_nothing_listens_for_it_is_a_warning(folder: Path) -> None:
    assert "radius.clients[0].certificate" in _found(folder, CLIENT % ", certificate: ap.example.net", tls=False)
    assert not [k for k in _found(folder, CLIENT % ", certificate: ap.example.net") if k.startswith("radius.clients")]


def test_an_old_secret_beside_a_certificate_is_a_warning(folder: Path) -> None:
    both = CLIENT % ", certificate: ap.example.net, secret_before: one-from-before"

    assert "radius.clients[0].secret_before" in _found(folder, both)


@pytest.mark.parametrize(("before", "said"), [("short", "8 characters"), ("one-of-its-own", "another secret_before")])
def test_an_old_secret_is_long_enough_and_another_one(folder: Path, before: str, said: str) -> None:
    found = _found(folder, CLIENT % f", secret_before: {before}")

    assert said in next(iter(found.values())).expected


def test_a_network_may_stand_twice_where_certificates_tell_its_clients_apart(folder: Path) -> None:
    one, two = (CLIENT % f", certificate: {name}" for name in ("one.example.net", "two.example.net"))
    assert not [key for key in _found(folder, f"{one}, {two}") if key.startswith("radius.clients")]
    assert "each network once" in _found(folder, f"{one}, {one}")["radius.clients"].expected


def test_the_client_before_differs_in_its_secret_alone() -> None:
    client = ClientSettings.model_validate(
        {"name": "b", "networks": ["10.7.0.0/24"], "secret": "the-new-one", "secret_before": "the-old-one"}
    )
    assert client.before is not None
    assert client.before.secret.reveal() == b"the-old-one"
    assert client.before.before is None
    assert client.before == client.model_copy(update={"secret": client.before.secret, "secret_before": None})
