"""The pipeline: extract leads from CRMs, make golden records of them, and upsert those into CRMs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import pendulum
from airflow.providers.common.compat.sdk import Context
from msgspec import to_builtins
from msgspec.structs import replace

from airflow_providers_leads.leads.memory.watermarks import Watermark, plan_round
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.enrol import LeadsEnrolOperator, LeadsToListOperator
from airflow_providers_leads.operators.erase import LeadsEraseOperator
from airflow_providers_leads.operators.links import CrmLink
from airflow_providers_leads.operators.lookup import LeadsLookupOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, References, Templated, is_templated
from airflow_providers_leads.operators.sources.files import LeadsFromFileOperator
from airflow_providers_leads.operators.sources.sql import LeadsFromSqlOperator, LeadsToSqlOperator
from airflow_providers_leads.operators.upsert import LeadsApplyOperator, LeadsPlanOperator, LeadsUpsertOperator
from airflow_providers_leads.operators.watermark import (
    MODES,
    OVERLAP_SECONDS,
    LeadsMoveWatermarkOperator,
    LeadsRememberOperator,
    WatermarkStore,
    full_every,
    seconds,
    watermark_key,
    with_watermarks,
)
from airflow_providers_leads.tasks.arguments import Requested, as_bool, as_count, given, given_entries, share
from airflow_providers_leads.tasks.assets import EXTRACTED, tell_read, with_alias
from airflow_providers_leads.tasks.checkpoint import Checkpoint
from airflow_providers_leads.tasks.inputs import get_hook, some_results, uri_in
from airflow_providers_leads.tasks.lineage import Datasets
from airflow_providers_leads.tasks.paths import file_name, map_suffix, resolve_folder, storage_path
from airflow_providers_leads.tasks.progress import phase
from airflow_providers_leads.tasks.returns import LeadsWriteError

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook
    from airflow_providers_leads.leads.memory.watermarks import Round

__all__ = [
    "LeadsApplyOperator",
    "LeadsDeduplicateOperator",
    "LeadsEnrolOperator",
    "LeadsEraseOperator",
    "LeadsExtractOperator",
    "LeadsFromFileOperator",
    "LeadsFromSqlOperator",
    "LeadsLookupOperator",
    "LeadsMoveWatermarkOperator",
    "LeadsPlanOperator",
    "LeadsRememberOperator",
    "LeadsToListOperator",
    "LeadsToSqlOperator",
    "LeadsUpsertOperator",
    "LeadsWriteError",
]


class LeadsExtractOperator(LeadsOperator):
    """Read the leads of one CRM into a Parquet file.

    .. code-block:: python

        LeadsExtractOperator(task_id="extract", conn_id="hubspot_default", output="s3://conn@bucket/leads")

    :param conn_id: connection of type ``hubspot``, ``perspective`` or ``persistiq``
    :param output: URI prefix (a folder) or the URI of a ``.parquet`` file; default below ``[leads] staging``
    :param updated_after: read only what changed since this time (aware ISO 8601 text or datetime), as far as the API
        can tell; default everything. Not together with ``watermark``
    :param watermark: ``auto`` reads what changed since the last run of this connection and scope, and everything the
        first time; ``reset`` reads everything and starts anew. Airflow 3.3 keeps how far it got in the state of
        :data:`~airflow_providers_leads.operators.watermark.WATERMARKS`, where it can be seen and changed
    :param move_watermark: true (default) moves the watermark when all that was read is written; false leaves it to a
        :class:`LeadsMoveWatermarkOperator` at the end of the run, so that the next one takes along what failed
    :param overlap: seconds by which a read of changes reaches back before its bound, for clocks that differ and for
        what is found late; default 300. What is read twice is written once
    :param settle: seconds for which a change is left alone, because HubSpot's search may not find it yet: the next run
        reads it; default 60 for HubSpot, 0 elsewhere
    :param full_every: days after which ``auto`` reads everything once more, or a mapping such as
        ``{"perspective": 7}``; default never. Perspective knows the time of conversion only: what is edited later is
        found by a full read alone
    :param memory: what the sync remembers, the same for extract, deduplicate and upsert: the URI of a folder of its
        own, or true for one named after the DAG below ``[leads] staging``; default none
    :param min_share_of_last: with a memory, the share of the records of the last complete read that a complete read
        must give, or the task fails: a CRM that suddenly shows a tenth is more likely broken than emptied; default any
    :param scope: narrows the read, which then is no complete one. Perspective: ``funnel_ids`` (list; default every
        funnel), ``contact_status``; HubSpot: ``properties``, ``archived``, ``filters`` (its filter groups, or a short
        form such as ``{"hs_lead_status": "NEW", "createdate": {"after": "2026-01-01T00:00:00Z"}}``), ``lists`` (ids or
        names); PersistIQ: ``status``, ``campaign`` (id or name). A key of another CRM is passed over, so that one scope
        can serve a task mapped over several connections; an unknown key is an error
    :return: ``uri``, ``rows``, ``watermark`` (ISO time, frozen before the first request: the next run's
        ``updated_after``), ``since`` (from when it was read), ``conn_id``, ``source``, ``complete`` (false for a
        partial read), ``rejects`` (rows without a usable address), ``parts`` (rows per funnel or connection)
    :raises LeadsApiError: when the CRM can't be read, or a list ends before the number of rows that it says it has;
        a retry goes on with what was read
    :raises ValueError: for a bad argument, a watermark in the future, an unknown property or status; nothing is moved

    Emits an event for ``hubspot://<conn_id>/contacts``, ``persistiq://<conn_id>/leads`` or
    ``perspective://<conn_id>/<funnel>`` when a read by ``watermark`` or ``updated_after`` found something new. In a run
    that such an event has started it emits none, so no DAG starts itself by what it reads.
    """

    template_fields: Sequence[str] = (
        "conn_id", "output_uri", "updated_after", "scope", "watermark", "move_watermark", "overlap", "settle",
        "full_every", "memory", "min_share_of_last",
    )  # fmt: skip
    stages = True
    operator_extra_links = (CrmLink(),)
    datasets = Datasets(writes=("uri",), crm="reads")
    choices: ClassVar[Mapping[str, Sequence[str]]] = {"watermark": MODES}

    def __init__(
        self,
        *,
        conn_id: Templated[str],
        output: Templated[str] | None = None,
        updated_after: Templated[datetime] | None = None,
        scope: Templated[Mapping[str, Any]] | None = None,
        watermark: Templated[str] | None = None,
        move_watermark: Templated[bool] = True,
        overlap: Templated[float | timedelta] | None = None,
        settle: Templated[float | timedelta] | None = None,
        full_every: Templated[float | Mapping[str, float]] | None = None,
        memory: Templated[bool | str] | None = None,
        min_share_of_last: Templated[float] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        kwargs["outlets"] = with_alias(kwargs.get("outlets"), EXTRACTED)
        if watermark is not None:
            kwargs["inlets"] = with_watermarks(kwargs.get("inlets"))
        super().__init__(**kwargs)
        self.watermark: Any = watermark
        self.move_watermark: Any = move_watermark
        self.overlap: Any = overlap
        self.settle: Any = settle
        self.full_every: Any = full_every
        self.conn_id: Any = conn_id
        self.memory: Any = memory
        self.min_share_of_last: Any = min_share_of_last
        # Not "output": Airflow's operators have a property of that name, the reference to their result.
        self.output_uri: Any = output
        self.updated_after: Any = updated_after
        self.scope: Any = scope

    def run(self, context: Context) -> dict[str, Any]:
        """Extract; see the class."""
        from airflow_providers_leads.hooks.arguments import maybe_instant
        from airflow_providers_leads.tasks.extract import extract, frozen_round
        from airflow_providers_leads.tasks.memory import folders, reading

        hook = get_hook(self.conn_id)
        folder, least = folders.open_memory(self.memory, context), share("min_share_of_last", self.min_share_of_last)
        uri = _file_uri(self.output_uri, "leads", self.conn_id, context)
        scope = _scope_for(hook, self.scope)
        mode, moves = self._mode(), as_bool("move_watermark", self.move_watermark)
        store = WatermarkStore(context) if mode else None
        checkpoint = Checkpoint(context, "extract", uri, hook) if context.get("ti") else None
        key = watermark_key(self.conn_id, scope)
        token = None
        if folder is not None:
            token = folder.token()
        # What a try has read before another run wrote says nothing of what is there since.
        asked = repr([uri, key, mode, token, *(getattr(self, name) for name in ("updated_after", "overlap", "settle"))])
        stored = store.read(key) if store and mode == "auto" else None
        mark = store.read_for(key, hook) if store and mode == "auto" else None
        reads = frozen_round(checkpoint, asked, lambda: self._round(hook, scope, mode, mark))
        # Only a later one of the same account may stand in its way.
        anew = mode == "reset" or (stored is not None and mark is None)
        if reads.gone:
            self.log.warning("%s: no longer there: %s", hook.conn_id, ", ".join(reads.gone))
        result = extract(hook, uri, scope=scope, log=self.log, reads=reads, checkpoint=checkpoint)
        if folder is not None:
            result["memory_token"] = token
            reading.check_read(folder, hook, result, least, self.log)
        if store is not None:
            result |= {
                "watermark_key": key,
                "watermark_state": to_builtins(reads.watermark),
                "watermark_reset": anew,
            }
            if moves and store.move(key, reads.watermark, reset=anew):
                self.log.info("Watermark of %s: %s", key, reads.watermark.at)
        after = maybe_instant("updated_after", given(self.updated_after))
        known_until = after or (pendulum.parse(mark.at) if mark else None)
        tell_read(context, hook, result, known_until, first=mode is not None and mark is None)  # type: ignore[arg-type]
        return result

    def _mode(self) -> str | None:
        mode: str | None = given(self.watermark)
        if mode is not None and mode not in MODES:
            raise ValueError(f"watermark must be one of {', '.join(MODES)}")
        if mode and given(self.updated_after) is not None:
            raise ValueError("updated_after and watermark can't be given together")
        return mode

    def _round(self, hook: LeadsHook, scope: Mapping[str, Any], mode: str | None, mark: Watermark | None) -> Round:
        """Return what to read, with its bounds frozen."""
        from airflow_providers_leads.hooks.arguments import maybe_instant

        now = pendulum.now("UTC")
        after = maybe_instant("updated_after", given(self.updated_after))
        overlap = seconds("overlap", self.overlap, OVERLAP_SECONDS)
        settle = seconds("settle", self.settle, hook.settle_seconds)
        every = full_every(self.full_every, hook.conn_type)
        try:
            reads = plan_round(
                Watermark(at=after.isoformat()) if after else mark,
                now,
                scope=scope,
                settle=settle,
                overlap=overlap,
                full_every=every if mode else None,
                parts=hook.scopes_to_read(**scope) if mode else None,
                narrowed=lambda parts: {**scope, **hook.parts.to_read(parts)},
            )
        except ValueError as error:
            raise ValueError(f"{hook.label}: {error}") from None
        hook.check_read(**scope)
        # It outlasts the key that it is read by.
        return replace(reads, watermark=replace(reads.watermark, account=hook.account)) if mode else reads


class LeadsDeduplicateOperator(LeadsOperator):
    """Merge extracted leads into golden records: one row per person, identified by email address.

    :param inputs: results of :class:`LeadsExtractOperator`, or URIs; one or a list of them
    :param output: URI prefix (a folder); default below ``[leads] staging``
    :param policy: mapping of :class:`~airflow_providers_leads.leads.merge.policy.MergePolicy`, or the URI of a
        ``.yaml`` file that holds one; default: the newest present value wins, people are told apart by address alone
    :param engine: see :func:`~airflow_providers_leads.leads.merge.engine.connect`: ``duckdb://`` (default, in process,
        2 GB of memory and then the disk; ``duckdb://?memory_limit=8GB&temp_directory=/mnt/spill``) or ``spark://…``
    :param lineage: true (default) tells in the golden file for each field which record it came from
    :param memory: see :class:`LeadsExtractOperator`: what people changed, cleared or deleted in a CRM since the last
        run stays as they left it; needs an engine ``duckdb://``
    :param partitions: number of files to split the golden records into, by hash of the address, so that upserts can be
        mapped over them; default 1. Each reads its share of ``inputs``, where they are its ``existing``, and of the
        members, as long as the policy joins people by equal addresses alone
    :return: URIs under ``golden`` (a list when there are several partitions), ``members``, ``conflicts`` and
        ``rejects``, and their ``rows``
    :raises ValueError: for an unusable input file or policy, naming it
    """

    template_fields: Sequence[str] = (
        "inputs", "output_uri", "policy", "engine", "lineage", "partitions", "memory",
    )  # fmt: skip
    stages = True
    ui_color = "#e9f7ec"
    datasets = Datasets(reads=("inputs",), writes=("golden", "members", "conflicts", "rejects"))

    def __init__(
        self,
        *,
        inputs: References,
        output: Templated[str] | None = None,
        policy: Templated[Mapping[str, Any]] | None = None,
        engine: Templated[str] = "duckdb://",
        lineage: Templated[bool] = True,
        partitions: Templated[int] = 1,
        memory: Templated[bool | str] | None = None,
        **kwargs: Unpack[OperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.inputs: Any = inputs
        self.output_uri: Any = output
        self.policy: Any = policy
        self.engine: Any = engine
        self.lineage: Any = lineage
        self.partitions: Any = partitions
        self.memory: Any = memory
        if isinstance(policy, Mapping) and not is_templated(policy):
            from airflow_providers_leads.tasks.policies import check_policy

            check_policy(policy)
        self._requested = Requested(self, "policy")

    def run(self, context: Context) -> dict[str, Any]:
        """Merge; see the class."""
        from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
        from airflow_providers_leads.tasks.memory import folders, merging
        from airflow_providers_leads.tasks.policies import read_policy

        self._requested.check(self)
        policy = read_policy(self.policy)
        lineage, parts = as_bool("lineage", self.lineage), as_count("partitions", self.partitions)
        inputs = some_results("inputs", given(self.inputs), self.log)
        sources = [storage_path(uri_in(item, "uri")) for item in inputs]
        folder = resolve_folder(self.output_uri, context)
        index = map_suffix(context)
        uris: dict[str, Any] = {name: f"{folder}/{name}{index}.parquet" for name in OUTPUTS}
        if parts > 1:
            uris["golden"] = [f"{folder}/golden{index}.{part:04}.parquet" for part in range(parts)]
        single = {name: storage_path(uri) for name, uri in uris.items() if isinstance(uri, str)}
        split = {name: [storage_path(u) for u in uri] for name, uri in uris.items() if not isinstance(uri, str)}
        remembered = folders.open_memory(self.memory, context)
        recall = None
        if remembered is not None:
            recall = merging.recall_for(remembered, inputs, policy, folder, self.log)
        with phase(self.log, f"Merge {len(sources)} files"):
            rows = merge_files(
                sources,
                single,
                policy=policy,
                engine=given(self.engine) or "duckdb://",
                lineage=lineage,
                partitions=split,
                recall=recall,
            )
        self.log.info(
            "Merged %(inputs)d leads into %(golden)d golden records; %(conflicts)d values disagree, "
            "%(rejects)d leads have no usable address",
            rows,
        )
        if remembered is None or recall is None:
            return {**uris, "rows": rows}
        return {
            **uris,
            "rows": rows,
            "memory": merging.recalled(remembered, recall, [uri_in(item, "uri") for item in inputs], self.log),
        }


def _file_uri(output: Any, stem: str, conn_id: str, context: Context) -> str:
    uri = resolve_folder(output, context)
    return uri if uri.endswith(".parquet") else f"{uri}/{file_name(conn_id, context)}.{stem}.parquet"


def _scope_for(hook: LeadsHook, scope: Any) -> dict[str, Any]:
    from airflow_providers_leads.hooks.base import all_scope_keys

    requested = given_entries("scope", scope)
    if unknown := sorted(set(requested) - all_scope_keys()):
        raise ValueError(f"scope: unknown key {unknown[0]!r}; known are {', '.join(sorted(all_scope_keys()))}")
    return {key: value for key, value in requested.items() if key in hook.scope_keys}
