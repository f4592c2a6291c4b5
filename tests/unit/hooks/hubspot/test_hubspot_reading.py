"""Pages of HubSpot contacts read into columns, beside the same contacts read one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
import requests_mock
from hubspot_hooks import CONTACTS, make_hook, quick, record, url
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_providers_leads.hooks.hubspot import HubSpotHook, wire
from airflow_providers_leads.hooks.hubspot.leads import LEAD_PROPERTIES, kept_of, to_lead, wanted
from airflow_providers_leads.hooks.hubspot.reading import LeadReader
from airflow_providers_leads.hooks.reading import LeadPage, UnreadLeads, record_batch
from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.json_text import UNREADABLE, decode
from airflow_providers_leads.http.pagination import iter_pages
from airflow_providers_leads.leads.files.staging import structs
from airflow_providers_leads.leads.model.schema import Lead, arrow_schema

ASKED = wanted(["my prop", 'q"uote'])
NAMES = [*LEAD_PROPERTIES, "my prop", 'q"uote', "createdate", "lastmodifieddate", "hs_object_id", "unasked"]

times = st.sampled_from(
    ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123Z", "2026-01-01T02:00:00+02:00", "1735689600000",
     "2025-06-31T00:00Z", "2025-06-31T00:00:00Z", "never", "",
     " 2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-01T24:00:00Z"]
)  # fmt: skip
values = (
    st.none()
    # The client leaves NUL out before a page comes here.
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
    | st.emails()
    | times
    | st.sampled_from(
        [
            "",
            " x ",
            "true",
            " Yes",
            "0",
            "Ann@B.de",
            "Ann <ann@b.de>",
            "Do Not Contact",
            "bounced",
            "ann@bücher.de",
            "a" * 70 + "@b.de",
            "a;b",
            " ; ",
        ]
    )
)
contacts = st.fixed_dictionaries(
    {
        "id": st.integers(1, 10**12).map(str),
        "properties": st.dictionaries(st.sampled_from(NAMES), values, max_size=12),
    },
    optional={
        "createdAt": st.none() | times,
        "updatedAt": st.none() | times,
        "archived": st.booleans() | st.none(),
        "url": st.just("https://app.example.com"),
    },
)
lists = st.lists(contacts, min_size=1, max_size=5, unique_by=lambda contact: contact["id"])


def page_of(found: list[dict[str, Any]], after: str | None = None, **style: Any) -> bytes:
    paging = {"paging": {"next": {"after": after}}} if after else {}
    return json.dumps({"results": found, **paging}, **style).encode()


def reader(asked: Sequence[str] = ASKED) -> LeadReader:
    return LeadReader(asked, "conn", "Connection 'conn'")


def read(pages: Sequence[bytes], asked: Sequence[str] = ASKED) -> tuple[list[Lead], pa.RecordBatch | None]:
    """Return the leads of pages one by one, and their columns."""
    with_ids = reader(asked)
    found = [LeadPage(with_ids.leads(with_ids.decode(page)["results"]), {}) for page in pages]
    return [lead for page in found for lead in page.leads], record_batch(found)


@settings(deadline=None, max_examples=300)
@given(lists, lists, st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}]))
@example([{"id": "1", "properties": {}}], [{"id": "2", "properties": {}}], {})
def test_columns_hold_what_contacts_read_one_by_one_do(
    first: list[dict[str, Any]], second: list[dict[str, Any]], style: dict[str, Any]
) -> None:
    leads, batch = read([page_of(first, **style), page_of(second, **style)])
    assert leads == [to_lead(contact, "conn", kept_of(ASKED)) for contact in [*first, *second]]
    assert batch is not None
    assert batch.schema == arrow_schema()
    assert list(structs(batch, Lead)) == leads


def test_nothing_kept_beside_the_fields() -> None:
    leads, batch = read([page_of([record(5, email="a@b.de", lifecyclestage="lead")])], ["email"])
    assert batch is not None
    assert [lead.properties for lead in leads] == batch.column("properties").to_pylist() == [None]


TYPES: dict[str, dict[str, Any]] = {
    "a number for an id": {"id": 7, "properties": {}},
    "a number for a text": {"id": "7", "properties": {"zip": 89073, "my prop": 4.5}},
    "a truth value for a text": {"id": "7", "properties": {"hs_email_optout": True}},
    "an object for a text": {"id": "7", "properties": {"my prop": {"b": 1}}},
    "a time in milliseconds": {"id": "7", "properties": {}, "createdAt": 1735689600000},
    "a text for a truth value": {"id": "7", "properties": {}, "archived": "yes"},
}


@pytest.mark.parametrize("contact", TYPES.values(), ids=TYPES)
def test_other_types_than_documented_are_read_one_by_one(contact: dict[str, Any]) -> None:
    leads, batch = read([page_of([record(5)]), page_of([contact])])
    assert batch is None
    assert leads[1] == to_lead(contact, "conn", kept_of(ASKED))
    assert leads[1].source_id == "7"


BROKEN: dict[str, bytes] = {
    "properties that are a list": b'{"results": [{"id": "7", "properties": ["ann@b.de"]}]}',
    # Nobody could tell whether it has opted out.
    "no properties": b'{"results": [{"id": "7"}]}',
    "null for properties": b'{"results": [{"id": "7", "properties": null}]}',
}


@pytest.mark.parametrize("page", BROKEN.values(), ids=BROKEN)
def test_what_can_not_be_read_is_an_error_that_quotes_nothing(page: bytes) -> None:
    lazy = reader()
    leads = lazy.leads(lazy.decode(page)["results"])
    assert record_batch([LeadPage(leads, {})]) is None
    with pytest.raises(LeadsServerError, match=r"^Connection 'conn': a page of contacts holds") as raised:
        list(leads)
    assert raised.value.__cause__ is None
    assert "ann" not in str(raised.value)


@pytest.mark.parametrize("city", [b"\xff Bonn", b"\\ud83d Bonn"], ids=["no UTF-8", "half a character"])
def test_what_is_no_text_costs_its_own_place(city: bytes) -> None:
    """Row 12: of the page, the value, and the columns."""
    page = b'{"results": [{"id": "7", "properties": {"email": "ann@b.de"}}, {"id": "8", "properties": {"city": "%s"}}]}'
    lazy = reader()
    leads = lazy.leads(decode(page % city, lazy.decode)["results"])
    assert [(lead.email, lead.city) for lead in leads] == [("ann@b.de", None), (None, "\ufffd Bonn")]
    batch = record_batch([LeadPage(leads, {})])
    assert batch is None or batch.column("city").to_pylist() == [None, "\ufffd Bonn"]


NO_JSON: dict[str, bytes] = {
    "a mark before the page": b"\xef\xbb\xbf" + page_of([record(5)]),
    "no end": page_of([record(5)])[:-1],
}


@pytest.mark.parametrize("page", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_seen_at_once(page: bytes) -> None:
    with pytest.raises(UNREADABLE):
        reader().decode(page)


def test_rows_that_another_page_had_are_left_out() -> None:
    answers = [
        page_of([record(1), record(2)], "3"),
        page_of([record(2), record(3), record(3)], "4"),
        page_of([record(4)]),
    ]
    with_ids = reader()
    bodies = iter([with_ids.decode(answer) for answer in answers])

    pages = iter_pages(lambda *_: Answer(200, {}, next(bodies)), wire.list_pages())
    found = [with_ids.leads(rows) for rows in pages]
    assert [[lead.source_id for lead in leads] for leads in found] == [["1", "2"], ["3"], ["4"]]
    assert [isinstance(leads, UnreadLeads) for leads in found] == [True, False, True]
    assert [len(leads) for leads in found] == [2, 1, 1]
    assert record_batch([LeadPage(leads, {}) for leads in found]) is None
    assert next(iter(found[0])) in found[0]
    assert next(iter(found[2])) not in found[0]


def test_pages_are_read_when_somebody_asks(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    hook: HubSpotHook = quick(make_hook(monkeypatch))
    requests_mock.post(url(CONTACTS + "/search"), json={"total": 0, "results": []})
    requests_mock.get(
        url(CONTACTS), [{"content": page_of([record(5)], "6")}, {"content": page_of([record(6, email="a@b.de")])}]
    )
    pages = list(hook.lead_pages())
    assert [type(page.leads) for page in pages] == [UnreadLeads, UnreadLeads]
    assert [dict(page.position) for page in pages] == [{"after": None}, {"after": "6"}]
    batch = record_batch(pages)
    assert batch is not None
    assert batch.column("email").to_pylist() == [None, "a@b.de"]
    assert record_batch([]) is None
