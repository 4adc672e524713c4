# SPDX-License-Identifier: Apache-2.0
"""The ``billing:`` section: where the lists come from and what may change without a person. Pure."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from edged.fields import Duration, EndpointField, SecretField, Settings, Share, wrong
from edged.values import Secret


def _url(value: str) -> str:
    scheme, _, rest = value.partition("://")
    host = rest.partition("/")[0]
    if scheme not in {"http", "https"} or not host or any(c.isspace() for c in value):
        raise wrong("an https URL", "for example https://billing.example.net")
    if "@" in host:
        raise wrong("a URL without a user and a password in it", "key: and secret: are their places")
    return value


def _public_key(value: object) -> bytes:
    expected = wrong("the base64 of an ed25519 public key, 32 octets", "`edged fleet key` on the hub prints it")
    if isinstance(value, bytes) and len(value) == PUBLIC_OCTETS:
        return value
    if not isinstance(value, str):
        raise expected
    try:
        octets = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise expected from None
    if len(octets) != PUBLIC_OCTETS:
        raise expected
    if value == _EVERYBODYS:
        raise wrong("a key of your own hub", "this one is printed in RFC 9421 with its private half")
    return octets


PUBLIC_OCTETS = 32
_EVERYBODYS = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="
"""test-key-ed25519 of RFC 9421 appendix B.1.4."""
PublicKeyField = Annotated[
    bytes,
    BeforeValidator(_public_key),
    WithJsonSchema({"type": "string", "pattern": r"^[A-Za-z0-9+/]{43}=$", "description": "base64 of 32 octets"}),
]
BillingUrl = Annotated[str, AfterValidator(_url)]


class PollSettings(Settings):
    """How often billing is asked."""

    changes: Duration = 30.0
    """Pause between two questions for changes. A `file` is looked at every second instead.

    Example: `15s`
    """
    sessions: Duration = 60.0
    """Pause between two questions who is online, where the source says (Splynx): the lines of changing addresses."""
    full: Duration = 600.0
    """At least so often everything is read anew.

    Example: `1h`
    """


class WebhookSettings(Settings):
    """Where billing may tell us to look: docs/webhook.md."""

    listen: EndpointField
    """Address and port; HTTP, for the loopback address or a management network.

    Example: `"127.0.0.1:9301"`
    Mistake: an address that subscribers reach.
    """
    path: str = Field(default="/hooks/billing", pattern=r"^/[\x21-\x7e]*$")
    """Where posts are taken, exactly; everything else is 404.

    Example: `/hooks/splynx`
    Mistake: a secret in it: it stands in logs of proxies.
    """
    secret: SecretField
    """What signs the posts.

    Example: `!file /etc/edged/secrets/hook`
    """


class WindowSettings(Settings):
    """A limit on change within a sliding window: the smaller of ``share`` and ``count``."""

    share: Share
    """Share of all known subscribers; for keys, of all keys.

    Example: `3%`
    """
    count: int = Field(ge=0, strict=True)
    """Absolute number; the smaller of the two counts.

    Example: `200`
    """
    window: Duration
    """The sliding window in which both are counted.

    Example: `24h`
    Mistake: a window so short that a slow drip passes.
    """


class WidestSettings(Settings):
    """The widest prefix that may ever be blocked."""

    ipv4: int = Field(default=24, ge=0, le=32, strict=True)
    """Length of the widest IPv4 prefix.

    Example: `30`
    """
    ipv6: int = Field(default=48, ge=0, le=128, strict=True)
    """Length of the widest IPv6 prefix.

    Example: `56`
    """


class GuardSettings(Settings):
    """What billing may change without a person."""

    blocked: WindowSettings = WindowSettings(share="3%", count=200, window="24h")
    """Limit on newly blocked subscribers; the same limit on blocked ones whose addresses, devices or logins become
    others.

    Mistake: to write one of its three keys: all three are then required.
    """
    vanished: WindowSettings = WindowSettings(share="30%", count=2000, window="1h")
    """Limit on subscribers that disappear from a list without a word that they are active, or stand there without any
    line; the same limit, in keys, for keys that disappear or become others. Half of those on the list is held
    whatever the share, unless the share is 50 % or more: then it is a share of the list too.

    Mistake: to write one of its three keys: all three are then required.
    """
    floor: int = Field(default=5, ge=0, strict=True)
    """So many may always pass, also with a list that is empty then.

    Example: `10`
    """
    first: Literal["hold", "accept"] = "hold"
    """The first list that blocks anybody: `hold` it for a person, or `accept` it.

    Mistake: `accept`, kept for good: it is for trials.
    """
    leave_to_hub: bool = Field(default=False, strict=True)
    """With `source: hub`: the hub's guard alone judges amounts (`blocked`, `vanished`, `floor`, `first`), for all edges
    at once. What may never be blocked is judged here always, and amounts too while `fallback` stands in.

    Mistake: `true` while the hub's own limits are those of a trial.
    """
    widest: WidestSettings = WidestSettings()
    """The widest prefix that may be blocked. All prefixes of one subscriber together: at most four times as many
    addresses."""


class StaleSettings(Settings):
    """What happens when billing has been silent for long."""

    after: Duration = 6 * 3600.0
    """After how long a silence `then` comes into force.

    Example: `24h`
    """
    then: Literal["hold", "open"] = "hold"
    """`hold` the last good list, or `open` every line until billing answers."""


def _label(value: str) -> str:
    if not value.strip() or len(value) > 256:
        raise wrong("a label as it is written in Splynx", "for example [VIP, Staff]")
    return value


class SplynxSettings(Settings):
    """What is Splynx's alone."""

    exempt_labels: tuple[Annotated[str, AfterValidator(_label)], ...] = ()
    """Customers with one of these labels (name or number) are never restricted.

    Example: `[Staff, VIP]`
    Mistake: to expect a new label at once: it comes with the next full reading.
    """
    direct_pay: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    """The payment add-on whose page takes a payment without a log-in: the first part of its path.

    Example: `payfast`
    Mistake: to forget the hosts of the payment provider in `garden`.
    """


def _placed(source: str, *, path: Path | None, url: str | None, key: Secret | None, secret: Secret | None) -> None:
    """What a source needs to be found at all, and to be let in."""
    if source == "file" and path is None:
        raise wrong("path: FILE beside source: file", "path: /var/lib/edged/billing.yaml")
    if source != "file" and url is None:
        raise wrong(f"url: URL beside source: {source}", "url: https://billing.example.net")
    if source == "splynx" and not (key and secret):
        absent = " and ".join(name for name, value in (("key", key), ("secret", secret)) if not value)
        raise wrong(
            f"{absent} beside source: splynx: the API key and its secret",
            "key: !file /etc/edged/secrets/splynx-key and secret: !file /etc/edged/secrets/splynx",
        )
    # without the Network's token no suspended service has an address, and nobody would ever be blocked
    wanted = {"key: (the CRM's app key)": key, "secret: (the Network's API token)": secret}
    missing = " and ".join(name for name, value in wanted.items() if value is None)
    if source == "uisp" and missing:
        raise wrong(f"{missing} beside source: uisp, which wants both", "docs/billing-uisp.md says where each is made")


class FallbackSettings(Settings):
    """Billing itself, for an edge whose hub is silent: [fleet.md](fleet.md#without-the-hub)."""

    after: Duration = 900.0
    """How long the hub must be out of reach, or billing out of its reach. Each edge adds a random time of up to as
    much again, so that a fleet does not come to billing at once.

    Example: `15m`
    Mistake: so short that every restart of the hub sends the whole fleet to billing.
    """
    source: Literal["splynx", "uisp", "rest", "file"]
    """As `billing.source`, of billing itself.

    Example: `splynx`
    """
    url: BillingUrl | None = None
    """As `billing.url`.

    Example: `https://billing.example.net`
    """
    key: SecretField | None = None
    """As `billing.key`.

    Example: `!file /etc/edged/secrets/splynx-key`
    """
    secret: SecretField | None = None
    """As `billing.secret`.

    Example: `!file /etc/edged/secrets/splynx`
    """
    ca: Path | None = None
    """As `billing.ca`.

    Example: `/etc/edged/tls/billing-ca.pem`
    """
    path: Path | None = None
    """As `billing.path`.

    Example: `/var/lib/edged/billing.yaml`
    """
    splynx: SplynxSettings = SplynxSettings()
    """As `billing.splynx`: what the hub has, or the two lists differ."""

    @model_validator(mode="after")
    def _has_its_place(self) -> FallbackSettings:
        _placed(self.source, path=self.path, url=self.url, key=self.key, secret=self.secret)
        return self


class BillingSettings(Settings):
    """The central billing system."""

    source: Literal["splynx", "uisp", "rest", "hub", "file"] = "file"
    """`file` or `rest`, which carry the objects of [feed.md](feed.md); `splynx`:
    [billing-splynx.md](billing-splynx.md); `uisp`: [billing-uisp.md](billing-uisp.md); `hub`: an edged that reads
    billing for all edges, [fleet.md](fleet.md).

    Example: `rest`
    """
    url: BillingUrl | None = None
    """Of `rest` and `hub`: base URL of the feed; `/subscribers` and `/keys` are asked below it. Of `splynx` and `uisp`:
    its own address.

    Example: `https://billing.example.net/edged`
    Mistake: plain `http://`: the bearer key travels in clear; `https://user:password@…` is refused.
    """
    key: SecretField | None = None
    """The bearer key of `rest` and `hub`, if it does not stand in `secret`; `secret` wins. Of `splynx`: the API key.
    Of `uisp`: the CRM's app key. A secret like it: `edged check` masks it.

    Example: `!file /etc/edged/secrets/billing`
    Mistake: a key in the YAML.
    """
    secret: SecretField | None = None
    """The bearer key of `rest` and `hub`. Of `splynx`: the API secret. Of `uisp`: the Network's API token.

    Example: `!file /etc/edged/secrets/billing`
    Mistake: to leave the file empty, as `edged init` makes it: `edged check` and `edged run` refuse it.
    """
    ca: Path | None = None
    """PEM of a private authority that has signed the billing system's certificate; its certificates alone are trusted
    then.

    Example: `/etc/edged/tls/billing-ca.pem`
    Mistake: to name the server's own certificate where it is not self-signed.
    """
    signed_by: tuple[PublicKeyField, ...] = ()
    """Of `hub` alone, and required there: the public keys whose signature its answers must bear, the base64 of 32
    octets each. Two while the hub's key changes.

    Example: `["fdLEsUdGvuw3r3cfbfZaxBaWZPBWxtjh1Grn/MLgPYg="]`
    Mistake: to take the key from the hub's address over the network that it protects from: copy it from the hub's
    own screen.
    """
    path: Path | None = None
    """Of `file`: a YAML or JSON (`.json`) document, a table of subscribers (`.csv`), or a folder with
    `subscribers.csv` and `keys.csv`; how to write it safely: [feed.md](feed.md#as-a-file).

    Example: `/etc/edged/billing.yaml`
    Mistake: `known` left out of the file: then the longest list seen so far stands in, and the guard lets little
    more than `floor` through. Write how many subscribers you have.
    """
    poll: PollSettings = PollSettings()
    """How often billing is asked, each pause ±20 %."""
    webhook: WebhookSettings | None = None
    """Where billing may say "look at this subscriber now": [webhook.md](webhook.md)."""
    guard: GuardSettings = GuardSettings()
    """What billing may change without a person; beyond it the reading is held."""
    stale: StaleSettings = StaleSettings()
    """What happens when billing has been silent for long."""
    fallback: FallbackSettings | None = None
    """Of `hub`: billing itself, asked while the hub is silent for long."""
    splynx: SplynxSettings = SplynxSettings()
    """Of `splynx` alone; see [billing-splynx.md](billing-splynx.md)."""

    @model_validator(mode="after")
    def _has_its_place(self) -> BillingSettings:
        _placed(self.source, path=self.path, url=self.url, key=self.key, secret=self.secret)
        return self

    @model_validator(mode="after")
    def _knows_its_hub(self) -> BillingSettings:
        if self.source == "hub" and not self.signed_by:
            raise wrong("signed_by: [PUBLIC KEY] beside source: hub", "an answer that nobody signed is never believed")
        if self.source != "hub" and self.signed_by:
            raise wrong("source: hub beside signed_by", "no other source signs what it answers")
        if self.source != "hub" and (self.fallback is not None or self.guard.leave_to_hub):
            what = "fallback" if self.fallback is not None else "guard.leave_to_hub"
            raise wrong(f"source: hub beside {what}", "there is no hub to fall back from, or to leave anything to")
        return self

    def alone(self) -> BillingSettings | None:
        """Billing itself as `fallback` names it, as a source of its own; None: there is none."""
        given = self.fallback
        if given is None:
            return None
        return BillingSettings(
            source=given.source, url=given.url, key=given.key, secret=given.secret, ca=given.ca, path=given.path,
            splynx=given.splynx,
        )  # fmt: skip
