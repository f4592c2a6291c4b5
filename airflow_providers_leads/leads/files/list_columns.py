"""Which columns of a list hold the addresses that it is about, by the names that people and programs give them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final

from airflow_providers_leads.leads.files.list_entries import Entry, entries_in
from airflow_providers_leads.leads.model.identity import domain_of
from airflow_providers_leads.leads.model.public_domains import is_public

_MAIL: Final = frozenset((
    "email", "emails", "mail", "mails", "emailaddress", "emailaddresses", "mailaddress", "mailaddresses",
    "emailadresse", "emailadressen", "mailadresse", "mailadressen", "emailkey", "emailkeys", "emailid",
))  # fmt: skip
_DOMAIN: Final = frozenset((
    "domain", "domains", "domainname", "domainnames", "domäne", "domänen", "domaene", "domaenen",
))  # fmt: skip
# What may stand beside these words; anything else, such as "status" or "sent", makes another column of it.
_BESIDE: Final = frozenset((
    "address", "addresses", "adresse", "adressen", "key", "keys", "id", "ids", "primary", "secondary", "main",
    "work", "business", "private", "personal", "home", "office", "company", "firma", "additional", "other",
    "alternate", "alternative", "second", "third", "contact", "contacts", "kontakt", "kontakte", "lead", "leads",
    "customer", "customers", "kunde", "kunden", "user", "users", "subscriber", "subscribers", "recipient",
    "recipients", "empfänger", "person", "people", "member", "members", "hs", "the", "your", "of", "des", "der",
    "die", "ihre", "deine", "und", "and", "geschäftlich", "geschäftliche", "privat", "private", "haupt", "weitere",
    "zweite", "dritte", "alte", "alt", "old", "new", "neue", "neu", "original", "raw", "canonical", "normalized",
    "blocked", "gesperrt", "gesperrte", "suppressed", "unsubscribed", "abgemeldet", "abgemeldete", "optout",
    "value", "name", "names", "list", "liste",
))  # fmt: skip
# Columns that may hold addresses of others than those whom the list is about, or other spellings than theirs.
_OF_OTHERS: Final = frozenset((
    "owner", "agent", "rep", "by", "von", "durch", "bearbeiter", "besitzer", "sender", "absender", "from", "source",
    "quelle", "creator", "ersteller", "manager", "assigned", "assignee", "sales", "note", "notes", "notiz",
    "notizen", "comment", "comments", "kommentar", "kommentare", "bemerkung", "bemerkungen", "reason", "grund",
    "message", "nachricht", "subject", "betreff", "text", "description", "beschreibung", "suggestion", "suggested",
    "vorschlag", "mean", "corrected", "correction", "verantwortlich", "verantwortlicher", "zuständig", "reply",
))  # fmt: skip
# What a list calls its only column of entries when it doesn't say "email".
_ENTRIES: Final = frozenset((
    "address", "addresses", "adresse", "adressen", "recipient", "recipients", "empfänger", "empfaenger",
    "subscriber", "subscribers", "abonnent", "abonnenten", "kontakt", "kontakte", "contact", "contacts", "user",
    "users", "username", "login", "benutzer", "benutzername", "entry", "entries", "eintrag", "einträge", "value",
    "wert", "blocked", "gesperrt", "sperrliste", "blocklist", "blacklist", "denylist", "suppression",
    "suppressions", "suppressed", "unsubscribed", "unsubscribes", "abgemeldet", "abmeldung", "abmeldungen",
    "optout", "optouts",
))  # fmt: skip


class Role(Enum):
    """What a column holds."""

    ADDRESS = "address"
    DOMAIN = "domain"
    ENTRY = "entry"
    OF_OTHERS = "of others"
    UNKNOWN = "unknown"
    UNNAMED = "unnamed"


class ListProblemError(ValueError):
    """What keeps a list from being read; it repeats nothing that stands there.

    :ivar line: the line, from 1, where that isn't known to whoever goes through the rows
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


@lru_cache(maxsize=1024)
def role_of(name: str) -> Role:
    """Return what a column of this name holds."""
    spaced = re.sub(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])", " ", unicodedata.normalize("NFC", name))
    words = re.findall(r"[^\W_]+", re.sub(r"(?i)(?<![^\W_])(e)[\W_]+(?=mail)", r"\1", spaced).lower())
    plain = {word for word in words if not word.isdigit()}
    if plain & _OF_OTHERS:
        return Role.OF_OTHERS
    if plain & _DOMAIN:
        return Role.DOMAIN if plain <= _DOMAIN | _MAIL | _BESIDE else Role.UNKNOWN
    if plain & _MAIL:
        return Role.ADDRESS if plain <= _MAIL | _BESIDE else Role.UNKNOWN
    return Role.ENTRY if plain and plain <= _ENTRIES | {"list", "liste", "opt", "out"} else Role.UNKNOWN


def roles_of(names: Sequence[str]) -> list[Role] | None:
    """Return what the columns of a table hold, ``None`` when none of them holds entries."""
    roles = [role_of(name) for name in names]
    if Role.ADDRESS in roles or Role.DOMAIN in roles:
        return [Role.UNKNOWN if role is Role.ENTRY else role for role in roles]
    return roles if roles.count(Role.ENTRY) == 1 else None


def row_entries(cells: Iterable[tuple[Role, str]]) -> list[Entry]:
    """Return what a row names.

    A domain beside an address says more about the address; only where no address stands does it name the domain.

    :param cells: what the column of each cell holds, and its text
    :raises ListProblemError: when something in the row could name somebody and can't be read, or nothing does
    """
    found: list[Entry] = []
    domains: list[str] = []
    strangers: list[tuple[int, str]] = []
    beside_addresses = unnamed = False
    for place, (role, cell) in enumerate(cells, start=1):
        beside_addresses = beside_addresses or role is Role.ADDRESS
        if role is not Role.ADDRESS and "\n" in cell.strip():
            _check_lines(cell)
        if not cell.strip() or role is Role.OF_OTHERS:
            continue
        if role is Role.DOMAIN:
            domains.append(cell)
        elif role in (Role.ADDRESS, Role.ENTRY) or (role is Role.UNNAMED and "@" in cell):
            found += _read(cell)
        elif role is Role.UNNAMED:
            unnamed = True
            domains.append(cell)
        elif "@" in cell:
            strangers += [(place, entry.key) for entry in entries_in(cell) or ()]
    known = {entry.key for entry in found}
    if column := next((place for place, key in strangers if key not in known), None):
        raise ListProblemError(
            f"column {column} holds an address too, and its name doesn't say whose. Call it email, or remove it"
        )
    if found:
        if unnamed:
            _check_domains(domains, known | {domain_of(key) for key in known if "@" in key})
        return found
    if unnamed and len(domains) > 1:
        # Words of a row without names are domains easily.
        raise ListProblemError("neither an address nor a domain")
    for cell in domains:
        found += _read(cell)
    if beside_addresses and any(is_public(entry.key) for entry in found if entry.is_domain):
        raise ListProblemError("no address, and the domain of a mail provider, where half the world has its address")
    if not found:
        raise ListProblemError("neither an address nor a domain")
    return found


def _read(cell: str) -> list[Entry]:
    found = entries_in(cell)
    if found is None:
        raise ListProblemError("neither an address nor a domain")
    return found


def _check_domains(cells: Iterable[str], known: set[str]) -> None:
    """Refuse a domain beside an address where no names of columns tell which of the two is meant."""
    for cell in cells:
        if any(entry.key not in known for entry in entries_in(cell) or ()):
            raise ListProblemError("a domain beside an address, in columns without names: call them email and domain")


def _check_lines(cell: str) -> None:
    """Refuse a cell of several lines that may have swallowed entries, because a quotation mark was left open."""
    _, *further = cell.splitlines()
    if any("@" in line or any(map(entries_in, re.split(r"[,;\t|]", line))) for line in further):
        raise ListProblemError("a quotation mark is left open, or a cell of several lines holds further entries")
