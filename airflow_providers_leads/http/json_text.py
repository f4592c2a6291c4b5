"""JSON as servers and people write it: text that is no text costs its own place, not the whole page.

Half a surrogate pair (an emoji that was cut in two) or a byte that is no UTF-8 makes a JSON text unreadable as a whole.
Where a first reading fails, each is replaced by U+FFFD, as browsers do, and the text is read once more.

A NUL character is left out, in what is read and in what is sent: no person has written it, databases behind an API
refuse the whole request for it, and so do those that rows are loaded into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON may raise: no JSON, no UTF-8, too deep."""
# Escapes one after the other, so that an escaped backslash before a "u" is not taken for the begin of one.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_NUL: Final = re.compile(rb"\\(?:(u0000)|.)", re.DOTALL)


def without_nul(raw: bytes) -> bytes:
    """Return a JSON text without NUL characters, which stand in one as escapes only."""
    # Most texts have no escape at all, and looking for one byte is the faster by far.
    if b"\\" not in raw or b"\\u0000" not in raw:
        return raw
    return _NUL.sub(lambda escape: b"" if escape[1] else escape[0], raw)


def mend(raw: bytes) -> bytes:
    """Return a JSON text with U+FFFD in the place of what is no text; the same bytes where there is nothing such.

    :param raw: JSON in UTF-8, more or less
    """
    try:
        raw.decode()
    except UnicodeDecodeError:
        raw = raw.decode(errors="replace").encode()
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], raw)


def decode(raw: bytes, decoder: Callable[[bytes], T] = msgspec.json.decode) -> T:
    """Return what a decoder makes of a JSON text, mended where that is needed.

    :param raw: JSON
    :param decoder: such as a typed decoder's method; default any JSON
    :raises msgspec.DecodeError, UnicodeDecodeError, RecursionError: when it can't be read all the same
    """
    raw = without_nul(raw)
    try:
        return decoder(raw)
    except UNREADABLE:
        mended = mend(raw)
        if mended == raw:
            raise
        return decoder(mended)


def encode(value: Any) -> bytes:
    """Return a value as JSON, with U+FFFD in the place of half surrogate pairs, and without NUL characters."""
    try:
        return without_nul(msgspec.json.encode(value))
    except UnicodeEncodeError:
        return without_nul(msgspec.json.encode(readable(value)))


def readable(value: Any) -> Any:
    """Return a value whose texts can be sent: halves of surrogate pairs are joined, or replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {readable(name): readable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(each) for each in value]
    return value
