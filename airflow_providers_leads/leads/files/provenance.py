"""What a file says of where its rows came from: the accounts that were read, and the members of the same merge.

It stands in the file's metadata, so it is there as well where only the URI is handed on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.places import parts_of
from airflow_providers_leads.leads.files.staging import StagingError, as_path, file_metadata
from airflow_providers_leads.leads.model.identity import IdentityRules

ACCOUNTS: Final = "leads.accounts"
MERGE: Final = "leads.merge"
MEMBERS: Final = "leads.members"
MEMORY: Final = "leads.memory"
IDENTITY: Final = "leads.identity"

Accounts = Mapping[str, Sequence[str]]
"""Connection id → the marks of the accounts that were read by it."""


def accounts_metadata(accounts: Accounts) -> dict[str, str]:
    """Return the metadata of a file whose rows were read from these accounts."""
    sorted_marks = {conn_id: sorted(set(marks)) for conn_id, marks in sorted(accounts.items())}
    return {ACCOUNTS: msgspec.json.encode(sorted_marks).decode()} if sorted_marks else {}


def read_accounts(uris: Iterable[Any]) -> dict[str, list[str]]:
    """Return the accounts that the rows of some files were read from, as far as the files know them.

    :param uris: URIs or path objects of Parquet files
    :raises StagingError: naming a file that can't be used
    """
    together: dict[str, list[str]] = {}
    for part in [part for uri in uris for part in parts_of(as_path(uri))]:
        for conn_id, marks in _accounts(part).items():
            known = together.setdefault(conn_id, [])
            known += [mark for mark in marks if mark not in known]
    return together


def _accounts(uri: Any) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(file_metadata(uri).get(ACCOUNTS, "{}"), type=dict[str, list[str]])
    except msgspec.MsgspecError:
        raise StagingError(f"{as_path(uri)} doesn't say of which accounts it is. Run its extract again.") from None


def merge_metadata(inputs: Sequence[Any], members: Any, *arguments: str) -> dict[str, str]:
    """Return the metadata of the files that one merge writes.

    :param inputs: the files that it reads
    :param members: URI or path object of the members that it writes, ``None`` when it writes none
    :param arguments: what it was told besides: another merge of the same files makes other files
    """
    footers = [file_metadata(uri, with_footer=True)[""] for uri in inputs]
    name = hashlib.sha256(repr([footers, arguments]).encode()).hexdigest()[:16]
    found = {MERGE: name, **accounts_metadata(read_accounts(inputs))}
    return found if members is None else {**found, MEMBERS: str(members)}


def identity_metadata(rules: IdentityRules) -> dict[str, str]:
    """Return the metadata of golden records that were made by rules of who is one person."""
    return {IDENTITY: msgspec.json.encode(rules, order="sorted").decode()} if rules.joins else {}


def identity_of(golden: Any) -> IdentityRules:
    """Return who is one person by the policy of a golden file; the usual rules where it doesn't say.

    :raises StagingError: naming the file when its rules can't be read
    """
    try:
        return msgspec.json.decode(file_metadata(golden).get(IDENTITY, "{}"), type=IdentityRules)
    except msgspec.MsgspecError:
        raise StagingError(f"{golden} has rules of identity of another version. Merge again.") from None


def members_of(golden: Any, members: Any = None, path_of: Any = as_path) -> Any:
    """Return a path object of the members that golden records were made of, ``None`` when nobody knows.

    Where the golden file names them they are found there or, when both files were moved, beside it.

    :param golden: path object of the golden file
    :param members: path object of the members, as far as they are known
    :param path_of: makes a path object of a URI
    :raises StagingError: naming the file when its members are gone or are another merge's: who is one person with whom
        would not be known, and a record that is known under another address would be created a second time
    """
    told = file_metadata(golden)
    if members is None:
        if MEMBERS not in told:
            return None
        candidates = [path_of(told[MEMBERS]), golden.with_name(told[MEMBERS].rpartition("/")[2])]
    else:
        candidates = [members]
    for candidate in candidates:
        try:
            merge = file_metadata(candidate).get(MERGE)
        except StagingError:
            if members is not None:
                raise
            continue
        if merge == told.get(MERGE) or (members is not None and (merge is None or MERGE not in told)):
            return candidate
    raise StagingError(
        f"{golden} was not merged together with {candidates[0]}, or that is gone. Without its members nobody knows "
        "under which other addresses these people are known: give the members of the same merge, or merge again."
    )


def memory_uri_in(uri: Any) -> str | None:
    """Return under which URI stands what the merge of a golden file recalled, ``None`` when it had no memory."""
    return file_metadata(uri).get(MEMORY)
