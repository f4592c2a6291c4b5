"""What is kept at the end of a run: how far each connection has been read, and what the sync remembers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Unpack

import msgspec
from airflow.providers.common.compat.sdk import Asset, Context

from airflow_providers_leads.leads.memory.watermarks import Watermark, read_watermark
from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, Reference, References, Templated
from airflow_providers_leads.tasks.arguments import as_bool, given
from airflow_providers_leads.tasks.inputs import as_result, for_type, task_results

if TYPE_CHECKING:
    from airflow_providers_leads.hooks.base import LeadsHook

# Without a URI, whose scheme would make Airflow load the handlers of all providers with each DAG file.
WATERMARKS: Final = Asset(name="leads_watermarks")
"""Holds the watermarks in its state, one entry per connection and scope, so that tasks that are mapped over connections
never write over each other's. A mapped task that uses them takes it as an inlet: ``.partial(inlets=[WATERMARKS], …)``.

Airflow shows them under Assets > leads_watermarks, and by REST under ``/api/v2/assets/{id}/state-store``; deleting an
entry makes the next run read everything, writing ``{"at": "2026-01-01T00:00:00Z"}`` makes it go on from there.
"""
MODES: Final = ("auto", "reset")
OVERLAP_SECONDS: Final = 300.0
"""How far successive reads by time overlap, for clocks that differ and for what is found late."""


def with_watermarks(inlets: Any) -> list[Any]:
    """Return a task's inlets, the watermarks among them."""
    listed = [inlets] if isinstance(inlets, Asset) else list(inlets or ())
    return listed if WATERMARKS in listed else [*listed, WATERMARKS]


def watermark_key(conn_id: str, scope: Mapping[str, Any]) -> str:
    """Return the entry under which a watermark is kept: the connection, and what its reads are narrowed by."""
    if not scope:
        return conn_id
    told = msgspec.json.encode(scope, order="sorted", enc_hook=str)
    return f"{conn_id}.{hashlib.sha256(told).hexdigest()[:12]}"


class WatermarkStore:
    """The watermarks in the asset's state.

    :param context: the task's context
    :raises ValueError: when Airflow keeps no state for assets, or the task was not given this one
    """

    def __init__(self, context: Context) -> None:
        accessors: Any = context.get("asset_state_store")
        if accessors is None and context.get("task_state_store") is None:
            raise ValueError(
                "watermark needs Airflow 3.3, which keeps state between runs. On this version give the time yourself, "
                "such as updated_after='{{ data_interval_start }}' on a schedule with data intervals."
            )
        try:
            self._state: Any = accessors[WATERMARKS]
        except (KeyError, TypeError):
            raise ValueError(
                "watermark needs the asset that keeps it among the task's inlets: give "
                "inlets=[airflow_providers_leads.operators.watermark.WATERMARKS], to partial() when it is mapped."
            ) from None

    def read(self, key: str) -> Watermark | None:
        """Return a watermark.

        :raises ValueError: when what is stored is none
        """
        try:
            return read_watermark(self._state.get(key))
        except ValueError as error:
            raise ValueError(f"{WATERMARKS.name}, entry {key!r}: {error}. Correct or delete the entry.") from None

    def read_for(self, key: str, hook: LeadsHook) -> Watermark | None:
        """Return a watermark of the account that a connection is for now; another account's counts as none.

        :raises ValueError: when what is stored is none
        """
        found = self.read(key)
        if found is None or found.account is None or hook.is_account(found.account):
            return found
        hook.log.warning("%s: it was another account's when it was read last: reading everything", hook.label)
        return None

    def move(self, key: str, to: Watermark, *, reset: bool = False) -> bool:
        """Keep a watermark, unless a later one is kept already: a run that was cleared must not take it back.

        :param reset: keep it in any case
        :return: whether it was kept
        """
        held = None if reset else self.read(key)
        if held is not None and _later(held, to):
            return False
        self._state.set(key, msgspec.to_builtins(to))
        return True


def _later(one: Watermark, other: Watermark) -> bool:
    return datetime.fromisoformat(one.at) > datetime.fromisoformat(other.at)


def seconds(name: str, value: Any, default: float) -> timedelta:
    """Return a possibly templated number of seconds.

    :raises ValueError: naming the argument
    """
    if (wanted := given(value)) is None:
        return timedelta(seconds=default)
    if isinstance(wanted, timedelta) and wanted >= timedelta():
        return wanted
    try:
        number = float(wanted)
        if number >= 0:
            return timedelta(seconds=number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must be a number of seconds")


def full_every(value: Any, conn_type: str) -> timedelta | None:
    """Return after how long everything is read anew, ``None``: never.

    :param value: days, or a mapping of connection types to days
    :param conn_type: of the connection
    :raises ValueError: when it is neither
    """
    days = given(for_type("full_every", value, conn_type))
    if days is None:
        return None
    try:
        number = float(days)
        if number > 0:
            return timedelta(days=number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError("full_every must be a number of days above 0, or a mapping of connection types to days")


class LeadsMoveWatermarkOperator(LeadsOperator):
    """Move the watermarks to where extracts have read to, at the end of a run in which everything succeeded.

    Extracts that leave it to this task (``move_watermark=False``) are read again by the next run when this one fails
    anywhere before: what a failed run left undone, the next one takes along.

    .. code-block:: python

        extract = LeadsExtractOperator(
            task_id="extract", conn_id="hubspot_default", watermark="auto", move_watermark=False
        )
        upsert >> LeadsMoveWatermarkOperator(task_id="move_watermark", extracted=extract.output)

    :param extracted: results of :class:`~airflow_providers_leads.operators.leads.LeadsExtractOperator`
    :param dry_run: true moves nothing, as nothing was written; default false
    :return: entry → the time to which it was moved
    :raises ValueError: for a result that has no watermark to move
    """

    template_fields: Sequence[str] = ("extracted", "plan_only")

    def __init__(
        self, *, extracted: References, dry_run: Templated[bool] = False, **kwargs: Unpack[OperatorArguments]
    ) -> None:
        kwargs["inlets"] = with_watermarks(kwargs.get("inlets"))
        super().__init__(**kwargs)
        self.extracted: Any = extracted
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only: Any = dry_run

    def run(self, context: Context) -> dict[str, str]:
        """Move; see the class."""
        if as_bool("dry_run", self.plan_only):
            self.log.info("A dry run: no watermark is moved")
            return {}
        store, results = WatermarkStore(context), task_results("extracted", given(self.extracted), self.log)
        if wrong := [item for item in results if not (isinstance(item, Mapping) and item.get("watermark_key"))]:
            raise ValueError(
                f"extracted: {len(wrong)} of {len(results)} results have no watermark to move: give the extracts "
                "watermark='auto'"
            )
        moved = {}
        for item in results:
            to = msgspec.convert(item["watermark_state"], Watermark)
            if store.move(item["watermark_key"], to, reset=bool(item.get("watermark_reset"))):
                moved[item["watermark_key"]] = to.at
        for key, at in moved.items():
            self.log.info("Watermark of %s: %s", key, at)
        return moved


class LeadsRememberOperator(LeadsOperator):
    """Let what a run read and wrote be what the sync remembers.

    Runs after all upserts, whatever became of them: what was written is remembered as the sync's own, and what was not
    is tried again by the next run. As a teardown it has no say in whether the run succeeded:

    .. code-block:: python

        upsert >> LeadsRememberOperator(task_id="remember", golden=deduplicate.output).as_teardown()

    A run that was killed before it remembered is no harm: the next one reads what it meant to write.

    :param golden: result of a :class:`~airflow_providers_leads.operators.leads.LeadsDeduplicateOperator` with
        ``memory``
    :param dry_run: true remembers nothing, because nothing was written; default false
    :return: ``memory`` (URI), ``generation``, ``records`` (how many are remembered) and ``since`` (ISO time); nothing
        in a dry run, or when the merge did not run
    :raises ValueError: when another run has written or remembered since this one merged
    """

    template_fields: Sequence[str] = ("golden", "plan_only")
    ui_color = "#f3e9ff"

    def __init__(
        self, *, golden: Reference, dry_run: Templated[bool] = False, **kwargs: Unpack[OperatorArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.golden: Any = golden
        # Not "dry_run": Airflow's operators have a method of that name.
        self.plan_only: Any = dry_run

    def run(self, context: Context) -> dict[str, Any]:
        """Remember; see the class."""
        from airflow_providers_leads.tasks.memory.writing import remember_run

        if as_bool("dry_run", self.plan_only):
            self.log.info("A dry run: nothing is remembered")
            return {}
        merged = as_result(given(self.golden))
        if merged is None:
            self.log.warning("There was no merge in this run: nothing is remembered")
            return {}
        if not isinstance(merged, Mapping) or not merged.get("memory"):
            raise ValueError("golden must be the result of a LeadsDeduplicateOperator that was given a memory")
        generation = remember_run(merged["memory"], [merged["members"]], context)
        self.log.info(
            "Memory %s: generation %d with %d records, since %s",
            merged["memory"]["memory"], generation.number, generation.records, generation.since,
        )  # fmt: skip
        return {
            "memory": merged["memory"]["memory"],
            "generation": generation.number,
            "records": generation.records,
            "since": generation.since.isoformat(),
        }
