"""People in whom a plan finds nothing to do, told apart by its query: on most days most people, and no row of theirs is
looked at one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import ibis
import pyarrow as pa

from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, STICKY_FIELDS
from airflow_providers_leads.leads.plan.property_types import PropertyTypes

ALIKE: Final = "alike"
"""Name of the column that is true of them."""
EXISTING: Final = "existing_"
"""Before the names of the columns of what the destination holds."""


def alike(joined: ibis.Table, writable: Collection[str], types: PropertyTypes, past: Collection[str]) -> Any:
    """Return what is true of people of whom the destination has everything already, letter by letter.

    It never holds where there may be anything else to say of a person: whoever objects, is remembered for something,
    has another address, or a value that the destination may not take is left to be looked at.

    :param joined: golden record, existing one after :data:`EXISTING`, ``any_`` of the sticky fields, ``addresses`` and
        what is remembered; ``properties`` only where they may name addresses
    :param writable: lead fields that the destination has a place for
    :param types: of the destination
    :param past: columns of what is remembered
    """
    nothing_else = ["properties", f"{EXISTING}properties", "addresses", *past]
    holds = joined[f"{EXISTING}email_key"] == joined.email_key
    for name in nothing_else:
        holds &= joined[name].isnull()
    for name in STICKY_FIELDS:
        holds &= ~joined[name].fill_null(False) & ~joined[f"any_{name}"].fill_null(False)
    for name in PROFILE_FIELDS:
        if name not in writable:
            continue
        value, kind = joined[name], types.of(name)
        same = value.isnull() | (value == "")
        if kind.kind == "text":
            fits = True if kind.most is None else value.length() <= kind.most
            same |= (value == joined[f"{EXISTING}{name}"]) & fits
        holds &= same
    return holds.fill_null(False)


def rows_of_alike(batch: Any, stays: Callable[[str], bool]) -> list[PlanRow | None]:
    """Return the plan's rows of a record batch, ``None`` for whom is to be looked at.

    :param batch: of :data:`ALIKE` and what :func:`alike` names
    :param stays: tells of an email key whether nothing stands against the person
    """
    names = (ALIKE, "email_key", f"{EXISTING}source_id", f"{EXISTING}source_scope", "records")
    rows: list[PlanRow | None] = []
    for is_alike, key, source_id, scope, records in zip(*(batch.column(n).to_pylist() for n in names), strict=True):
        row = None
        if is_alike and stays(key):
            row = PlanRow(email_key=key, action="unchanged", target_id=source_id, target_scope=scope, records=records)
            row.reason = several_records(records)
        rows.append(row)
    return rows


def one_by_one(batch: Any, rows: Sequence[PlanRow | None]) -> Any:
    """Return the part of a record batch that is to be looked at.

    :param batch: the record batch
    :param rows: what :func:`rows_of_alike` gave for it
    """
    # Arrow makes an array of Python's objects only with pandas loaded, which takes longer than to plan.
    flags = pa.py_buffer(bytes(row is None for row in rows))
    return batch.filter(pa.Array.from_buffers(pa.uint8(), len(rows), [None, flags]).cast(pa.bool_()))


def several_records(records: int) -> str | None:
    """Return what is said of a person of whom the destination holds several records, else ``None``."""
    return f"{records} records of this address in the destination" if records > 1 else None
