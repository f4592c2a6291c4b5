"""What stands at a JSON path: names of nested objects, parted by dots, such as ``paging.next.after``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def value_at(body: Any, path: str) -> Any:
    """Return what stands at a path, ``None`` where nothing does.

    :param body: decoded JSON
    :param path: the path
    """
    for name in path.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(name)
    return body


def values_at(body: Any, path: str) -> Iterator[Any]:
    """Yield what stands at a path, in each entry where lists are on the way.

    :param body: decoded JSON
    :param path: the path
    """
    name, _, rest = path.partition(".")
    value = body.get(name) if isinstance(body, dict) else None
    for each in value if isinstance(value, list) else (value,):
        if rest:
            yield from values_at(each, rest)
        elif each is not None:
            yield each


def objects_at(body: Any, path: str) -> Iterator[dict[str, Any]]:
    """Yield the objects among :func:`values_at`."""
    return (value for value in values_at(body, path) if isinstance(value, dict))
