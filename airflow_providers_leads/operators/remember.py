"""The end of a sync with a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from airflow.providers.common.compat.sdk import Context

from airflow_providers_leads.operators.base import LeadsOperator
from airflow_providers_leads.operators.signatures import OperatorArguments, Reference, Templated
from airflow_providers_leads.tasks.arguments import as_bool, given


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
        from airflow_providers_leads.tasks.memory import remember_run

        if as_bool("dry_run", self.plan_only):
            self.log.info("A dry run: nothing is remembered")
            return {}
        merged = given(self.golden)
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
