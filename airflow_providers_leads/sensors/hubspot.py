"""Waiting for HubSpot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from airflow.providers.common.compat.sdk import Context, XComArg

from airflow_providers_leads.operators.signatures import SensorArguments, Templated, WaitArguments
from airflow_providers_leads.sensors.base import LeadsSensor, text
from airflow_providers_leads.tasks.arguments import Requested, as_mapping, given
from airflow_providers_leads.tasks.inputs import as_list


class HubSpotNewContactSensor(LeadsSensor):
    """Wait until a contact is created.

    Found by search, whose index lags behind writes by seconds, rarely by a minute.

    :param hubspot_conn_id: connection of type ``hubspot``
    :param filters: further conditions that all must hold, as in HubSpot's search:
        ``{"propertyName", "operator", "value"}``
    :param since: contacts created at or after this time count: aware datetime, or ISO 8601 text with an offset; default
        the start of the DAG run
    :return: ``count``, ``ids`` (contacts, at most 100), ``oldest`` and ``newest`` (times of creation)
    :raises LeadsValidationError: for a filter that HubSpot doesn't take

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/search/search-contacts
    """

    template_fields: Sequence[str] = ("hubspot_conn_id", "filters", "since")
    poll_name = "hubspot_contacts"
    conn_parameter = "hubspot_conn_id"

    def __init__(
        self,
        *,
        hubspot_conn_id: Templated[str] = "hubspot_default",
        filters: Templated[Sequence[Mapping[str, Any]]] | None = None,
        since: Templated[datetime] | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.hubspot_conn_id: Any = hubspot_conn_id
        self.filters: Any = filters
        self.since: Any = since

    def query(self, context: Context) -> dict[str, Any]:
        """Return what to look for."""
        return {
            "filters": [
                as_mapping(f"filters[{index}]", condition)
                for index, condition in enumerate(as_list(given(self.filters)))
            ],
            "since": self._since(self.since, context),
        }


class HubSpotContactPropertySensor(LeadsSensor):
    """Wait until a contact has a property, or until the property has one of some values.

    .. code-block:: python

        HubSpotContactPropertySensor(
            task_id="customer", contact_id="{{ params.contact }}", property_name="lifecyclestage", value="customer"
        )

    :param property_name: internal name of the property
    :param contact_id: record id; either this or ``email``
    :param email: address of the contact, which need not exist yet. Templated, but never shown among the task's rendered
        fields and never logged
    :param value: the value to wait for, ``values`` for any of several; of a property with several choices one must
        match; compared by the property's type, options by value or label; default any value at all, which one that
        renders to nothing is not taken for
    :param values: see ``value``
    :param hubspot_conn_id: connection of type ``hubspot``
    :return: ``contact_id`` and ``property_name``; not the value, which may be personal
    :raises LeadsNotFoundError: when there is no such property, or no contact of this id
    :raises ValueError: unless exactly one of ``contact_id`` and ``email`` says which contact; for a value that the
        property never has, such as none of its options

    https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
    """

    template_fields: Sequence[str] = ("hubspot_conn_id", "contact_id", "property_name", "value", "values")
    poll_name = "hubspot_property"
    conn_parameter = "hubspot_conn_id"

    def __init__(
        self,
        *,
        property_name: Templated[str],
        contact_id: Templated[str] | None = None,
        email: Templated[str] | None = None,
        value: Any = None,
        values: Templated[Iterable[Any]] | None = None,
        hubspot_conn_id: Templated[str] = "hubspot_default",
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.property_name: Any = property_name
        self.contact_id: Any = contact_id
        # Not "email": Airflow mails its failure reports to what an operator has of that name.
        self._address: Any = email
        self.value: Any = value
        self.values: Any = values
        self.hubspot_conn_id: Any = hubspot_conn_id
        # Without it any value ends the wait, and what follows would begin too early.
        self._requested = Requested(
            self, *(name for name in ("value", "values") if given(getattr(self, name)) is not None)
        )
        XComArg.apply_upstream_relationship(self, email)

    def query(self, context: Context) -> dict[str, Any]:
        """Return what to look for."""
        from airflow_providers_leads.hooks.hubspot.values import property_value, record_id

        self._requested.check(self)
        # Rendered here and not as a template field: those are stored and shown.
        address = text(self.render_template(self._address, context))
        contact_id, name = text(self.contact_id), text(self.property_name)
        if (address is None) == (contact_id is None):
            raise ValueError("exactly one of contact_id and email must be given")
        if address is not None and "@" not in address:
            raise ValueError("email must be an address")
        if name is None:
            raise ValueError("property_name must not be empty")
        several, single = given(self.values), given(self.value)
        if several is not None and single is not None:
            raise ValueError("value and values can't be given together")
        listed = as_list(several)
        values = listed if single is None else [single]
        if several is not None and not values:
            raise ValueError("values must hold at least one value")
        return {
            "contact": address or record_id("contact_id", contact_id),
            "property_name": name,
            "values": [property_value("value", one) for one in values],
        }
