# SPDX-License-Identifier: Apache-2.0
"""Answers that a hub signs, judged by http-message-signatures (another implementation of RFC 9421), both ways."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from hypothesis import example, given
from hypothesis import strategies as st

from edged.billing.signing import COVERED, DIGEST, READ_AT, Signer, digest, keyid, public_key, verify
from edged.errors import UpstreamError
from edged.values import Secret

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "hub_signatures.yaml"
GIVEN = yaml.safe_load(VECTORS.read_text("utf-8"))
PRIVATE = Secret(base64.b64decode(GIVEN["private"]))
PUBLIC = base64.b64decode(GIVEN["public"])
ROWS: list[dict[str, Any]] = GIVEN["answers"]
COMPONENTS = ('"@path";req', '"@query";req', "etag", "x-edged-digest", "x-edged-read-at")


@dataclass
class Asked:
    """A request as the other implementation wants it."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Answer:
    """An answer as the other implementation wants it."""

    request: Asked
    headers: dict[str, str]
    status_code: int = 200


class Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        assert key_id == keyid(PUBLIC)
        return Ed25519PublicKey.from_public_bytes(PUBLIC)

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        assert key_id == keyid(PUBLIC)
        return Ed25519PrivateKey.from_private_bytes(PRIVATE.reveal())


def theirs(path: str, query: str, headers: dict[str, str]) -> Answer:
    return Answer(Asked(f"https://hub.example.net{path}" + (f"?{query}" if query else "")), headers)


def ours(path: str, query: str, etag: str, body: bytes, *, read_at: int, created: int) -> dict[str, str]:
    """The fields of an answer that we sign, by lower-case name."""
    stated, signature = Signer(PRIVATE).sign(path, query, etag, digest(body), read_at=read_at, created=created)
    fields = {"etag": etag, DIGEST: digest(body), READ_AT: str(read_at)}
    fields |= {"Signature-Input": stated, "Signature": signature}
    return {name.lower(): value for name, value in fields.items()}


def of(row: dict[str, Any]) -> dict[str, str]:
    return ours(
        row["path"], row["query"], row["etag"], row["body"].encode(), read_at=row["read_at"], created=row["created"]
    )


def refusal(row: dict[str, Any], fields: dict[str, str], **asked: Any) -> str:
    path, query, body = (asked.get(name, row[name]) for name in ("path", "query", "body"))
    with pytest.raises(UpstreamError) as refused:
        verify(asked.get("publics", [PUBLIC]), path, query, fields, body.encode() if body is not None else None)
    return str(refused.value)


def test_answers_are_signed_as_another_implementation_signs_them() -> None:
    assert public_key(PRIVATE) == PUBLIC
    assert keyid(PUBLIC) == GIVEN["keyid"]
    for row in ROWS:
        fields = of(row)

        assert (fields["signature-input"], fields["signature"]) == (row["signature_input"], row["signature"]), row
        assert verify([PUBLIC], row["path"], row["query"], fields, row["body"].encode()) == row["read_at"], row


TEXT = st.text(st.sampled_from("abcXYZ019-._~%2F/"), max_size=20)
EPOCH = st.integers(0, 4_000_000_000)


@given(path=TEXT, query=TEXT, body=st.binary(max_size=200), read_at=EPOCH)
@example(path="subscribers", query="", body=b"", read_at=0)
def test_another_implementation_verifies_what_we_sign_and_we_what_it_signs(
    path: str, query: str, body: bytes, read_at: int
) -> None:
    path, query = "/" + path.replace("%", "%2"), query.replace("%", "%2")
    path, query = path.replace("%2", "%2F"), query.replace("%2", "%2F")
    now = datetime.now(UTC)
    fields = ours(path, query, 'W/"0f"', body, read_at=read_at, created=int(now.timestamp()))

    judge = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    results = judge.verify(theirs(path, query, dict(fields)), require_components=COMPONENTS)
    assert [result.label for result in results] == ["edged"]

    answer = theirs(path, query, {name: fields[name] for name in ("etag", "x-edged-digest", "x-edged-read-at")})
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    signer.sign(answer, key_id=keyid(PUBLIC), created=now, label="edged", covered_component_ids=COMPONENTS)
    lowered = {name.lower(): value for name, value in answer.headers.items()}
    assert COVERED in lowered["signature-input"]
    assert verify([b"\0" * 32, PUBLIC], path, query, lowered, body) == read_at


def test_an_answer_that_was_changed_anywhere_is_refused() -> None:
    row = ROWS[0]
    fields = of(row)
    changed = {
        "etag": 'W/"00000000000000000000000000000000"',
        "x-edged-read-at": str(row["read_at"] + 1),
        "x-edged-digest": digest(b"another"),
        "signature-input": row["signature_input"].replace(str(row["created"]), str(row["created"] + 1)),
    }

    for name, value in changed.items():
        assert "not that of this answer" in refusal(row, fields | {name: value}), name
    assert "not that of this answer" in refusal(row, fields, path="/edged/keys")
    assert "not that of this answer" in refusal(row, fields, query="since=1")
    assert "not the one that the hub signed" in refusal(row, fields, body=row["body"] + " ")
    assert "signed_by does not name" in refusal(row, fields, publics=[])
    assert verify([PUBLIC], row["path"], row["query"], fields, None) == row["read_at"]


def test_a_signature_of_another_form_is_no_signature() -> None:
    row = ROWS[0]
    fields = of(row)
    stated, signature = fields["signature-input"], fields["signature"]
    forms = [
        {"signature-input": ""},
        {"signature": ""},
        {"signature-input": stated.replace(' "x-edged-read-at"', "")},
        {"signature-input": stated.replace('"@path";req ', "")},
        {"signature-input": stated.replace("ed25519", "hmac-sha256")},
        {"signature-input": stated.replace("edged=", "other=")},
        {"signature-input": stated + ";expires=1"},
        {"signature": signature.replace("edged=", "other=")},
        {"signature": signature[:-1]},
    ]

    for form in forms:
        assert "not signed by a hub" in refusal(row, fields | form), form


@given(st.dictionaries(st.sampled_from(["etag", "signature", "signature-input", "x-edged-read-at"]), st.text()))
def test_whatever_comes_as_fields_is_refused_in_words(fields: dict[str, str]) -> None:
    row = ROWS[0]
    hostile = of(row) | fields
    if {name: value.strip() for name, value in hostile.items()} != of(row):
        assert refusal(row, hostile)


def test_a_field_cannot_smuggle_in_a_line_of_the_signature_base() -> None:
    row = ROWS[0]
    fields = of(row)

    assert "one line" in refusal(row, fields | {"etag": f'W/"0"\n"x-edged-digest": {digest(b"x")}'})
    assert "one line" in refusal(row, fields | {"etag": "x" * 5000})
