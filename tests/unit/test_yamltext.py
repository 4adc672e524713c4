from __future__ import annotations

import pytest
import yaml

from edged.yamltext import RestrictedLoader, load_text


@pytest.mark.parametrize(
    "scalar",
    ["10:20:30:40:50:10", "0123", "12_34", "no", "off", "Yes", "True", "2026-11-22", "2026-11-20T06:00:00Z",
     "0x10", "1e10", ".5", "+1", "=", "<<", "NULL", "1" * 19],
)  # fmt: skip
def test_what_yaml_1_1_would_turn_into_something_else_stays_text(scalar: str) -> None:
    assert load_text(f"a: {scalar}") == {"a": scalar}


@pytest.mark.parametrize(
    ("scalar", "value"),
    [("~", None), ("null", None), ("", None), ("true", True), ("false", False), ("0", 0), ("-12", -12),
     ("1.50", 1.5), ("-1.0e3", -1000.0), ('"12"', "12"), ("'no'", "no")],
)  # fmt: skip
def test_plain_values_are_what_they_look_like(scalar: str, value: object) -> None:
    assert load_text(f"a: {scalar}") == {"a": value}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "the key 'a' for the second time"),
        ("[" * 5000, "nesting"),
        ("[" * 40 + "]" * 40, "nested more than 32 deep"),
        ("a: &a [*a]", "nested more than 32 deep"),
        (BOMB, "aliases that repeat too much"),
        ("? [a]\n: b", "a key that is a list"),
        ("!!python/object/apply:os.system [x]", "which means nothing here"),
        ("!!timestamp 2020-01-01", "which means nothing here"),
        ("!file x", "which means nothing here"),
        ("!!int abc", "not decimal"),
        ("!!bool maybe", "neither true nor false"),
        ("!!str [a]", "expected a scalar"),
        ("---\na\n---\nb", "another document"),
        ("a:\n\tb: c", "cannot start"),
    ],
)
def test_what_is_dangerous_or_ambiguous_is_refused(text: str, problem: str) -> None:
    with pytest.raises(yaml.YAMLError, match=problem):
        load_text(text)


def test_an_anchor_may_be_used_again() -> None:
    assert load_text("a: &x {k: v}\nb: *x") == {"a": {"k": "v"}, "b": {"k": "v"}}


def test_a_subclass_may_know_more_tags_without_teaching_them_to_others() -> None:
    class Loader(RestrictedLoader):
        pass

    Loader.add_constructor("!shout", lambda _loader, node: str(node.value).upper())

    loader = Loader("a: !shout hello")
    assert loader.get_single_data() == {"a": "HELLO"}
    with pytest.raises(yaml.YAMLError):
        load_text("a: !shout hello")
