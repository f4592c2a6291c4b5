"""Leads into a campaign: who is fit to be mailed now joins, as many as the run and the day allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pendulum
from airflow.providers.common.compat.sdk import Context, conf

from airflow_providers_leads.hooks.account import read_mark
from airflow_providers_leads.hooks.arguments import id_list
from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.leads.model.outcomes import Enrolment, Fate
from airflow_providers_leads.leads.plan.allowance import Allowance
from airflow_providers_leads.leads.plan.planning import Held, PlanRules, suppression
from airflow_providers_leads.tasks.arguments import as_count, given
from airflow_providers_leads.tasks.checkpoint import owner_of
from airflow_providers_leads.tasks.paths import check_local, storage_path, uri_or_none

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.hooks.campaigns import Campaigns
    from airflow_providers_leads.leads.model.schema import Lead
    from airflow_providers_leads.leads.plan.suppression import Suppressions
    from airflow_providers_leads.tasks.enrolling.candidates import Candidates

_MOST_NAMED: Final = 10
NOT_THERE: Final = "not_in_crm"
"""Reason of people of whom the CRM has no lead."""


class Caps(NamedTuple):
    """How many leads may join.

    :param run: in this run, ``None``: any number
    :param day: in a day, ``None``: any number
    :param allowance: counts them
    """

    run: int | None
    day: int | None
    allowance: Allowance


def caps_of(run: Any, day: Any, zone: Any, ledger: Any, output: str, context: Context, hook: LeadsHook) -> Caps:
    """Return the caps that an operator was given.

    :param run: ``max_leads``
    :param day: ``max_leads_per_day``
    :param zone: ``timezone``
    :param ledger: ``ledger``
    :param output: folder of the task's own files
    :param context: the task's context
    :param hook: of the campaigns' account
    :raises ValueError: naming the argument that is wrong, or missing
    """
    most, daily = (
        None if given(value) is None else as_count(name, value)
        for name, value in (("max_leads", run), ("max_leads_per_day", day))
    )
    midnight = _zone(zone)
    folder = _shared_folder(ledger, hook, needed=daily is not None)
    # Where days aren't counted, the task's own tries are.
    return Caps(most, daily, Allowance(storage_path(folder or f"{output}/enrolled"), owner_of(context), day=midnight))


def _zone(name: Any) -> Any:
    try:
        return pendulum.timezone(str(given(name) or "UTC").strip())
    except (ValueError, KeyError, OSError):
        raise ValueError(f"timezone must be the name of a time zone such as Europe/Berlin, not {name!r}") from None


def _shared_folder(ledger: Any, hook: LeadsHook, *, needed: bool) -> str | None:
    """Return where all tasks count who joins campaigns of an account, ``None`` when there is no such place."""
    below = uri_or_none("ledger", ledger)
    if not below and (staging := conf.get("leads", "staging", fallback=None)):
        below = f"{staging.rstrip('/')}/ledger"
    if not below:
        if needed:
            raise ValueError(
                "max_leads_per_day needs a place where all runs count who has joined: give ledger, a URI prefix that "
                "is the same for all of them, or set the Airflow option [leads] staging"
            )
        return None
    try:
        check_local(below.rstrip("/"))
    except ValueError:
        if needed or given(ledger) is not None:
            raise
        return None
    mark = read_mark(hook.account)
    return f"{below.rstrip('/')}/enrolled/{(mark.id or mark.key) if mark else hook.conn_id}"


def outcomes_of(value: Any, default: Sequence[str] = ("created",)) -> frozenset[str]:
    """Return the outcomes of an upsert that an operator was given.

    :param value: rendered
    :param default: of the operator, where that says nothing
    :raises ValueError: naming what is none
    """
    known = ("created", "updated", "unchanged")
    wanted = id_list("outcomes", given(value)) or default
    if unknown := [outcome for outcome in wanted if outcome not in known]:
        raise ValueError(f"outcomes must be any of {', '.join(known)}, not {unknown[0]!r}")
    return frozenset(wanted)


def campaigns_of(conn_id: str) -> tuple[LeadsHook, Campaigns]:
    """Return the hook of a connection, and the campaigns of its CRM.

    :raises ValueError: when it has none
    """
    hook = get_leads_hook(conn_id)
    if (campaigns := hook.campaigns) is None:
        raise ValueError(f"{hook.label} is of type '{hook.conn_type}': {hook.hook_name} has no campaigns")
    return hook, campaigns


def check_enrolment(
    conn_id: str, campaign_id: Any, mailbox_id: Any = None, *, outcomes: Any = None, timezone: Any = None
) -> None:
    """Check what people will be enrolled by. For the first task of a run that creates them before.

    Who is created and then not enrolled is no new lead to the next run.

    :param conn_id: connection of the CRM with the campaign
    :param campaign_id: the campaign; without one nothing is looked at
    :param mailbox_id: see :class:`~airflow_providers_leads.operators.leads.LeadsEnrolOperator`
    :param outcomes: see there
    :param timezone: see there
    :raises ValueError: naming the argument; for a campaign or a mailbox with those that there are
    """
    if given(campaign_id) is None:
        return
    outcomes_of(outcomes)
    _zone(timezone)
    hook, campaigns = campaigns_of(conn_id)
    check_campaign(hook, campaigns, str(campaign_id))
    mailbox = given(mailbox_id)
    known = None if mailbox is None else campaigns.mailboxes()
    if known is not None and str(mailbox) not in known:
        raise ValueError(f"{hook.label}: mailbox_id names none of the mailboxes that there are: {_named(known)}.")


def _named(ids: Sequence[str]) -> str:
    return f"{', '.join(ids[:_MOST_NAMED])}{', …' if len(ids) > _MOST_NAMED else ''}" or "none"


def check_campaign(hook: LeadsHook, campaigns: Campaigns, campaign_id: str) -> None:
    """Check that a campaign is there.

    :raises ValueError: listing those that are
    """
    known = campaigns.ids()
    if campaign_id not in known:
        raise ValueError(
            f"{hook.label}: campaign_id names none of the {len(known)} campaigns that the key may see. "
            f"Their ids: {_named(known)}."
        )


def enrol(
    hook: LeadsHook,
    campaigns: Campaigns,
    campaign_id: str,
    people: Candidates,
    mailbox_id: str | None,
    barred: Suppressions,
    *,
    caps: Caps,
    dry_run: bool,
) -> Iterator[Enrolment]:
    """Add one lead of each person to a campaign, and yield what became of each person.

    :param hook: of the campaign's account
    :param campaigns: its campaigns
    :param campaign_id: the campaign
    :param people: who shall join
    :param mailbox_id: mailbox to send from
    :param barred: who must not be mailed
    :param caps: how many may join
    :param dry_run: add nobody
    """
    members = campaigns.members(campaign_id)
    outside: dict[str, list[str]] = {}
    for person, records in people.people.items():
        if inside := [one for one in records if one in members]:
            yield Enrolment(
                email_key=person, outcome="unchanged", target_id=inside[0], reason="is in the campaign already"
            )
        elif person in people.objections or not records:
            reason = people.objections.get(person, NOT_THERE)
            yield Enrolment(email_key=person, outcome="suppressed", target_id=next(iter(records), None), reason=reason)
        else:
            outside[person] = records
    fit: dict[str, str] = {}
    now = _as_they_are(campaigns, outside)
    for person, records in outside.items():
        leads = [now[one] for one in records if one in now]
        known = [person, *sorted(people.addresses.get(person, ()))]
        if not leads:
            reason = f"{hook.hook_name} has no such lead any more"
            yield Enrolment(email_key=person, outcome="failed", target_id=records[0], reason=reason)
        elif objection := next(filter(None, (_objection(lead, known, barred) for lead in leads)), None):
            yield Enrolment(email_key=person, outcome="suppressed", target_id=leads[0].source_id, reason=objection)
        else:
            fit[leads[0].source_id] = person
    # Who was taken out of it, or is through with it, is not to be written to all over again.
    every = {one for person in fit.values() for one in outside[person]}
    former = campaigns.former(campaign_id, every) if every else set()
    for lead_id, person in [*fit.items()]:
        if not former.isdisjoint(outside[person]):
            del fit[lead_id]
            yield Enrolment(
                email_key=person, outcome="unchanged", target_id=lead_id, reason="was in the campaign before"
            )
    # In the order of the results, so that who waits longest is next.
    choose = caps.allowance.foresee if dry_run else caps.allowance.claim
    chosen = choose([*fit], caps.run, caps.day) if fit else []
    joining = {*chosen}
    full = caps.run is not None and caps.allowance.claimed >= caps.run
    reason = "max_leads" if full or caps.day is None else "max_leads_per_day"
    yield from (_row(fit, lead_id, "suppressed", reason) for lead_id in fit if lead_id not in joining)
    if dry_run:
        yield from (_row(fit, lead_id, "enrolled") for lead_id in chosen)
        return
    if not chosen:
        return
    result = campaigns.add(campaign_id, chosen, mailbox_id)
    were_in = [done.input for done in result.succeeded if done.new is False]
    caps.allowance.settle([failure.input for failure in result.failed if not failure.ambiguous], were_in)
    for done in result.succeeded:
        yield _row(fit, done.input, "unchanged" if done.new is False else "enrolled")
    for failure in result.failed:
        reason = ": ".join(filter(None, (failure.category, failure.reason)))
        yield _row(fit, failure.input, "ambiguous" if failure.ambiguous else "failed", reason, failure.request_id)


def _as_they_are(campaigns: Campaigns, people: Mapping[str, list[str]]) -> dict[str, Lead]:
    """Return what the CRM holds now of the records of people, by their ids."""
    records = [one for some in people.values() for one in some]
    return {lead.source_id: lead for lead in campaigns.leads(records)} if records else {}


def _objection(lead: Lead, addresses: Sequence[str], barred: Suppressions) -> str | None:
    """Return why a lead must not be mailed as things stand now, ``None`` when nothing stands against it."""
    rules = PlanRules(mode="create_only", writable=frozenset(), suppressions=barred)
    # Without a usable address nobody can tell whether its domain is barred.
    return suppression(lead, Held(), rules, addresses) if lead.email_key else "no_usable_address"


def _row(
    people: Mapping[str, str], lead_id: str, outcome: Fate, reason: str | None = None, request_id: str | None = None
) -> Enrolment:
    return Enrolment(
        email_key=people[lead_id], outcome=outcome, target_id=lead_id, reason=reason, request_id=request_id
    )
