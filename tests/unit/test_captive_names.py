"""Hosts and targets as clients send them."""

from __future__ import annotations

import pytest

from edged.captive.names import canonical_host, is_public_name, safe_target


@pytest.mark.parametrize(
    ("field", "host"),
    [
        ("News.Example.COM", "news.example.com"),
        ("news.example.com:8080", "news.example.com"),
        ("news.example.com.", "news.example.com"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("198.51.100.7", "198.51.100.7"),
        ("", ""),
    ],
)
def test_a_host_has_one_spelling(field: str, host: str) -> None:
    assert canonical_host(field) == host


@pytest.mark.parametrize(
    "field",
    [
        "<script>",
        "a b",
        "a\r\nb",
        "a/b",
        "a@b",
        "a:b",
        "a:80:80",
        "[::1",
        "é.example",
        "a" * 300,
        ".",
        "a\x00",
    ],
)
def test_a_malformed_host_is_none(field: str) -> None:
    assert canonical_host(field) is None


@pytest.mark.parametrize("name", ["example.com", "a-b.c1.example.org", "xn--bcher-kva.example.de"])
def test_a_public_name_is_one(name: str) -> None:
    assert is_public_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "com",
        "printer.local",
        "router.lan",
        "198.51.100.7",
        "2001:db8::1",
        "-a.example.com",
        "a..example.com",
        "a_b.example.com",
        "a." * 130 + "com",
        "x" * 64 + ".com",
        "1.2.3.4.5",
        "site.onion",
        "",
    ],
)
def test_what_is_no_public_name_is_not(name: str) -> None:
    assert not is_public_name(name)


@pytest.mark.parametrize("target", ["//evil.example.org", "/a\r\nb", "/<x>", "*", "", "/\\evil", "/" + "a" * 3000])
def test_a_doubtful_target_becomes_the_root(target: str) -> None:
    assert safe_target(target) == "/"


def test_a_plain_target_stays() -> None:
    assert safe_target("/a/b.html?c=%20d&e=f") == "/a/b.html?c=%20d&e=f"
