# SPDX-License-Identifier: Apache-2.0
"""An SSID and its key in, the code that joins a telephone to it out: text, SVG, PNG. Pure. ISO/IEC 18004, level M.

Nothing of it is cached: it holds a key.
"""

from __future__ import annotations

import io

import segno
from markupsafe import Markup

from edged.values import Secret

QUIET_ZONE = 4
"""Modules (ISO/IEC 18004 section 9.1)."""
_SPECIAL = str.maketrans({mark: f"\\{mark}" for mark in '\\;,:"'})
"""What the notation takes for its own."""
_PNG_SCALE = 12
"""Pixels a module: about 45 mm at 300 dpi."""


def joining(ssid: str, passphrase: Secret, *, hidden: bool) -> str:
    """The text in the code. ``T:WPA`` for WPA3 too: some telephones take no other word."""
    name, key = ssid.translate(_SPECIAL), passphrase.reveal_text().translate(_SPECIAL)
    return f"WIFI:T:WPA;S:{name};P:{key};{'H:true;' if hidden else ''};"


def code(text: str) -> segno.QRCode:
    """The symbol of ``text``, in UTF-8 where it is not ASCII: what readers guess by themselves is often wrong."""
    encoding = None if text.isascii() else "utf-8"
    return segno.make_qr(text, error="m", boost_error=False, encoding=encoding)


def drawn(symbol: segno.QRCode) -> Markup:
    """Inline SVG, black on white, as large as what it stands in."""
    svg = symbol.svg_inline(
        border=QUIET_ZONE, dark="#000", light="#fff", omitsize=True, svgclass=None, lineclass=None
    )  # fmt: skip
    return Markup(svg)  # noqa: S704  # paths of numbers alone


def width(symbol: segno.QRCode, millimetres: float) -> float:
    """How wide ``drawn`` must be for the symbol alone to be ``millimetres`` wide."""
    modules = symbol.symbol_size(border=0)[0]
    return millimetres * (modules + 2 * QUIET_ZONE) / modules


def svg_file(symbol: segno.QRCode, millimetres: float = 45.0) -> bytes:
    """A document of its own, so large on paper."""
    modules = symbol.symbol_size(border=QUIET_ZONE)[0]
    out = io.BytesIO()
    symbol.save(
        out, kind="svg", border=QUIET_ZONE, dark="#000", light="#fff", unit="mm", svgversion=1.1,
        scale=round(millimetres / modules, 4),
    )  # fmt: skip
    return out.getvalue()


def png_file(symbol: segno.QRCode) -> bytes:
    """A picture for a message."""
    out = io.BytesIO()
    symbol.save(out, kind="png", border=QUIET_ZONE, scale=_PNG_SCALE)
    return out.getvalue()
