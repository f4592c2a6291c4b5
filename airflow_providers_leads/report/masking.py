"""Personal data such that nobody is known by it."""

from __future__ import annotations

import re
from typing import Final

# What looks like an address, also with the letters of other scripts; before the @ quotes are letters like others.
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:]+@[^\s@<>()\[\],;:\"']+")


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
