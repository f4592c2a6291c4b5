"""Perspective's eight endpoints. https://developers.perspective.co"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime
from typing import Any, Final, TypeVar

from airflow_providers_leads.hooks.arguments import boolean, offset_minutes, one_of, whole, window, wire_time
from airflow_providers_leads.hooks.base import LeadsHook, require
from airflow_providers_leads.hooks.batches import NOT_ATTEMPTED, Chunk, failed_input, run_batch
from airflow_providers_leads.hooks.perspective import wire
from airflow_providers_leads.hooks.perspective.fields import (
    AB_TEST_CHART,
    AB_TESTS,
    CHART_SUBTYPES,
    KPI_SUBTYPES,
    SORT_FIELDS,
    SORT_ORDERS,
    requested_name,
    wire_address,
    wire_value,
)
from airflow_providers_leads.hooks.reading import with_positions
from airflow_providers_leads.http.errors import LeadsApiError, LeadsNotFoundError, LeadsServerError
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, Succeeded

T = TypeVar("T")

PAGE_SIZE: Final = 100
_LAST_PAGE: Final = 2**31 - 1
WHERE_FUNNEL_IDS_ARE: Final = (
    "A funnel's id stands in the URL of its editor; list_workspaces() names every funnel that this key may see."
)
_NOT_YET: Final = "automations would start on what the contact held before, as these were not written:"
_CONTACTS: Final = "/v1/funnels/{funnel_id}/contacts"
_CONTACT: Final = "/v1/funnels/{funnel_id}/contacts/{contact_id}"


def _holds(kind: type, body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("data"), kind)


def _holds_contact(body: Any) -> bool:
    """Tell whether a body holds one contact: of one without an id nobody could say whose values are missing."""
    return _holds(dict, body) and bool(body["data"].get("id"))


def _holds_workspaces(body: Any) -> bool:
    """Tell whether a body lists workspaces, each with a list of funnels or none, and every funnel an object."""
    return _holds(list, body) and all(
        isinstance(workspace, dict)
        and all(
            isinstance(listed, list) and all(isinstance(funnel, dict) for funnel in listed)
            for name in ("campaigns", "funnels")
            if (listed := workspace.get(name)) is not None
        )
        for workspace in body["data"]
    )


def _ids(**values: str) -> dict[str, str]:
    for name, value in values.items():
        require(name, value)
    return values


class PerspectiveApi(LeadsHook):
    """The calls of :class:`~airflow_providers_leads.hooks.perspective.PerspectiveHook`, one method per endpoint."""

    def list_workspaces(self) -> Iterator[dict[str, Any]]:
        """Yield the workspaces that the key may see, each with its funnels under ``campaigns``.

        :returns: ``{"id", "name", "campaigns": [{"id", "name", "status"}]}``; a campaign's id is a funnel id

        https://developers.perspective.co
        """
        yield from self.request("GET", "/v1/workspaces", expect=_holds_workspaces).body["data"]

    def list_contacts(
        self,
        funnel_id: str,
        sort_field: str = "ps_converted_at",
        sort_order: str | int = "desc",
        page_size: int = PAGE_SIZE,
        page: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Yield a funnel's contacts as the API gives them, each once, a page in memory at a time.

        :param funnel_id: the funnel, a campaign's id from :meth:`list_workspaces`
        :param sort_field: ``ps_converted_at``, ``email``, ``firstName`` or ``lastName``
        :param sort_order: ``desc`` or -1, ``asc`` or 1
        :param page_size: contacts per request, 1 to 100
        :param page: page to start at, the first is 0
        :raises LeadsNotFoundError: when there is no such funnel

        https://developers.perspective.co
        """
        require("funnel_id", funnel_id)
        query = {
            "sortField": one_of("sort_field", sort_field, SORT_FIELDS),
            "sortOrder": SORT_ORDERS[one_of("sort_order", sort_order, SORT_ORDERS)],
            "limit": whole("page_size", page_size, 1, PAGE_SIZE),
        }
        pages = self.contact_pages(funnel_id, query, {"page": whole("page", page, 0, _LAST_PAGE)})
        return (contact for found, _ in pages for contact in found)

    def get_contact(self, funnel_id: str, contact_id: str) -> dict[str, Any]:
        """Return one contact, UTM parameters and custom properties included.

        :param funnel_id: the funnel
        :param contact_id: the contact
        :raises LeadsNotFoundError: when the funnel has no such contact

        https://developers.perspective.co
        """
        path = _ids(funnel_id=funnel_id, contact_id=contact_id)
        answer = self.request("GET", _CONTACT, path_params=path, expect=_holds_contact)
        contact: dict[str, Any] = answer.body["data"]
        return contact

    def create_contact(
        self,
        funnel_id: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        first_name: str | None = None,
        last_name: str | None = None,
        status: str | None = None,
        website: str | None = None,
        birthday: str | date | None = None,
        address: Mapping[str, object] | None = None,
        skip_automation_trigger: bool = True,
    ) -> dict[str, Any]:
        """Create a contact and return it, with its ``id``.

        Every call makes a new contact, even for an address that is there already, so it is never repeated by itself.

        :param funnel_id: the funnel
        :param email: needed unless there is a phone
        :param phone: needed unless there is an email
        :param status: one of the statuses configured in this funnel; the API can't list them
        :param birthday: a date, or text such as ``1990-12-31``
        :param address: any of ``street``, ``houseNumber``, ``postalCode``, ``city``, ``state``, ``country``
        :param skip_automation_trigger: false lets the automations of the initial status start, which may send messages;
            default true
        :raises LeadsValidationError: when the API refuses a value
        :raises LeadsApiError: with ``ambiguous`` true when the contact may have been created although no answer arrived

        https://developers.perspective.co
        """
        path = _ids(funnel_id=funnel_id)
        if not (email or "").strip() and not (phone or "").strip():
            raise ValueError("email or phone must be given")
        given = {
            "email": email,
            "phone": phone,
            "firstName": first_name,
            "lastName": last_name,
            "status": status,
            "website": website,
            "birthday": birthday,
        }
        body: dict[str, Any] = {
            name: wire_value(name, value).strip() for name, value in given.items() if value not in (None, "")
        }
        if address and (parts := wire_address(address)):
            body["address"] = parts
        body["skipAutomationTrigger"] = boolean("skip_automation_trigger", skip_automation_trigger)
        answer = self.request("POST", _CONTACTS, path_params=path, json=body, expect=_holds_contact)
        contact: dict[str, Any] = answer.body["data"]
        return contact

    def update_contact_value(
        self,
        funnel_id: str,
        contact_id: str,
        field: str,
        value: object,
        skip_automation_trigger: bool = True,
        allow_custom: bool = False,
    ) -> dict[str, Any]:
        """Write one field of a contact and return ``{"id", "fieldName", "value", "updatedAt"}``.

        :param funnel_id: the funnel
        :param contact_id: the contact
        :param field: ``firstName``, ``lastName``, ``email``, ``phone``, ``status``, ``website``, ``birthday``,
            ``street``, ``houseNumber``, ``postalCode``, ``city``, ``state`` or ``country``
        :param value: text, number, boolean or date, sent as text; an empty text asks to clear the field
        :param skip_automation_trigger: false lets the automations bound to this change start, which may send messages;
            the write is then not repeated after an unclear failure; default true
        :param allow_custom: accept other field names: Perspective makes a custom property of any name, misspelt ones
            too; default false
        :raises LeadsNotFoundError: when the funnel has no such contact

        https://developers.perspective.co
        """
        name = requested_name(field, allow_custom=allow_custom)
        return self._write_value(funnel_id, contact_id, name, wire_value(field, value), skip_automation_trigger)

    def _write_value(
        self, funnel_id: str, contact_id: str, name: str, value: str, skip_automation_trigger: bool
    ) -> dict[str, Any]:
        path = _ids(funnel_id=funnel_id, contact_id=contact_id)
        skip = boolean("skip_automation_trigger", skip_automation_trigger)
        body = {"fieldName": name, "value": value, "skipAutomationTrigger": skip}
        # An answer without a body is a success; one with something else in it than the value may be an error.
        answer = self.request(
            "PUT", _CONTACT + "/values", path_params=path, json=body, idempotent=skip,
            expect=lambda answer: answer is None or _holds(dict, answer),
        )  # fmt: skip
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        return data if isinstance(data, dict) else {}

    def update_contact(
        self,
        funnel_id: str,
        contact_id: str,
        values: Mapping[str, object],
        skip_automation_trigger: bool = True,
        allow_custom: bool = False,
    ) -> BatchResult:
        """Write several fields of a contact, one request each, and return which of them were written.

        ``status`` comes last, because it may start messages that use the other fields; where it may and one of them was
        not written, it is not sent.

        :param funnel_id: the funnel
        :param contact_id: the contact
        :param values: field → value, as for :meth:`update_contact_value`
        :param skip_automation_trigger: as for :meth:`update_contact_value`
        :param allow_custom: as for :meth:`update_contact_value`
        :returns: every field once; ``input`` is ``{"field", "value"}`` as sent
        :raises LeadsAuthError, LeadsPermissionError: when nothing was written and the key is the reason

        https://developers.perspective.co
        """
        require("funnel_id", funnel_id)
        require("contact_id", contact_id)
        writes = [
            (requested_name(field, allow_custom=allow_custom), wire_value(field, value))
            for field, value in values.items()
        ]
        names = [name for name, _ in writes]
        if not writes or len(set(names)) < len(names):
            raise ValueError("values must name at least one field, and each field once")
        writes.sort(key=lambda write: write[0] == "status")
        inputs = [{"field": name, "value": value} for name, value in writes]
        return run_batch(inputs, 1, self.value_writer(funnel_id, contact_id, skip_automation_trigger))

    def get_kpi(
        self,
        funnel_id: str,
        subtype: str,
        start: datetime | str,
        end: datetime | str,
        offset: int | str = 0,
        empty_on_not_found: bool = False,
    ) -> dict[str, Any]:
        """Return one key figure of a funnel: ``{"type", "value"}``, with ``count`` (sample size) for rates.

        :param funnel_id: the funnel
        :param subtype: one of :data:`KPI_SUBTYPES`
        :param start: aware datetime, or ISO 8601 text with an offset; inclusive
        :param end: likewise, after ``start``
        :param offset: minutes from UTC, east positive, or a time zone such as ``Europe/Berlin`` (its offset at
            ``start``); moves the borders of days; default 0
        :param empty_on_not_found: return ``{}`` when the API says "not found", which it also does for funnels without
            data; default false
        :raises LeadsApiError: ``not_found`` is true when the API says so

        https://developers.perspective.co
        """
        one_of("subtype", subtype, KPI_SUBTYPES)
        return self._metric("kpis", funnel_id, subtype, start, end, offset, empty_on_not_found, {})

    def get_chart(
        self,
        funnel_id: str,
        subtype: str,
        start: datetime | str,
        end: datetime | str,
        offset: int | str = 0,
        ab_test: str | None = None,
        empty_on_not_found: bool = False,
    ) -> list[dict[str, Any]]:
        """Return the points of a funnel's chart as the API gives them; their keys depend on the subtype.

        :param funnel_id: the funnel
        :param subtype: one of :data:`CHART_SUBTYPES`
        :param start: as for :meth:`get_kpi`
        :param end: as for :meth:`get_kpi`
        :param offset: as for :meth:`get_kpi`
        :param ab_test: ``all``, ``original`` or ``variant``; only for ``chart_page_to_page_conversion_rate``
        :param empty_on_not_found: return ``[]`` when the API says "not found"; default false
        :raises LeadsApiError: ``not_found`` is true when the API says so

        https://developers.perspective.co
        """
        one_of("subtype", subtype, CHART_SUBTYPES)
        if ab_test is not None:
            one_of("ab_test", ab_test, AB_TESTS)
            if subtype != AB_TEST_CHART:
                raise ValueError(f"ab_test is only for {AB_TEST_CHART}, not for {subtype}")
        return self._metric("charts", funnel_id, subtype, start, end, offset, empty_on_not_found, [], abTest=ab_test)

    def get_insight(
        self,
        funnel_id: str,
        insight_id: str,
        start: datetime | str,
        end: datetime | str,
        offset: int | str = 0,
        empty_on_not_found: bool = False,
    ) -> dict[str, Any]:
        """Return how often each answer of a funnel's question was chosen: ``{"title", "answers", "groupedAnswers"}``.

        :param funnel_id: the funnel
        :param insight_id: the block's Tracking ID, shown in the left panel of the funnel's editor
        :param start: as for :meth:`get_kpi`
        :param end: as for :meth:`get_kpi`
        :param offset: as for :meth:`get_kpi`
        :param empty_on_not_found: return ``{}`` when the API says "not found"; default false
        :raises LeadsApiError: ``not_found`` is true when the API says so

        https://developers.perspective.co
        """
        require("insight_id", insight_id)
        return self._metric("insights", funnel_id, insight_id, start, end, offset, empty_on_not_found, {})

    def contact_pages(
        self,
        funnel_id: str,
        query: Mapping[str, Any],
        position: Mapping[str, Any] | None = None,
        *,
        to_the_end: bool = True,
    ) -> Generator[tuple[list[dict[str, Any]], dict[str, Any]], None, None]:
        """Yield the pages of a funnel's contacts, each with its position.

        The newest conversions first, a list to be read to its end is read in several places at a time: contacts arrive
        at the front, the time of a conversion doesn't change, and who converts late moves from the end to the front. In
        other orders contacts may move down, and the pages are read one after the other.

        :param funnel_id: the funnel
        :param query: sort and size of the pages
        :param position: of the page to start with
        :param to_the_end: false: the caller may stop anywhere; default true
        :raises LeadsNotFoundError: when there is no such funnel
        :raises LeadsServerError: when the list ends before the number of contacts that it says it has
        """
        place = dict(position or {})
        by_conversion = (query["sortField"], query["sortOrder"]) == ("ps_converted_at", -1)
        pages = wire.contact_pages(full=query["limit"], ordered=to_the_end and by_conversion).resume(place)
        read = place.get("read", pages.page * query["limit"])
        try:
            with closing(self.pages(pages, _CONTACTS, path_params={"funnel_id": funnel_id}, params=query)) as walk:
                for found, at in with_positions(walk, pages):
                    yield found, {**at, "read": read}
                    read += len(found)
            if missing := pages.missing(read):
                raise LeadsServerError(
                    f"{self.label}: funnel '{funnel_id}': the list of contacts ended {missing} short of the number "
                    "that it says it has. Run it again; what was listed may not be taken for the whole.",
                    category="ENDED_EARLY",
                )
        except LeadsApiError as error:
            if not error.not_found:
                raise
            raise LeadsNotFoundError(
                f"{self.label}: funnel '{funnel_id}' was not found. {WHERE_FUNNEL_IDS_ARE}",
                status=error.status,
                category="FUNNEL_NOT_FOUND",
                request_id=error.request_id,
                not_found=True,
            ) from None

    def value_writer(self, funnel_id: str, contact_id: str, skip: bool) -> Callable[[Chunk], BatchResult]:
        """Return what writes one ``{"field", "value"}`` of a contact; names and values must be checked already.

        A status that may start messages is left alone where a field before it was not written.
        """
        lost: list[Failed] = []

        def write(chunk: Chunk) -> BatchResult:
            [(index, item)] = chunk
            if lost and item["field"] == "status" and not boolean("skip_automation_trigger", skip):
                names = ", ".join(one.input["field"] for one in lost)
                left = Failed(index=index, input=item, category=NOT_ATTEMPTED, reason=f"{_NOT_YET} {names}")
                left.refused = all(one.refused for one in lost)
                return BatchResult(failed=[left])
            try:
                record = self._write_value(funnel_id, contact_id, item["field"], item["value"], skip)
            except LeadsApiError as error:
                lost.append(failed_input(index, item, error))
                raise
            return BatchResult(succeeded=[Succeeded(index=index, input=item, id=contact_id, record=record)])

        return write

    def _metric(
        self,
        family: str,
        funnel_id: str,
        name: str,
        start: datetime | str,
        end: datetime | str,
        offset: int | str,
        empty_on_not_found: bool,
        empty: T,
        **query: object,
    ) -> T:
        require("funnel_id", funnel_id)
        only_errors = not boolean("empty_on_not_found", empty_on_not_found)
        first, last = window("start", start, "end", end)
        query |= {"from": wire_time(first), "to": wire_time(last), "offset": offset_minutes("offset", offset, first)}
        try:
            data: T = self.request(
                "GET",
                f"/v1/funnels/{{funnel_id}}/metrics/{family}/{{name}}",
                path_params={"funnel_id": funnel_id, "name": name},
                params=query,
                expect=lambda body: _holds(type(empty), body),
            ).body["data"]
            return data
        except LeadsApiError as error:
            # Something else that answers under the connection's host says 404 of everything, and not in these words.
            if only_errors or error.status not in (400, 404) or not (error.not_found and error.words):
                raise
            return empty
