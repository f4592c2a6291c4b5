"""Rolodex as a lead CRM: all of the contract that is required, and some of what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from airflow_providers_leads.hooks.arguments import addresses, maybe_instant, wire_time
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.reading import LeadPage, Position, leads_of, with_positions
from airflow_providers_leads.http.errors import LeadsConflictError
from airflow_providers_leads.http.pagination import CursorPages
from airflow_providers_leads.leads.model.identity import email_key, spellings
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead, flag, leftover, moment, text
from rolodex.provider import ROLODEX

FIELDS = {"first_name": "given_name", "last_name": "family_name", "phone": "phone", "company": "company"}
"""Lead field → what Rolodex calls it."""
_APART = frozenset({"id", "email", "unsubscribed", "changed_at", *FIELDS.values()})


def _pages() -> CursorPages:
    return CursorPages(rows_at="people", cursor_at="next", param="cursor")


class RolodexHook(LeadsHook):
    """Reads and writes the people of a Rolodex.

    :param rolodex_conn_id: connection of type ``rolodex``; password: the API key
    """

    conn_name_attr = "rolodex_conn_id"
    default_conn_name = "rolodex_default"
    conn_type = "rolodex"
    hook_name = "Rolodex"

    host = ROLODEX["host"]
    app = "https://rolodex.example"
    asset_path = "people"
    key_header = "x-rolodex-key"
    quotas: ClassVar[Mapping[str, tuple[int, float]]] = {"default": (50, 1.0)}
    advice: ClassVar[Mapping[int | None, str]] = {
        401: "Put the API key into the connection's password; it is under Settings > API.",
    }
    scope_keys = frozenset({"circle"})
    lookup_rows = 50
    writable_flags = frozenset({"opted_out"})

    def __init__(self, rolodex_conn_id: str = default_conn_name) -> None:
        super().__init__(rolodex_conn_id)

    def iter_leads(self, *, updated_after: datetime | str | None = None, **scope: Any) -> Iterator[Lead]:
        """Yield people as leads, a page in memory at a time."""
        return leads_of(self.lead_pages(updated_after=updated_after, **scope))

    def lead_pages(
        self,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        position: Position | None = None,
        circle: str | None = None,
        **scope: Any,
    ) -> Iterator[LeadPage]:
        """Yield what :meth:`iter_leads` does, page by page and with the position of each."""
        self.check_scope(**scope)
        since = maybe_instant("updated_after", updated_after)
        query = {"circle": circle, "changed_since": wire_time(since) if since else None}
        place = _pages().resume(position)
        found = with_positions(self.pages(place, "/people", params=query), place)
        return (LeadPage([to_lead(row, self.conn_id) for row in page], at) for page, at in found)

    def find_leads(self, emails: Iterable[str], **scope: Any) -> Iterator[Lead]:
        """Yield the people with these addresses, one request for each spelling."""
        self.check_scope(**scope)
        for key, address in addresses("emails", emails).items():
            for spelling in spellings(key, address):
                yield from (to_lead(row, self.conn_id) for row in self._people(spelling))

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that Rolodex has a place for."""
        return frozenset(FIELDS)

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        """Create people; Rolodex refuses an address that it has, so a request may be repeated."""
        for row in rows:
            values = _values(row)
            try:
                answer = self.request("POST", "/people", json={"email": row.email_key, **values}, idempotent=True)
            except LeadsConflictError:
                held = next(self._people(row.email_key), {})
                yield _result(row, "unchanged", held.get("id"), reason="exists already")
                continue
            yield _result(row, "created", answer.body["id"])

    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        """Update people by their id."""
        for row in rows:
            path = {"person_id": row.target_id}
            self.request("PATCH", "/people/{person_id}", path_params=path, json=_values(row))
            yield _result(row, "updated", row.target_id)

    def probe(self) -> tuple[bool, str]:
        """Ask whose key it is."""
        rights = self.request("GET", "/me", expect=lambda body: "rights" in body).body["rights"]
        return True, f"Rolodex accepts the key, which may {' and '.join(rights)}."

    def _people(self, email: str) -> Iterator[dict[str, Any]]:
        return self.rows(_pages(), "/people", params={"email": email})


def to_lead(row: Mapping[str, Any], conn_id: str) -> Lead:
    """Return a person of Rolodex as a lead."""
    email, changed_at = text(row.get("email")), moment(row.get("changed_at"))
    return Lead(
        source="rolodex",
        source_scope=conn_id,
        source_id=str(row["id"]),
        email=email,
        email_key=email_key(email),
        **{field: text(row.get(name)) for field, name in FIELDS.items()},
        opted_out=flag(row.get("unsubscribed")),
        updated_at=changed_at,
        properties=leftover({name: value for name, value in row.items() if name not in _APART}),
    )


def _values(row: PlanRow) -> dict[str, Any]:
    values: dict[str, Any] = {FIELDS[field]: value for field, value in row.values.items() if field in FIELDS}
    # Only ever told, never taken back.
    return values | ({"unsubscribed": True} if row.values.get("opted_out") == "true" else {})


def _result(row: PlanRow, outcome: Any, person_id: str | None, reason: str | None = None) -> WriteResult:
    written = list(row.values) if outcome in ("created", "updated") else []
    return WriteResult(email_key=row.email_key, outcome=outcome, target_id=person_id, reason=reason, fields=written)
