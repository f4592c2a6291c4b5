"""The pipeline: extract leads from CRMs, make golden records of them, and upsert those into CRMs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators._pipeline import apply_plan, extract
from airflow_providers_leads.operators.base import (
    LeadsOperator,
    as_bool,
    as_count,
    file_name,
    given,
    given_entries,
    resolve_folder,
    storage_path,
)
from airflow_providers_leads.operators.returns import LeadsWriteError, tolerance

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

__all__ = [
    "LeadsApplyOperator",
    "LeadsDeduplicateOperator",
    "LeadsExtractOperator",
    "LeadsPlanOperator",
    "LeadsUpsertOperator",
    "LeadsWriteError",
]


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
        return given_entries(self.write_options)

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
                duplicates += row.records > 1
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
        options = given_entries(self.write_options)
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
    wanted = given_entries(scope)
    if unknown := sorted(set(wanted) - all_scope_keys()):
        raise ValueError(f"scope: unknown key {unknown[0]!r}; known are {', '.join(sorted(all_scope_keys()))}")
    return {key: value for key, value in wanted.items() if key in hook.scope_keys}
