"""Personal data such that nobody is known by it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# What looks like an address, also with the letters of other scripts; before the @ quotes are letters like others.
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:]+@[^\s@<>()\[\],;:\"']+")
# What turns the direction of the text around it, or hides it; what joins the letters of a script stays.
_TURNING: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff\u00ad"
)
_CONTROLS: Final = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")


def mask_address(address: str) -> str:
    """Return an address by its first character and the last part of its domain."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@….{domain.rpartition('.')[2]}"


def mask_value(value: str) -> str:
    """Return a name, number or other value by its first character and its length."""
    return f"{value[:1]}… ({len(value)})" if value else ""


def mask_addresses(words: str) -> str:
    """Return a text in which every address is masked; a vendor's reason should hold none, but it is not ours."""
    return _ADDRESS.sub(lambda found: mask_address(found[0]), words)


def visible(text: str, most: int | None = None) -> str:
    """Return a text in which what nobody sees, or what turns its direction, is a replacement character.

    :param text: anything
    :param most: letters to keep, default all
    """
    cut = text if most is None or len(text) <= most else f"{text[:most]}…"
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if char in _TURNING or unicodedata.category(char) in _CONTROLS else char
        for char in cut
    )
