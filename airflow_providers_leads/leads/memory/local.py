"""Files of a memory as DuckDB can read them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from airflow_providers_leads.leads.files.places import as_path, at_hand, is_local, local_name, parts_of


def local_copy(uri: Any, folder: str | Path) -> str:
    """Return what DuckDB reads a file by: its local name, in which nothing is taken for a pattern.

    A file in a remote store is copied through its own credentials, the parts of a folder come under one pattern.

    :param uri: URI or path object, of a file or a folder of parts
    :param folder: local folder for copies, which goes when the work is done
    """
    path = as_path(uri)
    parts = parts_of(path)
    if is_local(path) and len(parts) == 1:
        return re.sub(r"[*?[]", r"[\g<0>]", local_name(parts[0]))
    copies = Path(folder) / f"memory-{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    copies.mkdir(exist_ok=True)
    for number, part in enumerate(at_hand(parts, folder)):
        copy = copies / f"{number:05}.parquet"
        copy.unlink(missing_ok=True)
        copy.symlink_to(Path(local_name(part)).absolute())
    return re.sub(r"[*?[]", r"[\g<0>]", str(copies)) + "/*.parquet"
