"""Files of a memory as DuckDB can read them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from airflow_providers_leads.leads.files.staging import as_path, is_local, local_name


def local_copy(uri: Any, folder: str | Path) -> str:
    """Return the local name of a file; one in a remote store is copied through its own credentials.

    :param uri: URI or path object
    :param folder: local folder for copies, which goes when the work is done
    """
    path = as_path(uri)
    if is_local(path):
        return local_name(path)
    copy = Path(folder) / f"memory-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.parquet"
    copy.write_bytes(path.read_bytes())
    return str(copy)
