"""Perspective: an operator per endpoint of :class:`~airflow_providers_leads.hooks.perspective.PerspectiveHook`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from airflow_providers_leads.operators.endpoint import BatchOperator, EmailOperator, EndpointOperator, RowsOperator
from airflow_providers_leads.operators.links import CrmLink
from airflow_providers_leads.operators.signatures import Templated


class PerspectiveOperator(EndpointOperator):
    """Base of the Perspective operators."""

    hook: ClassVar[str] = "airflow_providers_leads.hooks.perspective.PerspectiveHook"
    conn_parameter: ClassVar[str] = "perspective_conn_id"
    operator_extra_links = (CrmLink(),)
    ui_color = "#e8e4ff"

    perspective_conn_id: Templated[str] = "perspective_default"


class PerspectiveListWorkspacesOperator(RowsOperator, PerspectiveOperator):
    """List the workspaces that the key may see, with their funnels (``campaigns``).

    https://developers.perspective.co

    :return: ``uri`` and ``rows`` with ``output``, else the workspaces
    :raises LeadsPermissionError: when the key lacks the permission
    """

    method = "list_workspaces"
    columns = ("id", "name", "campaigns")


class PerspectiveListContactsOperator(RowsOperator, PerspectiveOperator):
    """Read all contacts of a funnel.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param sort_field: ``ps_converted_at`` (default), ``email``, ``firstName`` or ``lastName``
    :param sort_order: ``desc`` (default) or ``asc``
    :param page_size: rows per request, 1 to 100, default 100
    :param page: page to start at, default 0, the first
    :return: ``uri`` and ``rows`` with ``output``, else the contacts
    :raises LeadsNotFoundError: when there is no such funnel
    :raises ValueError: for an argument out of range, or more than 1,000 rows without ``output``
    """

    method = "list_contacts"
    columns = (
        "id", "status", "email", "phone", "firstName", "lastName", "website", "birthday", "address", "meta",
        "utmParams", "properties",
    )  # fmt: skip
    funnel_id: Templated[str]
    sort_field: Templated[str] = "ps_converted_at"
    sort_order: Templated[str] = "desc"
    page_size: Templated[int] = 100
    page: Templated[int] = 0


class PerspectiveGetContactOperator(RowsOperator, PerspectiveOperator):
    """Read one contact of a funnel, with its UTM parameters and custom properties.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param contact_id: the contact
    :return: the contact; with ``output`` its ``uri``
    :raises LeadsNotFoundError: when there is no such contact
    :raises ValueError: for an empty argument
    """

    method = "get_contact"
    funnel_id: Templated[str]
    contact_id: Templated[str]


class PerspectiveCreateContactOperator(EmailOperator, PerspectiveOperator):
    """Create a contact in a funnel.

    Each call makes a new contact, even for an address that is there already. When it is unclear whether it was made,
    the task is not retried; one that is retried after a kill can make two. To write leads safely use
    :class:`~airflow_providers_leads.operators.leads.LeadsUpsertOperator`.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param email: address; needed unless there is a phone
    :param phone: needed unless there is an email
    :param first_name: first name
    :param last_name: last name
    :param status: one of the statuses configured in this funnel
    :param website: URL
    :param birthday: ISO date
    :param address: any of ``street``, ``houseNumber``, ``postalCode``, ``city``, ``state``, ``country``
    :param skip_automation_trigger: false starts the automations of the initial status, which may send messages;
        default true
    :return: the contact
    :raises LeadsValidationError: when the API refuses a value
    :raises ValueError: when both email and phone are missing
    """

    method = "create_contact"
    once = True
    funnel_id: Templated[str]
    phone: Templated[str] | None = None
    first_name: Templated[str] | None = None
    last_name: Templated[str] | None = None
    status: Templated[str] | None = None
    website: Templated[str] | None = None
    birthday: Templated[str] | None = None
    address: Templated[Mapping[str, Any]] | None = None
    skip_automation_trigger: Templated[bool] = True


class PerspectiveUpdateContactValueOperator(PerspectiveOperator):
    """Change one field of a contact.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param contact_id: the contact
    :param field: such as ``firstName`` (or ``first_name``), ``status``, ``city``
    :param value: its new value
    :param skip_automation_trigger: false starts the automations bound to the change, and the task is not retried when
        it is unclear whether they were; default true
    :param allow_custom: true lets an unknown name become a custom property, which the API does silently; default false
    :return: what the API stored
    :raises LeadsNotFoundError: when there is no such contact
    :raises ValueError: for a reserved or unknown field
    """

    method = "update_contact_value"
    funnel_id: Templated[str]
    contact_id: Templated[str]
    field: Templated[str]
    value: Any
    skip_automation_trigger: Templated[bool] = True
    allow_custom: Templated[bool] = False

    def does_it_again(self, arguments: Mapping[str, Any]) -> bool:
        """Tell whether the change would start automations a second time."""
        return arguments.get("skip_automation_trigger") is False


class PerspectiveUpdateContactOperator(BatchOperator, PerspectiveOperator):
    """Change several fields of a contact: one request each, data first, the status last.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param contact_id: the contact
    :param values: field → new value
    :param skip_automation_trigger: false starts the automations bound to the changes; default true
    :param allow_custom: true lets unknown names become custom properties; default false
    :return: counts and reasons; each field's fate is in ``output``
    :raises LeadsWriteError: when more fields failed than tolerated
    :raises ValueError: for a reserved or unknown field
    """

    method = "update_contact"
    funnel_id: Templated[str]
    contact_id: Templated[str]
    values: Templated[Mapping[str, Any]]
    skip_automation_trigger: Templated[bool] = True
    allow_custom: Templated[bool] = False


class PerspectiveGetKpiOperator(RowsOperator, PerspectiveOperator):
    """Read one KPI of a funnel over a time range.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param subtype: such as ``kpi_conversion_rate`` (percent), ``kpi_average_time_on_page`` (seconds) or
        ``kpi_new_contacts`` (number); see ``KPI_SUBTYPES`` in the hook
    :param start: begin, aware: a datetime or ISO text such as ``{{ data_interval_start }}``
    :param end: end, aware, after ``start``
    :param offset: minutes from UTC by which day boundaries move, or a time zone name; default 0
    :param empty_on_not_found: true makes "not found" an empty result, as funnels without data may answer; default false
    :return: ``type``, ``value`` and for rates ``count``
    :raises ValueError: for an unknown subtype, naive times, or ``start`` not before ``end``
    """

    method = "get_kpi"
    columns = ("type", "value", "count")
    funnel_id: Templated[str]
    subtype: Templated[str]
    start: Templated[datetime]
    end: Templated[datetime]
    offset: Templated[int | str] = 0
    empty_on_not_found: Templated[bool] = False


class PerspectiveGetChartOperator(RowsOperator, PerspectiveOperator):
    """Read the points of one chart of a funnel over a time range.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param subtype: such as ``chart_contacts_over_time``; see ``CHART_SUBTYPES`` in the hook
    :param start: begin, aware: a datetime or ISO text such as ``{{ data_interval_start }}``
    :param end: end, aware, after ``start``
    :param offset: minutes from UTC by which day boundaries move, or a time zone name; default 0
    :param ab_test: ``all``, ``original`` or ``variant``; only for ``chart_page_to_page_conversion_rate``
    :param empty_on_not_found: true makes "not found" an empty result; default false
    :return: the points
    :raises ValueError: for an unknown subtype, naive times, ``start`` not before ``end``, or ``ab_test`` elsewhere
    """

    method = "get_chart"
    columns = ("key", "value", "count")
    funnel_id: Templated[str]
    subtype: Templated[str]
    start: Templated[datetime]
    end: Templated[datetime]
    offset: Templated[int | str] = 0
    ab_test: Templated[str] | None = None
    empty_on_not_found: Templated[bool] = False


class PerspectiveGetInsightOperator(RowsOperator, PerspectiveOperator):
    """Read how often each answer of a block was chosen over a time range.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param insight_id: the block's tracking id, as the funnel editor shows it
    :param start: begin, aware: a datetime or ISO text such as ``{{ data_interval_start }}``
    :param end: end, aware, after ``start``
    :param offset: minutes from UTC by which day boundaries move, or a time zone name; default 0
    :param empty_on_not_found: true makes "not found" an empty result; default false
    :return: ``title``, ``answers`` and ``groupedAnswers``
    :raises ValueError: for naive times, or ``start`` not before ``end``
    """

    method = "get_insight"
    columns = ("title", "answers", "groupedAnswers")
    funnel_id: Templated[str]
    insight_id: Templated[str]
    start: Templated[datetime]
    end: Templated[datetime]
    offset: Templated[int | str] = 0
    empty_on_not_found: Templated[bool] = False
