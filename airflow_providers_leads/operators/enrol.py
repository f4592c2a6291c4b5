"""Leads into a campaign of a CRM that has such, which writes to them, and into its lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack

from airflow.providers.common.compat.sdk import AirflowSkipException, Context

from airflow_providers_leads.leads.model.outcomes import FATES, MAYBE_NOT_NEW, Enrolment
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import ON_FAILURE, OperatorArguments, Reference, References, Templated
from airflow_providers_leads.tasks.arguments import Requested, as_bool, given
from airflow_providers_leads.tasks.inputs import as_list, names_of_lists, task_results
from airflow_providers_leads.tasks.paths import file_name, resolve_folder, storage_path
from airflow_providers_leads.tasks.returns import LeadsWriteError, check_failures, tolerance

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.plan.suppression import Suppressions
    from airflow_providers_leads.tasks.enrolling.candidates import Candidates

__all__ = ["FATES", "Enrolment", "LeadsEnrolOperator", "LeadsToListOperator", "LeadsWriteError"]


_HELD: Final = ("created", "updated", "unchanged")
"""Outcomes after which the CRM holds a person."""


class _OfPeople(LeadsOperator):
    """What is done with people whom other tasks hand over."""

    conn_id: Any
    leads: Any

    def candidates(self, outcomes: Collection[str], hook: LeadsHook) -> Candidates:
        """Return who was handed over."""
        from airflow_providers_leads.tasks.enrolling.candidates import candidates

        return candidates(hook, task_results("leads", given(self.leads), self.log), outcomes, self.log)


class LeadsEnrolOperator(_OfPeople):
    """Put leads into a campaign. **An active campaign mails them at once.**

    Each lead is looked at anew first: whoever has opted out or bounced by now, or has an address in a do-not-contact
    domain, is left out. Leads that are or were in the campaign stay as they are, so a second run sends nothing. Of a
    person with several leads one joins, and none where one of them has objected or is in the campaign.

    .. code-block:: python

        LeadsEnrolOperator(task_id="enrol", conn_id="persistiq_default", campaign_id="c_42", leads=upserted.output)

    :param conn_id: connection of a CRM that has campaigns: PersistIQ, or one of another package
    :param campaign_id: the campaign; without one the task is skipped and nobody is enrolled
    :param leads: who joins, one or a list of: results of
        :class:`~airflow_providers_leads.operators.leads.LeadsUpsertOperator` or
        :class:`~airflow_providers_leads.operators.leads.LeadsApplyOperator` on the same connection, of which those of a
        dry run hold nobody; results of a merge, which name its golden records; results of an extract, a look-up or a
        file of leads; URIs of files that any of these wrote. People of golden records and leads are those that the CRM
        has a lead of already, found by their records or addresses; the others stand in the results as ``suppressed`` by
        ``not_in_crm``, and nobody is created
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param outcomes: of an upsert's results the outcomes of which leads are taken, a list or one; default ``created``:
        new leads only. With ``updated`` and ``unchanged`` the people who were there before are taken, too. Unless
        ``unchanged`` is taken, whom somebody else may have created meanwhile, as an answer was lost or doesn't tell,
        stands in the results as ``suppressed`` by ``maybe_not_new``
    :param suppressions: see :class:`~airflow_providers_leads.operators.leads.LeadsUpsertOperator`; those of the upsert
        count in any case, and the do-not-contact domains of the CRMs that golden records and leads were read from
    :param mailbox_id: mailbox to send from; default that of the campaign's owner
    :param max_leads: most leads that this run adds, in all its tries; the others stand in the results as ``suppressed``
        by ``max_leads``, and a later run adds them that is handed them again: these results, or those of an upsert with
        ``unchanged`` among ``outcomes``; default any number
    :param max_leads_per_day: most leads that join campaigns of the account in a day by this package: of all runs, tries
        and DAGs that have the same ``ledger`` and the same key, to whichever campaign. The others stand in the results
        as ``suppressed`` by ``max_leads_per_day``. Who may have joined counts, too: those of a task that was killed
        count until the end of the next day unless the task is run again. Default any number
    :param timezone: name of the time zone whose midnight begins a day, such as ``Europe/Berlin``; default UTC
    :param ledger: URI prefix (a folder, the same for each run) below which is kept who has joined when, by lead ids;
        default ``[leads] staging`` / ledger
    :param dry_run: true adds nobody, and counts as ``enrolled`` who would be
    :param on_failure: ``fail`` ends the task as failed, after everything is written down, when more than
        ``max_failed`` leads failed; ``report`` never does
    :param max_failed: failed and ambiguous leads that are tolerated: a number, or a share below 1; default 0
    :return: ``results`` (URI of a file of :class:`Enrolment`), ``campaign_id``, ``conn_id``, ``dry_run`` and the number
        of leads per outcome: ``enrolled``, ``unchanged``, ``suppressed``, ``failed``, ``ambiguous``
    :raises LeadsWriteError: when too many leads failed
    :raises LeadsApiError: when the CRM can't be read or written at all
    :raises ValueError: for a bad argument, an unknown campaign, results of another connection or an unusable file,
        before anybody is added
    """

    template_fields: Sequence[str] = (
        "conn_id", "campaign_id", "leads", "output_uri", "outcomes", "mailbox_id", "max_leads", "max_leads_per_day",
        "timezone", "ledger", "plan_only", "on_failure", "max_failed", "suppressions",
    )  # fmt: skip
    stages = True
    ui_color = "#ffe9e0"
    choices = ON_FAILURE

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        campaign_id: Templated[str] | None,
        leads: Reference,
        output: Templated[str] | None = None,
        outcomes: Templated[Sequence[str]] = ("created",),
        mailbox_id: Templated[str] | None = None,
        max_leads: Templated[int] | None = None,
        max_leads_per_day: Templated[int] | None = None,
        timezone: Templated[str] = "UTC",
        ledger: Templated[str] | None = None,
        suppressions: References | None = None,
        dry_run: Templated[bool] = False,
        on_failure: Templated[str] = "fail",
        max_failed: Templated[float] = 0,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id: Any = conn_id
        self.campaign_id: Any = campaign_id
        self.leads: Any = leads
        # Not "output" and "dry_run": Airflow's operators have a property and a method of these names.
        self.output_uri: Any = output
        self.outcomes: Any = outcomes
        self.mailbox_id: Any = mailbox_id
        self.max_leads: Any = max_leads
        self.max_leads_per_day: Any = max_leads_per_day
        self.timezone: Any = timezone
        self.ledger: Any = ledger
        self.suppressions: Any = suppressions
        self._requested = Requested(self, "suppressions")
        self.plan_only: Any = dry_run
        self.on_failure: Any = on_failure
        self.max_failed: Any = max_failed

    def run(self, context: Context) -> dict[str, Any]:
        """Enrol; see the class."""
        self._requested.check(self)
        from airflow_providers_leads.leads.files.staging import write_rows
        from airflow_providers_leads.tasks.enrolling.enrol import (
            campaigns_of,
            caps_of,
            check_campaign,
            enrol,
            outcomes_of,
        )

        dry_run = as_bool("dry_run", self.plan_only)
        tolerated = tolerance(self.on_failure, self.max_failed)
        wanted = outcomes_of(self.outcomes)
        if (campaign_id := given(self.campaign_id)) is None:
            raise AirflowSkipException("campaign_id is not given, so nobody was enrolled and no mail was caused")
        hook, campaigns = campaigns_of(self.conn_id)
        folder = resolve_folder(self.output_uri, context)
        caps = caps_of(self.max_leads, self.max_leads_per_day, self.timezone, self.ledger, folder, context, hook)
        people = self.candidates(wanted, hook)
        uri = f"{folder}/{file_name(self.conn_id, context)}.enrolled.parquet"
        rows: list[Enrolment] = []
        if people.people:
            check_campaign(hook, campaigns, str(campaign_id))
            barred = people.barred(hook, names_of_lists(as_list(given(self.suppressions))), self.log)
            mailbox = given(self.mailbox_id)
            rows = list(enrol(hook, campaigns, str(campaign_id), people, mailbox, barred, caps=caps, dry_run=dry_run))
        write_rows(storage_path(uri), Enrolment, rows)
        counts = Counter(row.outcome for row in rows)
        told: dict[str, int] = {fate: counts[fate] for fate in FATES}
        self.log.info(
            "%s, campaign %s: %s%s", self.conn_id, campaign_id, "dry run: " if dry_run else "",
            ", ".join(f"{fate} {number}" for fate, number in told.items()),
        )  # fmt: skip
        capped = Counter(row.reason for row in rows if row.reason in ("max_leads", "max_leads_per_day"))
        for reason, number in capped.items():
            self.log.warning(
                "%s: %d leads wait because of %s. A run that is handed the same results again adds the next of them: "
                "clear this task another day, or take 'unchanged' by outcomes", self.conn_id, number, reason,
            )  # fmt: skip
        if unsure := sum(row.reason == MAYBE_NOT_NEW for row in rows):
            self.log.warning(
                "%s: %d leads are left out, as nothing tells whether the upsert or somebody else created them. Look at "
                "them in %s; a file of those who shall join, given as leads, adds them", self.conn_id, unsure, uri,
            )  # fmt: skip
        failed = counts["failed"] + counts["ambiguous"]
        if failed:
            reasons = Counter(row.reason or "no reason given" for row in rows if row.outcome in ("failed", "ambiguous"))
            worst = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(5))
            message = f"{hook.label}: {failed} of {len(rows)} leads were not enrolled: {worst}. Each stands in {uri}."
            check_failures(failed, len(rows), tolerated, message, self.log)
        return {"results": uri, "conn_id": self.conn_id, "campaign_id": campaign_id, "dry_run": dry_run, **told}


class LeadsToListOperator(_OfPeople):
    """Put leads into a list of their CRM, or take them out. **A list may start mail.**

    Who is in the list already stays, so a second run changes nothing. Nobody is put into one who has objected by the
    files that are handed over, or is named by now by the upsert's suppression lists or a do-not-contact domain.

    .. code-block:: python

        LeadsToListOperator(task_id="list", conn_id="hubspot_default", list="Trade fair 2026", leads=upserted.output)

    :param conn_id: connection of a CRM that has lists: HubSpot, whose lists must be static ones
    :param list: id or exact name of the list
    :param leads: who, as :class:`LeadsEnrolOperator` takes them; people of whom the CRM has no record are counted as
        ``missing``
    :param outcomes: of an upsert's results the outcomes of which leads are taken, a list or one; default ``created``,
        ``updated`` and ``unchanged``: all that the CRM holds now
    :param remove: true takes them out of the list instead; default false
    :param dry_run: true changes nothing, and counts as ``changed`` who would be sent
    :return: ``list_id``, ``conn_id``, ``dry_run``, ``leads`` (how many were sent), ``changed`` (added or removed),
        ``missing`` (unknown to the CRM)
    :raises LeadsApiError: when the list can't be changed
    :raises ValueError: for a bad argument, an unknown list or one that the CRM fills itself, before anybody is sent
    """

    template_fields: Sequence[str] = ("conn_id", "list", "leads", "outcomes", "remove", "plan_only")
    ui_color = "#ffe9e0"

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        list: Templated[str | int],
        leads: Reference,
        outcomes: Templated[Sequence[str]] = _HELD,
        remove: Templated[bool] = False,
        dry_run: Templated[bool] = False,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id: Any = conn_id
        self.list: Any = list
        self.leads: Any = leads
        self.outcomes: Any = outcomes
        self.remove: Any = remove
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only: Any = dry_run

    def run(self, context: Context) -> dict[str, Any]:
        """Change the list; see the class."""
        from airflow_providers_leads.hooks.base import get_leads_hook
        from airflow_providers_leads.tasks.enrolling.enrol import outcomes_of

        dry_run, remove = as_bool("dry_run", self.plan_only), as_bool("remove", self.remove)
        wanted = outcomes_of(self.outcomes, _HELD)
        if given(self.list) is None:
            raise ValueError("list must be the id or the name of a list")
        hook = get_leads_hook(self.conn_id)
        if (lists := hook.lists) is None:
            raise ValueError(f"{hook.label} is of type '{hook.conn_type}': {hook.hook_name} has no lists")
        list_id = lists.find(str(self.list))
        found = self.candidates(wanted, hook)
        people = _to_remove(found) if remove else _to_add(found, found.barred(hook, (), self.log))
        changed, missing = len(people), sum(not records for records in found.people.values())
        if people and not dry_run:
            change = lists.change(list_id, people, remove=remove)
            changed, missing = len(change.changed), missing + len(change.missing)
        self.log.info(
            "%s, list %s: %s%d of %d leads %s, %d unknown there", self.conn_id, list_id, "dry run: " if dry_run else "",
            changed, len(people), "removed" if remove else "added", missing,
        )  # fmt: skip
        return {
            "list_id": list_id, "conn_id": self.conn_id, "dry_run": dry_run, "leads": len(people), "changed": changed,
            "missing": missing,
        }  # fmt: skip


def _to_add(found: Candidates, barred: Suppressions) -> list[str]:
    """Return a record of each person against whom nothing stands."""
    return [
        records[0]
        for person, records in found.people.items()
        if records and person not in found.objections
        if not (barred and barred.reason([person, *sorted(found.addresses.get(person, ()))]))
    ]


def _to_remove(found: Candidates) -> list[str]:
    """Return all records of all people."""
    return [record for records in found.people.values() for record in records]
