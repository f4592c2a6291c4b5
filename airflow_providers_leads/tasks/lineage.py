"""What a task read and wrote, for OpenLineage and Airflow's own lineage. Where nobody listens, nothing happens."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from airflow_providers_leads.tasks.inputs import as_list

_KEYS: Final[Mapping[str, str]] = {
    "input": "uri",
    "inputs": "uri",
    "existing": "uri",
    "golden": "golden",
    "plan": "plan",
}
"""Operator attribute → key of the URI where the attribute holds another task's result."""


@dataclass(frozen=True, slots=True)
class Datasets:
    """Which of an operator's attributes and results name what it reads and writes.

    :param reads: attributes that hold URIs, or results of other tasks
    :param writes: keys of the operator's own result that hold URIs
    :param crm: whether the CRM behind ``conn_id`` is read or written
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    crm: Literal["reads", "writes"] | None = None


class Lineage(NamedTuple):
    """URIs that a task read and wrote; none holds a person's data."""

    inputs: list[str]
    outputs: list[str]


def lineage_of(operator: Any, result: Any) -> Lineage | None:
    """Return what a task read and wrote and tell Airflow's collector, ``None`` when nobody would listen.

    :param operator: with its rendered attributes
    :param result: what it returned
    """
    if operator.datasets is None or not isinstance(result, Mapping) or not _somebody_listens():
        return None
    from airflow_providers_leads.hooks.telemetry import collect_lineage

    try:
        found = _found(operator, operator.datasets, result)
        collect_lineage(operator, inputs=found.inputs, outputs=found.outputs)
    except Exception as error:
        # The work is done: it must not fail for what is told of it.
        operator.log.warning("What was read and written could not be told to lineage (%s)", type(error).__name__)
        return None
    return found


def openlineage_facets(lineage: Lineage | None) -> Any:
    """Return OpenLineage's form of it, ``None`` where its provider is not installed.

    https://airflow.apache.org/docs/apache-airflow-providers-openlineage/stable/guides/developer.html
    """
    if lineage is None:
        return None
    try:
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage  # type: ignore[import-not-found]
    except ImportError:
        return None
    inputs, outputs = ([Dataset(*dataset_name(uri)) for uri in uris] for uris in lineage)
    return OperatorLineage(inputs=inputs, outputs=outputs)


def dataset_name(uri: str) -> tuple[str, str]:
    """Return the namespace and name by which OpenLineage knows a URI; an Airflow connection id in it is left out.

    https://openlineage.io/docs/spec/naming
    """
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme in ("", "file"):
        return "file", parts.path
    return f"{parts.scheme}://{host}", parts.path.lstrip("/") or "/"


def _somebody_listens() -> bool:
    from airflow.providers.common.compat.sdk import get_hook_lineage_collector

    if type(get_hook_lineage_collector()).__name__ != "NoOpCollector":
        return True
    return importlib.util.find_spec("airflow.providers.openlineage") is not None


def _found(operator: Any, datasets: Datasets, result: Mapping[str, Any]) -> Lineage:
    inputs = [uri for name in datasets.reads for uri in _uris(getattr(operator, name), _KEYS[name])]
    outputs = [uri for name in datasets.writes for uri in _uris(result.get(name), name)]
    # A dry run has planned for the CRM and left it as it was.
    if datasets.crm is not None and not result.get("dry_run"):
        (inputs if datasets.crm == "reads" else outputs).append(_crm(operator.conn_id))
    return Lineage(list(dict.fromkeys(inputs)), list(dict.fromkeys(outputs)))


def _uris(value: Any, key: str) -> Iterable[str]:
    for item in as_list(value):
        uri = item.get(key) if isinstance(item, Mapping) else item
        yield from (one for one in as_list(uri) if isinstance(one, str) and one)


def _crm(conn_id: str) -> str:
    from airflow_providers_leads.asset_uris import crm_asset_uri
    from airflow_providers_leads.hooks.connected import fetch_connection

    return crm_asset_uri(str(fetch_connection(conn_id).conn_type), conn_id)
