"""What people write for a file on the command line."""

from __future__ import annotations

from pathlib import Path


def as_uri(path: str) -> str:
    """Return a path or URI as a URI; as it is, for what is encoded is another name to everything that opens it.

    :raises ValueError: for what elsewhere means standard input or output, and for nothing, which would be this folder
    """
    if path.strip() in ("", "-"):
        raise ValueError(
            f"{path!r} is no file: commands read and write files by a path or URI, such as leads.csv, and neither "
            "standard input nor standard output"
        )
    return path if "://" in path else f"file://{Path(path).absolute()}"
