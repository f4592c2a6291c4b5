"""HubSpot around its contacts: signing in, properties, owners."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from airflow_providers_leads.hooks.arguments import json_body, one_of, whole
from airflow_providers_leads.hooks.base import LeadsHook, require
from airflow_providers_leads.hooks.hubspot import wire
from airflow_providers_leads.hooks.hubspot.batches import NOT_FOUND
from airflow_providers_leads.hooks.hubspot.connection import (
    OAUTH_ADVICE,
    api_path,
    read_oauth,
    read_version,
    request_token,
)
from airflow_providers_leads.hooks.hubspot.values import archived_param, record_id, rows_per_page
from airflow_providers_leads.hooks.trouble import trouble
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.auth import OriginAuth
from airflow_providers_leads.http.client import HttpClient
from airflow_providers_leads.http.errors import (
    LeadsApiError,
    LeadsNotFoundError,
    LeadsPermissionError,
    LeadsServerError,
    LeadsValidationError,
)
from airflow_providers_leads.http.oauth import RefreshingToken
from airflow_providers_leads.http.retry import SAFE_METHODS

Record = dict[str, Any]

_SENSITIVITIES = ("non_sensitive", "sensitive", "highly_sensitive")
_TYPES = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string")
_FIELD_TYPES = (
    "booleancheckbox", "calculation_equation", "checkbox", "date", "file", "html", "number", "phonenumber", "radio",
    "select", "text", "textarea",
)  # fmt: skip


def is_list(body: Any) -> bool:
    """Tell whether a body holds a list of results."""
    return isinstance(body, dict) and isinstance(body.get("results"), list)


def is_batch(body: Any) -> bool:
    """Tell whether a body answers a batch call."""
    return is_list(body) or (isinstance(body, dict) and isinstance(body.get("errors"), list))


def is_well_formed(body: Any) -> bool:
    """Tell whether the records of a body, be it one or a list of them, have ids, and properties and links by name."""
    if not isinstance(body, dict):
        return True
    listed = body.get("results")
    records = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    named = (one.get(part) for one in (body, *records) for part in ("properties", "associations"))
    return all(isinstance(part or {}, dict) for part in named) and all(
        type(one.get("id")) in (str, int) for one in records if "properties" in one
    )


def is_record(body: Any) -> bool:
    """Tell whether a body is one record."""
    return isinstance(body, dict) and body.get("id") not in (None, "")


def is_error(body: Any) -> bool:
    """Tell whether a body is an error, whatever the status of its answer."""
    return isinstance(body, dict) and body.get("status") == "error"


def says_undone(body: Any) -> bool:
    """Tell whether a success answer says of a single change that it was not made."""
    return isinstance(body, dict) and bool(
        body.get("errors") or body.get("numErrors") or body.get("status") in ("error", "CANCELED")
    )


def refusal(answer: Answer, what: str, *, reads: bool = False) -> LeadsApiError:
    """Return the error that a success answer is, of a call that took no effect.

    :param answer: an error, or a batch answer: a change of one record may be a batch of one to HubSpot
    :param what: names connection and request for the message
    :param reads: the request changes nothing
    """
    body: Record = answer.body if isinstance(answer.body, dict) else {}
    errors = [entry for entry in body.get("errors") or () if isinstance(entry, dict)]
    said = body if is_error(body) else {"correlationId": body.get("correlationId"), **(errors or [{}])[0]}
    problem = wire.read_problem(answer.headers, said)
    category = problem.category or ("CANCELED" if body.get("status") == "CANCELED" else None)
    own = trouble(category, problem.codes, problem.words) or ("unclear" if category == "CANCELED" else None)
    missing = category == NOT_FOUND or problem.not_found
    kind = LeadsServerError if own else LeadsNotFoundError if missing else LeadsValidationError
    return kind(
        f"{what} answered {answer.status}, but HubSpot did not do it ({category or 'no reason given'}). "
        f"{problem.cure or 'Check that the records exist, and that this may be done with them.'}",
        status=answer.status,
        category=category,
        codes=problem.codes,
        request_id=problem.request_id,
        ambiguous=own == "unclear" and not reads,
        existing_id=problem.existing_id,
        words=problem.words,
        not_found=missing,
        exists=problem.exists,
        cure=problem.cure,
    )


class HubSpotCrm(LeadsHook):
    """The calls of :class:`~airflow_providers_leads.hooks.hubspot.HubSpotHook` that are not about contact records."""

    app = "https://app.hubspot.com"
    key_header = "Authorization"

    @cached_property
    def api_version(self) -> str:
        """The API version that the connection asks for.

        :raises LeadsSettingsError: when it is no version
        """
        return read_version(self.settings)

    @cached_property
    def client(self) -> HttpClient:
        """The HTTP conversation, made on first use: signed with the key, or with an OAuth app's renewed tokens.

        :raises LeadsSettingsError: when there is neither
        """
        settings, version, app = self.settings, self.api_version, read_oauth(self.settings)
        if app is None:
            key = OriginAuth(settings.origin, lambda: {self.key_header: f"Bearer {settings.key}"}, self.label)
            return self.build_client(key, identity=settings.key)
        token = RefreshingToken(lambda: request_token(settings, version, app, client.user_agent))
        auth = OriginAuth(
            settings.origin, lambda: {self.key_header: f"Bearer {token.current()}"}, self.label, OAUTH_ADVICE[401]
        )

        def renew(refused: Mapping[str, str]) -> bool:
            return token.renew_after_401(str(refused.get(self.key_header, "")).removeprefix("Bearer "))

        client = self.build_client(
            auth, identity=app.refresh_token, renew=renew, advice={**self.advice, **OAUTH_ADVICE}
        )
        return client

    @property
    def secret(self) -> str:
        """What the account is opened with: the key, or an OAuth app's refresh token."""
        app = read_oauth(self.settings)
        return app.refresh_token if app else self.settings.key

    def account_id(self) -> str | None:
        """Ask HubSpot for the portal's id."""
        return str(self.account_details()["portalId"])

    def account_details(self) -> Record:
        """Return what HubSpot tells of the account, ``portalId`` and ``uiDomain`` among it.

        https://developers.hubspot.com/docs/api-reference/latest/account/account-information/guide

        :raises LeadsApiError: when the key may not ask
        """
        return self.one("GET", self.path("account", "/details"), expect=_names_account)

    def path(self, area: str, suffix: str = "") -> str:
        """Return a path template in the connection's API version.

        :param area: such as ``objects``, see :func:`~airflow_providers_leads.hooks.hubspot.connection.api_path`
        :param suffix: what follows the area's root
        """
        return api_path(self.api_version, area, suffix)

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send one request; see :meth:`airflow_providers_leads.http.client.HttpClient.request`."""
        expect: Callable[[Any], bool] = options.pop("expect", None) or (lambda body: True)
        answer = super().request(
            method, path, expect=lambda body: is_error(body) or (is_well_formed(body) and expect(body)), **options
        )
        if is_error(answer.body):
            reads = options.get("safe") or method in SAFE_METHODS
            raise refusal(answer, f"{self.label}: {method} {path}", reads=reads)
        return answer

    def _effect(self, method: str, path: str, **options: Any) -> Record:
        """Send a request of whose success nothing needs to be read, and return what it was answered.

        :param options: as for :meth:`request`
        :raises LeadsApiError: also when the answer calls itself a success and says that nothing was done
        """
        answer = self.request(method, path, **options)
        body: Record = answer.body if isinstance(answer.body, dict) else {}
        if says_undone(body):
            raise refusal(answer, f"{self.label}: {method} {path}")
        return body

    def one(self, method: str, path: str, *, expect: Callable[[Any], bool] = is_record, **options: Any) -> Record:
        """Send one request and return the record that answers it; options as for :meth:`request`."""
        body: Record = self.request(method, path, expect=expect, **options).body
        return body

    def delete(self, path: str, values: Mapping[str, object]) -> bool:
        """Send a DELETE; true when it removed something, false when there was nothing (left) to remove."""
        try:
            self._effect("DELETE", path, path_params=values)
        except LeadsNotFoundError:
            return False
        return True

    # Properties -------------------------------------------------------------------------------------------------------

    def list_properties(self, *, archived: bool = False, data_sensitivity: str | None = None) -> Iterator[Record]:
        """Yield the definitions of all contact properties.

        https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

        :param archived: yield archived ones instead
        :param data_sensitivity: ``non_sensitive`` (HubSpot's default), ``sensitive`` or ``highly_sensitive``
        :raises ValueError: for an unknown sensitivity
        """
        if data_sensitivity is not None:
            one_of("data_sensitivity", data_sensitivity, _SENSITIVITIES)
        params = {"archived": archived_param(archived), "dataSensitivity": data_sensitivity}
        return self.rows(wire.list_pages(), self.path("properties", "/contacts"), params=params)

    @cached_property
    def definitions(self) -> list[Record]:
        """The definitions of contact properties, read once; of sensitive ones, those that were looked for."""
        return list(self.list_properties())

    def known_properties(self, names: Collection[str]) -> dict[str, Record]:
        """Return the definitions of contact properties by name, those of sensitive ones where some names need them.

        HubSpot lists properties by how sensitive they are, and the key may lack the right to the more sensitive ones.

        :param names: those that are looked for; any other may be left out
        """
        known = {str(one.get("name")): one for one in self.definitions}
        for sensitivity in _SENSITIVITIES[1:]:
            if set(names) <= known.keys():
                break
            try:
                found = list(self.list_properties(data_sensitivity=sensitivity))
            except (LeadsPermissionError, LeadsValidationError):
                # An account without this feature, or a key without this right, has none that it could use.
                continue
            # What their values mean is to be known later as well.
            self.definitions += [one for one in found if str(one.get("name")) not in known]
            known |= {str(one.get("name")): one for one in found}
        return known

    def _with_names_told(self, records: list[Any], *names: Iterable[str] | None) -> list[Any]:
        """Return records as they are, and warn of properties that were asked for and are not there.

        HubSpot passes over names that it doesn't know; a property without a value is there as ``null``.

        :param records: those that are dicts are looked at
        :param names: what was asked for
        """
        asked = [name for some in names for name in some or ()]
        first = next((record for record in records if asked and isinstance(record, dict)), None)
        if first is not None:
            there = {**(first.get("properties") or {}), **(first.get("propertiesWithHistory") or {})}
            lacking = [name for name in asked if name not in there and name not in self._told_names]
            self._told_names.update(lacking)
            if lacking:
                self.log.warning(
                    "%s: HubSpot's answer has no contact property %s. Give internal names, as in Settings; "
                    "HubSpot leaves out names that it doesn't know",
                    self.label, ", ".join(map(repr, lacking)),
                )  # fmt: skip
        return records

    @cached_property
    def _told_names(self) -> set[str]:
        return set()

    def get_property(self, name: str, *, archived: bool = False, data_sensitivity: str | None = None) -> Record:
        """Return the definition of one contact property.

        https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

        :param name: internal name
        :param archived: look among archived ones
        :param data_sensitivity: ``non_sensitive``, ``sensitive`` or ``highly_sensitive``; default: any of them, as far
            as the key may ask
        :raises LeadsNotFoundError: when there is none of this name
        :raises ValueError: for an empty name or an unknown sensitivity
        """
        require("name", name)
        if data_sensitivity is not None:
            one_of("data_sensitivity", data_sensitivity, _SENSITIVITIES)
        options: dict[str, Any] = {"path_params": {"name": name}, "expect": _is_definition}
        path, wanted = self.path("properties", "/contacts/{name}"), archived_param(archived)

        def read(sensitivity: str | None) -> Record:
            params = {"archived": wanted, "dataSensitivity": sensitivity}
            return self.one("GET", path, params=params, **options)

        try:
            return read(data_sensitivity)
        except LeadsNotFoundError:
            if data_sensitivity is not None:
                raise
            for sensitivity in _SENSITIVITIES[1:]:
                with suppress(LeadsNotFoundError, LeadsPermissionError, LeadsValidationError):
                    return read(sensitivity)
            raise

    def create_property(
        self,
        name: str,
        *,
        label: str,
        type: str,
        field_type: str,
        group_name: str = "contactinformation",
        options: Iterable[Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> Record:
        """Create a contact property.

        https://developers.hubspot.com/docs/api-reference/latest/crm/properties/create-property

        :param name: internal name, lower-case letters, digits and underscores; can't be changed later
        :param label: what users see
        :param type: ``string``, ``number``, ``bool``, ``date``, ``datetime``, ``enumeration`` or ``phone_number``
        :param field_type: form field, such as ``text``, ``select`` or ``booleancheckbox``
        :param group_name: property group, default ``contactinformation``
        :param options: choices of an enumeration: mappings with ``label`` and ``value``, and if wished ``hidden``
            (default false), ``displayOrder`` (default the given order) and ``description``
        :param more: further parts in HubSpot's spelling, such as ``hasUniqueValue`` or ``description``
        :return: the definition
        :raises LeadsConflictError: when the name is taken
        :raises ValueError: for an empty or malformed argument
        """
        _check_name(name)
        require("label", label)
        require("group_name", group_name)
        sent: Record = {
            "name": name,
            "label": label,
            "type": one_of("type", type, _TYPES),
            "fieldType": one_of("field_type", field_type, _FIELD_TYPES),
            "groupName": group_name,
            **{name: json_body(name, value) for name, value in more.items() if value is not None},
        }
        if options is not None:
            # HubSpot's specification requires both of every option.
            listed = json_body("options", list(options))
            sent["options"] = [{"hidden": False, "displayOrder": n, **option} for n, option in enumerate(listed)]
        self.__dict__.pop("definitions", None)
        return self.one("POST", self.path("properties", "/contacts"), json=sent, expect=_is_definition)

    def list_property_groups(self) -> Iterator[Record]:
        """Yield the groups that contact properties are sorted into.

        https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

        :return: mappings with ``name`` and ``label``
        """
        return self.rows(wire.list_pages(), self.path("properties", "/contacts/groups"))

    def create_property_group(self, name: str, *, label: str, display_order: int | None = None) -> Record:
        """Create a group of contact properties.

        https://developers.hubspot.com/docs/api-reference/latest/crm/properties/guide

        :param name: internal name, lower-case letters, digits and underscores; can't be changed later
        :param label: what users see
        :param display_order: position among the groups, lowest first; default after all others
        :return: the group
        :raises LeadsConflictError: when the name is taken
        :raises ValueError: for an empty or malformed argument
        """
        _check_name(name)
        require("label", label)
        sent: Record = {"name": name, "label": label}
        if display_order is not None:
            sent["displayOrder"] = whole("display_order", display_order, -1, 2**31 - 1)
        return self.one("POST", self.path("properties", "/contacts/groups"), json=sent, expect=_is_definition)

    # Owners -----------------------------------------------------------------------------------------------------------

    def list_owners(
        self, *, email: str | None = None, archived: bool = False, page_size: int | None = None
    ) -> Iterator[Record]:
        """Yield the users and queues that can own records.

        https://developers.hubspot.com/docs/api-reference/latest/crm/owners/guide

        :param email: only the owner with this address
        :param archived: yield archived ones instead
        :param page_size: rows per request, default and most 100
        :return: mappings whose ``id`` is what the contact property ``hubspot_owner_id`` holds
        :raises ValueError: for a page size out of range
        """
        address = None if email is None else email.strip()
        params = {"limit": rows_per_page(page_size, 100), "email": address, "archived": archived_param(archived)}
        return self.rows(wire.list_pages(key="id"), self.path("owners"), params=params)

    @property
    def owners(self) -> dict[str, str]:
        """Address → id of the users who can own contacts, an empty one where several have the address."""
        found: dict[str, str] = {}
        for one in self.list_owners():
            address, owner_id = str(one.get("email") or "").strip().lower(), str(one["id"])
            found[address] = owner_id if found.get(address, owner_id) == owner_id else ""
        return found

    def get_owner(self, owner_id: str | int, *, id_property: str = "id", archived: bool = False) -> Record:
        """Return one owner.

        https://developers.hubspot.com/docs/api-reference/latest/crm/owners/guide

        :param owner_id: owner id, or user id
        :param id_property: ``id`` or ``userId``: which of the two ``owner_id`` is
        :param archived: look among archived ones
        :raises LeadsNotFoundError: when there is none
        :raises ValueError: for an id that is no whole number
        """
        one_of("id_property", id_property, ("id", "userId"))
        if not re.fullmatch(r"\s*[0-9]+\s*", str(owner_id)):
            raise ValueError("owner_id must be a whole number; list_owners finds an owner by address")
        values = {"owner_id": record_id("owner_id", owner_id)}
        params = {"idProperty": id_property, "archived": archived_param(archived)}
        path = self.path("owners", "/{owner_id}")
        return self.one("GET", path, path_params=values, params=params)


def _names_account(body: Any) -> bool:
    return isinstance(body, dict) and bool(body.get("portalId"))


def _check_name(name: str) -> None:
    if not name or not name.isascii() or not name.replace("_", "a").isalnum() or name != name.lower():
        raise ValueError("name must consist of lower-case letters, digits and underscores")


def _is_definition(body: Any) -> bool:
    return isinstance(body, dict) and bool(body.get("name"))
