"""What stands for values in a memory: keyed hashes, the same from Python and from SQL.

Forty bits of an MD5 of key, name and value: all that is asked is whether a value is still the one that was seen. White
space is folded first, because CRMs fold it when they store.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

# What Python's str.split() takes for white space, spelled out because RE2's \s knows ASCII only.
_SPACES: Final = "\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_PYTHON_SPACES: Final = re.compile(f"[{_SPACES}]+")
_SQL_SPACES: Final = "".join(char if char == "-" else f"\\x{{{ord(char):x}}}" for char in _SPACES)
# Words that are as they were when folded.
_PLAIN: Final = "[!-~]+( [!-~]+)*"
_SHIFT: Final = 24
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
    return f"CASE WHEN {text} <> '' THEN (md5_number_lower({prefix} || {text}) >> {_SHIFT})::BIGINT END"


def digest_sql(key: str, expressions: list[str]) -> str:
    """Return the SQL of a number that tells at once whether anything in a row may have changed.

    DuckDB's own hash is thirty times faster than MD5, and another one in another version: see :func:`digest_probe`.
    """
    texts = ", ".join(f"coalesce({each}, '')" for each in expressions)
    return f"hash(concat_ws('\x1f', {quoted(key)}, {texts}))"


def digest_probe() -> str:
    """Return the SQL of a text that is another one where :func:`digest_sql` would give other numbers."""
    return "hash('leads memory')::VARCHAR"


def quoted(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"
