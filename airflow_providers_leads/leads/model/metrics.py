"""Metrics as tidy tables: one number per row, whatever form the API gave it in.

All tables have the same columns; only the second is named after what was measured: ``funnel_id`` or ``campaign_id``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from airflow_providers_leads.leads.files.staging import VERSION_METADATA, appearing, as_path, open_file

if TYPE_CHECKING:
    import pyarrow as pa

FUNNEL_COLUMN: Final = "funnel_id"
CAMPAIGN_COLUMN: Final = "campaign_id"

Found = tuple[str, float, int | None]
"""Key, value and sample size of one number in an answer."""

# What a point of a chart may be named by, the plainest first. A number under one of these names is a name as well.
_NAMES: Final = ("key", "label", "name", "title", "date", "id")
_NUMBERS_THAT_NAME: Final = frozenset(
    (*_NAMES, "day", "weekday", "dayOfWeek", "hour", "hourOfDay", "week", "month", "year", "time", "timestamp")
)
_VALUES: Final = ("value", "count")


class MetricWindow(msgspec.Struct, kw_only=True, frozen=True):
    """What was asked for, the same in every row of an answer.

    :param scope_id: the funnel or campaign
    :param start: begin, aware, UTC
    :param end: end, aware, UTC; the same as ``start`` for counters as of one moment
    :param offset: minutes from UTC by which the borders of days were moved
    :param fetched_at: when the API was asked, aware, UTC
    """

    scope_id: str
    start: datetime
    end: datetime
    offset: int = 0
    fetched_at: datetime


class MetricRow(msgspec.Struct, kw_only=True):
    """One number. All columns up to ``key``, with ``start``, ``end`` and ``offset``, identify a row.

    :param source: connection type of the API
    :param scope_id: the funnel or campaign; the column is named ``funnel_id`` or ``campaign_id``
    :param metric: what is measured
    :param key: what of it: a device, a day, an answer; empty for a metric that is a single number
    :param value: the number, in the metric's own unit
    :param count: sample size, where the API gives one
    """

    source: str
    scope_id: str
    metric: str
    key: str
    value: float
    count: int | None
    start: datetime
    end: datetime
    offset: int
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class MetricTable:
    """A table of metrics.

    :param source: connection type of the API
    :param scope_column: name of the column that says what was measured
    """

    source: str
    scope_column: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the fields of :class:`MetricRow`."""
        return metric_columns(self.scope_column)

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema of a file of this table."""
        import pyarrow as pa

        types = {
            "value": pa.float64(),
            "count": pa.int64(),
            "offset": pa.int64(),
            **dict.fromkeys(("start", "end", "fetched_at"), pa.timestamp("us", tz="UTC")),
        }
        return pa.schema(
            [pa.field(name, types.get(name, pa.string()), nullable=name == "count") for name in self.columns],
            metadata=VERSION_METADATA,
        )

    def rows(self, window: MetricWindow, metric: str, found: Iterable[Found]) -> list[MetricRow]:
        """Return an answer's numbers as rows; a key that repeats gets ``#2``, ``#3``, in the API's order."""
        seen: set[str] = set()
        repeats: Counter[str] = Counter()
        rows = []
        for key, value, count in found:
            unique = key
            while unique in seen:
                repeats[key] += 1
                unique = f"{key}#{repeats[key] + 1}"
            seen.add(unique)
            rows.append(
                MetricRow(
                    source=self.source,
                    scope_id=window.scope_id,
                    metric=metric,
                    key=unique,
                    value=value,
                    count=count,
                    start=window.start,
                    end=window.end,
                    offset=window.offset,
                    fetched_at=window.fetched_at,
                )
            )
        return rows


def metric_columns(scope_column: str) -> tuple[str, ...]:
    """Return the columns of a table of metrics, in the order of the fields of :class:`MetricRow`.

    :param scope_column: :data:`FUNNEL_COLUMN` or :data:`CAMPAIGN_COLUMN`
    """
    return tuple(scope_column if name == "scope_id" else name for name in MetricRow.__struct_fields__)


def write_metrics(uri: Any, table: MetricTable, rows: Sequence[MetricRow]) -> int:
    """Write rows to a Parquet file that appears under its name only when it is complete, and return how many.

    :param uri: where to; folders are made, and an earlier file of this name is replaced
    :param table: the table that the rows are of
    :param rows: none make a file without rows
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = table.arrow_schema()
    fields = [tuple(column) for column in zip(*map(msgspec.structs.astuple, rows), strict=True)] or [()] * len(schema)
    arrays = [pa.array(values, type=field.type) for values, field in zip(fields, schema, strict=True)]
    with appearing(as_path(uri)) as part, open_file(part, "wb") as file:
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file, compression="zstd")
    return len(rows)


def _number(value: object) -> float | None:
    """Return a number that is really one: booleans are none, and neither is what no database takes."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _measure(name: str, value: object) -> float | None:
    """Return a member of a point as a number; under the names of measures numbers are also met as text."""
    if name in _VALUES and isinstance(value, str):
        try:
            return _number(float(value))
        except ValueError:
            return None
    return None if name in _NUMBERS_THAT_NAME else _number(value)


def _names(name: str, value: object) -> bool:
    """Tell whether a member of a point says which point it is."""
    if isinstance(value, (str, bool)):
        return _measure(name, value) is None
    return (name in _NAMES and value is None) or (name in _NUMBERS_THAT_NAME and isinstance(value, (int, float)))


def _label(point: Mapping[str, Any]) -> str | None:
    """Return the name of a point, ``None`` when it has none.

    All that names it goes in, because two points may agree in the first part.
    """
    parts = {name: _text(value) for name, value in point.items() if _names(name, value)}
    if len(parts) < 2:
        return next(iter(parts.values()), None)
    first = next((name for name in _NAMES if name in parts), None)
    head = [] if first is None else [parts.pop(first)]
    return "; ".join([*head, *(f"{name}={value}" for name, value in parts.items())])


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def numbers(node: object, key: str) -> Iterator[Found]:
    """Yield every number in an answer, however deep.

    :param node: as the API gives it
    :param key: what its numbers are named by, besides their own names
    """
    if (number := _number(node)) is not None:
        yield key, number, None
    elif isinstance(node, Mapping):
        yield from point(node, _joined(key, _label(node) or ""))
    elif isinstance(node, (list, tuple)):
        for position, item in enumerate(node):
            named = isinstance(item, Mapping) and _label(item) is not None
            yield from numbers(item, key if named else _joined(key, str(position)))


def point(node: Mapping[str, Any], key: str) -> Iterator[Found]:
    """Yield the numbers of one object: its value with the sample size, and each other number under its own name.

    :param node: as the API gives it
    :param key: its name, empty for a metric that is a single number
    """
    measures = {name: number for name, member in node.items() if (number := _measure(name, member)) is not None}
    main = "value" if "value" in measures else "count" if "count" in measures and "value" not in node else None
    # Beside a value a count is its sample size, unless it is no count at all.
    sample = measures.get("count") if main == "value" else None
    count = int(sample) if sample is not None and sample.is_integer() else None
    for name, member in node.items():
        if name == main:
            yield key, measures[name], count
        elif name in measures:
            if name != "count" or count is None:
                yield _joined(key, name), measures[name], None
        elif not _names(name, member):
            yield from numbers(member, _joined(key, name))


def tally(answers: object) -> Iterator[Found]:
    """Yield the numbers of an object whose keys are free text, so that none of them is taken for a name or a value."""
    if not isinstance(answers, Mapping):
        yield from numbers(answers, "")
        return
    for name, member in answers.items():
        number = _measure("value", member)
        if number is not None:
            yield str(name), number, None
        else:
            yield from numbers(member, str(name))
