"""The way back: what people did with PersistIQ's mail, into HubSpot's contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.http.errors import LeadsConflictError
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import ON_FAILURE, OperatorArguments, Templated
from airflow_providers_leads.tasks.arguments import as_bool, as_entries, as_mapping, given, given_entries
from airflow_providers_leads.tasks.paths import uri_or_none
from airflow_providers_leads.tasks.returns import check_failures, check_output, tolerance, write_table

if TYPE_CHECKING:
    from airflow_providers_leads.leads.model.outcomes import BatchResult

_NEEDED: Final = ("name", "label", "type", "field_type")


class HubSpotEnsurePropertiesOperator(LeadsOperator):
    """Make a group of contact properties, and properties in it, unless they are there.

    Run as often as you like: what exists is left as it is. Making something needs the scope
    ``crm.schemas.contacts.write``; finding that all is there doesn't.

    :param group: ``{"name", "label"}`` of the group
    :param properties: ``{"name", "label", "type", "field_type"}`` each, and ``options`` for an enumeration
    :param hubspot_conn_id: connection of type ``hubspot``
    :param dry_run: true only tells what is missing; default false
    :return: ``group_created``, ``created`` (names) and ``existing`` (a number)
    :raises ValueError: when a property of that name has another type
    :raises LeadsPermissionError: when the key lacks ``crm.schemas.contacts.write``

    https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide
    """

    template_fields: Sequence[str] = ("group", "properties", "hubspot_conn_id", "plan_only")

    def __init__(
        self,
        *,
        group: Templated[Mapping[str, Any]],
        properties: Templated[Sequence[Mapping[str, Any]]],
        hubspot_conn_id: Templated[str] = "hubspot_default",
        dry_run: Templated[bool] = False,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.group: Any = group
        self.properties: Any = properties
        self.hubspot_conn_id: Any = hubspot_conn_id
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only: Any = dry_run

    def run(self, context: Context) -> dict[str, Any]:
        """Make what is missing; see the class."""
        from airflow_providers_leads.hooks.hubspot import HubSpotHook

        dry_run = as_bool("dry_run", self.plan_only)
        hook = HubSpotHook(self.hubspot_conn_id)
        group, definitions = self._definitions()
        held = hook.known_properties([definition["name"] for definition in definitions])
        lacking = [definition for definition in definitions if definition["name"] not in held]
        for definition in definitions:
            kind = held.get(definition["name"], definition)["type"]
            if kind != definition["type"]:
                raise ValueError(
                    f"{hook.label}: HubSpot has a property {definition['name']!r} of type {kind!r}, and "
                    f"{definition['type']!r} is needed. Choose another name."
                )
        # A group without properties of ours would be asked for each time otherwise.
        makes_group = bool(lacking) and group["name"] not in {known["name"] for known in hook.list_property_groups()}
        if not dry_run:
            if makes_group:
                _unless_there(LeadsConflictError, hook.create_property_group, group["name"], label=group["label"])
            for definition in lacking:
                _unless_there(LeadsConflictError, hook.create_property, **{**definition, "group_name": group["name"]})
        names = [definition["name"] for definition in lacking]
        self.log.info("%s: %d properties are there, missing: %s", hook.label, len(definitions) - len(names), names)
        return {"group_created": makes_group, "created": names, "existing": len(definitions) - len(names)}

    def _definitions(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        entries = as_entries("properties", given(self.properties))
        definitions = [as_mapping(f"properties[{index}]", entry) for index, entry in enumerate(entries)]
        group = as_mapping("group", given(self.group))
        for where, definition, needed in (
            ("group", group, ("name", "label")),
            *((f"properties[{index}]", definition, _NEEDED) for index, definition in enumerate(definitions)),
        ):
            if lacking := [name for name in needed if not isinstance(definition.get(name), str)]:
                raise ValueError(f"{where} needs a text as {lacking[0]}")
        return group, definitions


class PersistIQEngagementToHubSpotOperator(LeadsOperator):
    """Write replies, bounces and opt-outs of PersistIQ's leads to properties of HubSpot's contacts.

    Contacts are matched by address, secondary ones too; nobody is created, and only what differs is written. Times
    never go back, so that windows may overlap and old ones be run again.

    :param start_at: events at or after this time: aware datetime, or ISO 8601 text with an offset
    :param end_at: events before this time; default all up to now
    :param persistiq_conn_id: connection of type ``persistiq``
    :param hubspot_conn_id: connection of type ``hubspot``
    :param properties: field → HubSpot property, fields being ``replied_at``, ``bounced_at``, ``opted_out_at`` and
        ``last_campaign``; fields that are left out aren't written; default
        :data:`~airflow_providers_leads.bridges.persistiq_hubspot.PROPERTY_OF`, made by
        :class:`HubSpotEnsurePropertiesOperator`
    :param output: URI of a ``.parquet``, ``.jsonl`` or ``.jsonl.gz`` file that tells for each changed contact what was
        written, by ids; default none
    :param dry_run: true writes nothing to HubSpot; default false
    :param on_failure: ``fail`` (default) fails the task when more than ``max_failed`` contacts were not written,
        ``report`` warns
    :param max_failed: contacts not written that are tolerated: a number, or a share below 1; default 0
    :return: ``events`` (number per field), ``people``, ``without_address`` (events), ``unmatched`` (people that HubSpot
        doesn't hold), ``updated``, ``unchanged``, ``failed`` (contacts), ``uri``, ``dry_run``
    :raises LeadsWriteError: when too many contacts were not written
    :raises ValueError: for a bad argument, or when HubSpot lacks a property, before the first write

    https://apidocs.persistiq.com/#events
    """

    template_fields: Sequence[str] = (
        "start_at", "end_at", "persistiq_conn_id", "hubspot_conn_id", "properties", "output_uri", "plan_only",
        "on_failure", "max_failed",
    )  # fmt: skip
    ui_color = "#ffe9e0"
    choices = ON_FAILURE

    def __init__(
        self,
        *,
        start_at: Templated[datetime],
        end_at: Templated[datetime] | None = None,
        persistiq_conn_id: Templated[str] = "persistiq_default",
        hubspot_conn_id: Templated[str] = "hubspot_default",
        properties: Templated[Mapping[str, str]] | None = None,
        output: Templated[str] | None = None,
        dry_run: Templated[bool] = False,
        on_failure: Templated[str] = "fail",
        max_failed: Templated[float] = 0,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.start_at: Any = start_at
        self.end_at: Any = end_at
        self.persistiq_conn_id: Any = persistiq_conn_id
        self.hubspot_conn_id: Any = hubspot_conn_id
        self.properties: Any = properties
        # Not "output" and "dry_run": Airflow's operators have a property and a method of these names.
        self.output_uri: Any = output
        self.plan_only: Any = dry_run
        self.on_failure: Any = on_failure
        self.max_failed: Any = max_failed

    def run(self, context: Context) -> dict[str, Any]:
        """Read, match and write; see the class."""
        from airflow_providers_leads.bridges.persistiq_hubspot import contact_changes, fold
        from airflow_providers_leads.hooks.hubspot import HubSpotHook
        from airflow_providers_leads.hooks.persistiq import PersistIQHook

        dry_run, tolerated = as_bool("dry_run", self.plan_only), tolerance(self.on_failure, self.max_failed)
        property_of, start = self._property_of(), given(self.start_at)
        uri = uri_or_none("output", self.output_uri)
        check_output(uri)
        if start is None:
            raise ValueError("start_at must be given")
        persistiq, hubspot = PersistIQHook(self.persistiq_conn_id), HubSpotHook(self.hubspot_conn_id)
        folded = fold(persistiq.list_events(group="lead_detail", start_at=start, end_at=given(self.end_at)))
        inputs, unchanged, unmatched = contact_changes(hubspot, folded, property_of)
        self.log.info(
            "%d people replied, bounced or opted out; HubSpot doesn't hold %d of them, %d contacts differ",
            len(folded.people), unmatched, len(inputs),
        )  # fmt: skip
        if inputs and not dry_run:
            known = hubspot.known_properties(property_of.values())
            if lacking := sorted(set(property_of.values()) - known.keys()):
                raise ValueError(
                    f"{hubspot.label}: HubSpot has no contact property {lacking[0]!r}. "
                    "HubSpotEnsurePropertiesOperator makes it."
                )
        result = hubspot.batch_update_contacts(inputs) if inputs and not dry_run else None
        failed = 0 if result is None else len(result.failed)
        if uri is not None:
            write_table(uri, _rows(inputs, result), ("contact_id", "outcome", "reason", "properties"))
        if result is not None and failed:
            reasons = "; ".join(f"{reason} ({number})" for reason, number in result.summary["reasons"].items())
            message = f"{hubspot.label}: {failed} of {len(inputs)} contacts were not written: {reasons}."
            check_failures(failed, len(inputs), tolerated, message, self.log)
        return {
            "events": dict(folded.counts),
            "people": len(folded.people),
            "without_address": folded.without_address,
            "unmatched": unmatched,
            "updated": len(inputs) - failed,
            "unchanged": unchanged,
            "failed": failed,
            "uri": uri,
            "dry_run": dry_run,
        }

    def _property_of(self) -> dict[str, str]:
        from airflow_providers_leads.bridges.persistiq_hubspot import FIELDS, PROPERTY_OF

        wanted = given(self.properties)
        if wanted is None:
            return dict(PROPERTY_OF)
        chosen = given_entries("properties", wanted)
        if not chosen or set(chosen) - set(FIELDS):
            raise ValueError(f"properties must be a mapping of any of {', '.join(FIELDS)} to HubSpot's properties")
        return {field: str(name) for field, name in chosen.items()}


def _unless_there(conflict: type[Exception], make: Any, *args: Any, **kwargs: Any) -> None:
    # Somebody else may be quicker; it is there then, which is all that is wanted.
    with suppress(conflict):
        make(*args, **kwargs)


def _rows(inputs: list[dict[str, Any]], result: BatchResult | None) -> Any:
    failed = {} if result is None else {failure.index: failure for failure in result.failed}
    for index, item in enumerate(inputs):
        failure = failed.get(index)
        outcome = "planned" if result is None else "updated" if failure is None else "failed"
        values = {name: str(value) for name, value in item["properties"].items()}
        yield {
            "contact_id": item["id"],
            "outcome": outcome,
            "reason": f"{failure.category}: {failure.reason}" if failure else None,
            "properties": values,
        }
