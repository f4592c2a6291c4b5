"""What stands for values in a memory: keyed hashes, the same from Python and from SQL.

Forty bits of an MD5 of key, name and value: all that is asked is whether a value is still the one that was seen. White
space is folded first, because CRMs fold it when they store. Of what a sync has written there is a hash of its form as
well, until the CRM's own form of it has been seen.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime
from typing import Any, Final

# What Python's str.split() takes for white space, spelled out because RE2's \s knows ASCII only.
_SPACES: Final = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PYTHON_SPACES: Final = re.compile(f"[{_SPACES}]+")
_SQL_SPACES: Final = "".join(char if char == "-" else f"\\x{{{ord(char):x}}}" for char in _SPACES)
# Words that are as they were when folded.
_PLAIN: Final = "[!-~]+( [!-~]+)*"
_SHIFT: Final = 24
_FORM_SHIFT: Final = 40
_WEB: Final = r"^ *https?://(www\.)?"
_DECIMAL: Final = r"-?[0-9]+\.[0-9]+"
_ZEROS: Final = r"\.?0+$"
_NEGATIVE: Final = "-[0-9]+"
ADDRESS: Final = "email_key"
"""Name under which addresses are hashed."""


def folded(value: str) -> str:
    """Return a value with its white space folded."""
    return _PYTHON_SPACES.sub(" ", value).strip(" ")


def keyed(key: str, name: str, value: str | None) -> int | None:
    """Return what stands for a value, ``None`` for an absent one.

    :param key: the memory's key, hexadecimal
    :param name: of the field
    :param value: as the CRM holds it
    """
    text = folded(value) if value else ""
    if not text:
        return None
    digest = hashlib.md5(f"{key}{name}\x1f{text}".encode("utf-8", "replace"), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") >> _SHIFT


def keyed_sql(key: str, name: str, expression: str) -> str:
    """Return the SQL that computes :func:`keyed` of a text expression in DuckDB."""
    prefix = quoted(f"{key}{name}\x1f")
    text = f"trim(regexp_replace({expression}, '[{_SQL_SPACES}]+', ' ', 'g'), ' ')"
    # To see that nothing is to be folded takes a fifth of folding.
    text = f"CASE WHEN regexp_full_match({expression}, '{_PLAIN}') THEN {expression} ELSE {text} END"
    return f"(md5_number_lower({prefix} || nullif({text}, '')) >> {_SHIFT})::BIGINT"


def form_of(value: str) -> str:
    """Return what a CRM leaves of a value when it stores it in a form of its own.

    Letters and digits in any case: a phone number in other groups, an address of a page without its scheme, the same
    options in another order. Of a number the sign and the point are no mere form.

    :param value: as it was written, or as the CRM holds it
    """
    text = re.sub(_WEB, "", "".join(char.lower() for char in value)).strip(" ")
    if re.fullmatch(_DECIMAL, text):
        return re.sub(_ZEROS, "", text)
    if re.fullmatch(_NEGATIVE, text):
        return text
    parts = ("".join(char for char in part if unicodedata.category(char)[0] in "LN") for part in text.split(";"))
    return ";".join(sorted({part for part in parts if part}))


def keyed_form(key: str, name: str, value: str | None) -> int:
    """Return what stands for the form of a value that a sync wrote; 0 where it has none.

    :param key: the memory's key, hexadecimal
    :param name: of the field
    :param value: what was written
    """
    form = form_of(value) if value else ""
    if not form:
        return 0
    digest = hashlib.md5(f"{key}{name}\x1e{form}".encode("utf-8", "replace"), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") >> _FORM_SHIFT


def keyed_form_sql(key: str, name: str, expression: str) -> str:
    """Return the SQL that computes :func:`keyed_form` of a text expression in DuckDB."""
    # Each step stands in the text of the next several times. As arguments of functions they are written once: spelled
    # out, DuckDB took longer to read the query than to hash a hundred thousand values.
    text = f"trim(CASE WHEN contains(low, '://') THEN regexp_replace(low, '{_WEB}', '') ELSE low END, ' ')"
    kept = "regexp_replace(text, '[^\\p{L}\\p{N};]+', '', 'g')"
    options = f"array_to_string(list_sort(list_distinct(regexp_extract_all({kept}, '[^;]+'))), ';')"
    form = (
        f"CASE WHEN contains(text, '.') AND regexp_full_match(text, '{_DECIMAL}') "
        f"THEN regexp_replace(text, '{_ZEROS}', '') "
        f"WHEN starts_with(text, '-') AND regexp_full_match(text, '{_NEGATIVE}') THEN text "
        f"WHEN contains(text, ';') THEN {options} ELSE {kept} END"
    )
    steps = f"list_transform(list_transform([lower({expression})], low -> {text}), text -> {form})[1]"
    prefix = quoted(f"{key}{name}\x1e")
    return f"coalesce((md5_number_lower({prefix} || nullif({steps}, '')) >> {_FORM_SHIFT})::BIGINT, 0)"


def digest_sql(key: str, expressions: list[str]) -> str:
    """Return the SQL of a number that tells at once whether anything in a row may have changed.

    DuckDB's own hash is thirty times faster than MD5, and another one in another version: see :func:`digest_probe`.
    """
    texts = ", ".join(f"coalesce({each}, '')" for each in expressions)
    return f"hash(concat_ws('\x1f', {quoted(key)}, {texts}))"


def digest_probe(con: Any) -> str:
    """Return a text that is another one where :func:`digest_sql` gives other numbers.

    :param con: to DuckDB
    """
    return str(con.sql("SELECT hash('leads memory')").fetchall()[0][0])


def quoted(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def time_sql(at: datetime | None) -> str:
    """Return an aware time as a SQL literal, ``None`` as a null of its type."""
    return f"{quoted(at.isoformat()) if at else 'NULL'}::TIMESTAMPTZ"
