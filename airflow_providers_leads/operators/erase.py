"""Erasing people from the CRMs, with a report of what was removed and what could not be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack

import msgspec
import pendulum
from airflow.providers.common.compat.sdk import Context, XComArg

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, Templated
from airflow_providers_leads.tasks.arguments import Requested, as_bool, given
from airflow_providers_leads.tasks.inputs import as_list
from airflow_providers_leads.tasks.paths import resolve_folder, storage_path
from airflow_providers_leads.tasks.returns import LeadsWriteError

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.model.erasure import Erasure
    from airflow_providers_leads.leads.model.identity import IdentityRules

__all__ = ["LeadsEraseOperator", "LeadsWriteError"]

_REPORT: Final = "erasure.parquet"
_SAVE_SECONDS: Final = 10.0
_MAYBE_ERASED: Final = "an earlier try was cut off before it could tell what it did: it may have erased it"
# What stays true of an earlier try; all else is asked anew.
_LASTING: Final = ("done", "not_possible")


class LeadsEraseOperator(LeadsOperator):
    """Remove people from CRMs as far as each API can, for good, and write a report for the sign-off.

    HubSpot deletes the contact with its content and bars the address. PersistIQ and Perspective have no deletion: mail
    is stopped first where it can be, then every field is blanked, and the report says what is left to do by hand.
    There a record is a person's whose address field names nobody else, in whatever form; one that names others as well,
    or names the person in another field, is reported with its id, to be erased by hand.
    Failures stop nobody else's erasure; the task fails at its end, after the report is written, and a retry goes on
    where it can. Running it again does no harm.

    The report (Parquet) has a row per person, record and step with its status: ``done``, ``not_possible``,
    ``not_found``, ``failed`` or, in a dry run, ``planned``. It names people by a hash of their address only. Beside it
    stands a summary (JSON) with counts, times, the run, and the SHA-256 of the rows, which
    :func:`~airflow_providers_leads.leads.model.erasure.verify` tests.

    .. code-block:: python

        LeadsEraseOperator(
            task_id="erase",
            email_keys="s3://conn@bucket/requests/{{ ds }}.csv",
            conn_ids=["hubspot_default", "persistiq_default", "perspective_default"],
        )

    :param email_keys: addresses: a list, or the URI of a file of them (``.csv``, ``.tsv``, ``.txt``, ``.jsonl``,
        ``.json``, ``.parquet``; see :func:`~airflow_providers_leads.leads.files.address_lists.read_list`). May be
        templated, but is not among the template fields, as those are shown to all who may see the run; give a file
        rather than addresses in a DAG's code or params
    :param conn_ids: connections of the CRMs, a list or one
    :param output: URI prefix (a folder) or URI of a ``.parquet`` file for the report; default below ``[leads] staging``
    :param dry_run: true sends no write and reports what would be done; default false
    :param block_addresses: true (default) bars the addresses in HubSpot, so that no sync creates the contacts again;
        the API can't undo it
    :param block_domains: true bars the addresses' domains in PersistIQ, with everybody who has an address there, unless
        they are known as mail providers'; the API can't undo it. Default false
    :param memories: URIs of the memories of syncs, one or a list: the people are removed from them first, and no sync
        with one of them makes them again; default none
    :param policy: the merge policy of the sync: where by its rules for addresses (``plus_tags``, ``gmail_dots``,
        ``domain_aliases``) one person has several, all of them are erased, and each CRM is read in full to find them;
        default none, the addresses that are given alone
    :return: ``report`` and ``summary`` (URIs), ``sha256``, ``people``, ``dry_run``, and the number of rows per status
    :raises LeadsWriteError: when a step failed, after the report was written
    :raises ValueError: for an entry that is no address (by its position) or another bad argument, before any request
    """

    # Without email_keys: rendered template fields are stored in the database and shown in the UI.
    template_fields: Sequence[str] = (
        "conn_ids", "output_uri", "plan_only", "block_addresses", "block_domains", "memories", "policy",
    )  # fmt: skip
    stages = True
    ui_color = "#f3dcdc"

    def __init__(
        self,
        *,
        email_keys: Templated[Sequence[str]],
        conn_ids: Templated[Sequence[str]],
        output: Templated[str] | None = None,
        dry_run: Templated[bool] = False,
        block_addresses: Templated[bool] = True,
        block_domains: Templated[bool] = False,
        memories: Templated[Sequence[str]] | None = None,
        policy: Templated[Mapping[str, Any]] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.email_keys: Any = email_keys
        self.conn_ids: Any = conn_ids
        # Not "output" and "dry_run": Airflow's operators have a property and a method of these names.
        self.output_uri: Any = output
        self.plan_only: Any = dry_run
        self.block_addresses: Any = block_addresses
        self.block_domains: Any = block_domains
        self.memories: Any = memories
        self.policy: Any = policy
        self._requested = Requested(self, "policy", "memories")
        # Airflow does this for template fields only.
        XComArg.apply_upstream_relationship(self, email_keys)

    def run(self, context: Context) -> dict[str, Any]:
        """Erase; see the class."""
        from airflow_providers_leads.hooks.base import get_leads_hook
        from airflow_providers_leads.leads.files.address_lists import read_addresses
        from airflow_providers_leads.leads.model.erasure import STATUSES, checked_people
        from airflow_providers_leads.tasks.memory.folders import erase_from
        from airflow_providers_leads.tasks.policies import read_policy

        self._requested.check(self)
        identity = read_policy(self.policy).identity
        options = {
            "dry_run": as_bool("dry_run", self.plan_only),
            "block_addresses": as_bool("block_addresses", self.block_addresses),
            "block_domains": as_bool("block_domains", self.block_domains),
        }
        rendered = self.render_template(self.email_keys, context)
        people = checked_people("email_keys", read_addresses("email_keys", given(rendered), storage_path))
        hooks = [get_leads_hook(conn_id) for conn_id in _conn_ids(self.conn_ids)]
        for hook in hooks:
            # A connection without host or key must be told before somebody is erased over another one.
            _ = hook.client
        for hook in hooks if identity.spells else ():
            people |= _other_addresses(hook, people, identity)
        # First, or a sync that runs meanwhile would make them again.
        forgotten = 0 if options["dry_run"] else erase_from(as_list(given(self.memories)), people)
        report = _Report(_report_uri(self.output_uri, context), hooks, len(people), options, context)
        try:
            for hook in hooks:
                report.add_all(hook.erase(people.values(), **options))
                told = Counter[str](row.status for row in report.rows if row.conn_id == hook.conn_id)
                self.log.info("%s: %s", hook.conn_id, _listed(told))
        except BaseException:
            # A time-out too: what is erased by now can't be found again.
            report.save(finished=False)
            raise
        signed = report.save()
        counts = Counter(row.status for row in report.rows)
        self.log.info("The report of %d people is %s, its SHA-256 is %s", len(people), report.uri, signed)
        if counts["failed"]:
            raise LeadsWriteError(
                f"{counts['failed']} steps of the erasure failed, {counts['done']} are done: {report.uri} tells each. "
                "Mend what it says and run the task again."
            )
        return {
            "report": report.uri,
            "summary": report.summary,
            "sha256": signed,
            "people": len(people),
            "dry_run": options["dry_run"],
            "forgotten": forgotten,
            **{status: counts[status] for status in STATUSES},
        }


def _other_addresses(hook: LeadsHook, people: Mapping[str, str], identity: IdentityRules) -> dict[str, str]:
    """Return the further addresses that a CRM holds of people by the policy: email key → address."""
    from airflow_providers_leads.leads.model.identity import person_key

    named = {person_key(key, identity) for key in people}
    hook.log.info("%s: reading what it holds to find all addresses of the people", hook.conn_id)
    return {
        lead.email_key: lead.email
        for lead in hook.iter_leads()
        if lead.email_key and lead.email and person_key(lead.email_key, identity) in named
        if lead.email_key not in people
    }


class _Report:
    """The report as it grows; made before the first request, so that nobody is erased without one."""

    def __init__(
        self, uri: str, hooks: Sequence[LeadsHook], people: int, options: Mapping[str, bool], context: Context
    ) -> None:
        from airflow_providers_leads.leads.model.erasure import summary_uri

        ti: Any = context.get("ti")
        run = {name: getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")}
        self.uri, self.summary = uri, summary_uri(uri)
        self._about = {
            **{name: None if value is None else str(value) for name, value in run.items()},
            "conn_ids": [hook.conn_id for hook in hooks],
            "people": people,
            **options,
            "started_at": pendulum.now("UTC").isoformat(),
        }
        self._cut_off = False
        self._earlier = self._from_earlier_try()
        self._new: list[Erasure] = []
        self._saved = time.monotonic()
        self.save(finished=False)

    @property
    def rows(self) -> list[Erasure]:
        """What this try tells, after what an earlier one did and this one doesn't speak of."""
        told = {row.subject for row in self._new if row.status != "not_found"}
        return [row for row in self._earlier if row.subject not in told] + self._new

    def add_all(self, rows: Iterable[Erasure]) -> None:
        """Take rows in as they come, and save them now and then: what is erased can't be found again to tell of it."""
        for row in rows:
            self._new.append(self._as_known(row))
            if time.monotonic() - self._saved >= _SAVE_SECONDS:
                self.save(finished=False)

    def _as_known(self, row: Erasure) -> Erasure:
        """Return a row that doesn't say of a person that nothing was there where an earlier try may have erased it."""
        step = (row.conn_id, row.person, row.step)
        if row.status != "not_found" or not self._cut_off:
            return row
        told = any((one.conn_id, one.person, one.step) == step for one in self._earlier)
        return row if told else msgspec.structs.replace(row, reason=_MAYBE_ERASED)

    def save(self, *, finished: bool = True) -> str:
        """Write report and summary and return the digest."""
        from airflow_providers_leads.leads.model.erasure import write_report

        at = pendulum.now("UTC").isoformat() if finished else None
        about = {**self._about, "finished_at": at}
        signed = write_report(storage_path(self.uri), self.rows, about, summary=storage_path(self.summary))
        self._saved = time.monotonic()
        return signed

    def _from_earlier_try(self) -> list[Erasure]:
        from airflow_providers_leads.leads.model.erasure import read_report

        summary = storage_path(self.summary)
        try:
            summary.open("rb").close()
        except FileNotFoundError:
            return []
        rows, about = read_report(storage_path(self.uri), summary=summary)
        same = ("dag_id", "run_id", "task_id", "map_index", "dry_run")
        if any(about.get(name) != self._about[name] for name in same):
            raise ValueError(
                f"{self.uri} is the report of another erasure, which is not overwritten: give output a URI with "
                "{{ run_id }} in it"
            )
        self._cut_off = about.get("finished_at") is None
        return [row for row in rows if row.status in _LASTING]


def _conn_ids(value: Any) -> list[str]:
    from airflow_providers_leads.hooks.arguments import id_list

    if (found := id_list("conn_ids", given(value))) is None:
        raise ValueError("conn_ids must name at least one connection")
    return found


def _report_uri(output: Any, context: Context) -> str:
    uri = resolve_folder(output, context)
    if uri.endswith(".parquet"):
        return uri
    index = getattr(context.get("ti"), "map_index", -1)
    return f"{uri}/{_REPORT}" if not isinstance(index, int) or index < 0 else f"{uri}/{index}.{_REPORT}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{status} {number}" for status, number in sorted(counts.items()))
