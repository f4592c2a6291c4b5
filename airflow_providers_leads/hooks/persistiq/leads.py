"""PersistIQ's leads: read, found by address, and changed one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_providers_leads.hooks.arguments import boolean
from airflow_providers_leads.hooks.base import require
from airflow_providers_leads.hooks.persistiq.account import PersistIQAccount, given, maybe_wire
from airflow_providers_leads.hooks.persistiq.answers import Record, person, person_of, records_in
from airflow_providers_leads.hooks.persistiq.fields import lead_values
from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.leads.model.identity import spellings


def _holds_lead(body: Any) -> bool:
    """Tell whether a body holds a lead or none: one without its data would have no address, and no opt-out."""
    return (
        isinstance(body, dict)
        and ("lead" in body or "leads" in body)
        and all(one.get("id") and isinstance(one.get("data"), dict) for one in records_in(body, "lead", "leads"))
    )


class PersistIQLeads(PersistIQAccount):
    """The calls of :class:`~airflow_providers_leads.hooks.persistiq.PersistIQHook` that concern single leads."""

    def list_leads(
        self,
        *,
        status: str | None = None,
        status_id: str | None = None,
        updated_after: datetime | str | None = None,
        created_after: datetime | str | None = None,
        email: str | None = None,
    ) -> Iterator[Record]:
        """Yield leads as the API gives them, each once, a page in memory at a time.

        :param status: name of a lead status
        :param status_id: id of a lead status; OpenAPI only
        :param updated_after: aware datetime, or ISO 8601 text with an offset
        :param created_after: likewise; OpenAPI only
        :param email: address of one lead; OpenAPI only

        https://apidocs.persistiq.com/#leads
        """
        query = {
            "status": given("status", status),
            "status_id": given("status_id", status_id),
            "updated_after": maybe_wire("updated_after", updated_after),
            "created_after": maybe_wire("created_after", created_after),
            "email": (given("email", email) or "").strip() or None,
        }
        return self._list("leads", "/v1/leads", params=query)

    def get_lead(self, lead_id: str) -> Record:
        """Return one lead.

        :param lead_id: id of the lead, or its address (OpenAPI only)
        :raises LeadsNotFoundError: when there is no such lead

        https://apidocs.persistiq.com/#leads
        """
        require("lead_id", lead_id)
        if "@" in lead_id:
            # As a path's last part an address would lose what follows its last dot to Rails.
            found = next(self._find({person(lead_id): lead_id}), None)
        else:
            answer = self.request("GET", "/v1/leads/{lead_id}", path_params={"lead_id": lead_id}, expect=_holds_lead)
            found = next(iter(records_in(answer.body, "lead", "leads")), None)
        if found is None:
            raise LeadsNotFoundError(f"{self.label}: PersistIQ has no such lead.", category="not_found", not_found=True)
        return found

    def update_lead(
        self,
        lead_id: str,
        *,
        data: Mapping[str, Any] | None = None,
        status: str | None = None,
        status_id: str | None = None,
        owner_id: str | None = None,
        bounced: bool | None = None,
        optedout: bool | None = None,
    ) -> Record:
        """Change a lead and return it; what is not given stays as it is.

        :param lead_id: the lead
        :param data: field → value, built-in and custom fields alike
        :param status: name of an existing lead status; not together with ``status_id``
        :param status_id: id of a lead status
        :param owner_id: user who owns the lead; OpenAPI only
        :param bounced: marks the address as bounced; whether it can be undone is not documented
        :param optedout: marks the lead as opted out; whether it can be undone is not documented
        :raises LeadsNotFoundError: when there is no such lead
        :raises LeadsValidationError: when the API refuses a value

        https://apidocs.persistiq.com/#leads
        """
        require("lead_id", lead_id)
        if status is not None and status_id is not None:
            raise ValueError("status and status_id can't be given together")
        changes = {
            "status": given("status", status),
            "status_id": given("status_id", status_id),
            "owner_id": given("owner_id", owner_id),
            "bounced": None if bounced is None else boolean("bounced", bounced),
            "optedout": None if optedout is None else boolean("optedout", optedout),
            "data": lead_values("data", data) if data else None,
        }
        body = {name: value for name, value in changes.items() if value is not None}
        if not body:
            raise ValueError("data, status, status_id, owner_id, bounced or optedout must be given")
        return self.patch_lead(lead_id, body)

    def patch_lead(self, lead_id: str, body: Any) -> Record:
        """Send changes to a lead as they are, ``null`` too, and return it."""
        return self._one("PATCH", "/v1/leads/{lead_id}", "lead", {"lead_id": lead_id}, body)

    def _find(self, wanted: Mapping[str, str]) -> Iterator[Record]:
        """Yield the leads with these addresses.

        :param wanted: email key → address
        """
        settled: set[str] = set()
        for key, address in wanted.items():
            found: dict[str, Record] = {}
            for spelling in spellings(key, address):
                for row in self.list_leads(email=spelling):
                    if person_of(row) != key:
                        # The filter is documented in one of two places only, and was ignored.
                        yield from (lead for lead in self.list_leads() if person_of(lead) in wanted.keys() - settled)
                        return
                    found.setdefault(str(row.get("id")), row)
            yield from found.values()
            settled.add(key)
