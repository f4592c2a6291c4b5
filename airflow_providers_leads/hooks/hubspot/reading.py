"""HubSpot contacts from the bytes of their pages into the columns of leads, without an object per contact."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from airflow_providers_leads.hooks.hubspot import leads as contacts
from airflow_providers_leads.hooks.reading import UnreadLeads
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.json_text import UNREADABLE
from airflow_providers_leads.http.json_text import decode as decode_json
from airflow_providers_leads.leads.files.columns import (
    constant,
    email_keys,
    filled,
    flags,
    json_objects,
    marks,
    moments,
    patched,
    read_objects,
    texts,
    together,
    truth,
)
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, Lead, arrow_schema
from airflow_providers_leads.leads.model.statuses import SAYS_BOUNCED, SAYS_OPTED_OUT


class _Told(msgspec.Struct, gc=False):
    id: str | int


class _Page(msgspec.Struct):
    results: list[_Told]
    paging: Any = None


class _ReadPage(msgspec.Struct):
    results: list[contacts.Contact]


class _Rows(list[_Told]):
    """The contacts of a page, of which only the ids are read so far."""

    def __init__(self, told: list[_Told], page: bytes) -> None:
        super().__init__(told)
        self.page = page
        self.whole = len(told)


class LeadReader:
    """Turns contacts into leads; of a page of bytes it reads the ids at once, the rest when somebody asks for it.

    :param asked: the contact properties that are read
    :param scope: the connection id
    :param label: how the connection is named in messages
    """

    def __init__(self, asked: Iterable[str], scope: str, label: str) -> None:
        self.kept = contacts.kept_of(asked)
        self._scope, self._label = scope, label

    def decode(self, page: bytes) -> dict[str, Any]:
        """Return a page as the walk through the list takes it.

        :raises msgspec.DecodeError: when it is no page of contacts
        """
        told = _PAGE.decode(page)
        return {"results": _Rows(told.results, page), "paging": told.paging}

    def leads(self, rows: Iterable[Any]) -> Collection[Lead]:
        """Return contacts as leads.

        :param rows: of :meth:`decode`, perhaps without some that another page had, or dicts as HubSpot gives them
        """
        if not isinstance(rows, _Rows):
            try:
                return [contacts.to_lead(row, self._scope, self.kept) for row in rows]
            except msgspec.ValidationError:
                raise self._undocumented() from None
        if len(rows) == rows.whole:
            return UnreadLeads(rows.page, rows.whole, self._read, self._columns)
        first: dict[str, Lead] = {}
        for lead in self._read(rows.page):
            first.setdefault(lead.source_id, lead)
        return [first[str(told.id)] for told in rows]

    def _read(self, page: bytes) -> list[Lead]:
        try:
            found = decode_json(page, _READ_PAGE.decode).results
        except UNREADABLE:
            raise self._undocumented() from None
        return [contacts.to_lead(contact, self._scope, self.kept) for contact in found]

    def _undocumented(self) -> LeadsServerError:
        return LeadsServerError(
            f"{self._label}: a page of contacts holds something that this API doesn't document. Run it again."
        )

    @cached_property
    def _schema(self) -> pa.Schema:
        # HubSpot gives them in this order, and Arrow is the faster for knowing what comes next.
        properties = sorted([*contacts.READ, *self.kept])
        contact = [
            ("id", pa.string()),
            ("properties", pa.struct([(name, pa.string()) for name in properties])),
            ("createdAt", pa.string()),
            ("updatedAt", pa.string()),
            ("archived", pa.bool_()),
        ]
        return pa.schema([("results", pa.list_(pa.struct(contact)))])

    def _columns(self, pages: Sequence[UnreadLeads]) -> pa.RecordBatch | None:
        """Return the leads of pages, ``None`` where a value is of another type than HubSpot documents."""
        try:
            return self._batch(b"\n".join(page.raw for page in pages), sum(map(len, pages)))
        except pa.ArrowInvalid:
            return None

    def _batch(self, lines: bytes, count: int) -> pa.RecordBatch | None:
        found = read_objects(lines, self._schema, others="ignore").column("results").combine_chunks().flatten()
        if len(found) != count:
            return None
        # Strings may not be UTF-8.
        found.validate(full=True)
        told = _fields(found)
        if told["properties"].null_count:
            return None
        held = _fields(told["properties"])
        trimmed = together({name: held[name] for name in (*contacts.TEXTS, contacts.OPTED_OUT, contacts.BOUNCE)}, texts)
        dated = {"createdAt": told["createdAt"], "updatedAt": told["updatedAt"]}
        given = together({name: held[name] for name in (*self.kept, contacts.ALIASES, contacts.MERGED)} | dated, filled)
        times = {
            "created_at": pc.coalesce(given["createdAt"], held[contacts.CREATED]),
            "updated_at": pc.coalesce(given["updatedAt"], held[contacts.CHANGED]),
        }
        status = trimmed[contacts.PROPERTY_OF["status"]]
        made = {
            "source": pa.repeat(constant("hubspot"), count),
            "source_scope": pa.repeat(constant(self._scope), count),
            "source_id": told["id"],
            "email": trimmed["email"],
            "email_key": email_keys(trimmed["email"]),
            **{field: trimmed[name] for field, name in contacts.PROPERTY_OF.items()},
            "opted_out": _or_said(flags(trimmed[contacts.OPTED_OUT]), status, SAYS_OPTED_OUT),
            "bounced": _or_said(marks(trimmed[contacts.BOUNCE]), status, SAYS_BOUNCED),
            **together(times, moments),
            "properties": self._properties(given, told["archived"]),
        }
        return pa.RecordBatch.from_arrays([made[name] for name in LEAD_COLUMNS], schema=arrow_schema())

    def _properties(self, given: dict[str, pa.Array], archived: pa.Array) -> pa.Array:
        kept, aliases, merged = {n: given[n] for n in self.kept}, given[contacts.ALIASES], given[contacts.MERGED]
        made = json_objects(kept) if kept else pa.nulls(len(archived), pa.string())
        odd = pc.or_kleene(pc.or_(pc.is_valid(aliases), pc.is_valid(merged)), archived)
        columns = [*kept.values(), aliases, merged, archived]
        rows = pa.StructArray.from_arrays(columns, names=[str(place) for place in range(len(columns))])

        def make(row: dict[str, Any]) -> str | None:
            *values, aliases, merged, archived = row.values()
            return contacts.lead_properties(dict(zip(self.kept, values, strict=True)), aliases, merged, archived)

        return patched(made, odd, rows, make)


def _or_said(flag: pa.Array, status: pa.Array, pattern: str) -> pa.Array:
    """Return a flag, true also where the status says so by its name; see :mod:`~.model.statuses`."""
    if status.null_count == len(status):
        return flag
    said = pc.match_substring_regex(status, pattern).fill_null(truth(False))
    return pc.if_else(said, truth(True), flag) if pc.any(said).as_py() else flag


def _fields(column: pa.StructArray) -> dict[str, pa.Array]:
    """Return the fields of objects by name; those of an object that is null are null."""
    return dict(zip([field.name for field in column.type], column.flatten(), strict=True))


_PAGE: Final = msgspec.json.Decoder(_Page)
_READ_PAGE: Final = msgspec.json.Decoder(_ReadPage)
