"""What was removed of a person and what could not be: the steps, and the report that is signed off.

Reports name people by :func:`~airflow_providers_leads.leads.model.identity.person_hash`. That is a pseudonym: whoever
has an address finds its rows, which is what the report is for, so keep it as long as you must prove the erasure and no
longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import msgspec

from airflow_providers_leads.leads.files.staging import (
    StagingError,
    appearing,
    as_path,
    check_readable,
    read_rows,
    write_rows,
)
from airflow_providers_leads.leads.model.identity import email_key

Status = Literal["done", "not_possible", "not_found", "failed", "planned"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

HOW: Final = (
    "SHA-256 over the report's rows in their order: each as JSON with sorted keys and times in UTC, a line feed after "
    "each"
)


class Erasure(msgspec.Struct, kw_only=True):
    """One step of one person's erasure at one CRM.

    :param crm: connection type
    :param conn_id: the connection
    :param person: hash of the address
    :param step: what was to be done, such as ``gdpr_delete``, ``opt out`` or ``blank phone``
    :param status: ``done``; ``not_possible``: the API can't, do it by hand as ``reason`` says; ``not_found``: nothing
        (more) is there; ``failed``: run again; ``planned``: would be done, were it no dry run
    :param at: when, aware, UTC
    :param record_id: the CRM's id of the record
    :param scope: the funnel or campaign that the step concerns
    :param reason: why, or what to do; free of addresses and values
    :param request_id: the vendor's id of the request that failed
    """

    crm: str
    conn_id: str
    person: str
    step: str
    status: Status
    at: datetime
    record_id: str | None = None
    scope: str | None = None
    reason: str | None = None
    request_id: str | None = None

    @property
    def subject(self) -> tuple[str | None, ...]:
        """What the step is about: a later row of the same subject replaces an earlier one."""
        return (self.conn_id, self.person, self.record_id, self.scope, self.step)


def checked_people(name: str, addresses: Iterable[str]) -> dict[str, str]:
    """Return email key → address as given, each person once.

    :param name: of the argument, for the message
    :param addresses: addresses in any spelling
    :raises ValueError: when there are none, or one is no address; by its position, as the text may be somebody's
    """
    if isinstance(addresses, (str, bytes)):
        raise ValueError(f"{name} must be a list of addresses, not one text")
    people: dict[str, str] = {}
    for place, address in enumerate(addresses, start=1):
        key = email_key(address) if isinstance(address, str) else None
        if key is None:
            raise ValueError(f"{name}: entry {place} is no e-mail address; nobody was erased")
        people.setdefault(key, address)
    if not people:
        raise ValueError(f"{name} names nobody")
    return people


def digest(rows: Iterable[Erasure]) -> str:
    """Return the digest that signs a report off; see :data:`HOW`."""
    total = hashlib.sha256()
    for row in rows:
        plain = msgspec.structs.replace(row, at=row.at.astimezone(UTC))
        total.update(msgspec.json.encode(plain, order="sorted") + b"\n")
    return total.hexdigest()


def counts_of(rows: Iterable[Erasure]) -> dict[str, dict[str, dict[str, int]]]:
    """Return CRM → step → status → number of rows."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        by_status = counts.setdefault(row.crm, {}).setdefault(row.step, {})
        by_status[row.status] = by_status.get(row.status, 0) + 1
    return counts


def summary_uri(report_uri: str) -> str:
    """Return the URI of the summary that stands beside a report."""
    return report_uri.removesuffix(".parquet") + ".json"


def write_report(uri: Any, rows: Sequence[Erasure], about: Mapping[str, Any], *, summary: Any) -> str:
    """Write a report and its summary, replacing what an earlier try wrote, and return the digest.

    :param uri: of the report, a Parquet file
    :param rows: the steps
    :param about: what else the summary says: run, times, connections
    :param summary: URI of the summary
    """
    write_rows(uri, Erasure, rows)
    signed = digest(rows)
    content = {**about, "rows": len(rows), "counts": counts_of(rows), "sha256": signed, "sha256_of": HOW}
    with appearing(as_path(summary)) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))
    return signed


def read_report(uri: Any, *, summary: Any) -> tuple[list[Erasure], dict[str, Any]]:
    """Return the rows of a report and what its summary says.

    :raises StagingError: naming the file that is missing or damaged
    """
    path = as_path(summary)
    try:
        about = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise StagingError(f"{path} does not exist; it is the summary of an erasure.") from None
    except (OSError, msgspec.MsgspecError):
        raise StagingError(f"{path} can't be read as the summary of an erasure.") from None
    check_readable(uri)
    return list(read_rows(uri, Erasure)), about


def verify(uri: str) -> str:
    """Test that a report is the one that was signed off, and return its digest.

    The digest tells an altered report from the original as long as the summary, or the digest in the run's XCom and
    log, is kept where the report's keeper can't alter it.

    :param uri: of the report; its summary stands beside it
    :raises StagingError: naming the report when its rows are not those that were signed
    """
    rows, about = read_report(uri, summary=summary_uri(uri))
    found = digest(rows)
    if found != about.get("sha256"):
        raise StagingError(f"{uri} is not the report that was signed off: its rows or its summary were altered.")
    return found
