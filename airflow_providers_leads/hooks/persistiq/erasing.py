"""Erasing people from PersistIQ, whose API deletes no lead: stop the mail, then blank what can be blanked.

https://apidocs.persistiq.com/#leads
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from airflow_providers_leads.hooks.erasing import Named, Subject, Trail, named_in
from airflow_providers_leads.hooks.persistiq.answers import Record, address_of
from airflow_providers_leads.hooks.persistiq.campaigns import PersistIQCampaigns
from airflow_providers_leads.http.errors import LeadsApiError, LeadsConflictError, LeadsValidationError
from airflow_providers_leads.leads.model.erasure import Erasure
from airflow_providers_leads.leads.model.identity import domain_of
from airflow_providers_leads.leads.model.public_domains import is_public
from airflow_providers_leads.leads.model.schema import flag, mark, text

_STAYS: Final = (
    "the API deletes no leads: the address stays, opted out so that nobody mails it again, and so do the lead's "
    "messages, replies, events and counters; delete the lead by hand in PersistIQ"
)
_MAILABLE: Final = "the API keeps the lead as one that is mailed: opt it out by hand in PersistIQ"
_WHOLE_DOMAINS: Final = "the do-not-contact list takes whole domains only"
# Whether an empty text or null clears a field is not documented.
_BLANKS: Final = ("", None)


def erase(hook: PersistIQCampaigns, trail: Trail, people: Mapping[str, str]) -> Iterator[Erasure]:
    """Yield the steps of an erasure: opt out, take out of campaigns, blank the fields, bar the domain if asked to.

    All leads are read once, a hundred per request: the filter by address passes over those that were stored with white
    space around it, and the API may hold two leads of one address.

    :param hook: sends the requests
    :param trail: takes the steps
    :param people: email key → address
    """
    held: dict[str, tuple[Named, Record]] = {}
    for lead in hook.list_leads():
        if named := named_in(address_of(lead), lead.get("data"), people):
            held[str(lead.get("id"))] = (named, lead)
    for lead_id, (named, lead) in held.items():
        about = Subject(next(iter(named.owners), ""), lead_id)
        yield from trail.tell_of_all(named, about, _erase_lead(hook, trail, about, lead))
    owners = {key for named, _ in held.values() for key in named.owners}
    domains = _Domains(hook, trail)
    yield from (domains.bar(Subject(key)) for key in people if key in owners)


def _erase_lead(hook: PersistIQCampaigns, trail: Trail, about: Subject, lead: Record) -> Iterator[Erasure]:
    lead_id = str(about.record_id)
    if mark(lead.get("optedout")):
        yield trail.tell(about, "opt out", "done", "was opted out already")
    else:
        answers: list[Record] = []
        row = trail.take(
            about,
            "opt out",
            lambda: answers.append(hook.update_lead(lead_id, optedout=True)),
            read=partial(hook.get_lead, lead_id),
        )
        # Answers may leave the flag out. One that shows it unset says that it wasn't taken.
        ignored = any(flag(answer.get("optedout")) is False for answer in answers)
        yield trail.tell(about, "opt out", "not_possible", _MAILABLE) if ignored else row
    try:
        campaigns = trail.read(lambda: [str(campaign["id"]) for campaign in hook.list_campaigns(lead_id=lead_id)])
    except LeadsApiError as error:
        yield trail.failed(about, "remove from campaign", error)
        campaigns = []
    for campaign_id in campaigns:
        remove = partial(hook.remove_lead_from_campaign, campaign_id, lead_id)
        yield trail.take(about.within(campaign_id), "remove from campaign", remove)
    yield from _blank(hook, trail, about, lead)
    yield trail.tell(about, "delete lead", "not_possible", _STAYS)


def _blank(hook: PersistIQCampaigns, trail: Trail, about: Subject, lead: Record) -> Iterator[Erasure]:
    fields = _with_values(lead)
    if not fields:
        return
    left = set(fields)
    lead_id = str(about.record_id)
    row = trail.take(about, "blank", partial(_clear, hook, lead_id, left), read=partial(hook.get_lead, lead_id))
    for field in fields:
        step = f"blank {field}"
        if row.status == "done" and field in left:
            yield trail.tell(about, step, "not_possible", "the API keeps its value: clear it by hand in PersistIQ")
        else:
            yield replace(row, step=step)


def _clear(hook: PersistIQCampaigns, lead_id: str, left: set[str]) -> None:
    """Blank fields and leave in ``left`` those that have a value all the same."""
    for blank in _BLANKS:
        try:
            hook.patch_lead(lead_id, {"data": dict.fromkeys(left, blank)})
        except (LeadsValidationError, LeadsConflictError):
            # One field that can't be blanked is no reason to keep the others.
            for field in left:
                with suppress(LeadsValidationError, LeadsConflictError):
                    hook.patch_lead(lead_id, {"data": {field: blank}})
        left.intersection_update(_with_values(hook.get_lead(lead_id)))
        if not left:
            return


def _with_values(lead: Record) -> list[str]:
    data: Any = lead.get("data")
    return [name for name, value in (data or {}).items() if name != "email" and text(value)]


class _Domains:
    """Bars the domains of erased people, each once, where that is meant and harms no stranger."""

    def __init__(self, hook: PersistIQCampaigns, trail: Trail) -> None:
        self._hook = hook
        self._trail = trail
        self._barred: set[str] | None = None

    def bar(self, about: Subject) -> Erasure:
        """Bar a person's domain and tell of it; the domain itself could name the person."""
        domain, step, trail = domain_of(about.key), "do_not_contact_domain", self._trail
        if is_public(domain):
            return trail.tell(about, step, "not_possible", f"{_WHOLE_DOMAINS}, and many people share this one")
        if not trail.block_domains:
            advice = "set block_domains if nobody at this one may be written to any more"
            return trail.tell(about, step, "not_possible", f"{_WHOLE_DOMAINS}: {advice}")
        try:
            if self._barred is None:
                self._barred = set(trail.read(self._hook.blocked_domains))
        except LeadsApiError as error:
            return trail.failed(about, step, error)
        if domain in self._barred:
            return trail.tell(about, step, "done", "was on the list already")
        row = trail.take(about, step, partial(self._hook.create_dnc_domain, domain))
        if row.status == "done":
            self._barred.add(domain)
        return row
