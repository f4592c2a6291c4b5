"""What people write for a file on the command line."""

from __future__ import annotations

from pathlib import Path


def as_uri(path: str) -> str:
    """Return a path or URI as a URI; as it is, for what is encoded is another name to everything that opens it."""
    return path if "://" in path else f"file://{Path(path).absolute()}"
