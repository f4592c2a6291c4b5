"""Ways of reading all contacts of a HubSpot account; run as a program, one of them once, and measured from within.

Each runs in an environment of its own, so this file imports at its head only what every Python has. A contestant gets
the server's origin and a folder, and returns the number of contacts it read.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

PATH: Final = "/crm/v3/objects/contacts"
PROPERTIES: Final = (
    "email", "firstname", "lastname", "phone", "company", "jobtitle", "website", "address", "city", "state", "zip",
    "country", "industry", "hs_lead_status", "hs_email_optout", "hs_email_hard_bounce_reason_enum",
    "hs_additional_emails", "hs_merged_object_ids", "lifecyclestage", "hubspot_owner_id",
)  # fmt: skip
UNLIMITED: Final = {"rate_limit": 4000, "rate_limit_period": 0.001}


def unlimited(sandbox: Any) -> dict[str, str]:
    """Return the sandbox's connections as environment variables, so that this side keeps no quota either."""
    return {
        f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(
            {**connection, "extra": {**(connection.get("extra") or {}), **UNLIMITED}}
        )
        for conn_id, connection in sandbox.connections().items()
    }


def connect_unlimited(sandbox: Any) -> None:
    """Define the sandbox's connections in this process: waiting is no cost of a step."""
    os.environ.update(unlimited(sandbox))


def run_bare(origin: str, folder: Path, options: dict[str, Any]) -> int:
    """Ask for page after page, decode it, count: the least work that can be called reading."""
    import requests

    session = requests.Session()
    session.headers["Authorization"] = "Bearer key"
    params: dict[str, Any] = {"limit": 100, "properties": ",".join(PROPERTIES)}
    count = 0
    while True:
        body = json.loads(session.get(f"{origin}{PATH}", params=params, timeout=60).content)
        count += len(body["results"])
        if "paging" not in body:
            return count
        params["after"] = body["paging"]["next"]["after"]


def prepare_ours(origin: str, options: dict[str, Any]) -> None:
    """Define the connection, and have Airflow load what a worker has loaded before a task's work begins.

    It looks a connection up, for which it loads half of its server, and the plugins and kinds of assets, for lineage.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.lineage import get_hook_lineage_collector

    extra = {"api_version": "v3", **options.get("extra", UNLIMITED)}
    connection = {"conn_type": "hubspot", "host": origin, "password": options.get("key", "key"), "extra": extra}
    os.environ["AIRFLOW_CONN_HUBSPOT_DEFAULT"] = json.dumps(connection)
    BaseHook.get_connection("hubspot_default").get_hook()
    get_hook_lineage_collector().create_asset(uri="file:///tmp")


def task_context() -> Any:
    """Return a worker's context as far as the operators look: who the task is, so that a retry would find its parts."""
    return {"ti": SimpleNamespace(dag_id="bench", run_id="run", task_id="task", map_index=-1, try_number=1)}


def run_ours(origin: str, folder: Path, options: dict[str, Any]) -> int:
    """Read with this package's operator, into a Parquet file of typed, normalised leads."""
    from airflow_providers_leads.operators.leads import LeadsExtractOperator

    task = LeadsExtractOperator(task_id="extract", conn_id="hubspot_default", output=f"file://{folder}/leads.parquet")
    return int(task.execute(task_context())["rows"])


def run_official(origin: str, folder: Path, options: dict[str, Any]) -> int:
    """Read with HubSpot's own client, into a list."""
    import hubspot

    client = hubspot.Client.create(access_token="key", host=origin, base_url=origin)
    return len(client.crm.contacts.get_all(properties=list(PROPERTIES)))


def run_dlt(origin: str, folder: Path, options: dict[str, Any]) -> int:
    """Extract with dlt's declarative REST source, into dlt's intermediate files."""
    import dlt
    from dlt.sources.rest_api import rest_api_source

    rows = 0

    def counted(row: Any) -> Any:
        nonlocal rows
        rows += 1
        return row

    endpoint = {
        "path": PATH.lstrip("/"),
        "params": {"limit": 100, "properties": ",".join(PROPERTIES)},
        "data_selector": "results",
        "paginator": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"},
    }
    source = rest_api_source(
        {
            "client": {"base_url": origin, "auth": {"type": "bearer", "token": "key"}},
            "resources": [{"name": "contacts", "endpoint": endpoint, "processing_steps": [{"map": counted}]}],
        }  # type: ignore[arg-type]
    )
    pipeline = dlt.pipeline("contacts", pipelines_dir=str(folder), destination="filesystem", dataset_name="crm")
    pipeline.extract(source)
    return rows


def run_airbyte(origin: str, folder: Path, options: dict[str, Any]) -> int:
    """Read with the runner of Airbyte's declarative manifests, into its messages."""
    from airbyte_cdk.models import (
        AirbyteStream,
        ConfiguredAirbyteCatalog,
        ConfiguredAirbyteStream,
        DestinationSyncMode,
        SyncMode,
        Type,
    )
    from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource

    query = {"limit": "100", "properties": ",".join(PROPERTIES)}
    retriever = {
        "type": "SimpleRetriever",
        "record_selector": {
            "type": "RecordSelector",
            "extractor": {"type": "DpathExtractor", "field_path": ["results"]},
        },
        "paginator": {
            "type": "DefaultPaginator",
            "page_token_option": {"type": "RequestOption", "inject_into": "request_parameter", "field_name": "after"},
            "pagination_strategy": {
                "type": "CursorPagination",
                "cursor_value": "{{ response.get('paging', {}).get('next', {}).get('after') }}",
                "stop_condition": "{{ not response.get('paging', {}).get('next') }}",
            },
        },
        "requester": {
            "type": "HttpRequester",
            "url_base": "{{ config['base_url'] }}",
            "path": PATH,
            "http_method": "GET",
            "request_parameters": query,
            "authenticator": {"type": "BearerAuthenticator", "api_token": "key"},
        },
    }
    schema = {"type": "InlineSchemaLoader", "schema": {"type": "object", "additionalProperties": True}}
    stream = {"type": "DeclarativeStream", "name": "contacts", "primary_key": ["id"], "retriever": retriever}
    manifest = {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["contacts"]},
        "streams": [{**stream, "schema_loader": schema}],
        "spec": {"type": "Spec", "connection_specification": {"type": "object"}},
    }
    listed = AirbyteStream(name="contacts", json_schema={}, supported_sync_modes=[SyncMode.full_refresh])
    wanted = ConfiguredAirbyteStream(
        stream=listed, sync_mode=SyncMode.full_refresh, destination_sync_mode=DestinationSyncMode.append
    )
    catalog = ConfiguredAirbyteCatalog(streams=[wanted])
    config = {"base_url": origin}
    source = ConcurrentDeclarativeSource(catalog=catalog, config=config, state=[], source_config=manifest)
    messages = source.read(logging.getLogger("airbyte"), config, catalog, [])
    return sum(message.type == Type.RECORD for message in messages)


Run = Callable[[str, Path, dict[str, Any]], int]
CLIENTS: Final[dict[str, tuple[str, str | None, tuple[str, ...], Run]]] = {
    "bare": ("bare `requests` + `json`, writes nothing", None, ("requests",), run_bare),
    "ours": (
        "this package: `LeadsExtractOperator` to Parquet",
        None,
        (
            "airflow.models.taskinstance", "airflow_providers_leads.hooks.hubspot",
            "airflow_providers_leads.hooks.perspective", "airflow_providers_leads.hooks.persistiq",
            "airflow_providers_leads.leads.memory.watermarks", "airflow_providers_leads.leads.files.parts",
            "airflow_providers_leads.tasks.extract", "airflow_providers_leads.operators.leads",
            "email_validator", "idna.uts46data", "pyarrow.compute", "pyarrow.json", "pyarrow.parquet", "requests",
        ),
        run_ours,
    ),
    "official": ("`hubspot-api-client`, `get_all`", "hubspot-api-client==12.0.0", ("hubspot",), run_official),
    "dlt": ("dlt, `rest_api` extract", "dlt==1.31.0", ("dlt", "dlt.sources.rest_api"), run_dlt),
    "airbyte": (
        "airbyte-cdk, declarative manifest",
        "airbyte-cdk==7.39.1",
        ("airbyte_cdk.sources.declarative.concurrent_declarative_source",),
        run_airbyte,
    ),
}  # fmt: skip
"""Name → label, what to install (none: this project's environment), modules to load first, function."""


def memory(field: str) -> int:
    """Return how much memory this process has (``VmRSS``) or had at most (``VmHWM``) resident, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Run the contestant named on the command line and write what it took as JSON to standard output."""
    name, order = sys.argv[1], json.loads(sys.argv[2])
    _, _, modules, run = CLIENTS[name]
    for module in modules:
        importlib.import_module(module)
    if name == "ours":
        prepare_ours(order["origin"], order.get("options", {}))
    logging.disable(logging.CRITICAL)
    before, started, spent = memory("VmRSS"), time.perf_counter(), time.process_time()
    rows = run(order["origin"], Path(order["folder"]), order.get("options", {}))
    took = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent, "rows": rows}
    sys.stdout.write("\n" + json.dumps({**took, "before": before, "peak": memory("VmHWM")}) + "\n")


if __name__ == "__main__":
    main()
