"""What a run has read, as its merge hands it on to the task that remembers."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from airflow_providers_leads.leads.memory.reads import ReadFacts
from airflow_providers_leads.tasks.memory.reads import read_as_json, reads_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("properties", [None, frozenset(), frozenset({"tier", "score"})])
def test_what_was_read_is_handed_on_whole(properties: frozenset[str] | None) -> None:
    read = ReadFacts(
        conn_id="crm", source="hubspot", account="key:0123456789abcdef", at=AT, complete=True, parts={"crm": 5},
        properties=properties, known_as="old",
    )  # fmt: skip
    assert reads_of([msgspec.json.decode(msgspec.json.encode(read_as_json(read)))]) == [read]
