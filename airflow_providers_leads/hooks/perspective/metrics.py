"""A funnel's KPIs, charts and insights as tidy rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_providers_leads.leads.model.metrics import (
    FUNNEL_COLUMN,
    MetricRow,
    MetricTable,
    MetricWindow,
    numbers,
    point,
    tally,
)

PERSPECTIVE_METRICS: Final = MetricTable("perspective", FUNNEL_COLUMN)


def kpi_rows(window: MetricWindow, subtype: str, answer: Mapping[str, Any]) -> list[MetricRow]:
    """Return a KPI as rows: one with an empty key, and one for any further number, under its name.

    :param window: what was asked for
    :param subtype: such as ``kpi_conversion_rate``
    :param answer: ``{"type", "value", "count"}``; empty when there is no data
    """
    # A rate of nothing still has a sample size, 0.
    found = () if answer.get("value") is None else point(answer, "")
    return PERSPECTIVE_METRICS.rows(window, subtype, found)


def chart_metric(subtype: str, ab_test: str | None = None) -> str:
    """Return the metric of a chart; a chart of one test variant is a metric of its own."""
    return f"{subtype}.{ab_test}" if ab_test else subtype


def chart_rows(window: MetricWindow, metric: str, points: Sequence[Any]) -> list[MetricRow]:
    """Return a chart as rows: every number of every point.

    A point is named by what in it is no measure (``key``, ``label``, ``date``, ``day`` and ``hour``, any text), else by
    its position from 0. The name is the key of the point's ``value`` (or ``count``); its other numbers are under
    ``name.member``, deeper ones under ``name.member.member``.

    :param window: what was asked for
    :param metric: from :func:`chart_metric`
    :param points: as the API gives them; empty when there is no data
    """
    return PERSPECTIVE_METRICS.rows(window, metric, numbers(points, ""))


def insight_metrics(insight_id: str) -> tuple[str, str]:
    """Return the two metrics of a question: each answer by itself, and combinations as they were chosen."""
    return f"insight.{insight_id}.answers", f"insight.{insight_id}.grouped_answers"


def insight_rows(window: MetricWindow, insight_id: str, answer: Mapping[str, Any]) -> list[MetricRow]:
    """Return how often each answer and each combination of answers was chosen as rows.

    :param window: what was asked for
    :param insight_id: the question's tracking id
    :param answer: ``{"title", "answers", "groupedAnswers"}``; empty when there is no data
    """
    return [
        row
        for metric, member in zip(insight_metrics(insight_id), ("answers", "groupedAnswers"), strict=True)
        for row in PERSPECTIVE_METRICS.rows(window, metric, tally(answer.get(member)))
    ]
