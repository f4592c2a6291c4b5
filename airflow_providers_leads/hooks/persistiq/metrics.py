"""Counters of PersistIQ's campaigns as tidy rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from airflow_providers_leads.leads.model.metrics import CAMPAIGN_COLUMN, MetricRow, MetricTable, MetricWindow, tally

PERSISTIQ_CAMPAIGN_STATS: Final = MetricTable("persistiq", CAMPAIGN_COLUMN)


def campaign_rows(window: MetricWindow, stats: Mapping[str, Any] | None) -> list[MetricRow]:
    """Return a PersistIQ campaign's counters as rows, one per counter that the API gives.

    :param window: the campaign, and the moment of the snapshot as both ``start`` and ``end``
    :param stats: counter → number, such as ``prospects_replied``
    """
    return [
        row
        for name, number, _ in tally(stats)
        for row in PERSISTIQ_CAMPAIGN_STATS.rows(window, name, [("", number, None)])
    ]
