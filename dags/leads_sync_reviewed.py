"""One sync of leads across CRMs in which a person looks at the plan before anything is written.

Reads the CRMs, makes one golden record per person, plans what that means for each destination, and waits: the summary
of the plans stands under "Required Actions". Approved, the plans are applied; rejected, or without an answer within
``WAIT``, nothing is written; plans that write nothing pass without a question. Whatever has changed in a destination
while the plan waited is planned anew, record by record. At the end a report says what was planned and what became of
it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import Param, conf, dag, task
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsExtractOperator,
    LeadsPlanOperator,
    LeadsRememberOperator,
)
from airflow_providers_leads.operators.links import run_url
from airflow_providers_leads.operators.report import LeadsReportOperator
from airflow_providers_leads.retry_policy import leads_retry_args

# Colons are legal in a run id, but not in the paths of every store.
FILES = "{{ params.staging }}/{{ dag.dag_id }}/{{ run_id | replace(':', '') | replace('+', '_') }}"
MEMORY = "{{ params.staging }}/memory/{{ dag.dag_id }}"
"""What the sync remembers between its runs: what people change, clear or delete in a CRM stays as they left it."""
# Plainly a timedelta: a task that waits hands it to Airflow's supervisor, which takes none of pendulum's.
WAIT = timedelta(days=2)
STAGING = conf.get("leads", "staging", fallback=None) or "file:///tmp/airflow-leads"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=leads_retry_args(),
    render_template_as_native_obj=True,
    tags=["leads"],
    doc_md=__doc__,
    params={
        "sources": Param(
            ["perspective_default", "hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Sources",
            description="Connections to read leads from.",
        ),
        "destinations": Param(
            ["hubspot_default", "persistiq_default"],
            type="array",
            items={"type": "string"},
            title="Destinations",
            description="Connections to write the golden records to.",
        ),
        "mode": Param(
            "update",
            type="string",
            enum=["update", "fill", "create_only"],
            title="Mode",
            description="update writes what differs, fill writes empty fields only, create_only makes new ones.",
        ),
        "staging": Param(
            STAGING,
            type="string",
            minLength=1,
            title="Staging",
            section="Files",
            description="URI prefix of the files between the tasks; all workers must reach it.",
        ),
        "max_changes": Param(
            0.5,
            type=["null", "number"],
            minimum=0,
            title="Most changes, as a share",
            section="Limits",
            description="Stop before the first write when a plan would create or change more than this share of what a "
            "destination holds; empty lets it pass.",
        ),
        "min_share_of_last": Param(
            0.5,
            type=["null", "number"],
            minimum=0,
            title="Fewest records, as a share of the last run",
            section="Limits",
            description="Stop when a CRM suddenly gives less than this share of the records of the last run; empty "
            "lets it pass.",
        ),
    },
)
def leads_sync_reviewed() -> None:
    @task
    def sources(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["sources"])

    @task
    def destinations(params: dict[str, Any] | None = None) -> list[str]:
        from airflow_providers_leads.tasks.inputs import lead_connections

        return lead_connections((params or {})["destinations"])

    @task
    def summary(plans: list[dict[str, Any]], dag_run: Any = None) -> str:
        """Return what the plans would do, as the table that the reviewer sees."""
        columns = ("conn_id", "create", "update", "unchanged", "suppress", "duplicates", "requests", "minutes")
        lines = [columns, ("---",) * len(columns)] + [[str(plan[column]) for column in columns] for plan in plans]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"{table}\n\n[Each person and each change]({run_url(dag_run.dag_id, dag_run.run_id)})"

    extract = LeadsExtractOperator.partial(
        task_id="extract",
        output=f"{FILES}/extract",
        memory=MEMORY,
        min_share_of_last="{{ params.min_share_of_last }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=sources())

    deduplicate = LeadsDeduplicateOperator(
        task_id="deduplicate", inputs=extract.output, output=f"{FILES}/golden", memory=MEMORY
    )

    into = destinations()
    plan = LeadsPlanOperator.partial(
        task_id="plan",
        golden=deduplicate.output,
        # Whom one destination must never contact isn't written to the others either.
        suppressions=into,
        existing=extract.output,
        mode="{{ params.mode }}",
        output=f"{FILES}/plan",
        memory=MEMORY,
        max_changes="{{ params.max_changes }}",
        map_index_template="{{ task.conn_id }}",
    ).expand(conn_id=into)

    @task.branch
    def review(plans: list[dict[str, Any]]) -> str:
        """Let plans that write nothing pass: there is nothing to say yes or no to."""
        return "approve" if any(plan["create"] or plan["update"] for plan in plans) else "apply"

    approve = ApprovalOperator(
        task_id="approve",
        subject="Write these leads?",
        body=summary(plan.output),  # type: ignore[arg-type]  # the results, once they are there
        defaults="Reject",
        response_timeout=WAIT,
    )

    apply = LeadsApplyOperator.partial(
        task_id="apply",
        output=f"{FILES}/apply",
        map_index_template="{{ task.conn_id }}",
        # Without a question, too, but never after a No.
        trigger_rule="none_failed_min_one_success",
    ).expand_kwargs(plan.output.map(lambda made: {"conn_id": made["conn_id"], "plan": made}))

    # A teardown runs whatever happened before, and has no say in whether the run succeeded.
    report = LeadsReportOperator(task_id="report", files=FILES, output="{{ params.staging }}/reports").as_teardown()
    remember = LeadsRememberOperator(task_id="remember", golden=deduplicate.output).as_teardown()
    reviewed = review(plan.output)  # type: ignore[arg-type]  # likewise
    reviewed >> approve >> apply >> remember >> report
    reviewed >> apply


leads_sync_reviewed()
