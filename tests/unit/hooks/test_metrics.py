from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_providers_leads.hooks.persistiq.metrics import PERSISTIQ_CAMPAIGN_STATS, campaign_rows
from airflow_providers_leads.hooks.perspective.metrics import (
    PERSPECTIVE_METRICS,
    chart_metric,
    chart_rows,
    insight_rows,
    kpi_rows,
)
from airflow_providers_leads.leads.model.metrics import MetricWindow, write_metrics

START, END, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
WINDOW = MetricWindow(scope_id="f1", start=START, end=END, offset=60, fetched_at=NOW)


def chart(points: list[Any]) -> dict[str, float]:
    rows = chart_rows(WINDOW, "chart", points)
    found = {row.key: row.value for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_row_says_what_was_asked_and_when() -> None:
    (row,) = kpi_rows(WINDOW, "kpi_conversion_rate", {"type": "kpiConversionRate", "value": 12.5, "count": 150})
    assert (row.source, row.scope_id, row.metric, row.key) == ("perspective", "f1", "kpi_conversion_rate", "")
    assert (row.value, row.count) == (12.5, 150)
    assert (row.start, row.end, row.offset, row.fetched_at) == (START, END, 60, NOW)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"type": "kpiNewContacts", "value": 0}, [("", 0.0, None)]),
        ({"type": "kpiNewContacts", "value": "7"}, [("", 7.0, None)]),
        ({"value": 1, "previous": 2, "unit": "percent"}, [("", 1.0, None), ("previous", 2.0, None)]),
        ({"value": 1, "count": 2.5}, [("", 1.0, None), ("count", 2.5, None)]),
        ({}, []),
        ({"type": "kpiConversionRate", "value": None, "count": 0}, []),
        ({"type": "kpiConversionRate"}, []),
    ],
)
def test_kpi_answers(answer: dict[str, Any], expected: list[Any]) -> None:
    assert [(row.key, row.value, row.count) for row in kpi_rows(WINDOW, "kpi", answer)] == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], {}),
        ([{"key": "mobile", "value": 10}, {"key": "desktop", "value": 4}], {"mobile": 10, "desktop": 4}),
        ([{"label": "Mon", "count": 3}], {"Mon": 3}),
        ([{"date": "2026-01-01", "contacts": 5, "sessions": 9}], {"2026-01-01.contacts": 5, "2026-01-01.sessions": 9}),
        ([{"key": "start", "step": 0, "value": 12}], {"start.step": 0, "start": 12}),
        ([{"day": 0, "hour": 23, "value": 5}], {"day=0; hour=23": 5}),
        ([{"timestamp": 1767225600000, "value": 5}], {"1767225600000": 5}),
        ([{"source": "google", "medium": "cpc", "value": 4}], {"source=google; medium=cpc": 4}),
        ([{"name": "Start page", "key": "p1", "value": 4}], {"p1; name=Start page": 4}),
        ([{"value": 7}, {"value": 8}], {"0": 7, "1": 8}),
        ([{"value": 7, "unique": 3}], {"0": 7, "0.unique": 3}),
        ([{"key": None, "value": 4}, {"key": "ads", "value": 1}], {"null": 4, "ads": 1}),
        ([{"key": "a", "value": n} for n in (1, 2, 3)], {"a": 1, "a#2": 2, "a#3": 3}),
        ([{"key": key, "value": 1} for key in ("a", "a", "a#2")], {"a": 1, "a#2": 1, "a#2#2": 1}),
        (
            [{"key": "p1", "value": {"visits": 9, "leads": {"new": 2}}}],
            {"p1.value.visits": 9, "p1.value.leads.new": 2},
        ),
        ([{"key": "p1", "on": [{"key": "cta", "value": 3}, {"value": 1}]}], {"p1.on.cta": 3, "p1.on.1": 1}),
        ([{"key": "p1", "values": [1, 2]}], {"p1.values.0": 1, "p1.values.1": 2}),
        ([5, 6], {"0": 5, "1": 6}),
        ([{"key": "p1", "value": None}, {"key": "p2", "value": float("nan")}, {"key": "p3", "value": "n/a"}], {}),
        ([{"key": "p1", "isVariant": True, "value": 1}], {"p1; isVariant=true": 1}),
    ],
)  # fmt: skip
def test_points_of_any_form(points: list[Any], expected: dict[str, float]) -> None:
    assert chart(points) == expected


def test_a_count_beside_a_value_is_its_sample_size() -> None:
    (row,) = chart_rows(WINDOW, "chart", [{"key": "p1", "value": 50.0, "count": 8}])
    assert (row.key, row.value, row.count) == ("p1", 50.0, 8)


def test_a_test_variant_is_a_metric_of_its_own() -> None:
    assert chart_metric("chart_x") == "chart_x"
    assert chart_metric("chart_x", "variant") == "chart_x.variant"


def test_insight_answers_and_combinations() -> None:
    answer = {"title": "What?", "answers": {"value": 3, "B": "2"}, "groupedAnswers": {"value; B": 1}}
    assert [(row.metric, row.key, row.value) for row in insight_rows(WINDOW, "q1", answer)] == [
        ("insight.q1.answers", "value", 3.0),
        ("insight.q1.answers", "B", 2.0),
        ("insight.q1.grouped_answers", "value; B", 1.0),
    ]
    assert insight_rows(WINDOW, "q1", {}) == []
    assert insight_rows(WINDOW, "q1", {"title": "What?", "answers": None, "groupedAnswers": {}}) == []
    listed = insight_rows(WINDOW, "q1", {"answers": [{"label": "Yes", "value": 3}]})
    assert [(row.key, row.value) for row in listed] == [("Yes", 3.0)]


def test_campaign_counters_and_the_one_that_may_be_missing() -> None:
    stats = {"prospects_contacted": 4, "prospects_replied": 1, "total_prospects": None}
    rows = campaign_rows(WINDOW, stats)
    assert [(row.source, row.metric, row.key, row.value) for row in rows] == [
        ("persistiq", "prospects_contacted", "", 4.0),
        ("persistiq", "prospects_replied", "", 1.0),
    ]
    assert campaign_rows(WINDOW, None) == campaign_rows(WINDOW, {}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["key", "value", "count", "date", "day", "x", "y"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=5))
def test_whatever_a_chart_holds_rows_are_unique_numbers(points: list[Any]) -> None:
    rows = chart_rows(WINDOW, "chart", points)
    assert len({row.key for row in rows}) == len(rows)
    assert all(isinstance(row.value, float) and row.value - row.value == 0 for row in rows)


@pytest.mark.parametrize("table", [PERSPECTIVE_METRICS, PERSISTIQ_CAMPAIGN_STATS])
def test_a_file_has_the_schema_of_its_table_with_rows_and_without(table: Any, tmp_path: Path) -> None:
    assert table.columns == (
        "source", table.scope_column, "metric", "key", "value", "count", "start", "end", "offset", "fetched_at",
    )  # fmt: skip
    for rows in ([], table.rows(WINDOW, "m", [("a", 1.0, None), ("b", 2.0, 3)])):
        uri = str(tmp_path / "deep" / "m.parquet")
        assert write_metrics(uri, table, rows) == len(rows)
        read = pq.read_table(uri)
        assert read.schema.equals(table.arrow_schema())
        assert read.num_rows == len(rows)
    assert read.to_pylist()[1] == {
        "source": table.source, table.scope_column: "f1", "metric": "m", "key": "b", "value": 2.0, "count": 3,
        "start": START, "end": END, "offset": 60, "fetched_at": NOW,
    }  # fmt: skip


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    uri = tmp_path / "m.parquet"
    good = PERSPECTIVE_METRICS.rows(WINDOW, "m", [("a", 1.0, None)])
    write_metrics(str(uri), PERSPECTIVE_METRICS, good)
    before = uri.read_bytes()
    bad = PERSPECTIVE_METRICS.rows(WINDOW, "m", [("a", "no number", None)])  # type: ignore[list-item]
    with pytest.raises(Exception, match="no number"):
        write_metrics(str(uri), PERSPECTIVE_METRICS, bad)
    assert uri.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.parquet"]
