"""Where a task writes its files, how they are named, and whether other workers find them there."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from airflow.providers.common.compat.sdk import AirflowException, BaseHook, Context, conf
from fsspec import get_filesystem_class

from airflow_providers_leads.leads.files.places import WRITER, Writer, check_writable, is_local
from airflow_providers_leads.leads.files.stores import StagingError, check_uri, store_problem
from airflow_providers_leads.leads.model.values import whole_text
from airflow_providers_leads.tasks.arguments import given

log = logging.getLogger(__name__)

_ONE_MACHINE: Final = {"LocalExecutor", "SequentialExecutor", "DebugExecutor"}
# Kinds of file systems that machines share.
_SHARED: Final = ("nfs", "cifs", "smb", "ceph", "fuse", "9p", "virtiofs", "gluster", "lustre", "beegfs", "gpfs", "afs")
_MOUNTS: Final = Path("/proc/self/mounts")
_OTHER_WAY: Final = (
    "set output, memory or [leads] staging to a bucket such as s3://conn_id@bucket/leads, or, where the folder is "
    "mounted into all of them, [leads] shared_files to True"
)
_FILES = (".parquet", ".jsonl", ".gz", ".json", ".csv")
_UNSAFE = re.compile(r"[^\w.+=@-]+")


def resolve_folder(output: Any, context: Context) -> str:
    """Return the URI prefix below which a task writes its files.

    :param output: as given to the operator; without it ``[leads] staging`` / dag id / run id / task id
    :param context: the task's context
    :raises ValueError: when there is neither, or it is a disk that is gone with the task
    """
    if (uri := uri_or_none("output", output)) is not None:
        check_local(uri.rstrip("/"))
        return uri.rstrip("/")
    staging = conf.get("leads", "staging", fallback=None)
    if not staging:
        raise ValueError(
            "output is not given and the Airflow option [leads] staging is not set: give one of them a URI such as "
            "s3://conn_id@bucket/leads"
        )
    check_local(staging.rstrip("/"))
    ti: Any = context["ti"]
    parts = (ti.dag_id, ti.run_id, ti.task_id)
    return "/".join([staging.rstrip("/"), *(safe_name(str(part)) for part in parts)])


def uri_or_none(name: str, value: Any) -> str | None:
    """Return the URI that an argument is, a text or a path object, ``None`` when it says nothing.

    :raises ValueError: naming the argument
    """
    if (uri := given(value)) is None:
        return None
    text = str(uri).strip()
    # A list or mapping as text is what a template makes of one, and the name of no file.
    if not (isinstance(uri, str) or hasattr(uri, "open")) or text[:1] in ("[", "{"):
        raise ValueError(f"{name} must be a URI such as s3://conn_id@bucket/leads, and one")
    return text


def safe_name(text: str) -> str:
    """Return a text as one path segment that every store takes."""
    return _UNSAFE.sub("_", text)


def file_name(conn_id: str, context: Mapping[str, Any]) -> str:
    """Return the stem of the files of one task instance: the connection, and the map index when it is mapped."""
    return f"{safe_name(str(conn_id))}{map_suffix(context)}"


def map_suffix(context: Mapping[str, Any]) -> str:
    """Return what the names of a task instance's files end with: a dot and the map index, nothing without one."""
    index = getattr(context.get("ti"), "map_index", -1)
    return f".{index}" if isinstance(index, int) and index >= 0 else ""


@contextmanager
def writing_as(context: Mapping[str, Any]) -> Iterator[None]:
    """Mark what is written meanwhile as this task's own; another one of the same run doesn't write over it then."""
    ti = context.get("ti")
    if ti is None:
        yield
        return
    token = WRITER.set(Writer(f"{ti.dag_id}/{ti.run_id}", f"{ti.task_id}{map_suffix(context)}"))
    try:
        yield
    finally:
        WRITER.reset(token)


def storage_path(uri: str) -> Any:
    """Return Airflow's path object for a URI, which knows the credentials of its connection.

    :raises ValueError: for what is none
    :raises StagingError: when nothing that is installed opens such a URI
    :raises AirflowNotFoundException: when the connection that it names does not exist
    """
    from airflow.sdk import ObjectStoragePath

    if not isinstance(uri, (str, os.PathLike, ObjectStoragePath)):
        raise ValueError(f"expected the URI of a file, not a {type(uri).__name__}")
    if isinstance(uri, str):
        uri = whole_text(uri)
        check_uri(uri)
    try:
        path = ObjectStoragePath(uri)
        if not is_local(path):
            _check_store(path.protocol, path.conn_id)
    except AirflowException:
        raise
    except Exception as error:
        raise StagingError(store_problem(uri, error)) from None
    return path


def path_at(name: str) -> Any:
    """Return the path object of a URI, see :func:`storage_path`, or of a path on this machine as it is written.

    :raises StagingError: when nothing that is installed opens such a URI
    """
    return storage_path(name) if "://" in name else Path(name)


def check_output_folder(uri: str) -> None:
    """Check that files can be written to a URI, before anything is read or written.

    :param uri: of a folder, or of a file in it
    :raises StagingError: naming the connection and the bucket
    """
    path = storage_path(uri.rstrip("/"))
    check_writable(path.parent if path.suffix in _FILES else path)


@cache
def _check_store(scheme: str, conn_id: str | None) -> None:
    """Check once what a store's client says too late, in a long trace, or not at all."""
    from airflow.sdk.io.fs import get_fs, has_fs

    if conn_id and has_fs(scheme):
        # Amazon's provider takes an unknown id for none at all, and goes on as anybody.
        BaseHook.get_connection(conn_id)
    elif conn_id:
        raise ImportError(f"no provider for {scheme}://")
    if has_fs(scheme):
        get_fs(scheme, conn_id)
    else:
        get_filesystem_class(scheme)
        # It is known to fsspec alone: Airflow's path objects list such a place, and can't open a file there.
        raise ValueError(f"no provider for {scheme}://")


@cache
def check_local(uri: str) -> None:
    """Warn, once for each, of a folder on this worker's disk where the next task may run on another.

    :param uri: below which files are written
    :raises ValueError: when it is the disk of a pod, which is gone with the task
    """
    scheme, _, rest = uri.partition("://")
    if (rest and scheme not in ("file", "local")) or conf.getboolean("leads", "shared_files", fallback=False):
        return
    executors = _executors(conf.get("core", "executor", fallback="LocalExecutor"))
    if not executors:
        return
    folder = os.path.realpath(rest or uri)
    mounted_at, kind = _mount(folder, _MOUNTS.read_text(encoding="utf-8") if _MOUNTS.exists() else "")
    if kind.startswith(_SHARED):
        return
    if os.environ.get("KUBERNETES_SERVICE_HOST") and "KubernetesExecutor" in executors and mounted_at in ("", "/"):
        raise ValueError(f"{uri} is on the pod's own disk, which is gone when the task is: {_OTHER_WAY}")
    log.warning(
        "%s is on this worker's disk, and by %s the next task may run on another: %s.", uri, executors[0], _OTHER_WAY
    )


def _executors(option: str) -> list[str]:
    """Return the names of the executors in ``[core] executor`` by which tasks may run on other machines."""
    names = [word.rpartition(".")[2] for word in re.split(r"[^\w.]+", option)]
    return [name for name in names if name.endswith("Executor") and name not in _ONE_MACHINE]


def _mount(folder: str, mounts: str) -> tuple[str, str]:
    """Return where the file system of a folder is mounted, and its kind; empty when that can't be known.

    :param folder: an absolute path
    :param mounts: as Linux lists them, a later one covers an earlier one
    """
    lines = [line.split(" ") for line in mounts.splitlines()]
    places = [(line[1].encode().decode("unicode_escape"), line[2]) for line in lines if len(line) > 2]
    around = [(len(at), n) for n, (at, _) in enumerate(places) if f"{folder}/".startswith(f"{at.rstrip('/')}/")]
    return places[max(around)[1]] if around else ("", "")
