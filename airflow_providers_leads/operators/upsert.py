"""Upserting golden records into a CRM: plan, review, apply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import msgspec
import pendulum
from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.leads.files.staging import digest
from airflow_providers_leads.leads.model.values import plain
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.links import CrmLink, PeopleLink
from airflow_providers_leads.operators.signatures import ON_FAILURE, OperatorArguments, Reference, References, Templated
from airflow_providers_leads.tasks.arguments import Requested, as_bool, given, given_entries, one_of, share
from airflow_providers_leads.tasks.assets import UPSERTED, tell, with_alias
from airflow_providers_leads.tasks.checkpoint import Checkpoint
from airflow_providers_leads.tasks.inputs import as_list, as_result, get_hook, task_results, uri_in
from airflow_providers_leads.tasks.lineage import Datasets
from airflow_providers_leads.tasks.paths import file_name, path_at, resolve_folder, storage_path, uri_or_none
from airflow_providers_leads.tasks.returns import tolerance

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.tasks.existing import Objections

# A retry within this time goes on with the plan of the try before it; a later one plans anew.
_PLAN_STAYS_FRESH = timedelta(hours=1)


class LeadsPlanOperator(LeadsOperator):
    """Decide what golden records mean for one CRM and write that down, without writing to the CRM.

    The plan file holds one row per golden record: ``python -m airflow_providers_leads.plan show URI`` prints it.

    :param conn_id: connection of the destination
    :param golden: result of :class:`LeadsDeduplicateOperator`, or the URI of its golden file
    :param members: URI of the members of the same merge; default the one in ``golden``, where that is a result. With it
        a record that the merge has joined to a person by more than the address is found, and whoever objected under
        one address is not written under another
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param existing: what the destination holds: results of :class:`LeadsExtractOperator`, of which the complete one of
        the same connection is used, or a URI. Without it few golden records are looked up by address where the CRM can
        (HubSpot 10,000 addresses, PersistIQ 100); for more the destination is read
    :param mode: ``update`` (write what differs), ``fill`` (only empty fields) or ``create_only``
    :param write_options: options of the CRM. Perspective: ``funnel_id`` (required unless the connection names exactly
        one funnel), ``skip_automation_trigger`` (default true: no automation sends mail)
    :param suppressions: who must not be written besides those who opted out, bounced, or whose domain the destination
        never contacts: the URI of a list of addresses and domains (``.csv``, ``.tsv``, ``.txt``, ``.jsonl``, ``.json``,
        ``.parquet``; see :func:`~airflow_providers_leads.leads.files.address_lists.read_list`), or a connection whose
        do-not-contact domains count too; one or a list of them. One that renders to nothing, or is not there, is an
        error
    :param properties: custom properties to write: key within the golden ``properties`` → the destination's property or
        field, which must exist there (HubSpot, PersistIQ); default none. A key within an object, such as an answer or
        a UTM parameter of Perspective, is named by itself, or where several objects have it by its path
        (``utmParams.utm_source``). Values are converted to the property's type; what can't be is left out and named
        in the row's ``reason``
    :param fields: what the destination's fields are filled with: a mapping of its field → golden field, path into the
        golden ``properties``, or a mapping of ``from`` or ``constant``, ``default``, ``only`` (``create``: new records
        alone, ``empty``: where nothing stands) and ``owner`` (true: the value is a user's address, the id is written);
        or the URI of a ``.yaml`` file with one. Such as ``{"lifecyclestage": {"constant": "lead", "only": "create"}}``.
        Checked against the destination's definitions before the first write
    :param memory: see :class:`~airflow_providers_leads.operators.leads.LeadsExtractOperator`; default that of the
        merge, false for none
    :param max_changes: with a memory, the share of the destination's records that a plan may create or change, or the
        task fails before the first write; default any. Up to 50 changes always pass
    :param max_people: for more people than these the destination is read as a whole; default what its API makes worth
        while: 10,000 for HubSpot, 100 for PersistIQ; or a mapping such as ``{"hubspot": 100_000}``. With it the import
        of a file costs what the file costs, not what the CRM holds
    :param do_not_contact: where the do-not-contact domains of the CRMs count that the golden records were read from:
        ``everywhere`` (default), or in the ``destination`` only, if it is one of them
    :param push_opt_outs: true tells a destination that can be told (PersistIQ) who opted out elsewhere, whatever the
        mode; default false. Nobody is created for that
    :return: ``plan`` (URI), ``existing`` (URI), the number of rows per action, ``duplicates``, ``requests`` that
        writing it takes, the ``minutes`` in which the quota lets them through, and ``unknown_properties``: the keys of
        ``properties`` that no golden record has
    :raises ValueError: for a bad argument or unusable file, before the first write
    """

    template_fields: Sequence[str] = (
        "conn_id", "golden", "members", "output_uri", "existing", "mode", "write_options", "suppressions", "properties",
        "push_opt_outs", "memory", "max_changes", "max_people", "fields", "do_not_contact",
    )  # fmt: skip
    stages = True
    operator_extra_links = (CrmLink(), PeopleLink())
    ui_color = "#fff4e0"
    datasets = Datasets(reads=("golden", "existing"), writes=("plan",), crm="reads")
    choices: ClassVar[Mapping[str, Sequence[str]]] = {
        "mode": ("update", "fill", "create_only"), "do_not_contact": ("everywhere", "destination"),
    }  # fmt: skip

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        golden: Reference,
        members: Templated[str] | None = None,
        output: Templated[str] | None = None,
        existing: References | None = None,
        mode: Templated[str] = "update",
        write_options: Templated[Mapping[str, Any]] | None = None,
        suppressions: References | None = None,
        properties: Templated[Mapping[str, str]] | None = None,
        push_opt_outs: Templated[bool] = False,
        memory: Templated[bool | str] | None = None,
        max_changes: Templated[float] | None = None,
        max_people: Templated[int | Mapping[str, int]] | None = None,
        fields: Templated[Mapping[str, Any]] | None = None,
        do_not_contact: Templated[str] = "everywhere",
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id: Any = conn_id
        self.golden: Any = golden
        self.members: Any = members
        self.output_uri: Any = output
        self.existing: Any = existing
        self.mode: Any = mode
        self.write_options: Any = write_options
        self.suppressions: Any = suppressions
        self.properties: Any = properties
        self.push_opt_outs: Any = push_opt_outs
        self.memory: Any = memory
        self.max_changes: Any = max_changes
        self.fields: Any = fields
        self.max_people: Any = max_people
        self.do_not_contact: Any = do_not_contact
        self._requested = Requested(self, "members", "write_options", "suppressions", "properties")

    @cached_property
    def hook(self) -> LeadsHook:
        """The destination's hook."""
        return get_hook(self.conn_id, self.max_people)

    @property
    def options(self) -> dict[str, Any]:
        """The write options that were given."""
        return given_entries("write_options", self.write_options)

    def run(self, context: Context) -> dict[str, Any]:
        """Plan; see the class."""
        self._requested.check(self)
        # While it waits to be reviewed and applied, the key may be rotated.
        return self.make_plan(context, self.hook.account)

    def make_plan(self, context: Context, account: str | None = None, *, wrote: bool = False) -> dict[str, Any]:
        """Write the plan and return its URI and counts.

        :param context: the task's context
        :param account: mark of the destination's account, where it must be known
        :param wrote: an earlier try has begun to write: what was extracted before knows nothing of that
        """
        from airflow_providers_leads.leads.plan.fields import field_rules
        from airflow_providers_leads.tasks.memory.planning import memory_of
        from airflow_providers_leads.tasks.plan import PlanTask, property_names, write_plan

        golden = as_result(self.golden)
        merged = golden if isinstance(golden, Mapping) else {}
        return write_plan(
            PlanTask(
                hook=self.hook,
                stem=f"{resolve_folder(self.output_uri, context)}/{file_name(self.conn_id, context)}",
                golden=uri_in(golden, "golden"),
                members=uri_or_none("members", self.members) or merged.get("members"),
                existing=[] if wrote else task_results("existing", given(self.existing), self.log),
                mode=self.mode,
                options=self.options,
                suppressions=as_list(given(self.suppressions)),
                properties=property_names(given(self.properties)),
                push_opt_outs=as_bool("push_opt_outs", self.push_opt_outs),
                memory=memory_of(given(golden), self.memory, context),
                max_changes=share("max_changes", self.max_changes),
                fields=field_rules(given(self.fields), path_at),
                do_not_contact=one_of("do_not_contact", self.do_not_contact, self.choices["do_not_contact"]),
                log=self.log,
                account=account,
            )
        )


class _Applying(LeadsOperator):
    """What applying a plan takes, whoever made the plan."""

    choices = ON_FAILURE

    def __init__(
        self,
        *,
        on_failure: Templated[str] = "fail",
        max_failed: Templated[float] = 0,
        ledger: Templated[str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs["outlets"] = with_alias(kwargs.get("outlets"), UPSERTED)
        super().__init__(**kwargs)
        self.on_failure: Any = on_failure
        self.max_failed: Any = max_failed
        self.ledger: Any = ledger

    def apply(
        self,
        context: Context,
        hook: LeadsHook,
        plan: str,
        stem: str,
        options: dict[str, Any],
        checkpoint: Checkpoint,
        memory: Mapping[str, Any] | None = None,
        objections: Objections | None = None,
    ) -> dict[str, Any]:
        """Write a plan and return the URI and counts of its results."""
        from airflow_providers_leads.tasks.apply import apply_plan
        from airflow_providers_leads.tasks.ledgers import ledger_of

        uri = f"{stem}.results.parquet"
        if memory is not None:
            from airflow_providers_leads.tasks.memory.writing import begin_writing

            begin_writing(memory, context, hook.conn_id, plan, uri)
        ledger = ledger_of(self.ledger, file_name(hook.conn_id, context), hook)
        most = tolerance(self.on_failure, self.max_failed)
        result = apply_plan(
            hook, plan, uri, options, most, checkpoint=checkpoint, ledger=ledger, objections=objections, log=self.log
        )
        written = {outcome: result[outcome] for outcome in ("created", "updated")}
        if any(written.values()):
            tell(context, UPSERTED, hook, {hook.target_scope(**options) or hook.conn_id: written})
        return result


class LeadsApplyOperator(_Applying):
    """Write a plan to its CRM and write down what became of every row.

    A retry after a failure or a kill goes on where the last try ended, and looks up what that may have created.

    :param conn_id: connection of the destination
    :param plan: result of :class:`LeadsPlanOperator`, or the URI of its plan file
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param write_options: see :class:`LeadsPlanOperator`
    :param if_stale: what to do with a lead that isn't in the destination as it was when planned: ``replan`` (default)
        plans it anew, ``refuse`` leaves it alone, ``ignore`` doesn't look. Who has opted out or bounced since is never
        written, unless nobody looks
    :param max_people: see :class:`LeadsPlanOperator`
    :param on_failure: ``fail`` ends the task as failed, after everything is written down, when more than
        ``max_failed`` leads failed; ``report`` never does
    :param max_failed: failed and ambiguous leads that are tolerated: a number, or a share below 1; default 0
    :param ledger: URI prefix (a folder, the same for each run) of the ledger of leads that the CRM refuses: each is
        tried three times, then left alone until it changes, or for a week; default below ``[leads] staging``, and none
        without that
    :return: ``results`` (URI), the number of rows per outcome: ``created``, ``updated``, ``unchanged``,
        ``suppressed``, ``failed``, ``ambiguous``; and how many of the failed are ``quarantined``, which are not counted
        against ``max_failed``; and ``stale``, how many were no longer as planned
    :raises LeadsWriteError: when too many leads failed
    :raises LeadsApiError: when the CRM can't be written at all (key, permission, quota, host)
    """

    template_fields: Sequence[str] = (
        "conn_id", "plan", "output_uri", "write_options", "if_stale", "on_failure", "max_failed", "ledger",
        "max_people",
    )  # fmt: skip
    stages = True
    ui_color = "#ffe9e0"
    operator_extra_links = (CrmLink(), PeopleLink())
    datasets = Datasets(reads=("plan",), writes=("results",), crm="writes")
    choices: ClassVar[Mapping[str, Sequence[str]]] = {**ON_FAILURE, "if_stale": ("replan", "refuse", "ignore")}

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        plan: Reference,
        output: Templated[str] | None = None,
        write_options: Templated[Mapping[str, Any]] | None = None,
        if_stale: Templated[str] = "replan",
        max_people: Templated[int | Mapping[str, int]] | None = None,
        on_failure: Templated[str] = "fail",
        max_failed: Templated[float] = 0,
        ledger: Templated[str] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(on_failure=on_failure, max_failed=max_failed, ledger=ledger, **kwargs)
        self.if_stale: Any = if_stale
        self.max_people: Any = max_people
        self.conn_id: Any = conn_id
        self.plan: Any = plan
        self.output_uri: Any = output
        self.write_options: Any = write_options
        self._requested = Requested(self, "write_options")

    def run(self, context: Context) -> dict[str, Any]:
        """Apply; see the class."""
        from airflow_providers_leads.tasks.existing import objections
        from airflow_providers_leads.tasks.recheck import recheck

        self._requested.check(self)
        hook = get_hook(self.conn_id, self.max_people)
        stem = f"{resolve_folder(self.output_uri, context)}/{file_name(self.conn_id, context)}"
        planned = as_result(self.plan)
        plan, options = uri_in(planned, "plan"), given_entries("write_options", self.write_options)
        checkpoint = _checkpoint(context, stem, hook)
        of = _fingerprint(plan, self.conn_id, options, self.if_stale)
        checked = _begun(checkpoint, of, lambda _: recheck(hook, plan, stem, options, self.if_stale, log=self.log))
        against = objections(
            hook, checked["plan"], self.log,
            current=checked.get("current") if checkpoint.is_new else None, look=self.if_stale != "ignore",
        )  # fmt: skip
        memory = planned.get("memory") if isinstance(planned, Mapping) else None
        applied = self.apply(context, hook, checked["plan"], stem, checked["options"], checkpoint, memory, against)
        return {"stale": checked["stale"], **applied}


class LeadsUpsertOperator(_Applying, LeadsPlanOperator):
    """Upsert golden records into one CRM: plan against what it holds, then apply the plan.

    .. code-block:: python

        LeadsUpsertOperator(
            task_id="upsert", conn_id="hubspot_default", golden=golden.output, existing=extracted.output
        )

    Parameters as for :class:`LeadsPlanOperator` and :class:`LeadsApplyOperator`, and:

    :param dry_run: true plans only; no write is sent
    :return: ``results`` (URI, ``None`` in a dry run), ``plan`` (URI) and the number of rows per outcome; in a dry run
        the numbers that applying the plan would give
    """

    template_fields: Sequence[str] = (
        *LeadsPlanOperator.template_fields, "plan_only", "on_failure", "max_failed", "ledger",
    )  # fmt: skip
    ui_color = "#ffe9e0"
    datasets = Datasets(reads=("golden", "existing"), writes=("plan", "results"), crm="writes")
    choices: ClassVar[Mapping[str, Sequence[str]]] = {**LeadsPlanOperator.choices, **ON_FAILURE}

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        golden: Reference,
        members: Templated[str] | None = None,
        output: Templated[str] | None = None,
        existing: References | None = None,
        mode: Templated[str] = "update",
        write_options: Templated[Mapping[str, Any]] | None = None,
        suppressions: References | None = None,
        properties: Templated[Mapping[str, str]] | None = None,
        push_opt_outs: Templated[bool] = False,
        memory: Templated[bool | str] | None = None,
        max_changes: Templated[float] | None = None,
        max_people: Templated[int | Mapping[str, int]] | None = None,
        fields: Templated[Mapping[str, Any]] | None = None,
        do_not_contact: Templated[str] = "everywhere",
        on_failure: Templated[str] = "fail",
        max_failed: Templated[float] = 0,
        ledger: Templated[str] | None = None,
        dry_run: Templated[bool] = False,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(
            on_failure=on_failure,
            max_failed=max_failed,
            ledger=ledger,
            conn_id=conn_id,
            golden=golden,
            members=members,
            output=output,
            existing=existing,
            mode=mode,
            write_options=write_options,
            suppressions=suppressions,
            properties=properties,
            push_opt_outs=push_opt_outs,
            memory=memory,
            max_changes=max_changes,
            max_people=max_people,
            fields=fields,
            do_not_contact=do_not_contact,
            **kwargs,
        )
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only: Any = dry_run

    def run(self, context: Context) -> dict[str, Any]:
        """Upsert; see the class."""
        from airflow_providers_leads.tasks.apply import as_outcomes
        from airflow_providers_leads.tasks.existing import just_read, objections

        self._requested.check(self)
        dry_run = as_bool("dry_run", self.plan_only)
        tolerance(self.on_failure, self.max_failed)
        if dry_run:
            planned = self.make_plan(context, self.hook.account)
            result = {"results": None} | as_outcomes(planned)
        else:
            stem = f"{resolve_folder(self.output_uri, context)}/{file_name(self.conn_id, context)}"
            checkpoint = _checkpoint(context, stem, self.hook)
            arguments = {name: getattr(self, name) for name in LeadsPlanOperator.template_fields}
            of = _fingerprint(uri_in(self.golden, "golden"), arguments | {"existing": as_list(given(self.existing))})
            planned = _begun(checkpoint, of, lambda wrote: self.make_plan(context, wrote=wrote))
            known = checkpoint.is_new and _first_try(context) and just_read(planned["plan"], _PLAN_STAYS_FRESH)
            against = None if known else objections(self.hook, planned["plan"], self.log)
            memory = planned.get("memory")
            result = self.apply(context, self.hook, planned["plan"], stem, self.options, checkpoint, memory, against)
        return {**planned, **result, "dry_run": dry_run}


def _first_try(context: Context) -> bool:
    return getattr(context["ti"], "try_number", 1) <= 1


def _checkpoint(context: Context, stem: str, hook: LeadsHook) -> Checkpoint:
    return Checkpoint(context, "apply", f"{stem}.results.parquet", hook)


def _fingerprint(uri: str, *arguments: Any) -> str:
    """Return what tells whether a plan was made of this very file and these arguments."""
    try:
        content = digest(storage_path(uri))
    except OSError:
        # Whoever reads it says what is wrong.
        content = ""
    told = msgspec.json.encode(plain([content, *arguments]), order="sorted", enc_hook=str)
    return hashlib.sha256(told).hexdigest()


def _begun(checkpoint: Checkpoint, of: str, make: Callable[[bool], dict[str, Any]]) -> dict[str, Any]:
    """Return the plan that an interrupted try was applying, unless much may have changed since; else a new one.

    :param checkpoint: of the task
    :param of: fingerprint of what the plan is made of: a task that was cleared may be given something else
    :param make: makes a new one; it is told whether an earlier try has begun to write
    """
    begun, at = checkpoint.state.get("planned"), checkpoint.state.get("planned_at")
    now = pendulum.now("UTC")
    if checkpoint.state.get("planned_of") != of:
        begun = None
    if begun and at and now - pendulum.parse(at) <= _PLAN_STAYS_FRESH and storage_path(begun["plan"]).exists():  # type: ignore[operator]
        return dict(begun)
    wrote = "digest" in checkpoint.state
    checkpoint.clear()
    planned = make(wrote)
    checkpoint.note(planned=planned, planned_at=now.isoformat(), planned_of=of)
    return planned
