"""What files of metrics tell: of each funnel and campaign the last window, and a few numbers of those before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from airflow_providers_leads.leads.files.staging import open_parquet
from airflow_providers_leads.leads.model.metrics import CAMPAIGN_COLUMN, FUNNEL_COLUMN, metric_columns

Numbers = dict[str, list[tuple[str, float, int | None]]]
"""Metric → key, value and sample size of each number, in the API's order."""

_MOST_WINDOWS: Final = 60


@dataclass(slots=True)
class Measured:
    """One funnel or campaign.

    :param source: connection type of its CRM
    :param start: begin of the last window, aware
    :param end: its end; the same for a snapshot
    :param offset: minutes from UTC by which its days were moved
    :param numbers: of that window
    :param past: end of a window → metric → value, of metrics that are a single number; that window included
    """

    id: str
    source: str
    start: datetime
    end: datetime
    offset: int
    fetched_at: datetime
    numbers: Numbers = field(default_factory=dict)
    past: dict[datetime, dict[str, float]] = field(default_factory=dict)

    def value(self, metric: str) -> float | None:
        """Return a metric that is a single number."""
        return next((value for key, value, _ in self.numbers.get(metric, ()) if not key), None)


@dataclass(slots=True)
class MetricFacts:
    """What was found: funnels and campaigns, each by its id.

    :param tables: where rows were written to that no file has, and how many
    """

    funnels: dict[str, Measured] = field(default_factory=dict)
    campaigns: dict[str, Measured] = field(default_factory=dict)
    tables: list[tuple[str, int]] = field(default_factory=list)


def read_metrics(uris: Iterable[str], path: Any = str) -> MetricFacts:
    """Return what files of metrics tell; files of other things are passed over.

    :param uris: the files
    :param path: URI → path object that knows the credentials; default: as it is
    :raises StagingError: naming the file that is missing or damaged
    """
    facts = MetricFacts()
    kinds = ((FUNNEL_COLUMN, facts.funnels), (CAMPAIGN_COLUMN, facts.campaigns))
    for uri in uris:
        file = open_parquet(path(uri))
        try:
            for scope_column, found in kinds:
                columns = metric_columns(scope_column)
                if set(columns) <= set(file.schema_arrow.names):
                    for batch in file.iter_batches(columns=list(columns)):
                        _take(scope_column, batch.to_pylist(), found)
        finally:
            file.close()
    for measured in (*facts.funnels.values(), *facts.campaigns.values()):
        measured.past = dict(sorted(measured.past.items())[-_MOST_WINDOWS:])
    facts.funnels = dict(sorted(facts.funnels.items()))
    facts.campaigns = dict(sorted(facts.campaigns.items()))
    return facts


def _take(scope_column: str, rows: list[dict[str, Any]], into: dict[str, Measured]) -> None:
    for row in rows:
        name = row[scope_column]
        held = into.get(name)
        rank = (row["end"], row["start"], row["fetched_at"])
        if held is None or rank > (held.end, held.start, held.fetched_at):
            past = held.past if held else {}
            held = into[name] = Measured(
                name, row["source"], row["start"], row["end"], row["offset"], row["fetched_at"], past=past
            )
        if rank == (held.end, held.start, held.fetched_at):
            held.numbers.setdefault(row["metric"], []).append((row["key"], row["value"], row["count"]))
        if not row["key"]:
            held.past.setdefault(row["end"], {})[row["metric"]] = row["value"]
