"""PersistIQ around its leads: the company's users, fields, events, do-not-contact domains and webhooks.

https://apidocs.persistiq.com and, where marked, https://api.persistiq.com/api-docs/v1/swagger.json
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_providers_leads.hooks.arguments import instant, maybe_instant, one_of, window, wire_time
from airflow_providers_leads.hooks.base import LeadsHook, require
from airflow_providers_leads.hooks.persistiq import wire
from airflow_providers_leads.hooks.persistiq.answers import Record, raise_refusal, records_in, refused
from airflow_providers_leads.hooks.persistiq.fields import EVENT_GROUPS, WEBHOOK_SETTINGS, webhook_setting
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.leads.model.schema import moment

_DOMAIN: Final = re.compile(r"(?:[^\s@/:.]+\.)+[^\s@/:.]{2,}")
# Whether the API counts a bound in or out is not documented: it is asked for more, and the answer is cut to size here.
_MARGIN: Final = timedelta(seconds=1)


def is_object(body: Any) -> bool:
    """Tell whether a body is a JSON object."""
    return isinstance(body, dict)


def given(name: str, value: str | None) -> str | None:
    """Return an optional argument, refusing an empty text, which would silently mean "all", and what is no text."""
    if value is not None:
        require(name, value)
        if not isinstance(value, str):
            raise ValueError(f"{name} must be one text")
    return value


def maybe_wire(name: str, value: datetime | str | None) -> str | None:
    """Return an optional point in time as it is sent."""
    return None if value is None else wire_time(instant(name, value))


def _within(events: Iterator[Record], start: datetime | None, end: datetime | None) -> Iterator[Record]:
    for event in events:
        # The reference and the OpenAPI file name these two differently.
        for name, other in (("kind", "event_type"), ("event_at", "created_at")):
            event[name] = event.get(other) if event.get(name) is None else event[name]
        when = moment(event["event_at"])
        if when is None or ((start is None or when >= start) and (end is None or when < end)):
            yield event


class PersistIQAccount(LeadsHook):
    """The calls of :class:`~airflow_providers_leads.hooks.persistiq.PersistIQHook` that concern the whole company."""

    def request(self, method: str, path: str, *, partial: bool = False, **options: Any) -> Answer:
        """Send one request; see :meth:`airflow_providers_leads.http.client.HttpClient.request`.

        :param partial: the caller reads ``status: "error"`` itself, as of a batch that failed in part
        :raises LeadsValidationError: when a success answer says ``status: "error"``
        """
        expect: Callable[[Any], bool] = options.pop("expect", None) or (lambda body: True)
        answer = super().request(method, path, expect=lambda body: refused(body) or expect(body), **options)
        if refused(answer.body) and not partial:
            raise_refusal(answer, f"{self.label}: {method} {path}")
        return answer

    def list_users(self) -> Iterator[Record]:
        """Yield the company's users that are not archived, with their mailboxes.

        https://apidocs.persistiq.com/#users
        """
        return self._list("users", "/v1/users")

    def list_lead_statuses(self) -> Iterator[Record]:
        """Yield the company's lead statuses: ``{"id", "name"}``.

        https://apidocs.persistiq.com/#lead-statuses
        """
        return self._list("lead_statuses", "/v1/lead_statuses", bare_first=True)

    def list_lead_fields(self) -> Iterator[Record]:
        """Yield the company's lead fields, custom ones included: ``{"id", "name", "label"}``.

        https://apidocs.persistiq.com/#lead-fields
        """
        return self._list("lead_fields", "/v1/lead_fields", bare_first=True)

    def list_tags(self) -> Iterator[Record]:
        """Yield the company's tags: ``{"id", "name"}``. OpenAPI only.

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        return self._list("tags", "/v1/tags")

    def list_events(
        self,
        *,
        group: str | None = None,
        campaign: str | None = None,
        lead: str | None = None,
        user: str | None = None,
        start_at: datetime | str | None = None,
        end_at: datetime | str | None = None,
    ) -> Iterator[Record]:
        """Yield what happened: ``start_at <= event_at < end_at``, so that adjoining windows share and miss nothing.

        :param group: ``campaign``, ``settings`` or ``lead_detail``; default all
        :param campaign: only events of this campaign id
        :param lead: only events of this lead id
        :param user: only events of this user id
        :param start_at: aware datetime, or ISO 8601 text with an offset
        :param end_at: likewise, after ``start_at``
        :returns: events as the API gives them, ``kind`` and ``event_at`` always under these names

        https://apidocs.persistiq.com/#events
        """
        if group is not None:
            one_of("group", group, EVENT_GROUPS)
        if start_at is not None and end_at is not None:
            window("start_at", start_at, "end_at", end_at)
        start, end = maybe_instant("start_at", start_at), maybe_instant("end_at", end_at)
        query = {
            "group": group,
            "campaign": given("campaign", campaign),
            "lead": given("lead", lead),
            "user": given("user", user),
            "start_at": wire_time(start - _MARGIN) if start else None,
            "end_at": wire_time(end + _MARGIN) if end else None,
        }
        return _within(self._list("events", "/v1/events", params=query), start, end)

    def list_dnc_domains(self) -> Iterator[Record]:
        """Yield the domains that must not be contacted: ``{"id", "name"}``.

        https://apidocs.persistiq.com/#do-not-contact-domains
        """
        return self._list("dnc_domains", "/v1/dnc_domains")

    def create_dnc_domain(self, name: str) -> Record:
        """Forbid contact to a domain, and return ``{"id", "name"}``. The API has no way to undo it.

        :param name: a domain such as ``example.com``
        :raises ValueError: for anything else, an address too

        https://apidocs.persistiq.com/#do-not-contact-domains
        """
        require("name", name)
        if not _DOMAIN.fullmatch(name.strip()):
            raise ValueError("name must be a domain such as example.com")
        return self._one("POST", "/v1/dnc_domains", "dnc_domain", {}, {"name": name.strip().lower()})

    def get_webhook_plugin(self) -> Record:
        """Return the company's webhook settings. OpenAPI only.

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        return self._one("GET", "/v1/webhook_plugin", "webhook_plugin", {}, None, sign="raw_events")

    def update_webhook_plugin(self, **settings: bool | str | None) -> Record:
        """Change some of the company's webhook settings, and return all of them. OpenAPI only.

        There is one set of settings per company; it is read, changed and written back whole, but for what it doesn't
        say: nothing that wasn't asked for is changed.

        :param settings: ``post_new_prospect``, ``post_updated_prospect``, ``raw_events``, ``post_email_reply`` and
            ``post_email_opened`` (booleans), each with its ``…_url``; ``None`` or an empty text clears an address
        :raises ValueError: for an unknown setting, or a value that is none of it

        https://api.persistiq.com/api-docs/v1/swagger.json
        """
        if not settings or (unknown := sorted(set(settings) - set(WEBHOOK_SETTINGS))):
            wrong = f", not {unknown[0]!r}" if settings else ""
            raise ValueError(f"settings must be any of {', '.join(WEBHOOK_SETTINGS)}{wrong}")
        changed = {name: webhook_setting(name, value) for name, value in settings.items()}
        # Addresses that aren't set are null when read, and to be texts when written.
        known = self.get_webhook_plugin()
        kept = {name: known[name] for name in WEBHOOK_SETTINGS if known.get(name) is not None}
        return self._one("PUT", "/v1/webhook_plugin", "webhook_plugin", {}, {**kept, **changed}, sign="raw_events")

    def _list(self, key: str, path: str, *, bare_first: bool = False, **options: Any) -> Iterator[Record]:
        return self.rows(wire.list_pages(key, bare_first=bare_first), path, **options)

    def _one(
        self, method: str, path: str, key: str, path_params: Mapping[str, str], body: Any, sign: str = "id"
    ) -> Record:
        """Send a request whose answer is one object, bare or under its name.

        :param sign: what such an object is recognised by
        """

        def found(answer: Any) -> Record | None:
            inside = records_in(answer, key, f"{key}s") or ([answer] if isinstance(answer, dict) else [])
            # A lead that was refused has an id that is null.
            named = inside and sign in inside[0] and (sign != "id" or inside[0]["id"] is not None)
            return inside[0] if named else None

        sent = self.request(
            method, path, path_params=path_params, json=body, expect=lambda answer: found(answer) is not None
        )
        return found(sent.body) or {}
