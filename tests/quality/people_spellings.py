"""The ways in which one address or one phone number is written, and addresses that only look alike."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from typing import Final

import idna

Address = tuple[str, str]
"""Local part and domain, both lower case, composed and in Unicode."""

Spelling = Callable[[str, str, random.Random], str]


def _mixed_case(local: str, domain: str, rng: random.Random) -> str:
    # Letters whose capital is another word (ß → SS) keep their case, as keyboards do it.
    return "".join(
        char.upper() if rng.random() < 0.5 and char.upper().lower() == char else char for char in f"{local}@{domain}"
    )


def _full_width(local: str, domain: str, _: random.Random) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in f"{local}@{domain}")


SPELLINGS: Final[dict[str, Spelling]] = {
    "plain": lambda local, domain, _: f"{local}@{domain}",
    "case": _mixed_case,
    "spaces": lambda local, domain, rng: f"{' ' * rng.randint(1, 3)}{local}@{domain}\t",
    "no_break_space": lambda local, domain, _: f"\u00a0{local}@{domain}\u00a0",
    "zero_width": lambda local, domain, _: f"\ufeff{local}\u200b@{domain}",
    "full_width": _full_width,
    "decomposed": lambda local, domain, _: unicodedata.normalize("NFD", f"{local}@{domain}"),
    "punycode": lambda local, domain, _: f"{local}@{ascii_domain(domain)}",
    "display_name": lambda local, domain, _: f'"Lead, {local.title()}" <{local}@{domain}>',
    "trailing_dot": lambda local, domain, _: f"{local}@{domain}.",
}
"""Name → spelling of ``local@domain``; each is the same address."""

LOOKALIKES: Final[dict[str, Callable[[str], tuple[Address, Address]]]] = {
    "plus_tag": lambda local: ((local, "example.org"), (f"{local}+news", "example.org")),
    "dot": lambda local: ((local, "gmail.com"), (f"{local[0]}.{local[1:]}", "gmail.com")),
    "subdomain": lambda local: ((local, "example.org"), (local, "mail.example.org")),
    "other_top_level": lambda local: ((local, "firma.example"), (local, "firma.test")),
    "cyrillic": lambda local: ((f"a{local}", "example.org"), (f"а{local}", "example.org")),
    "accent": lambda local: ((f"a{local}", "example.org"), (f"á{local}", "example.org")),
    "sharp_s": lambda local: ((f"{local}ß", "example.org"), (f"{local}ss", "example.org")),
    "sharp_s_domain": lambda local: ((local, "weiß-gmbh.de"), (local, "weiss-gmbh.de")),
    "ligature": lambda local: ((f"ﬁ{local}", "example.org"), (f"fi{local}", "example.org")),
}
"""Name → two strangers' addresses, made of one local part, which only look alike."""

_TYPOS: Final[tuple[Callable[[str], str], ...]] = (
    lambda domain: domain.replace(".", "", 1) + ".co",
    lambda domain: domain[1] + domain[0] + domain[2:],
    lambda domain: domain[0] + domain,
    lambda domain: domain.rpartition(".")[0] + ".dee",
)

PHONE_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    lambda national: f"+49{national}",
    lambda national: f"+49 {national[:3]} {national[3:]}",
    lambda national: f"0049 {national}",
    lambda national: f"0{national[:3]}/{national[3:6]} {national[6:]}",
    lambda national: f"(0{national[:3]}) {national[3:]}",
    lambda national: f"+49 (0) {national[:3]}-{national[3:]}",
)
"""Spellings of a German number, given without its trunk zero."""


def ascii_domain(domain: str) -> str:
    """Return a lower-case Unicode domain as the DNS has it."""
    return idna.encode(domain).decode("ascii")


def canonical(local: str, domain: str) -> str:
    """Return the key that an address must get, from the parts that it was made of."""
    return f"{unicodedata.normalize('NFC', local)}@{ascii_domain(domain)}"


def mistyped(domain: str, rng: random.Random) -> str:
    """Return a domain with a slip of the finger in it, which no rule can undo."""
    return rng.choice(_TYPOS)(domain)
