# SPDX-License-Identifier: Apache-2.0
"""The kind of a key's value in an operator's words, its default, and how a change of it comes into force."""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from edged.billing.settings import BillingUrl, PublicKeyField
from edged.captive import settings as captive
from edged.config.described import Key
from edged.config.restart import RESTART_KEYS
from edged.dns.settings import Upstream
from edged.enforce.settings import FingerprintField, ListName, ValueText
from edged.fields import (
    AddressField,
    Duration,
    EndpointField,
    InterfaceName,
    PrefixField,
    RateField,
    Share,
)
from edged.mpsk.settings import RejectOrBlocked, RejectOrUnknown
from edged.ops.inforce import spelt
from edged.policy.presets import PRESETS
from edged.policy.settings import GardenName, PresetName
from edged.values import Endpoint, Secret
from edged.yamltext import load_text

KINDS: tuple[tuple[Any, str, str], ...] = (
    (Duration, "a duration, such as `30s` or `6h`", "durations"),
    (Share, "a share, such as `3%`", "shares"),
    (PrefixField, "a prefix", "prefixes"),
    (AddressField, "an address", "addresses"),
    (EndpointField, "an address and a port", "addresses and ports"),
    (Endpoint, "an address, or an address and a port", "addresses"),
    (RateField, "a rate, such as `100M/20M`: down and up in bit/s", "rates"),
    (Secret, "a secret, `!file PATH`", "secrets"),
    (InterfaceName, "a network interface", "network interfaces"),
    (GardenName, "a host name", "host names"),
    (PresetName, "a preset", "presets: " + " ".join(f"`{name}`" for name in sorted(PRESETS))),
    (Upstream, "a resolver", "resolvers"),
    (RejectOrBlocked, "`reject`, or the keys below", ""),
    (RejectOrUnknown, "`reject`, or the keys below", ""),
    (ListName, "the name of a list: letters, digits, `_` `.` `-`", "names"),
    (FingerprintField, "64 hexadecimal digits, with or without colons", "fingerprints"),
    (ValueText, "a word of at most 60 characters", "words"),
    (captive.Translated, "a text, or texts by language", "texts"),
    (captive.Colour, 'a colour, such as `"#0a5cff"`', "colours"),
    (captive.Phone, "a telephone number, in quotes", "telephone numbers"),
    (PublicKeyField, "a public key, base64 of 32 octets", "public keys, base64 of 32 octets each"),
    (BillingUrl, "a URL: `https` or `http`", "URLs"),
    (captive.PortalUrl, "a URL: `https` and a host", "URLs"),
    (captive.DirectoryUrl, "a URL: `https`", "URLs"),
    (captive.WebUrl, "a URL: `https`, `http`, `tel` or `mailto`", "URLs"),
    (captive.Contact, "an e-mail address", "e-mail addresses"),
    (captive.Certificate, "the keys below", ""),
    (Path, "a path", "paths"),
    (bool, "`true` or `false`", "truths"),
    (int, "a whole number", "whole numbers"),
    (str, "a text", "texts"),
)
"""A type of the settings, one of it in words, and several."""

AFTER_RELOAD = "`edged reload`"
AFTER_RESTART = "a restart"


def takes(key: Key) -> str:
    """What may be written, such as "a whole number, 1 to 16"."""
    hints = get_type_hints(key.model, include_extras=True)
    return _one(hints[key.name]) + _bounds(key)


def _one(hint: Any) -> str:
    known = next((one for kind, one, _ in KINDS if kind == hint), "")
    if known or get_origin(hint) is Annotated:
        return known or _one(get_args(hint)[0])
    match get_origin(hint), get_args(hint):
        case (origin, choices) if origin is Literal:
            return _or([f"`{choice}`" for choice in choices])
        case (origin, choices) if origin in {Union, UnionType}:
            return _or([_one(choice) for choice in choices if choice is not NoneType])
        case (origin, (each, *_)) if origin is tuple:
            return f"a list of {_several(each)}"
        case (origin, (_, each)) if origin is dict:
            return f"a mapping, name to {_several(each)}"
        case _ if isinstance(hint, type) and issubclass(hint, BaseModel):
            return "the keys below"
        case _:
            raise TypeError(f"{hint} has no words in {__name__}")


def _several(hint: Any) -> str:
    known = next((several for kind, _, several in KINDS if kind == hint), "")
    if known or get_origin(hint) in {Annotated, tuple}:
        return known or _several(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return "entries with the keys below"
    raise TypeError(f"{hint} has no words in {__name__}")


def _or(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _bounds(key: Key) -> str:
    limits = {name: getattr(one, name) for one in key.field.metadata for name in ("ge", "le") if hasattr(one, name)}
    low, high = (_spelt(key, limits.get(name)) for name in ("ge", "le"))
    if low and high:
        return f", {low} to {high}"
    return f", {low} or more" if low else ""


def _spelt(key: Key, limit: float | None) -> str:
    if limit is None:
        return ""
    text = spelt(limit, key.field)
    return f"{limit:,}" if isinstance(limit, int) and limit > 9999 else text


def default(key: Key) -> str:
    """``required``, ``none``, ``below`` (of the keys that follow), or the value as the file would have it."""
    if key.field.is_required():
        return "required"
    value = key.field.get_default(call_default_factory=True, validated_data={})
    if value in (None, (), {}):
        return "none"
    if isinstance(value, (BaseModel, dict)):
        return "below"
    text = spelt(value, key.field)
    if isinstance(value, str) and load_text(text) != value:
        text = json.dumps(value)
    return f"`{text}`"


def after(key: Key) -> str:
    """What takes a change of it into force."""
    if any(key.path == one or key.path.startswith((f"{one}.", f"{one}[")) for one in RESTART_KEYS):
        return AFTER_RESTART
    if key.path == "portal.url":  # the room is open or closed from the start
        return f"{AFTER_RELOAD}; {AFTER_RESTART} where there was none, or none any more"
    if any(one.startswith(f"{key.path}.") for one in RESTART_KEYS):
        return "see its keys"
    return AFTER_RELOAD
