"""The pipeline: extract leads from CRMs, make golden records of them, and upsert those into CRMs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import pendulum
from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.base import (
    LeadsOperator,
    as_bool,
    as_count,
    file_name,
    given,
    resolve_folder,
    storage_path,
)
from airflow_providers_leads.operators.returns import LeadsWriteError, check_failures, tolerance

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.outcomes import WriteResult

__all__ = [
    "LeadsApplyOperator",
    "LeadsDeduplicateOperator",
    "LeadsExtractOperator",
    "LeadsPlanOperator",
    "LeadsUpsertOperator",
    "LeadsWriteError",
]

T = TypeVar("T")

_PROGRESS_SECONDS = 10.0


class LeadsExtractOperator(LeadsOperator):
    """Read the leads of one CRM into a Parquet file.

    .. code-block:: python

        LeadsExtractOperator(task_id="extract", conn_id="hubspot_default", output="s3://conn@bucket/leads")

    :param conn_id: connection of type ``hubspot``, ``perspective`` or ``persistiq``
    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param updated_after: read only what changed at or after this time (aware ISO 8601 text or datetime), as far as the
        API can tell; default everything
    :param scope: narrows the read. Perspective: ``funnel_ids`` (list; default every funnel); HubSpot: ``properties``,
        ``archived``; PersistIQ: ``status``. A key of another CRM is passed over, so that one scope can serve a task
        mapped over several connections; an unknown key is an error
    :return: ``uri``, ``rows``, ``watermark`` (ISO time before the first request: the next run's ``updated_after``),
        ``conn_id``, ``source``, ``complete`` (false for a partial read), ``rejects`` (rows without a usable address)
    :raises LeadsApiError: when the CRM can't be read
    :raises ValueError: for a bad argument, before the first request
    """

    template_fields: Sequence[str] = ("conn_id", "output_uri", "updated_after", "scope")

    def __init__(
        self,
        *,
        conn_id: str,
        output: str | None = None,
        updated_after: Any = None,
        scope: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        # Not "output": Airflow's operators have a property of that name, the reference to their result.
        self.output_uri = output
        self.updated_after = updated_after
        self.scope = scope

    def run(self, context: Context) -> dict[str, Any]:
        """Extract; see the class."""
        hook = _hook(self.conn_id)
        uri = _file_uri(self.output_uri, "leads", self.conn_id, context)
        scope = _scope_for(hook, self.scope)
        return extract(hook, uri, updated_after=given(self.updated_after), scope=scope, log=self.log)


class LeadsDeduplicateOperator(LeadsOperator):
    """Merge extracted leads into golden records: one row per person, identified by email address.

    :param inputs: results of :class:`LeadsExtractOperator`, or URIs; one or a list of them
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param policy: mapping of :class:`~airflow_providers_leads.leads.policy.MergePolicy`, or the URI of a ``.yaml`` file
        that holds one; default: the newest present value wins, people are told apart by address alone
    :param engine: see :func:`~airflow_providers_leads.leads.engine.connect`: ``duckdb://`` (default, in process, 2 GB
        of memory and then the disk; ``duckdb://?memory_limit=8GB&temp_directory=/mnt/spill``) or ``spark://…``
    :param lineage: true (default) tells in the golden file for each field which record it came from
    :param partitions: number of files to split the golden records into, by hash of the address, so that upserts can be
        mapped over them; default 1
    :return: URIs under ``golden`` (a list when there are several partitions), ``members``, ``conflicts`` and
        ``rejects``, and their ``rows``
    :raises ValueError: for an unusable input file or policy, naming it
    """

    template_fields: Sequence[str] = ("inputs", "output_uri", "policy", "engine", "lineage", "partitions")
    ui_color = "#e9f7ec"

    def __init__(
        self,
        *,
        inputs: Any,
        output: str | None = None,
        policy: Mapping[str, Any] | str | None = None,
        engine: str = "duckdb://",
        lineage: bool | str = True,
        partitions: int | str = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs = inputs
        self.output_uri = output
        self.policy = policy
        self.engine = engine
        self.lineage = lineage
        self.partitions = partitions

    def run(self, context: Context) -> dict[str, Any]:
        """Merge; see the class."""
        from airflow_providers_leads.leads.merge import OUTPUTS, merge_files
        from airflow_providers_leads.leads.policy import policy_from

        policy = policy_from(given(self.policy))
        lineage, parts = as_bool("lineage", self.lineage), as_count("partitions", self.partitions)
        sources = [storage_path(_uri_in(item, "uri")) for item in _as_list(self.inputs)]
        folder = resolve_folder(self.output_uri, context)
        uris: dict[str, Any] = {name: f"{folder}/{name}.parquet" for name in OUTPUTS}
        if parts > 1:
            uris["golden"] = [f"{folder}/golden.{part:04}.parquet" for part in range(parts)]
        single = {name: storage_path(uri) for name, uri in uris.items() if isinstance(uri, str)}
        split = {name: [storage_path(u) for u in uri] for name, uri in uris.items() if not isinstance(uri, str)}
        rows = merge_files(sources, single, policy=policy, engine=self.engine, lineage=lineage, partitions=split)
        self.log.info(
            "Merged %(inputs)d leads into %(golden)d golden records; %(conflicts)d values disagree, "
            "%(rejects)d leads have no usable address",
            rows,
        )
        return {**uris, "rows": rows}


class LeadsPlanOperator(LeadsOperator):
    """Decide what golden records mean for one CRM and write that down, without writing to the CRM.

    :param conn_id: connection of the destination
    :param golden: result of :class:`LeadsDeduplicateOperator`, or the URI of its golden file
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param existing: what the destination holds: results of :class:`LeadsExtractOperator`, of which the complete one of
        the same connection is used, or a URI; without it the destination is read first
    :param mode: ``update`` (write what differs), ``fill`` (only empty fields) or ``create_only``
    :param write_options: options of the CRM. Perspective: ``funnel_id`` (required unless the connection names exactly
        one funnel), ``skip_automation_trigger`` (default true: no automation sends mail)
    :return: ``plan`` (URI), ``existing`` (URI) and the number of rows per action
    :raises ValueError: for a bad argument or unusable file, before the first request
    """

    template_fields: Sequence[str] = ("conn_id", "golden", "output_uri", "existing", "mode", "write_options")
    ui_color = "#fff4e0"

    def __init__(
        self,
        *,
        conn_id: str,
        golden: Any,
        output: str | None = None,
        existing: Any = None,
        mode: str = "update",
        write_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.golden = golden
        self.output_uri = output
        self.existing = existing
        self.mode = mode
        self.write_options = write_options

    @cached_property
    def hook(self) -> LeadsHook:
        """The destination's hook."""
        return _hook(self.conn_id)

    @property
    def options(self) -> dict[str, Any]:
        """The write options that were given."""
        return {k: v for k, v in (self.write_options or {}).items() if given(v) is not None}

    def run(self, context: Context) -> dict[str, Any]:
        """Plan; see the class."""
        return self.make_plan(context)

    def make_plan(self, context: Context) -> dict[str, Any]:
        """Write the plan and return its URI and counts."""
        from airflow_providers_leads.leads.outcomes import PlanRow
        from airflow_providers_leads.leads.plan import PlanRules, check_mode, iter_plan
        from airflow_providers_leads.leads.schema import LEAD_COLUMNS
        from airflow_providers_leads.leads.staging import open_parquet, write_rows

        check_mode(self.mode)
        self.hook.check_write_options(**self.options)
        golden = storage_path(_uri_in(self.golden, "golden"))
        open_parquet(golden, LEAD_COLUMNS).close(force=True)
        stem = f"{resolve_folder(self.output_uri, context)}/{file_name(self.conn_id, context)}"
        scope = self.hook.target_scope(**self.options)
        existing = self._existing_uri(stem, scope)
        rules = PlanRules(
            mode=self.mode,  # type: ignore[arg-type]  # checked above
            writable=self.hook.writable_fields(),
            blocked_domains=self.hook.blocked_domains(),
        )
        actions: Counter[str] = Counter()
        duplicates = 0

        def counted(rows: Iterable[PlanRow]) -> Iterator[PlanRow]:
            nonlocal duplicates
            for row in rows:
                actions[row.action] += 1
                duplicates += row.target_id is not None and "records of this address" in (row.reason or "")
                yield row

        plan = f"{stem}.plan.parquet"
        members = self.golden.get("members") if isinstance(self.golden, Mapping) else None
        members_uri = storage_path(members) if members else None
        rows = iter_plan(golden, storage_path(existing), rules, scope=scope, members_uri=members_uri)
        write_rows(storage_path(plan), PlanRow, counted(rows))
        self.log.info(
            "Plan for %s: create %d, update %d, unchanged %d, suppress %d; %d people have duplicates there",
            self.conn_id, actions["create"], actions["update"], actions["unchanged"], actions["suppress"], duplicates,
        )  # fmt: skip
        counts = {action: actions[action] for action in ("create", "update", "unchanged", "suppress")}
        return {"plan": plan, "existing": existing, "conn_id": self.conn_id, **counts, "duplicates": duplicates}

    def _existing_uri(self, stem: str, target_scope: str | None) -> str:
        for item in _as_list(self.existing):
            if not isinstance(item, Mapping):
                return str(item)
            # A partial read knows only some records: taking it for all would create the others twice. Where only one
            # scope is written to, a read of the others may not have held it, so it is read anew.
            if item.get("conn_id") == self.conn_id and item.get("complete") and target_scope is None:
                return str(item["uri"])
        self.log.info("Reading what %s holds", self.conn_id)
        uri = f"{stem}.existing.parquet"
        scope = {} if target_scope is None else self.hook.scope_to_read(target_scope)
        extract(self.hook, uri, scope=scope, log=self.log)
        return uri


class LeadsApplyOperator(LeadsOperator):
    """Write a plan to its CRM and write down what became of every row.

    :param conn_id: connection of the destination
    :param plan: result of :class:`LeadsPlanOperator`, or the URI of its plan file
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param write_options: see :class:`LeadsPlanOperator`
    :param on_failure: ``fail`` ends the task as failed, after everything is written down, when more than
        ``max_failed`` leads failed; ``report`` never does
    :param max_failed: failed and ambiguous leads that are tolerated: a number, or a share below 1; default 0
    :return: ``results`` (URI) and the number of rows per outcome: ``created``, ``updated``, ``unchanged``,
        ``suppressed``, ``failed``, ``ambiguous``
    :raises LeadsWriteError: when too many leads failed
    :raises LeadsApiError: when the CRM can't be written at all (key, permission, quota, host)
    """

    template_fields: Sequence[str] = ("conn_id", "plan", "output_uri", "write_options", "on_failure", "max_failed")
    ui_color = "#ffe9e0"

    def __init__(
        self,
        *,
        conn_id: str,
        plan: Any,
        output: str | None = None,
        write_options: Mapping[str, Any] | None = None,
        on_failure: str = "fail",
        max_failed: float | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.plan = plan
        self.output_uri = output
        self.write_options = write_options
        self.on_failure = on_failure
        self.max_failed = max_failed

    def run(self, context: Context) -> dict[str, Any]:
        """Apply; see the class."""
        tolerated = tolerance(self.on_failure, self.max_failed)
        hook = _hook(self.conn_id)
        options = {k: v for k, v in (self.write_options or {}).items() if given(v) is not None}
        stem = f"{resolve_folder(self.output_uri, context)}/{file_name(self.conn_id, context)}"
        return apply_plan(hook, _uri_in(self.plan, "plan"), f"{stem}.results.parquet", options, tolerated, log=self.log)


class LeadsUpsertOperator(LeadsPlanOperator):
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

    template_fields: Sequence[str] = (*LeadsPlanOperator.template_fields, "plan_only", "on_failure", "max_failed")
    ui_color = "#ffe9e0"

    def __init__(
        self, *, dry_run: bool | str = False, on_failure: str = "fail", max_failed: float | str = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only = dry_run
        self.on_failure = on_failure
        self.max_failed = max_failed

    def run(self, context: Context) -> dict[str, Any]:
        """Upsert; see the class."""
        from airflow_providers_leads.leads.outcomes import OUTCOMES

        dry_run = as_bool("dry_run", self.plan_only)
        tolerated = tolerance(self.on_failure, self.max_failed)
        planned = self.make_plan(context)
        if dry_run:
            planned_as = {"created": "create", "updated": "update", "unchanged": "unchanged", "suppressed": "suppress"}
            counts: dict[str, Any] = {
                outcome: planned[planned_as[outcome]] if outcome in planned_as else 0 for outcome in OUTCOMES
            }
            result: dict[str, Any] = {"results": None} | counts
        else:
            results = planned["plan"].removesuffix(".plan.parquet") + ".results.parquet"
            result = apply_plan(self.hook, planned["plan"], results, self.options, tolerated, log=self.log)
        return {**result, "plan": planned["plan"], "duplicates": planned["duplicates"], "dry_run": dry_run}


def extract(
    hook: LeadsHook, uri: str, *, scope: Mapping[str, Any], log: Any, updated_after: Any = None
) -> dict[str, Any]:
    """Read a CRM's leads into a file and return what is worth knowing of it.

    :param hook: of the CRM
    :param uri: the file
    :param scope: narrows the read
    :param log: the task's logger
    :param updated_after: lower bound of the time of change
    """
    from airflow_providers_leads.leads.schema import Lead
    from airflow_providers_leads.leads.staging import write_rows

    # Before the first request: what changes while the list is read belongs to the next run as well.
    watermark = pendulum.now("UTC")
    rejects = 0

    def counted(leads: Iterable[Lead]) -> Iterator[Lead]:
        nonlocal rejects
        for lead in leads:
            rejects += lead.email_key is None
            yield lead

    leads = hook.iter_leads(updated_after=updated_after, **scope)
    rows = write_rows(storage_path(uri), Lead, _with_progress(counted(leads), f"{hook.conn_id}: read", log))
    log.info("Read %d leads from %s, %d of them without a usable address", rows, hook.conn_id, rejects)
    return {
        "uri": uri,
        "rows": rows,
        "watermark": watermark.isoformat(),
        "conn_id": hook.conn_id,
        "source": hook.conn_type,
        "complete": updated_after is None and not scope,
        "rejects": rejects,
    }


def apply_plan(
    hook: LeadsHook, plan: str, results: str, options: Mapping[str, Any], tolerated: float | None, *, log: Any
) -> dict[str, Any]:
    """Write a plan file to its CRM and return the counts of outcomes.

    :param hook: of the destination
    :param plan: URI of the plan file
    :param results: URI of the results file
    :param options: write options
    :param tolerated: failures that don't fail the task: a number, a share below 1, ``None`` for any number
    :param log: the task's logger
    """
    from airflow_providers_leads.http.errors import LeadsApiError
    from airflow_providers_leads.leads.outcomes import OUTCOMES, PlanRow, WriteResult
    from airflow_providers_leads.leads.staging import RowWriter, count_rows, read_rows

    total = count_rows(storage_path(plan))
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    fatal: LeadsApiError | None = None

    def counted(rows: Iterable[WriteResult]) -> Iterator[WriteResult]:
        for row in rows:
            counts[row.outcome] += 1
            if row.outcome in ("failed", "ambiguous"):
                reasons[row.reason or "no reason given"] += 1
            yield row

    with RowWriter(storage_path(results), WriteResult) as writer:
        try:
            settled = hook.apply_plan(read_rows(storage_path(plan), PlanRow), **options)
            for row in _with_progress(counted(settled), f"{hook.conn_id}: settled", log, total=total):
                writer.write(row)
        except LeadsApiError as error:
            # What was settled before is written down first.
            fatal = error
    if fatal is not None:
        log.error("%s: stopped after %d of %d leads; their outcomes: %s", hook.conn_id, counts.total(), total, results)
        raise fatal
    outcomes: dict[str, Any] = {outcome: counts[outcome] for outcome in OUTCOMES}
    log.info("%s: %s", hook.conn_id, ", ".join(f"{outcome} {number}" for outcome, number in outcomes.items()))
    failed = counts["failed"] + counts["ambiguous"]
    if failed:
        worst = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(5))
        message = f"{hook.label}: {failed} of {total} leads were not written: {worst}. Each stands in {results}."
        check_failures(failed, total, tolerated, message, log)
    return {"results": results, "conn_id": hook.conn_id} | outcomes


def _hook(conn_id: str) -> LeadsHook:
    from airflow_providers_leads.hooks.base import get_leads_hook

    return get_leads_hook(conn_id)


def _file_uri(output: Any, stem: str, conn_id: str, context: Context) -> str:
    uri = resolve_folder(output, context)
    return uri if uri.endswith(".parquet") else f"{uri}/{file_name(conn_id, context)}.{stem}.parquet"


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, (str, Mapping)):
        return [value]
    # The results of a mapped task are a lazy sequence, which fetches a slice in one call and item by item otherwise.
    return list(value[:]) if isinstance(value, Sequence) else list(value)


def _uri_in(item: Any, key: str) -> str:
    uri = item.get(key) if isinstance(item, Mapping) else item
    if isinstance(uri, (list, tuple)):
        raise ValueError(f"there are {len(uri)} files of {key!r}: map the task over them, one each")
    if not uri or not isinstance(uri, str):
        raise ValueError(f"expected a URI, or a task's result with the key {key!r}")
    return uri


def _scope_for(hook: LeadsHook, scope: Mapping[str, Any] | None) -> dict[str, Any]:
    from airflow_providers_leads.hooks.base import all_scope_keys

    if scope is not None and not isinstance(scope, Mapping):
        raise ValueError("scope must be a mapping such as {'funnel_ids': [...]}")
    wanted = {key: value for key, value in (scope or {}).items() if given(value) is not None}
    if unknown := sorted(set(wanted) - all_scope_keys()):
        raise ValueError(f"scope: unknown key {unknown[0]!r}; known are {', '.join(sorted(all_scope_keys()))}")
    return {key: value for key, value in wanted.items() if key in hook.scope_keys}


def _with_progress(rows: Iterable[T], what: str, log: Any, *, total: int | None = None) -> Iterator[T]:
    """Yield the rows and log every ten seconds how far it got."""
    started = last = time.monotonic()
    for done, row in enumerate(rows, start=1):
        yield row
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS:
            last, rate = now, done / (now - started)
            left = f", about {(total - done) / rate:.0f} s left" if total else ""
            log.info("%s %d%s, %.0f per second%s", what, done, f" of {total}" if total else "", rate, left)
