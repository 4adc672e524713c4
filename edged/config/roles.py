# SPDX-License-Identifier: Apache-2.0
"""A configuration in, whether it is that of a hub alone out, or a ConfigError that says why it is not. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from edged.config.document import Location, dotted
from edged.config.finding import placed
from edged.config.loading import Loaded
from edged.config.schema import Config
from edged.errors import ConfigError, Problem

_EXAMPLE = 'hub: {listen: "127.0.0.1:9443", keys: [!file /etc/edged/secrets/hub]}'


def is_hub_alone(config: Config) -> bool:
    """True of a hub that serves no subscriber itself."""
    return config.hub is not None and not any(_others(config))


def refuse_others(loaded: Loaded) -> None:
    """ConfigError unless ``loaded`` makes a hub, and nothing that subscribers meet; names every key that does."""
    config, document = loaded.config, loaded.document
    if config.hub is None:
        problem = Problem("hub", "nothing", "where other edges ask, and the keys that let them in", _EXAMPLE)
        raise ConfigError([problem], document.path, document.lines)
    found = [
        placed(
            Problem(dotted(where), what, "none: a hub alone serves no subscriber", "edged run does both"),
            where,
            document,
        )
        for where, what in _others(config)
    ]
    if found:
        raise ConfigError(found, document.path, document.lines)


def _others(config: Config) -> Iterator[tuple[Location, str]]:
    """What makes an edge of this one, too."""
    if config.dns.listen:
        yield ("dns", "listen"), "a resolver for subscribers"
    if config.portal.url is not None:
        yield ("portal", "url"), "a page for subscribers"
    for name in ("auth", "acct", "tls"):
        if getattr(config.radius, name):
            yield ("radius", name), "a RADIUS server"
    if config.mpsk.networks:
        yield ("mpsk", "networks"), "Wi-Fi networks"
    if config.enforce:
        yield ("enforce",), "targets that block"
