"""One cell of a list of addresses: the addresses and domains that people mean by what they write there."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from airflow_providers_leads.leads.model.identity import as_seen, domain_of, email_key

# What needs no second look: the large majority of a long list.
_USUAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9.-]+")
_QUOTES: Final = "\"'`´‘’‚‛“”„‟«»‹›"
_PREFIX: Final = re.compile(r"(mailto|smtp|e-?mail|mail)\s*:\s*", re.IGNORECASE)
_LINK: Final = re.compile(r"=?\s*HYPERLINK\((.*)\)", re.IGNORECASE | re.DOTALL)
_NAMED: Final = re.compile(r"([^<>]*)<([^<>]+)>[^<>@]*")
_REMARK: Final = re.compile(r"([^\s()]+)\s*\([^()@]*\)")
# Everybody at a domain, as globs, SQL and regular expressions have it.
_EVERYBODY: Final = re.compile(r"(?:[*?%]+|\.[*+]|\[\^@\][*+])?@([^@]+)")
_PATTERN: Final = re.compile(r"[*?%]")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LINES: Final = "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029;|"
# In this order: a comma may stand within a name.
_BETWEEN: Final = tuple(re.compile(f"[{chars}]+") for chars in (_LINES, f"{_LINES},", r"\s,;|"))

_WORDS: Final = re.compile(rf"[\s,;:|/()<>\[\]{{}}{re.escape(_QUOTES)}]+")
_AT: Final = re.compile(r"@{2,}|\s*[(\[{]\s*at\s*[)\]}]\s*", re.IGNORECASE)


class Entry(NamedTuple):
    """An address or a domain that a list names.

    :param written: as it was written, without what wraps it
    :param key: the email key, or the domain in its ASCII form
    :param is_domain: true for a domain, with everybody who has an address there; not with its subdomains
    """

    written: str
    key: str
    is_domain: bool = False


def entries_in(cell: str) -> list[Entry] | None:
    """Return what a cell names: one address or domain, or several addresses; ``None`` when it isn't just that.

    Quotes, the ``'`` and ``=`` of spreadsheets, ``mailto:``, names beside the address and remarks in brackets are taken
    off. ``*@x.de``, ``?@x.de`` and ``@x.de`` are the domain; any other pattern is no entry.

    :param cell: as it was written
    :return: empty for an empty cell
    """
    if _USUAL.fullmatch(text := cell.strip()) and (key := email_key(text)):
        return [Entry(text, key)]
    if not (text := as_seen(cell).strip()):
        return []
    if (entry := _entry(text)) is not None:
        return [entry]
    if link := _LINK.fullmatch(text):
        found = [_entry(label) for label in re.findall(r'"([^"]*)"', link[1]) if "@" in label]
        return list(dict.fromkeys(e for e in found if e)) if found and all(found) else None
    for between in _BETWEEN:
        # Words are domains easily, so several in one cell must say that they are addresses.
        pieces = [piece for piece in between.split(text) if piece.strip(_QUOTES + " ")]
        named = [_entry(piece) if "@" in piece else None for piece in pieces]
        if len(pieces) > 1 and all(named):
            return [entry for entry in named if entry]
    return None


def addresses_within(text: str) -> set[str]:
    """Return the email keys of all addresses that a text may mean, where it is no usable address itself.

    For who objected, of whom it is better to spare one too many: several in one field, words around them, white space
    within, a comma for a dot, ``@@`` and ``(at)``.

    :param text: as it was written
    """
    named = {entry.key for entry in entries_in(text) or () if not entry.is_domain}
    seen = _AT.sub("@", as_seen(text))
    joined = "".join(seen.split())
    words = [*_WORDS.split(seen), joined, joined.replace(",", ".")]
    return named | {key for word in words if "@" in word and (key := email_key(word.strip(".-")))}


def domain_in(text: str) -> str | None:
    """Return the domain that a text names (``x.de``, ``@x.de``, ``*@x.de``, ``https://www.x.de/``) in ASCII."""
    entry = _entry(as_seen(text).strip())
    return entry.key if entry and entry.is_domain else None


def _entry(text: str) -> Entry | None:
    text = _unwrapped(text)
    if everybody := _EVERYBODY.fullmatch(text):
        return _domain(everybody[1])
    if "@" not in text:
        return _domain(text)
    if named := _NAMED.fullmatch(text):
        name, inner = named.groups()
        entry = _entry(inner)
        # Before the brackets another address may stand: a second entry, unless it is the same.
        return entry if "@" not in name or _entry(name) == entry else None
    if remark := _REMARK.fullmatch(text):
        return _entry(remark[1])
    key = None if _PATTERN.search(text.rpartition("@")[0]) else email_key(text)
    return Entry(text, key) if key else None


def _unwrapped(text: str) -> str:
    before = None
    while text != before:
        before, text = text, text.strip().strip(_QUOTES).removeprefix("=").rstrip(",;").strip()
        if prefix := _PREFIX.match(text):
            text = text[prefix.end() :].partition("?")[0]
            text = unquote(text) if prefix[1].lower() == "mailto" else text
    return text


def _domain(text: str) -> Entry | None:
    host = _SCHEME.sub("", text).partition("/")[0].strip().removeprefix("@")
    host = host[4:] if host.lower().startswith("www.") and host.count(".") > 1 else host
    key = email_key(f"a@{host}")
    if key is None or not key.startswith("a@") or _PATTERN.search(host):
        return None
    domain = domain_of(key)
    # Numbers and dates have dots too.
    return Entry(text, domain, is_domain=True) if not domain.rpartition(".")[2].isdigit() else None
