"""Who is the same person: one spelling for every way in which one address is written."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import idna
import msgspec

if TYPE_CHECKING:
    import ibis

PLAIN_ADDRESS: Final = (
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
)
"""What the large majority of addresses look like once lower-cased, as Python and RE2 write it; everything else goes
through the libraries."""
_PLAIN: Final = re.compile(PLAIN_ADDRESS)
_DISPLAY_NAME: Final = re.compile(r"[^<>]*<([^<>]+)>")
# Invisible characters that copying from web pages and mail programs leaves in addresses: marks of direction and width,
# joiners, variation selectors and tags. What controls a terminal is no part of an address.
_INVISIBLE: Final = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
# Turkish writes i with its dot in capitals too; lower-cased letter by letter the dot would be left over.
_DOTTED: Final = re.compile("\u0130|[iI]\u0307")
# Full-width forms, as East Asian keyboards type them. Not NFKC: it would also join letters that are not the same.
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MAX_LENGTH: Final = 254
_MAX_LOCAL: Final = 64

# One provider under two names, which gives the dots of a local part no meaning.
_GMAIL: Final = ("gmail.com", "googlemail.com")
# The patterns of the opt-in rules run in Python and in every engine alike: no backslash, which SQL dialects escape
# differently, and no reference to a group. They meet email keys only, so there is one "@" and no line break.
_TAGGED: Final = "^[^+]*[^+.][+]"
_TAG: Final = "[+].*@"
_DOMAIN: Final = "@.*"
_ANY_TAG: Final = "([+][^@]*)?@"

DEFAULT_ROLE_ADDRESSES: Final = (
    "abuse", "accounting", "accounts", "admin", "administrator", "anfrage", "anfragen", "bestellung", "billing",
    "buchhaltung", "buero", "büro", "careers", "company", "contact", "customerservice", "datenschutz", "do-not-reply",
    "donotreply", "dummy", "einkauf", "empfang", "enquiries", "event", "events", "example", "feedback", "finance",
    "firma", "hallo", "hello", "help", "helpdesk", "hi", "hostmaster", "hr", "info", "information", "inquiries",
    "invoice", "invoices", "it", "jobs", "karriere", "keine", "keine-email", "keineemail", "kontakt", "kundenservice",
    "legal", "mail", "mailer-daemon", "marketing", "n.a", "news", "newsletter", "no-email", "no-reply",
    "no.reply", "no_reply", "noemail", "nomail", "none", "noreply", "null", "office", "orders", "personal",
    "platzhalter", "post", "poststelle", "postmaster", "praxis", "press", "presse", "privacy", "rechnung", "rechnungen",
    "reception", "redaktion", "root", "sales", "security", "sekretariat", "service", "shop", "spam", "support", "team",
    "termin", "termine", "test", "tester", "testing", "unbekannt", "unknown", "verkauf", "vertrieb", "verwaltung",
    "webmaster", "welcome", "werbung", "zentrale",
)  # fmt: skip
"""Local parts of shared mailboxes and of placeholders, English and German."""


class RulesError(ValueError):
    """A rule can't be used; the message names the entry.

    :ivar path: where the entry stands: names and positions, outermost first
    """

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


class IdentityRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as one person beyond one address; every rule but the role addresses is off until asked for.

    :param plus_tags: ``ann+news@x.de`` is ``ann@x.de``; default false
    :param gmail_dots: at Gmail ``a.nn@googlemail.com`` is ``ann@gmail.com``; default false
    :param domain_aliases: your own domains: domain → the domain that stands for it; default none
    :param role_addresses: local parts (``info``) or whole addresses (``sales@x.de``) that belong to nobody in
        particular, with any plus-tag; replaces :data:`DEFAULT_ROLE_ADDRESSES`
    :param match_on: keys that make two records one person: ``email``, and ``phone`` if you like
    :param phone_region: country of phone numbers written without a country code, ISO 3166 alpha-2 such as ``DE``;
        default none: such numbers join nobody
    :param max_emails_per_phone: a phone that more addresses than these share is a switchboard and joins nobody;
        default 3
    :raises RulesError: naming the entry that is wrong
    """

    plus_tags: bool = False
    gmail_dots: bool = False
    domain_aliases: dict[str, str] = {}
    role_addresses: tuple[str, ...] = DEFAULT_ROLE_ADDRESSES
    match_on: tuple[Literal["email", "phone"], ...] = ("email",)
    phone_region: str | None = None
    max_emails_per_phone: int = 3

    @property
    def spells(self) -> bool:
        """True when one person's address may be spelled in several ways."""
        return self.plus_tags or self.gmail_dots or bool(self.domain_aliases)

    @property
    def joins(self) -> bool:
        """True when addresses that differ may be one person."""
        return self.spells or "phone" in self.match_on

    def __post_init__(self) -> None:
        aliases, roles = _checked_aliases(self.domain_aliases, self.gmail_dots), _checked_roles(self.role_addresses)
        msgspec.structs.force_setattr(self, "domain_aliases", aliases)
        msgspec.structs.force_setattr(self, "role_addresses", roles)
        if self.phone_region is not None:
            msgspec.structs.force_setattr(self, "phone_region", _checked_region(self.phone_region))
        for place, name in enumerate(self.match_on):
            if name not in ("email", "phone") or name in self.match_on[:place]:
                raise RulesError(f"match_on: {name!r} is unknown or listed twice", "match_on", place)
        if "email" not in self.match_on:
            raise RulesError("match_on: 'email' is missing; a golden record has an address", "match_on")
        if self.max_emails_per_phone < 1:
            raise RulesError("max_emails_per_phone: must be 1 or more", "max_emails_per_phone")


def _checked_aliases(aliases: dict[str, str], gmail_dots: bool) -> dict[str, str]:
    checked: dict[str, str] = {}
    written: dict[str, str] = {}
    for alias, target in aliases.items():
        where = ("domain_aliases", alias)
        pair = [_domain_key(domain) for domain in (alias, target)]
        for domain, key in zip((alias, target), pair, strict=True):
            if key is None:
                raise RulesError(f"domain_aliases: {domain!r} is no domain", *where)
            if gmail_dots and key in _GMAIL:
                raise RulesError(f"domain_aliases: {domain!r} is what gmail_dots takes care of", *where)
        one, other = map(str, pair)
        if one in checked:
            raise RulesError(f"domain_aliases: {alias!r} and {written[one]!r} are the same domain", *where)
        checked[one], written[one] = other, alias
    for one, other in checked.items():
        if other in checked:
            raise RulesError(
                f"domain_aliases: {written[one]!r} stands for {other!r}, which has an alias of its own; "
                "name the last domain directly",
                "domain_aliases",
                written[one],
            )
    return checked


def _domain_key(domain: str) -> str | None:
    key = email_key(f"a@{domain.strip()}")
    return domain_of(key) if key and key.startswith("a@") else None


def _checked_roles(roles: Iterable[str]) -> tuple[str, ...]:
    if roles is DEFAULT_ROLE_ADDRESSES:
        return DEFAULT_ROLE_ADDRESSES
    checked = []
    for place, role in enumerate(roles):
        key = email_key(role if "@" in role else f"{role.strip()}@example.org")
        # A caret can't be escaped without a backslash; a tag would never be compared.
        if key is None or "^" in key or "+" in key:
            raise RulesError(
                f"role_addresses: {role!r} is neither a local part such as 'info' nor an address",
                "role_addresses",
                place,
            )
        checked.append(key if "@" in role else key.rpartition("@")[0])
    return tuple(checked)


def _checked_region(region: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS

    if (code := region.strip().upper()) not in SUPPORTED_REGIONS:
        raise RulesError(f"phone_region: {region!r} is no ISO 3166 alpha-2 code such as 'DE'", "phone_region")
    return code


def email_key(address: str | None) -> str | None:
    """Return the one spelling of an address that identifies a person, ``None`` when there is no usable address.

    White space around it, invisible marks and a display name (``Ann <ann@x.de>``) are taken off, letters lower-cased
    and composed (NFC), the domain given in its ASCII form, so ``Müller@Bücher.de`` is one person however written.
    Plus-tags and dots are kept: they are distinct addresses.

    :param address: as a CRM holds it
    """
    if not address:
        return None
    plain = address.strip().lower()
    return plain if _is_plain(plain) else _library_key(address)


def as_seen(text: str) -> str:
    """Return a text without the characters that nobody sees, and full-width forms as the usual ones."""
    return _INVISIBLE.sub("", text).translate(_FULL_WIDTH)


def _is_plain(text: str) -> bool:
    if len(text) > _MAX_LENGTH or "xn--" in text or not _PLAIN.fullmatch(text):
        return False
    return text.index("@") <= _MAX_LOCAL


@lru_cache(maxsize=65536)
def _library_key(address: str) -> str | None:
    cleaned = unicodedata.normalize("NFC", as_seen(address).strip())
    cleaned = _DOTTED.sub("i", cleaned)
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


def spellings(key: str, address: str) -> list[str]:
    """Return the spellings in which a CRM may hold an address: as given, its key, and with an unencoded domain.

    :param key: the email key
    :param address: the address as given
    """
    local, _, domain = key.rpartition("@")
    try:
        plain = f"{local}@{idna.decode(domain)}" if "xn--" in domain else key
    except idna.IDNAError:
        plain = key
    return list(dict.fromkeys((address, key, plain)))


def person_hash(key: str) -> str:
    """Return what stands for a person in files that must hold no address.

    It is a pseudonym, not anonymous: whoever has the address can compute it too, and guess it from a list.

    :param key: an email key
    :return: the first 32 hex digits of its SHA-256
    """
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def person_key(key: str, rules: IdentityRules) -> str:
    """Return the key that all addresses of one person share under the rules; the key itself when no rule applies.

    The result is for comparing: mail goes to the address that the CRM holds.

    :param key: an email key
    :param rules: which addresses are one
    """
    local, _, domain = key.rpartition("@")
    if rules.gmail_dots and domain in _GMAIL:
        local, domain = local.replace(".", ""), _GMAIL[0]
    if rules.plus_tags:
        untagged = local.partition("+")[0]
        # What is left must still be an address: "+a" and "+b" are two people.
        local = untagged if untagged and not untagged.endswith(".") else local
    return f"{local}@{rules.domain_aliases.get(domain, domain)}"


def person_key_expr(column: Any, rules: IdentityRules) -> ibis.Value:
    """Return :func:`person_key` as an Ibis expression that every engine can run; null stays null.

    :param column: Ibis column of email keys
    :param rules: which addresses are one
    """
    import ibis

    key = column
    if rules.gmail_dots:
        at_gmail = key.endswith(f"@{_GMAIL[0]}") | key.endswith(f"@{_GMAIL[1]}")
        key = at_gmail.ifelse(key.re_replace(_DOMAIN, "").replace(".", "") + f"@{_GMAIL[0]}", key)
    if rules.plus_tags:
        key = key.re_search(_TAGGED).ifelse(key.re_replace(_TAG, "@"), key)
    if rules.domain_aliases:
        moved = [
            (key.endswith(f"@{one}"), key.re_replace(_DOMAIN, f"@{to}")) for one, to in rules.domain_aliases.items()
        ]
        key = ibis.cases(*moved, else_=key)
    return key


def is_role_address(key: str, rules: IdentityRules) -> bool:
    """Tell whether an address is a shared mailbox or a placeholder, which says nothing about who the person is.

    :param key: an email key or a person key
    :param rules: their ``role_addresses`` count
    """
    pattern = _role_pattern(rules.role_addresses)
    return bool(pattern and re.search(pattern, key))


def is_role_expr(column: Any, rules: IdentityRules) -> ibis.Value:
    """Return :func:`is_role_address` as an Ibis expression that every engine can run; false for null.

    :param column: Ibis column of email keys or person keys
    :param rules: their ``role_addresses`` count
    """
    import ibis

    pattern = _role_pattern(rules.role_addresses)
    return column.re_search(pattern).fill_null(False) if pattern else ibis.literal(False)


@lru_cache(maxsize=64)
def _role_pattern(roles: tuple[str, ...]) -> str | None:
    def escaped(words: str) -> str:
        return re.sub(r"[.*?$|{}()]", r"[\g<0>]", words)

    locals_only = [escaped(role) for role in roles if "@" not in role]
    whole = [
        f"{escaped(local)}{_ANY_TAG}{escaped(domain)}$"
        for local, _, domain in (role.rpartition("@") for role in roles if "@" in role)
    ]
    choices = ([f"({'|'.join(locals_only)}){_ANY_TAG}"] if locals_only else []) + whole
    return f"^({'|'.join(choices)})" if choices else None
