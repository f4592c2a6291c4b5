"""Perspective: an operator per endpoint of :class:`~airflow_providers_leads.hooks.perspective.PerspectiveHook`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_providers_leads.operators.endpoint import BATCH, ROWS, EndpointOperator
from airflow_providers_leads.operators.links import CrmLink


class PerspectiveOperator(EndpointOperator):
    """Base of the Perspective operators."""

    hook: ClassVar[str] = "airflow_providers_leads.hooks.perspective.PerspectiveHook"
    conn_parameter: ClassVar[str] = "perspective_conn_id"
    operator_extra_links = (CrmLink(),)
    ui_color = "#e8e4ff"

    perspective_conn_id: str = "perspective_default"


class PerspectiveListWorkspacesOperator(PerspectiveOperator):
    """List the workspaces that the key may see, with their funnels (``campaigns``).

    https://developers.perspective.co

    :return: ``uri`` and ``rows`` with ``output``, else the workspaces
    :raises LeadsPermissionError: when the key lacks the permission
    """

    method = "list_workspaces"
    hands_over = ROWS


class PerspectiveListContactsOperator(PerspectiveOperator):
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
    hands_over = ROWS
    funnel_id: str
    sort_field: str = "ps_converted_at"
    sort_order: str = "desc"
    page_size: int = 100
    page: int = 0


class PerspectiveGetContactOperator(PerspectiveOperator):
    """Read one contact of a funnel, with its UTM parameters and custom properties.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param contact_id: the contact
    :return: the contact; with ``output`` its ``uri``
    :raises LeadsNotFoundError: when there is no such contact
    :raises ValueError: for an empty argument
    """

    method = "get_contact"
    hands_over = ROWS
    funnel_id: str
    contact_id: str


class PerspectiveCreateContactOperator(PerspectiveOperator):
    """Create a contact in a funnel.

    Each call makes a new contact, even for an address that is there already: a retried task can make two. To write
    leads safely use :class:`~airflow_providers_leads.operators.leads.LeadsUpsertOperator`.

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
    funnel_id: str
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    status: str | None = None
    website: str | None = None
    birthday: str | None = None
    address: Mapping[str, Any] | None = None
    skip_automation_trigger: bool = True


class PerspectiveUpdateContactValueOperator(PerspectiveOperator):
    """Change one field of a contact.

    https://developers.perspective.co

    :param funnel_id: the funnel
    :param contact_id: the contact
    :param field: such as ``firstName`` (or ``first_name``), ``status``, ``city``
    :param value: its new value
    :param skip_automation_trigger: false starts the automations bound to the change; default true
    :param allow_custom: true lets an unknown name become a custom property, which the API does silently; default false
    :return: what the API stored
    :raises LeadsNotFoundError: when there is no such contact
    :raises ValueError: for a reserved or unknown field
    """

    method = "update_contact_value"
    funnel_id: str
    contact_id: str
    field: str
    value: Any
    skip_automation_trigger: bool = True
    allow_custom: bool = False


class PerspectiveUpdateContactOperator(PerspectiveOperator):
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
    hands_over = BATCH
    funnel_id: str
    contact_id: str
    values: Mapping[str, Any]
    skip_automation_trigger: bool = True
    allow_custom: bool = False


class PerspectiveGetKpiOperator(PerspectiveOperator):
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
    hands_over = ROWS
    funnel_id: str
    subtype: str
    start: Any
    end: Any
    offset: int | str = 0
    empty_on_not_found: bool = False


class PerspectiveGetChartOperator(PerspectiveOperator):
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
    hands_over = ROWS
    funnel_id: str
    subtype: str
    start: Any
    end: Any
    offset: int | str = 0
    ab_test: str | None = None
    empty_on_not_found: bool = False


class PerspectiveGetInsightOperator(PerspectiveOperator):
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
    hands_over = ROWS
    funnel_id: str
    insight_id: str
    start: Any
    end: Any
    offset: int | str = 0
    empty_on_not_found: bool = False
