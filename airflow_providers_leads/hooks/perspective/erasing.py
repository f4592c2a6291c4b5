"""Erasing people from Perspective, whose API deletes no contact: blank what can be written, tell of what can't.

https://developers.perspective.co
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from airflow_providers_leads.hooks.erasing import Named, Subject, Trail, named_in
from airflow_providers_leads.hooks.perspective.api import PerspectiveApi
from airflow_providers_leads.hooks.perspective.fields import ADDRESS_PARTS, STANDARD_FIELDS, api_name, plain
from airflow_providers_leads.http.errors import LeadsApiError
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.schema import text

Contact = dict[str, Any]

_BY_HAND: Final = "clear it by hand in the funnel's contacts"
_KEPT: Final = f"the API keeps its value: {_BY_HAND}"
_READ_ONLY: Final = "the API doesn't write it: it goes when the contact is deleted by hand"
_STAYS: Final = (
    "the API deletes no contacts and ends no e-mail sequence: delete the contact by hand in the funnel's contacts"
)
_OTHER_FUNNELS: Final = (
    "only the funnels that the connection's extra 'funnel_ids' names were searched: give a connection without it to "
    "search all that the key may see"
)
# What says nothing about the person, or is no value of a contact.
_IMPERSONAL: Final = frozenset({"id", "status"})
_APART: Final = frozenset({"address", "properties"})


def erase(
    hook: PerspectiveApi, trail: Trail, people: Mapping[str, str], funnel_ids: Iterable[str], *, others: bool
) -> Iterator[Erasure]:
    """Yield the steps of an erasure: blank each contact with the address, and leave no automation to notice it.

    The funnels are read in full, a hundred contacts per request, because the API has no filter. The address goes last:
    a run that was cut off finds the contact by it again.

    :param hook: sends the requests
    :param trail: takes the steps
    :param people: email key → address
    :param funnel_ids: funnels to search
    :param others: there may be funnels beyond these
    """
    for funnel_id in funnel_ids:
        try:
            found = trail.read(partial(_contacts, hook, funnel_id, people))
        except LeadsApiError as error:
            for key in people:
                yield trail.failed(Subject(key, scope=funnel_id), "find", error)
            continue
        for named, contact_id in found:
            about = Subject(next(iter(named.owners), ""), contact_id, funnel_id)
            yield from trail.tell_of_all(named, about, _erase_contact(hook, trail, about))
    for key in people:
        if key not in trail.told:
            yield trail.tell(Subject(key), "find", "not_found")
        if others:
            yield trail.tell(Subject(key), "other funnels", "not_possible", _OTHER_FUNNELS)


def _contacts(hook: PerspectiveApi, funnel_id: str, people: Mapping[str, str]) -> list[tuple[Named, str]]:
    contacts = hook.list_contacts(funnel_id)
    return [
        (named, str(contact["id"]))
        for contact in contacts
        if (named := named_in(text(plain(contact.get("email"))), contact, people))
    ]


def _erase_contact(hook: PerspectiveApi, trail: Trail, about: Subject) -> Iterator[Erasure]:
    funnel_id, contact_id = str(about.scope), str(about.record_id)
    try:
        # The list may leave out what only the contact itself shows.
        contact = trail.read(partial(hook.get_contact, funnel_id, contact_id))
    except LeadsApiError as error:
        yield trail.failed(about, "find", error)
        return
    rows = []
    for field in _writable(contact):
        write = partial(hook.value_writer(funnel_id, contact_id, True), [(0, {"field": field, "value": ""})])
        read = partial(hook.get_contact, funnel_id, contact_id)
        rows.append(trail.take(about, f"blank {field}", write, refused=_BY_HAND, read=read))
    yield from rows if trail.dry_run else _proven(hook, trail, about, rows)
    for name in _unwritable(contact):
        yield trail.tell(about, f"blank {name}", "not_possible", _READ_ONLY)
    yield trail.tell(about, "delete contact", "not_possible", _STAYS)


def _proven(hook: PerspectiveApi, trail: Trail, about: Subject, rows: list[Erasure]) -> Iterator[Erasure]:
    """Yield rows of blanked fields; whether an empty text clears a field is not documented, so it is looked at."""
    kept: set[str] = set()
    if any(row.status == "done" for row in rows):
        try:
            after = trail.read(partial(hook.get_contact, str(about.scope), str(about.record_id)))
            kept = {f"blank {field}" for field in _writable(after)}
        except LeadsApiError as error:
            yield trail.failed(about, "look again", error)
    for row in rows:
        still_there = row.status == "done" and row.step in kept
        yield trail.tell(about, row.step, "not_possible", _KEPT) if still_there else row


def _writable(contact: Contact) -> list[str]:
    """Return the fields with a value that the API writes, the address last."""
    nested = contact.get("address")
    parts = nested if isinstance(nested, dict) else {}
    values = {name: contact.get(name) or parts.get(name) for name in STANDARD_FIELDS if name not in _IMPERSONAL}
    custom = contact.get("properties")
    if isinstance(custom, dict):
        values |= {name: value for name, value in custom.items() if name not in STANDARD_FIELDS and _is_custom(name)}
    return sorted((name for name, value in values.items() if _present(value)), key=lambda name: name == "email")


def _unwritable(contact: Contact) -> list[str]:
    """Return what of a contact holds a value and can't be written."""
    others = [n for n in contact if n not in _IMPERSONAL | _APART and n not in STANDARD_FIELDS and n != "zip"]
    nested, properties = contact.get("address"), contact.get("properties")
    found = [name for name in others if _present(contact[name])]
    if isinstance(nested, dict):
        found += [f"address.{n}" for n, value in nested.items() if n not in ADDRESS_PARTS and _present(value)]
    elif _present(nested):
        found.append("address")
    if isinstance(properties, dict):
        hidden = (n for n in properties if n in STANDARD_FIELDS or not _is_custom(n))
        found += [f"properties.{n}" for n in hidden if _present(properties[n])]
    return found


def _is_custom(name: str) -> bool:
    try:
        return api_name(name, allow_custom=True) == name
    except ValueError:
        return False


def _present(value: object) -> bool:
    held = plain(value)
    return bool(held.strip()) if isinstance(held, str) else held not in (None, [], {})
