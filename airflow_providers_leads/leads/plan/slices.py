"""A plan's people by ranges of addresses, one after the other: to sort and join all at once would hold them all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import ibis

from airflow_providers_leads.leads.memory.hashing import quoted
from airflow_providers_leads.leads.merge.engine import collect

Slice = tuple[str | None, str | None]
"""From the first address, up to the second without it; ``None`` is no bound."""

_BOUNDS: Final = ("plan_from", "plan_until")
_VIEW: Final = "plan_joined"
_CHUNK_ROWS: Final = 2_000
# People that are sorted and joined at once; more of them where the passes over the files would be too many.
_SLICE_ROWS: Final = 10_000
_MOST_SLICES: Final = 32


def batches_by_slice(connection: Any, joined: ibis.Table, golden: ibis.Table) -> Iterator[Any]:
    """Yield the Arrow record batches of a plan's people, by address.

    :param connection: to DuckDB
    :param joined: the people with ``email_key``, bounded by :func:`within`
    :param golden: all of them
    """
    slices = _slices(connection, golden)
    # The slices differ by two variables alone, because to compile the query takes longer than to run it. They are set
    # before there is a view, or DuckDB takes them for numbers.
    _bound(connection, slices[0])
    connection.create_view(_VIEW, joined)
    for bounds in slices:
        _bound(connection, bounds)
        ordered = connection.table(_VIEW).order_by("email_key")
        yield from connection.to_pyarrow_batches(ordered, chunk_size=_CHUNK_ROWS)


def within(table: ibis.Table, key: str) -> ibis.Table:
    """Return the rows of the slice that is planned; DuckDB reads its bounds when it runs a view.

    :param table: of people or records
    :param key: its column of email keys
    """
    low, high = (_variable(name) for name in _BOUNDS)
    return table.filter(low.isnull() | (table[key] >= low), high.isnull() | (table[key] < high))


def _slices(connection: Any, golden: ibis.Table) -> list[Slice]:
    """Return the ranges of addresses that are planned one after the other."""
    (counted,) = collect(connection, golden.aggregate(rows=golden.count()))
    rows = counted["rows"]
    each = max(_SLICE_ROWS, math.ceil(rows / _MOST_SLICES))
    if rows <= each:
        return [(None, None)]
    keys = golden.select("email_key")
    ranked = keys.mutate(place=ibis.row_number().over(order_by=keys.email_key))
    first = ranked.filter((ranked.place > 0) & (ranked.place % each == 0)).order_by("place")
    cuts = [row["email_key"] for row in collect(connection, first)]
    return list(zip([None, *cuts], [*cuts, None], strict=True))


def _bound(connection: Any, bounds: Slice) -> None:
    for name, bound in zip(_BOUNDS, bounds, strict=True):
        # Not as a parameter, for whose type DuckDB loads pandas, wherever that is installed.
        value = "NULL" if bound is None else quoted(bound)
        connection.con.execute(f"SET VARIABLE {name} = {value}::VARCHAR")


def _variable(name: str) -> Any:
    def variable(called: Any) -> Any:
        """Stand for DuckDB's function."""

    return ibis.udf.scalar.builtin(variable, name="getvariable", signature=((str,), str))(name)
