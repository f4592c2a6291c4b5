"""Searches past the 10,000 rows that HubSpot gives for one query."""

from __future__ import annotations

from typing import Any

import pytest
import requests_mock
from hubspot_hooks import CONTACTS, make_hook, quick, record, url

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.http.errors import LeadsServerError, LeadsValidationError

SEARCH = url(CONTACTS + "/search")
CAP = 10_000


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


class Index:
    """A search index of contacts 1…n that obeys HubSpot's limits."""

    def __init__(self, number: int) -> None:
        self.ids = list(range(1, number + 1))
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: Any, context: Any) -> dict[str, Any]:
        sent = request.json()
        self.asked.append(sent)
        groups = sent["filterGroups"]
        assert all(len(group["filters"]) <= 6 for group in groups)
        bounds = [f for group in groups for f in group["filters"] if f["propertyName"] == "hs_object_id"]
        found = self.ids
        for bound in bounds[:1]:
            value = int(bound["value"])
            found = [i for i in found if (i > value if bound["operator"] == "GT" else i < value)]
        if (sent.get("sorts") or [{}])[0].get("direction") == "DESCENDING":
            found = found[::-1]
        start, limit = int(sent.get("after", 0)), sent["limit"]
        if start + limit > CAP or limit > 200:
            context.status_code = 400
            return {"category": "VALIDATION_ERROR", "message": "past 10,000"}
        page = found[start : start + limit]
        more = {"paging": {"next": {"after": str(start + limit)}}} if start + limit < len(found) else {}
        return {"total": len(found), "results": [record(i) for i in page], **more}


GROUP = {"filters": [{"propertyName": "city", "operator": "EQ", "value": "Ulm"}]}


@pytest.mark.parametrize("sorts", [None, ["hs_object_id"], ["-hs_object_id"]])
@pytest.mark.parametrize("groups", [None, [GROUP], [GROUP, GROUP]])
def test_a_search_by_id_has_no_end(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, sorts: Any, groups: Any
) -> None:
    index = Index(12_345)
    requests_mock.post(SEARCH, json=index)
    ids = [int(row["id"]) for row in hook.search_contacts(filter_groups=groups, sorts=sorts)]
    assert ids == (index.ids[::-1] if sorts == ["-hs_object_id"] else index.ids)
    # Every page after the first carries the bound, in every group.
    for sent in index.asked[1:]:
        assert all(g["filters"][-1]["propertyName"] == "hs_object_id" for g in sent["filterGroups"])
        assert len(sent["filterGroups"]) == max(1, len(groups or ()))
        assert "after" not in sent
    assert len(index.asked) == -(-12_345 // 200)


FULL = {"filters": [GROUP["filters"][0]] * 6}


@pytest.mark.parametrize(
    "options",
    [{"sorts": ["createdate"]}, {"filter_groups": [FULL]}, {"filter_groups": [{"filters": FULL["filters"][:4]}] * 4}],
)
@pytest.mark.parametrize("size", [200, 150])
def test_a_sorted_search_ends_with_an_error_instead_of_in_silence(
    hook: HubSpotHook,
    requests_mock: requests_mock.Mocker,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    size: int,
) -> None:
    requests_mock.post(SEARCH, json=Index(CAP + 1))
    rows = hook.search_contacts(page_size=size, **options)
    read = [next(rows) for _ in range(CAP)]
    assert len({row["id"] for row in read}) == CAP
    with pytest.raises(LeadsValidationError, match="10,000 rows") as caught:
        next(rows)
    assert caught.value.category == "SEARCH_LIMIT"


@pytest.mark.parametrize("number", [0, 1, 200, 201, CAP])
@pytest.mark.parametrize("sorts", [None, ["createdate"]])
def test_up_to_the_cap_every_search_is_whole(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, number: int, sorts: Any
) -> None:
    requests_mock.post(SEARCH, json=Index(number))
    assert len(list(hook.search_contacts(sorts=sorts))) == number


def test_ids_are_compared_as_numbers(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    more = {"paging": {"next": {"after": "2"}}}
    requests_mock.post(
        SEARCH,
        [
            {"json": {"results": [record(10), record(9)], **more}},
            {"json": {"results": [record(10), record(11)], **more}},
            {"json": {"results": []}},
        ],
    )
    assert [row["id"] for row in hook.search_contacts()] == ["10", "9", "11"]
    assert requests_mock.request_history[1].json()["filterGroups"][0]["filters"][0]["value"] == "10"


@pytest.mark.parametrize("sorts", [None, ["createdate"]])
def test_a_search_that_repeats_itself_is_ended(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, sorts: Any
) -> None:
    requests_mock.post(SEARCH, json={"results": [record(1)], "paging": {"next": {"after": "1"}}})
    with pytest.raises(LeadsServerError, match="never end"):
        list(hook.search_contacts(sorts=sorts))


def test_searches_have_a_quota_of_their_own(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    hook = make_hook(monkeypatch, password="another-key")
    limiters = hook.client.limiters
    assert {name: (q.limit, q.period) for name, q in limiters.items()} == {"default": (100, 10.0), "search": (5, 1.0)}
    requests_mock.post(SEARCH, json={"results": []})
    requests_mock.get(url(CONTACTS), json={"results": []})
    list(hook.search_contacts())
    list(hook.list_contacts())
    for name in ("default", "search"):
        assert limiters[name].left() == limiters[name].limit - 1


@pytest.mark.parametrize("paging", [{"next": {"after": ""}}, {"next": {"after": None}}, {"next": []}, [], None])
def test_a_sorted_search_ends_where_no_cursor_follows(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, paging: Any
) -> None:
    requests_mock.post(SEARCH, json={"total": 1, "results": [record(1)], "paging": paging})
    assert [row["id"] for row in hook.search_contacts(sorts=["email"])] == ["1"]
    assert requests_mock.call_count == 1
