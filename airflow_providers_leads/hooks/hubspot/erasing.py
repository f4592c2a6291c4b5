"""Erasing people from HubSpot: its GDPR delete, which takes a contact with all its content.

https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from airflow_providers_leads.hooks.batches import UNACCOUNTED
from airflow_providers_leads.hooks.erasing import Subject, Trail
from airflow_providers_leads.hooks.hubspot.batches import NOT_FOUND
from airflow_providers_leads.hooks.hubspot.leads import ALIASES, additional_emails
from airflow_providers_leads.hooks.hubspot.writing import HubSpotWriting
from airflow_providers_leads.http.errors import LeadsApiError, LeadsNotFoundError, LeadsValidationError
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.identity import email_key, spellings

_ADDRESSES: Final = ("email", ALIASES)
# How a lookup says that there is no such address, or that it is none that HubSpot could hold.
_UNKNOWN: Final = frozenset({NOT_FOUND, "VALIDATION_ERROR"})
_IN_THE_BIN: Final = (
    "the contact is archived and the API doesn't delete it for good: restore it in HubSpot and run again, or delete it "
    "there; HubSpot drops archived contacts 90 days after they were archived"
)

_NOT_BARRED: Final = "HubSpot doesn't bar an address of this form, nor would it take one"


def erase(hook: HubSpotWriting, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
    """Yield the steps of an erasure: delete every contact with the address, archived ones too, then bar the address.

    Archived contacts can only be listed, a hundred per request; HubSpot keeps them for 90 days.

    :param hook: sends the requests
    :param trail: takes the steps
    :param people: email key → address
    """
    live, unread = _live(hook, people)
    archived: dict[str, dict[str, int]] = {}
    hidden: LeadsApiError | None = None
    try:
        for contact in hook.list_contacts(properties=_ADDRESSES, archived=True):
            keys = _keys(contact)
            for key in keys & people.keys():
                archived.setdefault(key, {})[str(contact["id"])] = len(keys) - 1
    except LeadsApiError as error:
        hidden = error
    deleted: set[str] = set()
    for key, address in people.items():
        if reason := unread.get(key):
            yield trail.tell(Subject(key), "find", "failed", reason)
        if hidden:
            yield trail.failed(Subject(key), "find archived contacts", hidden)
        for held, gone in ((live, None), (archived, _IN_THE_BIN)):
            for record_id, others in held.get(key, {}).items():
                about = Subject(key, record_id)
                if record_id in deleted:
                    yield trail.tell(about, "gdpr_delete", "done", "one contact held several of the addresses given")
                    continue
                # Of an archived one it is known what to do. A read finds archived contacts when asked for them only.
                read = None if gone else partial(hook.get_contact, record_id, properties=("email",))
                delete = partial(_delete, hook, contact_id=record_id)
                row = trail.take(about, "gdpr_delete", delete, gone=gone, read=read)
                if row.status == "done":
                    deleted.add(record_id)
                yield row
                if others:
                    reason = (
                        f"the contact has {others} more of them, and other CRMs were not searched for these: erase "
                        "them as well. A dry run tells so while they can still be looked up"
                    )
                    yield trail.tell(about, "other addresses", "not_possible", reason)
        if not (key in live or key in archived or key in unread or hidden):
            yield trail.tell(Subject(key), "gdpr_delete", "not_found")
        if trail.block_addresses:
            # A contact with the address is gone by now; asked to delete an address that nobody has, HubSpot bars it.
            yield trail.take(Subject(key), "block address", partial(_block, hook, key, address), refused=_NOT_BARRED)


def _live(hook: HubSpotWriting, people: Mapping[str, str]) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Return per person the contacts' ids with the number of their other addresses, and why some weren't looked up."""
    asked = {spelling.strip().lower(): key for key, address in people.items() for spelling in spellings(key, address)}
    result = hook.batch_read_contacts(list(asked), id_property="email", properties=_ADDRESSES)
    found: dict[str, dict[str, int]] = {}
    for done in result.succeeded:
        if done.id is not None:
            others = len(_keys(done.record or {}) - {asked[done.input]})
            found.setdefault(asked[done.input], {})[done.id] = others
    unread: dict[str, str] = {}
    for failure in result.failed:
        key, category = asked[failure.input], failure.category
        if category == UNACCOUNTED:
            # HubSpot names whom it doesn't know. Whom it names in no way is not to be reported as not there.
            category = _look_at(hook, failure.input, key, found)
        if category not in _UNKNOWN:
            unread[key] = f"the address could not be looked up ({category}); run again"
    return found, unread


def _look_at(hook: HubSpotWriting, address: str, key: str, found: dict[str, dict[str, int]]) -> str | None:
    """Look one address up, add the contact to those that were found, and return what else came of it."""
    try:
        contact = hook.get_contact(address, id_property="email", properties=_ADDRESSES)
    except (LeadsNotFoundError, LeadsValidationError):
        return NOT_FOUND
    except LeadsApiError as error:
        return error.category or type(error).__name__
    found.setdefault(key, {})[str(contact["id"])] = len(_keys(contact) - {key})
    return NOT_FOUND


def _keys(contact: Mapping[str, Any]) -> set[str]:
    properties = contact.get("properties") or {}
    listed = (properties.get("email"), *additional_emails(properties))
    return {key for key in map(email_key, listed) if key}


def _block(hook: HubSpotWriting, key: str, address: str) -> None:
    for spelling in dict.fromkeys(s.strip().lower() for s in spellings(key, address)):
        try:
            _delete(hook, email=spelling)
        except LeadsValidationError:
            # In another spelling it may be no address to HubSpot.
            if spelling == key:
                raise


def _delete(hook: HubSpotWriting, **which: str) -> None:
    try:
        hook.gdpr_delete_contact(**which)
    except LeadsApiError as error:
        if not error.ambiguous:
            raise
        # Whether the first one took effect or not, after a second one the contact is gone.
        with suppress(LeadsNotFoundError):
            hook.gdpr_delete_contact(**which)
