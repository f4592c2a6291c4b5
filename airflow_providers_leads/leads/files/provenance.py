"""What a file says of where its rows came from: the accounts that were read, and the members of the same merge.

It stands in the file's metadata, so it is there as well where only the URI is handed on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from airflow_providers_leads.leads.files.parquet import Footer, footer_of
from airflow_providers_leads.leads.files.staging import StagingError, as_path, file_metadata
from airflow_providers_leads.leads.model.identity import IdentityRules

ACCOUNTS: Final = "leads.accounts"
MERGE: Final = "leads.merge"
MEMBERS: Final = "leads.members"
MEMORY: Final = "leads.memory"
IDENTITY: Final = "leads.identity"
PARTITIONS: Final = "leads.partitions"
SHARE: Final = "leads.share"

# Hidden, because it is no file of a task's own.
_SHARES: Final = "_shares"

Accounts = Mapping[str, Sequence[str]]
"""Connection id → the marks of the accounts that were read by it."""


def accounts_metadata(accounts: Accounts) -> dict[str, str]:
    """Return the metadata of a file whose rows were read from these accounts."""
    sorted_marks = {conn_id: sorted(set(marks)) for conn_id, marks in sorted(accounts.items())}
    return {ACCOUNTS: msgspec.json.encode(sorted_marks).decode()} if sorted_marks else {}


def read_accounts(files: Iterable[Any]) -> dict[str, list[str]]:
    """Return the accounts that the rows of some files were read from, as far as the files know them.

    :param files: URIs, path objects or footers of Parquet files
    :raises StagingError: naming a file that can't be used
    """
    together: dict[str, list[str]] = {}
    for file in map(footer_of, files):
        for part in file.parts:
            for conn_id, marks in _accounts(file, part).items():
                known = together.setdefault(conn_id, [])
                known += [mark for mark in marks if mark not in known]
    return together


def _accounts(file: Footer, part: Mapping[str, str]) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode(part.get(ACCOUNTS, "{}"), type=dict[str, list[str]])
    except msgspec.MsgspecError:
        raise StagingError(f"{file} doesn't say of which accounts it is. Run its extract again.") from None


def merge_metadata(inputs: Sequence[Any], members: Any, *arguments: str) -> dict[str, str]:
    """Return the metadata of the files that one merge writes.

    :param inputs: the files that it reads
    :param members: URI or path object of the members that it writes, ``None`` when it writes none
    :param arguments: what it was told besides: another merge of the same files makes other files
    """
    footers = [footer_of(uri, fingerprint=True) for uri in inputs]
    name = hashlib.sha256(repr([[one.fingerprint for one in footers], arguments]).encode()).hexdigest()[:16]
    found = {MERGE: name, **accounts_metadata(read_accounts(footers))}
    return found if members is None else {**found, MEMBERS: str(members)}


def identity_metadata(rules: IdentityRules) -> dict[str, str]:
    """Return the metadata of golden records that were made by rules of who is one person."""
    return {IDENTITY: msgspec.json.encode(rules, order="sorted").decode()} if rules.joins else {}


def identity_of(golden: Any) -> IdentityRules:
    """Return who is one person by the policy of a golden file; the usual rules where it doesn't say.

    :param golden: path object or footer of the golden file
    :raises StagingError: naming the file when its rules can't be read
    """
    try:
        return msgspec.json.decode(file_metadata(golden).get(IDENTITY, "{}"), type=IdentityRules)
    except msgspec.MsgspecError:
        raise StagingError(f"{golden} has rules of identity of another version. Merge again.") from None


def members_of(golden: Any, members: Any = None, path_of: Any = as_path) -> Footer | None:
    """Return the footer of the members that golden records were made of, ``None`` when nobody knows.

    Where the golden file names them they are found there or, when both files were moved, beside it.

    :param golden: path object or footer of the golden file
    :param members: path object of the members, as far as they are known
    :param path_of: makes a path object of a URI
    :raises StagingError: naming the file when its members are gone or are another merge's: who is one person with whom
        would not be known, and a record that is known under another address would be created a second time
    """
    file = footer_of(golden)
    told = file.metadata
    if members is None:
        if MEMBERS not in told:
            return None
        candidates = [path_of(told[MEMBERS]), file.path.with_name(_last(told[MEMBERS]))]
    else:
        candidates = [members]
    for candidate in candidates:
        try:
            found = footer_of(candidate)
        except StagingError:
            if members is not None:
                raise
            continue
        merge = found.metadata.get(MERGE)
        if merge == told.get(MERGE) or (members is not None and (merge is None or MERGE not in told)):
            return found
    raise StagingError(
        f"{golden} was not merged together with {candidates[0]}, or that is gone. Without its members nobody knows "
        "under which other addresses these people are known: give the members of the same merge, or merge again."
    )


def partitions_metadata(golden: Sequence[Any]) -> dict[str, str]:
    """Return the metadata of golden records in several files.

    :param golden: URIs or path objects of all of them
    """
    return {PARTITIONS: msgspec.json.encode(list(map(str, golden))).decode()}


def share_path(golden: Any, whole: Any) -> Any:
    """Return where the share of a file stands that one partition of golden records is planned with.

    :param golden: URI or path object of the partition
    :param whole: URI or path object of a file of leads, or the name of a kind of file
    """
    path = as_path(golden)
    name = hashlib.sha256(str(whole).encode()).hexdigest()[:16]
    return path.parent / _SHARES / f"{path.stem}.{name}.parquet"


def share_metadata(whole: Any) -> dict[str, str]:
    """Return the metadata of a share of a file: which state of the file it is of."""
    return {SHARE: footer_of(whole, fingerprint=True).fingerprint}


def share_of(golden: Any, whole: Any, name: str | None = None) -> Any:
    """Return the share of a file that a partition of golden records needs, the whole of it where there is none.

    :param golden: path object or footer of the golden file
    :param whole: path object of the file
    :param name: what the share goes by; default the file's URI. A file of that name is of the same merge, other files
        are as they were when it read them
    """
    file = footer_of(golden)
    told = file.metadata
    if PARTITIONS not in told:
        return whole
    share = share_path(file.path, name or whole)
    try:
        of = file_metadata(share)
    except StagingError:
        return whole
    same = {MERGE: file_metadata(whole).get(MERGE)} if name else share_metadata(whole)
    return share if of.items() >= {MERGE: told[MERGE], **same}.items() else whole


def other_partitions(golden: Any, path_of: Any = as_path) -> list[Any]:
    """Return path objects of the other partitions of golden records, found as :func:`members_of` finds members.

    :param golden: path object or footer of one partition
    :param path_of: makes a path object of a URI
    :raises StagingError: when one of them is gone or is another merge's
    """
    file = footer_of(golden)
    names = msgspec.json.decode(file.metadata.get(PARTITIONS, "[]"), type=list[str])
    merge, own = file.metadata.get(MERGE, ""), file.path
    return [_partition(own, merge, name, path_of) for name in names if _last(name) != own.name]


def _partition(golden: Any, merge: str, name: str, path_of: Any) -> Any:
    for candidate in (path_of(name), golden.with_name(_last(name))):
        try:
            if file_metadata(candidate).get(MERGE) == merge:
                return candidate
        except StagingError:
            continue
    raise StagingError(
        f"{golden} is one of several files of golden records, of which {name} is gone. By the merge's policy a record "
        "may be of a person there: merge again."
    )


def _last(uri: str) -> str:
    return uri.rpartition("/")[2]


def memory_uri_in(uri: Any) -> str | None:
    """Return under which URI stands what the merge of a golden file recalled, ``None`` when it had no memory."""
    return file_metadata(uri).get(MEMORY)
