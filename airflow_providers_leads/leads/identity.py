"""Who is the same person: one spelling for every way in which one address is written."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import idna

# What the large majority of addresses look like once lower-cased; everything else goes through the libraries.
_PLAIN: Final = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
_DISPLAY_NAME: Final = re.compile(r"[^<>]*<([^<>]+)>")
# Invisible characters that copying from web pages leaves in addresses.
_INVISIBLE: Final = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
# Full-width forms, as East Asian keyboards type them. Not NFKC: it would also join letters that are not the same.
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MAX_LENGTH: Final = 254
_MAX_LOCAL: Final = 64


def email_key(address: str | None) -> str | None:
    """Return the one spelling of an address that identifies a person, ``None`` when there is no usable address.

    White space around it and a display name (``Ann <ann@x.de>``) are taken off, letters lower-cased and composed (NFC),
    the domain given in its ASCII form, so ``Müller@Bücher.de`` is one person however written. Plus-tags and dots are
    kept: they are distinct addresses.

    :param address: as a CRM holds it
    """
    if not address:
        return None
    plain = address.strip().lower()
    return plain if _is_plain(plain) else _library_key(address)


def _is_plain(text: str) -> bool:
    if len(text) > _MAX_LENGTH or "xn--" in text or not _PLAIN.fullmatch(text):
        return False
    return text.index("@") <= _MAX_LOCAL


@lru_cache(maxsize=65536)
def _library_key(address: str) -> str | None:
    cleaned = unicodedata.normalize("NFC", address.translate(_INVISIBLE).translate(_FULL_WIDTH).strip())
    if named := _DISPLAY_NAME.fullmatch(cleaned):
        cleaned = named.group(1).strip()
    # The same rules for an address however it was wrapped.
    if _is_plain(plain := cleaned.lower().removesuffix(".")):
        return plain
    local, _, domain = cleaned.rpartition("@")
    from email_validator import EmailNotValidError, validate_email

    try:
        ascii_domain = idna.encode(domain.lower(), uts46=True).decode("ascii").lower().removesuffix(".")
        # Syntax only, no DNS. The library refuses reserved domains such as .test, which are no business of ours, and
        # idna has checked the domain: another one stands in for it.
        checked = validate_email(f"{local}@example.org", check_deliverability=False)
    except (EmailNotValidError, idna.IDNAError, UnicodeError):
        return None
    local = unicodedata.normalize("NFC", checked.local_part.lower())
    key = f"{local}@{ascii_domain}"
    usable = "." in ascii_domain and len(local) <= _MAX_LOCAL and len(key) <= _MAX_LENGTH
    return key if usable else None


def reject_reason(address: str | None) -> str:
    """Return why an address gives no key: ``no_email`` or ``invalid_email``."""
    return "invalid_email" if address and address.strip() else "no_email"


def domain_of(key: str) -> str:
    """Return the domain of an email key."""
    return key.rpartition("@")[2]
