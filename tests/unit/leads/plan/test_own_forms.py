"""Values that a CRM keeps in a form of its own: left alone while both are what they were, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.model.outcomes import PlanRow, WriteResult
from airflow_providers_leads.leads.plan.ledger import RETRY_AFTER, Ledger

START = datetime(2026, 3, 1, tzinfo=UTC)
ANN = "ann@example.org"


def update(before: Any = None, **values: str) -> PlanRow:
    return PlanRow(email_key=ANN, action="update", target_id="1", values=values, before=before or {})


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The place of a ledger that knows that ``Head of Sales`` is kept as ``HEAD OF SALES``."""
    uri = f"{tmp_path}/crm.refused.parquet"
    ledger = Ledger.load(uri, now=START)
    written = WriteResult(email_key=ANN, outcome="updated", fields=["title", "city"], stored={"title": "HEAD OF SALES"})
    ledger.record(update(title="Head of Sales", city="Bonn"), written)
    ledger.save()
    return uri


@pytest.mark.parametrize(
    ("before", "value", "later", "alone"),
    [
        ("HEAD OF SALES", "Head of Sales", timedelta(days=1), True),
        ("HEAD  OF SALES", "Head of Sales ", timedelta(days=1), True),
        ("HEAD OF SALES", "Head of sales", timedelta(days=1), False),
        ("BOSS", "Head of Sales", timedelta(days=1), False),
        (None, "Head of Sales", timedelta(days=1), False),
        ("HEAD OF SALES", "Head of Sales", RETRY_AFTER, False),
    ],
)
def test_it_is_left_alone_while_both_are_what_they_were(
    uri: str, before: str | None, value: str, later: timedelta, alone: bool
) -> None:
    ledger = Ledger.load(uri, now=START + later)
    left = ledger.own_forms.left(update({"title": before, "city": "Ulm"}, title=value, city="Bonn"), ledger.now)
    assert left.values == ({"city": "Bonn"} if alone else {"title": value, "city": "Bonn"})
    assert left.reason == ("left out: title (the CRM keeps it in a form of its own)" if alone else None)


def test_a_later_write_that_is_kept_as_it_is_ends_it(uri: str) -> None:
    ledger = Ledger.load(uri, now=START + timedelta(days=1))
    ledger.record(update(title="CEO"), WriteResult(email_key=ANN, outcome="updated", fields=["title"]))
    assert not ledger.own_forms.holds(ANN) or not len(ledger.own_forms)
    ledger.save()
    assert len(Ledger.load(uri).own_forms) == 0


def test_a_write_of_other_fields_leaves_it(uri: str) -> None:
    ledger = Ledger.load(uri, now=START + timedelta(days=1))
    ledger.record(update(city="Ulm"), WriteResult(email_key=ANN, outcome="updated", fields=["city"]))
    assert len(ledger.own_forms) == 1


def test_what_is_too_old_goes_and_a_broken_file_is_none(uri: str, tmp_path: Path) -> None:
    ledger = Ledger.load(uri, now=START + RETRY_AFTER)
    other = PlanRow(email_key="bo@example.org", action="create", values={"city": "Bonn"})
    written = WriteResult(email_key=other.email_key, outcome="created", fields=["city"], stored={"city": "BONN"})
    ledger.record(other, written)
    ledger.save()
    path = tmp_path / "crm.own_forms.parquet"
    assert pq.read_table(path).num_rows == 1
    path.write_bytes(b"no parquet")
    assert len(Ledger.load(uri).own_forms) == 0


def test_neither_addresses_nor_values_stand_in_the_file(uri: str, tmp_path: Path) -> None:
    content = str(pq.read_table(tmp_path / "crm.own_forms.parquet").to_pylist()).lower()
    assert not any(word in content for word in ("ann", "sales", "example"))
