# SPDX-License-Identifier: Apache-2.0
"""pydantic's errors in, problems in the operator's words out: place, found, expected, nearest right word. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edged.config.document import Document, Location, dotted
from edged.errors import Problem

_EXPECTED: dict[str, str] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "path_type": "a path",
}


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """One problem per place, in the order of the file."""
    found: dict[tuple[Location, bool], Problem] = {}
    for details in error.errors(include_input=False, include_url=False):
        location = _known(details["loc"], document)
        unknown_key = details["type"] == "extra_forbidden"
        found.setdefault((location, unknown_key), _problem(details, location, document, model))
    # a list whose items are wrong is also reported as too short: the items say it better
    causes = {location[:-1] for location, _ in found}
    kept = [p for (location, _), p in found.items() if not (location in causes and p.expected.startswith("at least"))]
    return sorted(kept, key=lambda p: (p.line, p.column))


def _known(loc: tuple[int | str, ...], document: Document) -> Location:
    """The location in the file; parts that are pydantic's own (union tags, validators) are skipped."""
    location: Location = ()
    for part in loc:
        if (*location, part) in document.marks:
            location = (*location, part)
    return location


def _problem(details: ErrorDetails, location: Location, document: Document, model: type[BaseModel]) -> Problem:
    mark = document.marks.get(location)
    context: dict[str, Any] = details.get("ctx", {})
    kind = details["type"]
    if kind == "extra_forbidden":
        key = str(location[-1]) if location else ""
        siblings = keys_at(model, location[:-1])
        if key in siblings:
            # a mapping that has several forms: the key is right, and belongs to another one
            return Problem(
                dotted(location), f'the key "{key}" does not go with the others here',
                ", or ".join(" and ".join(form) for form in _forms_at(model, location[:-1])), "",
                line=mark.key_line if mark else 0, column=mark.key_column if mark else 0, width=len(key),
            )  # fmt: skip
        return Problem(
            dotted(location), f'there is no key "{key}" here',
            "one of " + ", ".join(siblings) if siblings else "no key", _hint_for_key(key, siblings, model),
            line=mark.key_line if mark else 0, column=mark.key_column if mark else 0, width=len(key) or 1,
        )  # fmt: skip
    expected, hint = _expectation(kind, context, details)
    if kind == "missing":
        missing = str(details["loc"][-1])
        return Problem(
            dotted((*location, missing)), "nothing", f"the key {missing}", "",
            line=mark.key_line if mark else 0, column=mark.key_column if mark else 0,
        )  # fmt: skip
    found = mark.text if mark else "nothing"
    if kind == "edged" and not hint:
        hint = _nearest(found.strip('"'), expected)
    if kind == "literal_error":
        hint = _nearest(found.strip('"'), expected)
    return Problem(
        dotted(location), found, expected, hint,
        line=mark.line if mark else 0, column=mark.column if mark else 0, width=mark.width if mark else 1,
    )  # fmt: skip


_WITH_BOUND = {
    "greater_than_equal": "a number of {ge} or more",
    "less_than_equal": "a number of {le} or less",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "too_short": "at least {min_length} of them",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
}


def _expectation(kind: str, context: dict[str, Any], details: ErrorDetails) -> tuple[str, str]:
    if kind == "edged":
        return str(context["expected"]), str(context.get("hint", ""))
    if kind == "literal_error":
        return "one of " + str(context["expected"]).replace("'", "").replace(" or ", ", "), ""
    if kind in _WITH_BOUND:
        return _WITH_BOUND[kind].format(**context), ""
    return _EXPECTED.get(kind, details["msg"].lower()), ""


def _nearest(word: str, expected: str) -> str:
    choices = expected.removeprefix("one of ").split(", ") if expected.startswith("one of ") else []
    close = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else ""


def _hint_for_key(key: str, siblings: list[str], model: type[BaseModel]) -> str:
    close = get_close_matches(key, siblings, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    elsewhere = [place for name, place in _all_keys(model, "") if name == key]
    if elsewhere:
        place = elsewhere[0]
        return f'"{key}" belongs under {place}' if place else f'"{key}" belongs at the top level'
    return ""


def keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that may stand at ``location``; empty where the operator chooses them."""
    return sorted({f.alias or n for m in _models_at(model, location) for n, f in m.model_fields.items()})


def _forms_at(model: type[BaseModel], location: Location) -> list[list[str]]:
    """The keys that must stand at ``location``, for each form that it may have."""
    models = _models_at(model, location)
    return [[f.alias or n for n, f in m.model_fields.items() if f.is_required()] for m in models]


def _models_at(model: type[BaseModel], location: Location) -> list[type[BaseModel]]:
    models: list[type[BaseModel]] = [model]
    for part in location:
        deeper: list[type[BaseModel]] = []
        for candidate in models:
            field = next((f for n, f in candidate.model_fields.items() if (f.alias or n) == part), None)
            if field is not None:
                deeper.extend(_models_in(field.annotation))
        # a list index or a key of the operator's own choosing leads to the same models
        models = deeper or models
    return models


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _all_keys(model: type[BaseModel], place: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield key, place
        for inner in _models_in(field.annotation):
            yield from _all_keys(inner, f"{place}.{key}" if place else key)
