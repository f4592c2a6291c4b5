"""Values of PostgreSQL for which Python has none, as the texts by which PostgreSQL itself tells them.

``infinity`` and the years before 1 and after 9999 are no dates to Python: psycopg ends the query, and psycopg2 makes
the last day of the year 9999 of ``infinity``, which as the time of a change would win for good. Of an interval both
make days, of which a month has thirty, and of a range its Python form.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

_TIMES: Final = {
    "date": (1082, 1182, "PYDATE"),
    "time": (1083, 1183, "PYTIME"),
    "timetz": (1266, 1270, "PYTIME"),
    "timestamp": (1114, 1115, "PYDATETIME"),
    "timestamptz": (1184, 1185, "PYDATETIMETZ"),
}
"""Type → number, number of its arrays, and what psycopg2 reads it by."""
_TEXTS: Final = {
    "interval": (1186, 1187), "int4range": (3904, 3905), "int8range": (3926, 3927), "numrange": (3906, 3907),
    "daterange": (3912, 3913), "tsrange": (3908, 3909), "tstzrange": (3910, 3911),
}  # fmt: skip
_ODD: Final = re.compile(r"-?infinity|24:.*|.* BC|\d{5,}-.*")


def read_odd_values(conn: Any) -> None:
    """Let a connection give values that Python hasn't as text; for a driver that is not known nothing changes.

    :param conn: to PostgreSQL
    """
    module = type(conn).__module__.partition(".")[0]
    if module == "psycopg":
        _by_psycopg(conn)
    elif module == "psycopg2":
        _by_psycopg2(conn)


def _by_psycopg(conn: Any) -> None:
    registered, plain = conn.adapters, import_module("psycopg.types.string").TextLoader
    loaders = import_module("psycopg.types.datetime")
    bases = ("DateLoader", "TimeLoader", "TimetzLoader", "TimestampLoader", "TimestamptzLoader")
    for name, base in zip(_TIMES, bases, strict=True):
        registered.register_loader(name, _tolerant(getattr(loaders, base)))
    for name in _TEXTS:
        registered.register_loader(name, plain)


def _tolerant(base: Any) -> Any:
    """Return a loader that gives as text what another one can't read."""

    def load(self: Any, data: Any) -> Any:
        text = bytes(data).decode()
        return text if _ODD.fullmatch(text) else base.load(self, data)

    return type(base.__name__, (base,), {"load": load})


def _by_psycopg2(conn: Any) -> None:
    made = import_module("psycopg2.extensions")

    def register(name: str, numbers: tuple[int, int], read: Any) -> None:
        one = made.new_type(numbers[:1], name, read)
        made.register_type(one, conn)
        made.register_type(made.new_array_type(numbers[1:], f"{name}[]", one), conn)

    def tolerant(base: Any) -> Any:
        return lambda text, cursor: text if text is None or _ODD.fullmatch(text) else base(text, cursor)

    for name, (number, array, base) in _TIMES.items():
        register(name, (number, array), tolerant(getattr(made, base)))
    for name, numbers in _TEXTS.items():
        register(name, numbers, lambda text, cursor: text)
