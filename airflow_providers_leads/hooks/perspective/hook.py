"""Perspective: contacts and metrics of mobile funnels. https://developers.perspective.co"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from airflow_providers_leads.get_provider_info import default_host
from airflow_providers_leads.hooks.arguments import addresses, boolean, id_list, maybe_instant
from airflow_providers_leads.hooks.base import Parts, failed_result, require
from airflow_providers_leads.hooks.batches import run_chunks
from airflow_providers_leads.hooks.erasing import Trail
from airflow_providers_leads.hooks.perspective import wire
from airflow_providers_leads.hooks.perspective.api import PAGE_SIZE, WHERE_FUNNEL_IDS_ARE, PerspectiveApi
from airflow_providers_leads.hooks.perspective.erasing import erase
from airflow_providers_leads.hooks.perspective.fields import (
    AB_TESTS,
    CHART_SUBTYPES,
    KPI_SUBTYPES,
    LEAD_FIELDS,
    create_fields,
    fields_in,
    plain,
    to_lead,
    update_fields,
)
from airflow_providers_leads.hooks.perspective.streams import STREAMS
from airflow_providers_leads.hooks.reading import LeadPage, Position, leads_of
from airflow_providers_leads.hooks.rights import Right, of_nobody, told_rights
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.hooks.writing import stored_otherwise
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
)
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.nearest import nearest
from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.model.schema import Lead

__all__ = ["AB_TESTS", "CHART_SUBTYPES", "KPI_SUBTYPES", "PerspectiveHook"]

# So long after an answer that did not come a create is looked for once more.
_LATE_SECONDS: Final = 30.0
_FOUND: Final = "found after an unclear answer"
# Ids are random, and this one is none that could be drawn.
_NO_CONTACT: Final = "0" * 24
_NEWEST_FIRST: Final = {"sortField": "ps_converted_at", "sortOrder": -1, "limit": PAGE_SIZE}
_STATUSES_NAMED: Final = 20


class PerspectiveHook(PerspectiveApi):
    """Reads and writes the contacts of Perspective funnels, and reads funnel metrics.

    Writes leave the funnel's automations alone unless told otherwise: they could send mail.

    :param perspective_conn_id: connection of type ``perspective``; password: the API key; extra ``funnel_ids``: the
        funnels to read and, if it is one, to write to

    https://developers.perspective.co
    """

    conn_name_attr = "perspective_conn_id"
    default_conn_name = "perspective_default"
    conn_type = "perspective"
    hook_name = "Perspective"
    host = default_host(conn_type)
    asset_path = "funnels"
    parts = Parts("funnel_ids", "funnel_id")

    app = "https://app.perspective.co"
    key_header = "x-perspective-api-key"
    quotas = wire.QUOTAS
    dialect = wire.DIALECT
    advice: ClassVar[Mapping[int | None, str]] = {
        401: "Put a valid API key into the connection's password. Admins make keys under Account Settings > API Key, "
        "which needs the Scale plan or the legacy Volume plan.",
        403: "The key is valid but lacks this data permission or the funnel's workspace: an admin grants both under "
        "Account Settings > API Key. Without the right to list workspaces, name the funnels in the connection's extra "
        "'funnel_ids'.",
    }
    scope_keys = frozenset({"funnel_ids", "contact_status"})
    write_options = frozenset({"funnel_id", "skip_automation_trigger"})
    streams = STREAMS

    def __init__(self, perspective_conn_id: str = default_conn_name) -> None:
        super().__init__(perspective_conn_id)
        self._known: dict[str, dict[str, str]] = {}
        self._reading = threading.Lock()

    def iter_leads(
        self,
        *,
        updated_after: datetime | str | None = None,
        funnel_ids: Iterable[object] | str | None = None,
        contact_status: Iterable[object] | str | None = None,
        **scope: Any,
    ) -> Iterator[Lead]:
        """Yield the contacts of funnels as leads, the newest conversions first.

        The API has no filter by time: with ``updated_after`` a funnel is read until a page holds older conversions
        only. What changed after the conversion is invisible to it, and so may be contacts that never converted:
        read everything now and then.

        :param updated_after: only contacts converted at or after this time, and those without a conversion time that
            are met on the way
        :param funnel_ids: funnels to read; default the connection's ``funnel_ids``, else all that the key may see
        :param contact_status: yield only contacts with one of these statuses; the API has no such filter: all are read,
            and a warning names a status that none of them has
        :raises LeadsNotFoundError: when a funnel doesn't exist
        """
        scope |= {"funnel_ids": funnel_ids, "contact_status": contact_status}
        return leads_of(self.lead_pages(updated_after=updated_after, **scope))

    def lead_pages(
        self,
        *,
        updated_after: datetime | str | None = None,
        updated_before: datetime | str | None = None,
        position: Position | None = None,
        funnel_ids: Iterable[object] | str | None = None,
        contact_status: Iterable[object] | str | None = None,
        **scope: Any,
    ) -> Iterator[LeadPage]:
        """Yield what :meth:`iter_leads` does, page by page and with the position of each.

        :param updated_after: see :meth:`iter_leads`
        :param updated_before: the newest come first, so they are yielded whatever this says
        :param position: of the page to start with; funnels that are gone since are passed over
        :param funnel_ids: see :meth:`iter_leads`
        :param contact_status: see :meth:`iter_leads`
        :raises LeadsNotFoundError: when a funnel doesn't exist
        :raises LeadsServerError: when a list ends before the number of contacts that it says it has
        """
        self.check_scope(**scope)
        bound = maybe_instant("updated_after", updated_after)
        pages = self._pages_of(id_list("funnel_ids", funnel_ids), bound, position)
        statuses = {str(one).casefold(): str(one) for one in id_list("contact_status", contact_status) or ()}
        return self._with_status(pages, statuses) if statuses else pages

    def _with_status(self, pages: Iterator[LeadPage], statuses: Mapping[str, str]) -> Iterator[LeadPage]:
        """Yield pages with contacts of some statuses, and tell of those that nobody has: the API lists none."""
        met: dict[str, str] = {}
        for leads, position in pages:
            met |= {lead.status.casefold(): lead.status for lead in leads if lead.status}
            kept = [lead for lead in leads if lead.status and lead.status.casefold() in statuses]
            yield LeadPage(kept, position)
        for status in sorted(statuses.keys() - met.keys()):
            others = ", ".join(map(repr, sorted(met.values())[:_STATUSES_NAMED])) or "none"
            self.log.warning(
                "%s: no contact that was read has the status %r%s (statuses met: %s)",
                self.label, statuses[status], nearest(status, met), others,
            )  # fmt: skip

    def scopes_to_read(self, *, funnel_ids: Iterable[object] | str | None = None, **scope: Any) -> list[str] | None:
        """Return the funnels that a read covers.

        :param funnel_ids: as for :meth:`iter_leads`
        """
        return list(self._funnels(id_list("funnel_ids", funnel_ids)))

    def is_gone(self, funnel_id: str) -> bool:
        """Tell whether a funnel is certainly not there (any more), or not for this key.

        Its metrics don't tell: "not found" is also what the API says of a metric without data.

        :param funnel_id: the funnel
        """
        try:
            next(self.list_contacts(funnel_id, page_size=1), None)
        except LeadsNotFoundError:
            return True
        except LeadsPermissionError:
            # The key may be one for metrics only.
            with suppress(LeadsPermissionError):
                return funnel_id not in _funnel_ids(self.list_workspaces())
        return False

    def find_leads(
        self, emails: Iterable[str], *, funnel_ids: Iterable[object] | str | None = None, **scope: Any
    ) -> Iterator[Lead]:
        """Yield the contacts with these addresses; the API has no filter, so the funnels are read in full.

        :param emails: addresses in any spelling
        :param funnel_ids: as for :meth:`iter_leads`
        """
        self.check_scope(**scope)
        wanted = addresses("emails", emails)
        funnels = id_list("funnel_ids", funnel_ids)
        return (lead for lead in self._read(funnels, None) if lead.email_key in wanted) if wanted else iter(())

    def writable_fields(self) -> frozenset[str]:
        """Return the lead fields that every funnel's contacts have; ``status`` is left to explicit writes."""
        return frozenset(LEAD_FIELDS) - {"status"} | {"address"}

    def write_cost(self, row: PlanRow) -> float:
        """Return what writing a plan row costs in API calls: one per contact field that changes."""
        if row.action != "update":
            return super().write_cost(row)
        return float(len(update_fields(row.values, row.before)[0]))

    def target_scope(self, **options: Any) -> str | None:
        """Return the funnel that a plan with these options is written to."""
        return self._target_funnel(options)

    def check_write_options(self, **options: Any) -> None:
        """Refuse unknown options, and a write without a funnel to write to.

        :param options: ``funnel_id`` (default the only one of the connection's ``funnel_ids``) and
            ``skip_automation_trigger`` (default true)
        :raises ValueError: naming the option
        """
        super().check_write_options(**options)
        boolean("skip_automation_trigger", options.get("skip_automation_trigger", True))
        self._target_funnel(options)

    def repeats_quietly(self, **options: Any) -> bool:
        """Tell whether writing a value once more does nothing: not where it starts automations."""
        return boolean("skip_automation_trigger", options.get("skip_automation_trigger", True))

    def prepare_writes(self, options: Mapping[str, Any]) -> None:
        self._known = {}

    def create_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        funnel_id = self._target_funnel(options)
        with self._reading:
            if funnel_id not in self._known:
                self._known[funnel_id] = self._read_known(funnel_id)
        known = self._known[funnel_id]
        for row in rows:
            # A retried task meets what its first try created.
            if row.email_key in known:
                yield WriteResult(
                    email_key=row.email_key,
                    outcome="unchanged",
                    target_id=known[row.email_key],
                    reason="exists already",
                )
                continue
            fields, left_out = create_fields(row.values)
            reasons = [f"no place for {', '.join(left_out)}"] if left_out else []
            contact: Mapping[str, Any] = {}
            try:
                skip = options.get("skip_automation_trigger", True)
                contact = self.create_contact(funnel_id, email=row.email_key, skip_automation_trigger=skip, **fields)
                target_id = str(contact.get("id") or "") or None
            except LeadsApiError as error:
                target_id = self._find_unclear(funnel_id, row, error)
                if target_id is None:
                    yield failed_result(row, error)
                    continue
                reasons.append(_FOUND)
            known[row.email_key] = target_id or ""
            yield WriteResult(
                email_key=row.email_key,
                outcome="created",
                target_id=target_id,
                reason="; ".join(reasons) or None,
                fields=[field for field in row.values if field not in left_out],
                stored=stored_otherwise(row, fields_in(contact, row.values)),
                unsure=_FOUND in reasons,
            )

    def update_rows(self, rows: list[PlanRow], **options: Any) -> Iterator[WriteResult]:
        skip = boolean("skip_automation_trigger", options.get("skip_automation_trigger", True))
        for row in rows:
            require("target_id", row.target_id)
            funnel_id = row.target_scope or self._target_funnel(options)
            writes, left_out = update_fields(row.values, row.before)
            inputs = [{"field": name, "value": value} for _, name, value in writes]
            result, stopped = run_chunks(inputs, 1, self.value_writer(funnel_id, str(row.target_id), skip))
            failed = {writes[f.index][0] for f in result.failed}
            # An address is written in parts, of which each has an answer of its own.
            single = {writes[s.index][0]: s.record or {} for s in result.succeeded if writes[s.index][0] in LEAD_FIELDS}
            reasons = [f"{f.input['field']}: {f.category}, {f.reason}" for f in result.failed]
            if "address" in left_out:
                left_out.remove("address")
                reasons.append("address was left alone: it can't be split into street and house number for sure")
            if left_out:
                reasons.append(f"no place for {', '.join(left_out)}")
            unclear = any(f.ambiguous for f in result.failed)
            yield WriteResult(
                email_key=row.email_key,
                outcome="ambiguous" if unclear else "failed" if failed else "updated" if writes else "unchanged",
                target_id=row.target_id,
                reason="; ".join(reasons) or None,
                request_id=next((f.request_id for f in result.failed), None),
                refused=bool(result.failed) and all(f.refused for f in result.failed),
                fields=list(dict.fromkeys(field for field, _, _ in writes if field not in failed)),
                stored=stored_otherwise(row, {name: plain(r["value"]) for name, r in single.items() if "value" in r}),
            )
            if stopped:
                raise stopped

    def erase_steps(self, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
        named = self._configured_funnels()
        funnels = named or list(_funnel_ids(trail.read(lambda: list(self.list_workspaces()))))
        yield from erase(self, trail, people, funnels, others=bool(named))

    def probe(self) -> tuple[bool, str]:
        configured = self._configured_funnels()
        try:
            workspaces = list(self.list_workspaces())
        except LeadsPermissionError:
            return True, (
                "Perspective accepts the key, but it may not list workspaces: name the funnels in the connection's "
                f"extra 'funnel_ids', or grant that permission. {self._told_rights(configured)}"
            )
        seen = list(_funnel_ids(workspaces))
        hidden = [funnel for funnel in configured or () if funnel not in seen]
        warning = f" It can't see these of the extra 'funnel_ids': {', '.join(hidden)}." if hidden else ""
        rights = self._told_rights([funnel for funnel in configured or seen if funnel in seen])
        return True, (
            f"Perspective accepts the key: {len(workspaces)} workspaces with {len(seen)} funnels.{warning} {rights}"
        )

    def _told_rights(self, funnels: list[str] | None) -> str:
        if not funnels:
            return "What else it may do could not be found out without a funnel."
        funnel_id, now = funnels[0], datetime.now(UTC)
        contacts = partial(self.list_contacts, funnel_id, page_size=1)
        # To nobody's contact: whoever may not write is refused before it is looked for.
        write = partial(self.update_contact_value, funnel_id, _NO_CONTACT, "firstName", "")
        metrics = partial(self.get_kpi, funnel_id, KPI_SUBTYPES[0], now - timedelta(hours=1), now, 0, True)
        rights = (
            Right("read contacts", lambda: next(contacts(), None), "CRM, reading"),
            of_nobody("write contacts", write, "CRM, writing"),
            Right("read metrics", metrics, "metrics, reading"),
        )
        return told_rights(rights)

    def _read(self, funnel_ids: list[str] | None, bound: datetime | None) -> Iterator[Lead]:
        return leads_of(self._pages_of(funnel_ids, bound, None))

    def _funnels(self, funnel_ids: list[str] | None) -> Iterable[str]:
        return funnel_ids or self._configured_funnels() or _funnel_ids(self.list_workspaces())

    def _pages_of(
        self, funnel_ids: list[str] | None, bound: datetime | None, position: Position | None
    ) -> Iterator[LeadPage]:
        left = dict(position or {})
        done: list[str] = left.pop("done", [])
        current = left.pop("funnel_id", None)
        for funnel_id in self._funnels(funnel_ids):
            if funnel_id in done:
                continue
            start = left if funnel_id == current else None
            with closing(self.contact_pages(funnel_id, _NEWEST_FIRST, start, to_the_end=bound is None)) as pages:
                for page, at in pages:
                    leads = [to_lead(contact, funnel_id) for contact in page]
                    here = {"funnel_id": funnel_id, **at, "done": list(done)}
                    if bound is None:
                        yield LeadPage(leads, here)
                        continue
                    recent = [lead for lead in leads if lead.updated_at is None or lead.updated_at >= bound]
                    yield LeadPage(recent, here)
                    # Contacts without a date stand at one end of the list or anywhere: they say nothing about the rest.
                    dated = [lead.updated_at for lead in leads if lead.updated_at is not None]
                    if dated and max(dated) < bound:
                        break
            done.append(funnel_id)

    def _configured_funnels(self) -> list[str] | None:
        try:
            return id_list("funnel_ids", self.settings.extra.get("funnel_ids"))
        except ValueError:
            raise LeadsSettingsError(
                f"{self.label}: extra 'funnel_ids' must be a list of the ids of one funnel or more, none empty. "
                "To read every funnel that the key may see, leave it out."
            ) from None

    def _target_funnel(self, options: Mapping[str, Any]) -> str:
        funnel_id = options.get("funnel_id")
        if funnel_id is not None:
            require("funnel_id", funnel_id)
            return str(funnel_id)
        configured = self._configured_funnels() or []
        if len(configured) != 1:
            raise ValueError(
                f"{self.label}: funnel_id must say which funnel to write to. Give it as a write option, or name just "
                f"one funnel in the connection's extra 'funnel_ids'; it names {len(configured)}. {WHERE_FUNNEL_IDS_ARE}"
            )
        return configured[0]

    def _read_known(self, funnel_id: str) -> dict[str, str]:
        try:
            return {lead.email_key: lead.source_id for lead in self._read([funnel_id], None) if lead.email_key}
        except LeadsNotFoundError as error:
            # Without its funnel no row of the plan can be created, so this is no matter of one record.
            raise LeadsApiError(str(error), status=error.status, category=error.category, not_found=True) from None

    def _find_unclear(self, funnel_id: str, row: PlanRow, error: LeadsApiError) -> str | None:
        """Return the id of a contact whose create got no clear answer, ``None`` when it is not there (yet)."""
        if not error.ambiguous:
            raise error
        try:
            found = self._id_in(funnel_id, row.email_key)
            if found is None:
                # What took too long to be answered may take effect yet, and whoever tries again would make a second
                # contact.
                self.client.sleep(min(self.settings.timeout, _LATE_SECONDS))
                found = self._id_in(funnel_id, row.email_key)
        except LeadsApiError:
            raise error from None
        if found is None and isinstance(error, LeadsServerError):
            # Raised, so that a vendor that keeps failing ends the work.
            raise error
        return found

    def _id_in(self, funnel_id: str, email_key: str) -> str | None:
        leads = self._read([funnel_id], None)
        return next((lead.source_id for lead in leads if lead.email_key == email_key), None)


def _funnel_ids(workspaces: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the ids of all funnels, each once; ``funnels`` is a name of the list that other clients expect."""
    found = (
        funnel for workspace in workspaces for funnel in workspace.get("campaigns") or workspace.get("funnels") or ()
    )
    yield from dict.fromkeys(str(funnel["id"]) for funnel in found if funnel.get("id"))
