"""Who must not be written: a user's own lists of addresses and domains, and the domains that a CRM never contacts."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any, Final

import pyarrow as pa

from airflow_providers_leads.leads.files.address_lists import AddressListError, is_list_uri, read_list
from airflow_providers_leads.leads.files.list_entries import Entry, domain_in, entries_in
from airflow_providers_leads.leads.model.identity import IdentityRules, domain_of, person_key

__all__ = ["DO_NOT_CONTACT", "LISTED", "SuppressionError", "Suppressions", "is_list_uri", "read_suppressions"]

LISTED: Final = "suppression_list"
DO_NOT_CONTACT: Final = "do_not_contact_domain"

SuppressionError = AddressListError
"""What :func:`read_suppressions` raises, by the name that it had before all lists were read alike."""


class Suppressions:
    """Addresses and domains that must not be written.

    An address takes eight bytes whatever its length, and none is kept in the clear.

    :param also: another hash by which addresses are kept, for people of whom only that is known
    :param identity: which addresses are one person's by the policy
    """

    def __init__(self, also: Callable[[str], int | None] | None = None, identity: IdentityRules | None = None) -> None:
        self._identity = identity if identity is not None and identity.joins else None
        self.domains: dict[str, str] = {}
        self._also = also
        self._others: set[int] = set()
        self._hashes = array("Q")
        self._sorted = 0

    def __bool__(self) -> bool:
        """True when anybody could be covered."""
        return bool(self._hashes or self.domains)

    def add(self, entry: str) -> bool:
        """Add an address or a domain in any spelling, or several; false: it is neither."""
        entries = entries_in(entry)
        for each in entries or ():
            self.add_entry(each)
        return bool(entries)

    def add_entry(self, entry: Entry) -> None:
        """Add an entry of a list."""
        if entry.is_domain:
            self._bar(entry.key, LISTED)
            return
        self._hashes.append(_hash(self._person(entry.key)))
        if self._also is not None and (other := self._also(entry.key)) is not None:
            self._others.add(other)

    def listed_by_hash(self, hashes: Iterable[int]) -> bool:
        """Tell whether an address with one of these hashes, of the kind that was asked for, is listed."""
        return not self._others.isdisjoint(hashes)

    def add_domain(self, domain: str, reason: str) -> bool:
        """Add a domain in any spelling, with or without ``@``; false: it is none. Subdomains are domains of their own.

        :param domain: the domain
        :param reason: of the plan rows that it concerns; the first one given stays
        """
        key = domain_in(domain)
        if key is None:
            return False
        self._bar(key, reason)
        return True

    def _bar(self, domain: str, reason: str) -> None:
        # Of your own domains that are one by the policy the others have the same people.
        for one in {domain, domain_of(self._person(f"a@{domain}"))}:
            self.domains.setdefault(one, reason)

    def _person(self, key: str) -> str:
        return person_key(key, self._identity) if self._identity else key

    def reason(self, keys: Iterable[str]) -> str | None:
        """Return why a person must not be written, ``None`` when nothing stands against it.

        :param keys: every address of the person, as email keys
        """
        if self._sorted < len(self._hashes):
            self._hashes = _in_order(self._hashes)
            self._sorted = len(self._hashes)
        found = [reason for key in keys if (reason := self._reason(key))]
        # The user's own list says more about the person than a whole domain does.
        return LISTED if LISTED in found else next(iter(found), None)

    def _reason(self, key: str) -> str | None:
        person = self._person(key)
        if self._hashes:
            wanted = _hash(person)
            place = bisect_left(self._hashes, wanted)
            if place < len(self._hashes) and self._hashes[place] == wanted:
                return LISTED
        return self.domains.get(domain_of(key)) or self.domains.get(domain_of(person))


def _in_order(hashes: array[int]) -> array[int]:
    # Not by sorted(), which makes an object of each number.
    numbers = pa.Array.from_buffers(pa.uint64(), len(hashes), [None, pa.py_buffer(hashes)]).sort()
    found = array("Q")
    found.frombytes(numbers.buffers()[1])
    return found[: len(hashes)]


def _hash(key: str) -> int:
    # 64 bits: among a million listed and a million planned, one false match in twenty million runs; it writes nothing.
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def read_suppressions(uri: Any, into: Suppressions) -> int:
    """Add a file's addresses and domains and return how many entries it holds.

    :param uri: URI or path object of a list, see :func:`~airflow_providers_leads.leads.files.address_lists.read_list`
    :param into: takes the entries
    :raises AddressListError: naming the file, and the line that is neither address nor domain
    """
    count = 0
    for row in read_list(uri):
        for entry in row.entries:
            into.add_entry(entry)
        count += len(row.entries)
    return count
