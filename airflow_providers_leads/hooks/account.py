"""Which account of a CRM something is about, so that what is kept of one is never used for another.

A connection keeps its name when another key is put into it. Checkpoints, watermarks, plans and files of leads therefore
carry the mark of the account that they are about: hashes of the key, and of the account's own id where a CRM tells it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

_DIGITS: Final = 16
_MARK: Final = re.compile(r"key:([0-9a-f]{16})(?: id:([0-9a-f]{16}))?")

# Hash of the key → hash of the account's id, for as long as the process lives; None: the CRM doesn't tell.
_IDS: Final[dict[str, str | None]] = {}


class Mark(NamedTuple):
    """The mark of an account.

    :param key: hash of the API's origin and the key
    :param id: hash of the origin and the account's id, ``None`` when it is unknown
    """

    key: str
    id: str | None = None

    def __str__(self) -> str:
        return f"key:{self.key}" + (f" id:{self.id}" if self.id else "")


def fingerprint(*parts: str) -> str:
    """Return a short hash of texts, from which nobody gets them back."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DIGITS]


def read_mark(text: str) -> Mark | None:
    """Return a mark from its text, ``None`` when it is none."""
    found = _MARK.fullmatch(text)
    return Mark(*found.groups()) if found else None


def known_id(key: str) -> tuple[bool, str | None]:
    """Tell whether the id of a key's account is known to this process, and return its hash."""
    return key in _IDS, _IDS.get(key)


def remember_id(key: str, account_id: str | None) -> None:
    """Keep the hash of the id of a key's account for this process."""
    _IDS[key] = account_id
