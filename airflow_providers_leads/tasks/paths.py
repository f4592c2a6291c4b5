"""Where a task writes its files, and how they are named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_providers_leads.tasks.arguments import given

_UNSAFE = re.compile(r"[^\w.+=@-]+")


def resolve_folder(output: Any, context: Context) -> str:
    """Return the URI prefix below which a task writes its files.

    :param output: as given to the operator; without it ``[leads] staging`` / dag id / run id / task id
    :param context: the task's context
    :raises ValueError: when there is neither
    """
    if (uri := uri_or_none("output", output)) is not None:
        return uri.rstrip("/")
    staging = conf.get("leads", "staging", fallback=None)
    if not staging:
        raise ValueError(
            "output is not given and the Airflow option [leads] staging is not set: give one of them a URI such as "
            "s3://conn_id@bucket/leads"
        )
    ti: Any = context["ti"]
    parts = (ti.dag_id, ti.run_id, ti.task_id)
    return "/".join([staging.rstrip("/"), *(safe_name(str(part)) for part in parts)])


def uri_or_none(name: str, value: Any) -> str | None:
    """Return the URI that an argument is, a text or a path object, ``None`` when it says nothing.

    :raises ValueError: naming the argument
    """
    if (uri := given(value)) is None:
        return None
    if isinstance(uri, str) or hasattr(uri, "open"):
        return str(uri).strip()
    raise ValueError(f"{name} must be a URI such as s3://conn_id@bucket/leads, not a {type(uri).__name__}")


def safe_name(text: str) -> str:
    """Return a text as one path segment that every store takes."""
    return _UNSAFE.sub("_", text)


def file_name(conn_id: str, context: Mapping[str, Any]) -> str:
    """Return the stem of the files of one task instance: the connection, and the map index when it is mapped."""
    index = getattr(context.get("ti"), "map_index", -1)
    return safe_name(conn_id) if not isinstance(index, int) or index < 0 else f"{safe_name(conn_id)}.{index}"


def storage_path(uri: str) -> Any:
    """Return Airflow's path object for a URI, which knows the credentials of its connection."""
    from airflow.sdk import ObjectStoragePath

    return ObjectStoragePath(uri)
