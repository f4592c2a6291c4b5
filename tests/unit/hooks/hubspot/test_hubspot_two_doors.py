"""All contacts by list and search side by side: which requests, and that every contact comes through one door."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import requests_mock
from hubspot_hooks import CONTACTS, make_hook, quick, record, url
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.hubspot.reads import index, two_doors
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsServerError

SEARCH = url(CONTACTS + "/search")
SETTLED = 0.05


class Account:
    """Contacts 1…n behind a list and a search that answer as HubSpot does.

    :param number: how many
    """

    def __init__(self, number: int) -> None:
        self.ids = list(range(1, number + 1))
        self.searches: list[dict[str, Any]] = []
        self.lists: list[dict[str, Any]] = []
        self.proved = threading.Event()

    def list(self, request: Any, context: Any) -> dict[str, Any]:
        asked = {name: values[0] for name, values in request.qs.items()}
        self.lists.append(asked)
        rest = [i for i in self.ids if i >= int(asked.get("after", 0))]
        limit = int(asked["limit"])
        more = {"paging": {"next": {"after": str(rest[limit])}}} if len(rest) > limit else {}
        return {"results": [record(i, email=f"p{i}@b.de") for i in rest[:limit]], **more}

    def search(self, request: Any, context: Any) -> dict[str, Any]:
        sent = request.json()
        self.searches.append(sent)
        found = self.ids
        for one in [one for group in sent["filterGroups"] for one in group["filters"]]:
            if one["propertyName"] == "hs_object_id":
                found = [i for i in found if self.matches(i, one)]
        page = (found[::-1] if sent.get("sorts") else found)[: sent["limit"]]
        return {"total": len(found), "results": [record(i, email=f"p{i}@b.de") for i in page]}

    @staticmethod
    def matches(number: int, one: dict[str, Any]) -> bool:
        if one["operator"] == "IN":
            return str(number) in one["values"]
        value = int(one["value"])
        return {"GT": number > value, "GTE": number >= value, "LT": number < value, "LTE": number <= value}[
            one["operator"]
        ]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    monkeypatch.setattr(HubSpotHook, "settle_seconds", SETTLED)
    monkeypatch.setattr(index, "_FEWEST", 200)
    monkeypatch.setattr(index, "_PROVED_AT_ONCE", 2)
    made = make_hook(monkeypatch, extra={"search_beside_list": "yes"})
    return quick(made)


@pytest.fixture
def account(requests_mock: requests_mock.Mocker) -> Account:
    return answered(requests_mock, Account(1_500))


def answered(requests_mock: requests_mock.Mocker, account: Account) -> Account:
    requests_mock.get(url(CONTACTS), json=account.list)
    requests_mock.post(SEARCH, json=account.search)
    return account


def read(hook: HubSpotHook, account: Account, **options: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the ids that were read and the positions of their pages.

    The list pauses after three pages, until the search has given as many or has given up.
    """
    hand_over, patience = index.Index._hand_over, two_doors.TwoDoors._patience

    def told(self: index.Index, pages: Any) -> None:
        hand_over(self, pages)
        if pages is None or len(account.searches) > 8:
            account.proved.set()

    def waits(self: two_doors.TwoDoors) -> float:
        return 0.01 if len(account.lists) >= 3 and not account.proved.is_set() else patience(self)

    with (
        patch.object(index.Index, "_hand_over", told),
        patch.object(two_doors.TwoDoors, "_patience", waits),
    ):
        pages = list(hook.lead_pages(**options))
    return [int(lead.source_id) for page in pages for lead in page.leads], [dict(page.position) for page in pages]


def by_id(operator: str, value: int) -> dict[str, str]:
    return {"propertyName": "hs_object_id", "operator": operator, "value": str(value)}


def test_the_requests(hook: HubSpotHook, account: Account) -> None:
    ids, positions = read(hook, account)
    assert sorted(ids) == account.ids
    first, left, known, compared, *rest = account.searches
    assert first["limit"] == 1
    listed = int(left["filterGroups"][0]["filters"][0]["value"])
    assert left == {"filterGroups": [{"filters": [by_id("GT", listed)]}], "limit": 1}
    assert known == {"filterGroups": [{"filters": [by_id("GTE", 1), by_id("LTE", listed)]}], "limit": 1}
    among = compared["filterGroups"][0]["filters"][0]
    assert (among["propertyName"], among["operator"]) == ("hs_object_id", "IN")
    # Some of each page that the list has shown.
    assert among["values"] == [str(100 * page + i) for page in range(len(among["values"]) // 5) for i in range(1, 6)]
    pages = [sent for sent in rest if "sorts" in sent]
    assert pages[0]["filterGroups"] == []
    assert pages[1]["filterGroups"] == [{"filters": [by_id("LT", 1_301)]}]
    assert all(sent["sorts"] == [{"propertyName": "hs_object_id", "direction": "DESCENDING"}] for sent in pages)
    assert all(sent["limit"] == 200 and "email" in sent["properties"] for sent in pages)
    # Whether the list can begin behind the highest contact is tried before, and done at the end.
    behind = [asked for asked in account.lists if asked.get("after") == "1500"]
    assert [asked["limit"] for asked in behind] == ["1", "100"]
    assert {"after": None} in positions
    assert any(position.get("top") == 1_500 and position.get("below") == 1_301 for position in positions)


def test_what_is_made_meanwhile_is_listed_at_the_end(hook: HubSpotHook, account: Account) -> None:
    listing = account.list

    def and_made(request: Any, context: Any) -> dict[str, Any]:
        if len(account.lists) == 4:
            account.ids += [1_501, 1_502]
        return listing(request, context)

    with requests_mock.Mocker() as wire:
        wire.get(url(CONTACTS), json=and_made)
        wire.post(SEARCH, json=account.search)
        ids, positions = read(hook, account)
    assert sorted(ids) == account.ids
    assert ids[-2:] == [1_501, 1_502]
    # From there on it is the list's own walk.
    assert positions[-1] == {"after": "1500"}


def test_a_search_that_answers_what_was_not_asked_for(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, caplog: pytest.LogCaptureFixture
) -> None:
    for spoilt in (
        lambda rows: rows[::-1],
        lambda rows: [*rows[:1], *rows],
        lambda rows: [record(9_999), *rows] if rows[0]["id"] == "1300" else rows,
        lambda rows: [{"id": "x", "properties": {}}],
        lambda rows: "nothing",
    ):
        account = Account(1_500)

        def search(request: Any, context: Any, account: Account = account, spoilt: Any = spoilt) -> Any:
            found = account.search(request, context)
            return {**found, "results": spoilt(found["results"])} if "sorts" in request.json() else found

        answered(requests_mock, account)
        requests_mock.post(SEARCH, json=search)
        ids, _ = read(hook, account)
        assert ids == account.ids


def test_a_list_that_does_not_begin_where_it_is_told_to(hook: HubSpotHook, account: Account) -> None:
    listing = account.list

    def from_the_start(request: Any, context: Any) -> dict[str, Any]:
        if request.qs.get("after") == ["1500"]:
            account.lists.append({"after": "1500", "limit": "1"})
            return {"results": [record(1)]}
        return listing(request, context)

    with requests_mock.Mocker() as wire:
        wire.get(url(CONTACTS), json=from_the_start)
        wire.post(SEARCH, json=account.search)
        ids, _ = read(hook, account)
    assert ids == account.ids


@pytest.mark.parametrize("changed", ["older", "otherwise", "absent", "deleted"])
def test_an_index_is_held_to_what_the_list_shows(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, account: Account, changed: str
) -> None:
    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        older = {"updatedAt": "2025-01-31T00:00:00Z"} if changed == "older" else {}
        return {**row, **older, "properties": {"email": "other@b.de"}}

    def search(request: Any, context: Any) -> Any:
        found = account.search(request, context)
        if "sorts" not in request.json() and found["results"] and request.json()["limit"] > 1:
            rows = [] if changed in ("absent", "deleted") else [spoil(row) for row in found["results"]]
            return {**found, "results": rows}
        return found

    requests_mock.post(SEARCH, json=search)
    still = changed == "absent"
    missing = {"errors": [{"category": "OBJECT_NOT_FOUND", "context": {"ids": ["1"]}}]}
    requests_mock.post(
        url(CONTACTS + "/batch/read"),
        json=lambda request, context: {
            "results": [record(i["id"]) for i in request.json()["inputs"]] if still else [],
            **({} if still else missing),
        },
    )
    ids, positions = read(hook, account)
    assert sorted(ids) == account.ids
    # Whoever was deleted since is no reproach.
    assert any("below" in position for position in positions) == (changed == "deleted")


def test_a_list_that_ends_before_it_meets_the_search_is_an_error(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, account: Account
) -> None:
    def cut_short(request: Any, context: Any) -> dict[str, Any]:
        page = account.list(request, context)
        if len(account.lists) > 4:
            page.pop("paging", None)
        return page

    def for_a_while(request: Any, context: Any) -> Any:
        context.status_code = 400 if len(account.searches) > 6 and "sorts" in request.json() else 200
        return account.search(request, context)

    requests_mock.get(url(CONTACTS), json=cut_short)
    requests_mock.post(SEARCH, json=for_a_while)
    with pytest.raises(LeadsServerError, match="ended") as caught:
        read(hook, account)
    assert caught.value.category == "ENDED_EARLY"


@pytest.mark.parametrize("options", [{"archived": True}, {"properties": [f"property_{n}" for n in range(200)]}])
def test_what_the_list_alone_can_read(hook: HubSpotHook, account: Account, options: Any) -> None:
    account.proved.set()
    ids, _ = read(hook, account, **options)
    assert ids == account.ids
    assert [sent for sent in account.searches if "sorts" in sent] == []


def test_the_extra_is_a_truth_value(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_hook(monkeypatch).search_beside_list is False
    with pytest.raises(LeadsSettingsError, match="search_beside_list"):
        list(make_hook(monkeypatch, extra={"search_beside_list": "maybe"}).lead_pages())


class Scripted:
    """An index whose pages come when the script says so.

    :param ids: all contacts
    :param script: of each look at the index, whether a page comes
    """

    def __init__(self, ids: list[int], script: Iterator[bool], below: int | None) -> None:
        self.ids, self.script, self.below = ids, script, below
        self.is_open, self.closed = True, False

    def open(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def note(self, rows: list[Any]) -> None: ...

    def holds(self, number: int) -> bool:
        return False

    def take(self, patience: float) -> list[Any] | None:
        rest = [i for i in self.ids if self.below is None or i < self.below]
        if not rest or not next(self.script):
            return None
        page = rest[::-1][:3]
        self.below = page[-1]
        return [{"id": str(i)} for i in page]


@settings(deadline=None)
@given(
    ids=st.lists(st.integers(1, 60), unique=True, max_size=40).map(sorted),
    script=st.lists(st.booleans(), max_size=60),
    ends=st.lists(st.integers(1, 12), max_size=6),
)
def test_every_contact_comes_once_whatever_is_faster_and_wherever_it_is_ended(
    ids: list[int], script: list[bool], ends: list[int]
) -> None:
    looks, ends = iter([*script, *[False] * 500]), [*ends, 1_000]

    def typed_pages(decode: Any, *, position: Any, **options: Any) -> Iterator[Any]:
        after = (position or {}).get("after")
        rest = [i for i in ids if after is None or i >= int(after)]
        while rest:
            yield [{"id": str(i)} for i in rest[:2]], {"after": after}
            rest = rest[2:]
            after = str(rest[0]) if rest else None

    hook: Any = SimpleNamespace(typed_pages=typed_pages, client=SimpleNamespace(limiters={}), label="")
    reader: Any = SimpleNamespace(decode=None)
    seen: list[int] = []
    position: Any = None
    for most in ends:
        made = lambda hook, reader, asked, below: Scripted(ids, looks, below)  # noqa: E731
        with patch.object(two_doors, "Index", made):
            pages = two_doors.TwoDoors(hook, reader, [], position, lambda last: None).pages()
            own: list[int] = []
            for number, (rows, at) in enumerate(pages, 1):
                own += [int(row["id"]) for row in rows]
                position = at
                # What an earlier try has read is known.
                seen += [i for i in own if i not in seen]
                if number == most:
                    break
            assert len(own) == len(set(own))
            if number_left(pages):
                continue
            break
    assert sorted(seen) == ids


def number_left(pages: Any) -> bool:
    """Tell whether a walk was left early, and end it."""
    early = pages.gi_frame is not None
    pages.close()
    return early
