"""Where the values of one golden record came from, for people who look into it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_providers_leads.leads.files.staging import StagingError, open_parquet
from airflow_providers_leads.leads.merge.components import RECORD
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS


class Origin(NamedTuple):
    """The record that a golden value came from.

    :param field: name of the field
    :param value: what the golden row holds
    :param updated_at: when the record was changed; aware, UTC, ``None`` where the CRM doesn't say
    """

    field: str
    value: str
    source: str
    source_scope: str
    source_id: str
    updated_at: datetime | None


def explain(golden_uri: Any, members_uri: Any, email_key: str) -> list[Origin]:
    """Return where each present value of a golden record came from, in the order of the fields.

    Both files are read with a filter, so looking one person up costs little memory however large they are.

    :param golden_uri: file of golden records, made with lineage
    :param members_uri: file of members from the same merge
    :param email_key: the golden record's
    :raises StagingError: naming the file that is missing, broken, or was made without lineage
    :raises KeyError: when no golden record has this address
    """
    found = _rows(golden_uri, (*PROFILE_FIELDS, "lineage"), email_key)
    if not found:
        raise KeyError(email_key)
    (golden,) = found
    members = {row["rank"]: row for row in _rows(members_uri, (*RECORD, "rank", "updated_at"), email_key)}
    origins = []
    for field in PROFILE_FIELDS:
        rank = golden["lineage"][field]
        if rank is None:
            continue
        if rank not in members:
            raise StagingError(f"{members_uri} lacks a member of {golden_uri}: they are not of the same merge.")
        member = members[rank]
        record = [member[name] for name in (*RECORD, "updated_at")]
        origins.append(Origin(field, golden[field], *record))
    return origins


def _rows(uri: Any, columns: tuple[str, ...], email_key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with open_parquet(uri, ("email_key", *columns)) as found:
        parts = found.parts
    for part in parts:
        with part.open("rb") as file:
            table = pq.read_table(file, columns=list(columns), filters=pc.field("email_key") == email_key)
        rows += table.to_pylist()
    return rows
