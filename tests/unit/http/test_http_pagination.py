"""Lists are read whole, each row once, from where they were left, and to an end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from http_fakes import ORIGIN, by_cursor, by_number, by_total, make_client
from hypothesis import given
from hypothesis import strategies as st
from requests_mock import Mocker

from airflow_providers_leads.http.answers import Answer
from airflow_providers_leads.http.errors import LeadsServerError
from airflow_providers_leads.http.pagination import Pages, iter_pages, rows_at
from airflow_providers_leads.http.paths import value_at

Row = dict[str, Any]
ENOUGH = 200


class Vendor:
    """Answers from a function of the query, and notes what was asked."""

    def __init__(self, answer: Callable[[dict[str, object]], Any]) -> None:
        self.answer, self.asked = answer, list[dict[str, object]]()

    def __call__(self, query: dict[str, object], expect: Callable[[Any], bool]) -> Answer:
        self.asked.append(query)
        assert len(self.asked) <= ENOUGH, "this would never end"
        body = self.answer(query)
        assert expect(body)
        return Answer(200, {}, body)


def cursors(pages: list[list[Row]]) -> Callable[[dict[str, object]], Any]:
    def answer(query: dict[str, object]) -> Any:
        n = int(str(query.get("after", 0)))
        more = {"paging": {"next": {"after": str(n + 1), "link": "https://evil.example"}}} if n + 1 < len(pages) else {}
        return {"results": pages[n], **more}

    return answer


def numbers_from_0(pages: list[list[Row]]) -> Callable[[dict[str, object]], Any]:
    def answer(query: dict[str, object]) -> Any:
        n = int(str(query["page"]))
        return {"data": pages[n], "meta": {"page": n, "hasNext": n + 1 < len(pages)}}

    return answer


def numbers_from_1(pages: list[list[Row]]) -> Callable[[dict[str, object]], Any]:
    def answer(query: dict[str, object]) -> Any:
        n = int(str(query["page"])) - 1
        return {"leads": pages[n], "has_more": n + 1 < len(pages), "next_page": "https://evil.example"}

    return answer


VENDORS = [
    pytest.param(cursors, by_cursor, id="cursor"),
    pytest.param(numbers_from_0, by_total, id="from 0"),
    pytest.param(numbers_from_1, by_number, id="from 1"),
]


def rows(*ids: object) -> list[Row]:
    return [{"id": i} for i in ids]


def ids(pages: Any) -> list[list[Any]]:
    return [[row["id"] for row in page] for page in pages]


@pytest.mark.parametrize(("vendor", "strategy"), VENDORS)
@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        pytest.param([rows(1, 2), rows(3, 4), rows(5)], [[1, 2], [3, 4], [5]], id="three pages"),
        pytest.param([rows(1)], [[1]], id="one page"),
        pytest.param([[]], [], id="an empty list"),
        pytest.param([rows(1, 2), rows(2, 3)], [[1, 2], [3]], id="a row that moved to the next page"),
        pytest.param([rows(1, 2), rows(1, 2), rows(3)], [[1, 2], [3]], id="a page come again"),
        pytest.param([rows(1, 1, 2)], [[1, 2]], id="twice on a page"),
        pytest.param([rows(1), rows("1")], [[1]], id="a number and its text are one id"),
        pytest.param([rows(1), rows(2), rows(1, 2), rows(1, 3)], [[1], [2], [3]], id="rows of pages before the last"),
        pytest.param([rows(0), rows(False, "")], [[0], [False, ""]], id="ids that look like nothing"),
        pytest.param([rows(1, 2), rows(2), rows(1)], [[1, 2]], id="stale to the end is no circle"),
    ],
)
def test_each_row_is_yielded_once(
    vendor: Any, strategy: Any, pages: list[list[Row]], expected: list[list[Any]]
) -> None:
    asked = Vendor(vendor(pages))
    assert ids(iter_pages(asked, strategy())) == expected
    assert len(asked.asked) == len(pages)


@pytest.mark.parametrize(("vendor", "strategy"), VENDORS)
@given(data=st.data())
def test_nothing_is_lost_or_doubled(vendor: Any, strategy: Any, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 30))
    size = data.draw(st.integers(1, 7))
    overlap = data.draw(st.integers(0, size - 1))
    everything = rows(*range(count))
    pages = [everything[max(0, at - overlap) : at + size] for at in range(0, count, size)] or [[]]
    found = [row for page in iter_pages(Vendor(vendor(pages)), strategy()) for row in page]
    assert found == everything


@pytest.mark.parametrize(("vendor", "strategy"), VENDORS)
@pytest.mark.parametrize("read", [1, 2, 3])
def test_a_walk_resumes_from_its_state(vendor: Any, strategy: Any, read: int) -> None:
    answer = vendor([rows(1, 2), rows(3, 4), rows(5, 6), rows(7)])
    first = strategy()
    walk = iter_pages(Vendor(answer), first)
    found = [next(walk) for _ in range(read)]
    state = json.loads(json.dumps(first.state()))
    found += iter_pages(Vendor(answer), strategy().resume(state))
    assert ids(found) == [[1, 2], [3, 4], [5, 6], [7]]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (by_cursor(), {}),
        (by_cursor("51"), {"after": "51"}),
        (by_cursor("0"), {"after": "0"}),
        (by_total(), {"page": 0}),
        (by_total().resume({"page": 3}), {"page": 3}),
        (by_number(), {"page": 1}),
        (by_number().resume({"page": 3}), {"page": 3}),
    ],
)
def test_the_first_question(pages: Pages, expected: dict[str, object]) -> None:
    assert pages.params() == expected


def test_a_list_that_may_have_one_page_only_is_asked_for_without_a_number() -> None:
    vendor = Vendor(lambda query: {"leads": rows(query.get("page", 1)), "has_more": query.get("page") != 3})
    assert ids(iter_pages(vendor, by_number(bare_first=True))) == [[1], [2], [3]]
    assert vendor.asked == [{}, {"page": 2}, {"page": 3}]


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        ({"a": {"b": {"c": 7}}}, "a.b.c", 7),
        ({"a": {"b": None}}, "a.b.c", None),
        ({"a": [{"b": 1}]}, "a.b", None),
        ({}, "a", None),
        ([], "a", None),
        (None, "a.b", None),
    ],
)
def test_what_stands_at_a_path(body: Any, path: str, expected: Any) -> None:
    assert value_at(body, path) == expected


def test_rows_may_stand_anywhere() -> None:
    assert rows_at({"d": {"e": rows(1)}}, "d.e") == rows(1)


@pytest.mark.parametrize(
    ("pages", "body", "more"),
    [
        (by_cursor(), {"results": []}, False),
        (by_cursor(), {"results": [], "paging": None}, False),
        (by_cursor(), {"results": [], "paging": {}}, False),
        (by_cursor(), {"results": [], "paging": {"next": None}}, False),
        (by_cursor(), {"results": [], "paging": {"next": {"after": None}}}, False),
        (by_cursor(), {"results": [], "paging": {"next": {"link": "https://evil.example"}}}, False),
        (by_cursor(), {"results": [], "paging": ["next"]}, False),
        (by_cursor(), {"results": [], "paging": {"next": "51"}}, False),
        (by_cursor(), {"results": [], "paging": {"next": {"after": ""}}}, False),
        (by_cursor(), {"results": [], "paging": {"next": {"after": 51}}}, True),
        (by_cursor(), {"results": [], "paging": {"next": {"after": 0}}}, True),
        (by_total(), {"data": rows(1)}, False),
        (by_total(), {"data": rows(1), "meta": None}, False),
        (by_total(), {"data": rows(1), "meta": "hasNext"}, False),
        (by_total(), {"data": rows(1), "meta": {"hasNext": None}}, False),
        (by_total(), {"data": [], "meta": {"hasNext": True}}, True),
        (by_total(), {"data": rows(1), "meta": {"hasNext": True}}, True),
        (by_number("users"), {"users": rows(1)}, False),
        (by_number("users"), {"users": rows(1), "has_more": None}, False),
        (by_number("users"), {"users": [], "has_more": True}, True),
        (by_number("users"), {"users": rows(1), "next_page": "x"}, True),
        (by_number("users"), {"users": rows(1), "has_more": None, "next_page": "x"}, True),
        (by_number("users"), {"users": rows(1), "has_more": None, "next_page": None}, False),
        (by_number("users"), {"users": rows(1), "has_more": "false"}, False),
        (by_number("users"), {"users": rows(1), "has_more": "true"}, True),
        (by_number("users"), {"users": rows(1), "has_more": False, "next_page": "x"}, False),
        (by_number("users"), {"users": rows(1), "has_more": True}, True),
    ],
)
def test_where_a_list_ends(pages: Pages, body: Any, more: bool) -> None:
    assert pages.advance(body) is more


@pytest.mark.parametrize(
    ("pages", "expected", "asked"),
    [
        pytest.param([rows(1, 2), rows(3, 4), rows(5)], [[1, 2], [3, 4], [5]], 3, id="the last is not full"),
        pytest.param([rows(1, 2), rows(3, 4), []], [[1, 2], [3, 4]], 3, id="the last is empty"),
        pytest.param([rows(1, 2), rows(1, 2)], [[1, 2]], 2, id="the number of the page is ignored"),
        pytest.param([rows(1)], [[1]], 1, id="one page"),
    ],
)
def test_a_list_that_never_tells_whether_there_is_more_is_read_to_a_page_that_is_not_full(
    pages: list[list[Row]], expected: list[list[int]], asked: int
) -> None:
    for strategy, key in ((by_number(full=2), "leads"), (by_total(full=2), "data")):
        bodies = iter([{key: page} for page in pages])
        vendor = Vendor(lambda query, bodies=bodies: next(bodies))
        assert ids(iter_pages(vendor, strategy)) == expected
        assert len(vendor.asked) == asked


@pytest.mark.parametrize(("pages", "key"), [(by_cursor(), "results"), (by_total(), "data"), (by_number(), "leads")])
@pytest.mark.parametrize("shape", ["missing", None, {}, "text", 7, [1], [None], [[]], [{"id": 1}, "x"]], ids=repr)
def test_a_body_without_the_list_is_no_page(pages: Pages, key: str, shape: Any) -> None:
    body = {"other": []} if shape == "missing" else {key: shape}
    assert pages.rows(body) is None


@pytest.mark.parametrize("body", [None, [], [{"id": 1}], "text", 7])
@pytest.mark.parametrize("pages", [by_cursor(), by_total(), by_number()])
def test_a_body_that_is_no_object_is_no_page(pages: Pages, body: Any) -> None:
    assert pages.rows(body) is None


def circle(length: int, row: Callable[[int], list[Row]]) -> Callable[[dict[str, object]], Any]:
    def answer(query: dict[str, object]) -> Any:
        n = int(str(query.get("after", 0)))
        return {"results": row(n), "paging": {"next": {"after": str((n + 1) % length)}}}

    return answer


@pytest.mark.parametrize("length", [1, 2, 3, 60])
@pytest.mark.parametrize(
    "row", [lambda n: rows(n), lambda n: [{"toObjectId": n}], lambda n: []], ids=["id", "no id", "no row"]
)
def test_cursors_in_a_circle_are_an_error(length: int, row: Callable[[int], list[Row]]) -> None:
    found: list[Row] = []
    with pytest.raises(LeadsServerError, match="reading on would never end"):
        for page in iter_pages(Vendor(circle(length, row)), by_cursor()):
            found += page
    assert [r for r in found if found.count(r) > 1] == []


def test_the_same_cursor_twice_is_an_error_and_the_place_is_kept() -> None:
    pages = by_cursor("51")
    with pytest.raises(LeadsServerError, match="same cursor twice"):
        list(iter_pages(Vendor(lambda _: {"results": rows(1), "paging": {"next": {"after": 51}}}), pages))
    assert pages.state() == {"after": "51"}


@pytest.mark.parametrize(
    ("pages", "body"),
    [
        pytest.param(by_total(), {"data": rows(1, 2), "meta": {"hasNext": True}}, id="from 0"),
        pytest.param(by_number(), {"leads": rows(1, 2), "has_more": True}, id="from 1"),
        pytest.param(by_number(), {"leads": [{"kind": "a"}, {"kind": "b"}], "has_more": True}, id="no ids"),
        pytest.param(by_number(), {"leads": rows(None, None), "has_more": True}, id="null ids"),
        pytest.param(by_number(), {"leads": [*rows(1), {"kind": "a"}], "has_more": True}, id="mixed"),
    ],
)
def test_a_server_that_ignores_the_page_is_left_after_a_few(pages: Pages, body: Any) -> None:
    vendor = Vendor(lambda _: body)
    found = []
    with pytest.raises(LeadsServerError, match="no new row for 3 pages and says there is more"):
        for page in iter_pages(vendor, pages):
            found.append(page)
    assert len(found) == 1
    assert len(vendor.asked) == 4


def test_a_row_that_stands_on_every_page_is_yielded_once() -> None:
    pages = [rows("pinned", n) for n in range(60)]
    assert [i for page in ids(iter_pages(Vendor(cursors(pages)), by_cursor())) for i in page].count("pinned") == 1


def test_new_rows_in_between_are_no_circle() -> None:
    pages = [rows(1), rows(1), rows(1), rows(2), rows(2), rows(1), rows(3)]
    assert ids(iter_pages(Vendor(cursors(pages)), by_cursor())) == [[1], [2], [3]]


@pytest.mark.parametrize("empty", [1, 10, 49])
def test_empty_pages_in_between_are_passed_over(empty: int) -> None:
    pages = [rows(1), *[[]] * empty, rows(2)]
    assert ids(iter_pages(Vendor(cursors(pages)), by_cursor())) == [[1], [2]]


@pytest.mark.parametrize(
    "page", [lambda n: [], lambda n: rows(0) if n % 2 else []], ids=["empty", "known and empty by turns"]
)
def test_empty_pages_for_ever_are_an_error(page: Callable[[int], list[Row]]) -> None:
    def answer(query: dict[str, object]) -> Any:
        n = int(str(query.get("after", 0)))
        return {"results": page(n), "paging": {"next": {"after": n + 1}}}

    with pytest.raises(LeadsServerError, match="no new row for 50 pages"):
        list(iter_pages(Vendor(answer), by_cursor()))


@pytest.mark.parametrize(
    ("pages", "body"),
    [
        pytest.param(by_total(), {"data": [], "meta": {"hasNext": True}}, id="from 0"),
        pytest.param(by_number(), {"leads": [], "has_more": True}, id="from 1, row S5"),
        pytest.param(by_number(), {"leads": [], "next_page": "https://crm.example/?page=2"}, id="next page, row S5"),
    ],
)
def test_a_list_that_says_there_is_more_and_brings_nothing_is_no_end(pages: Pages, body: Any) -> None:
    vendor = Vendor(lambda _: body)
    with pytest.raises(LeadsServerError, match="no new row for 50 pages and says there is more"):
        list(iter_pages(vendor, pages))
    assert len(vendor.asked) == 50


def test_an_empty_page_in_between_is_passed_over() -> None:
    """Row S5."""
    pages = [rows(1), [], rows(2)]
    assert ids(iter_pages(Vendor(numbers_from_1(pages)), by_number())) == [[1], [2]]


def test_rows_without_an_id_are_all_kept() -> None:
    pages: list[list[Row]] = [[{"kind": "a"}, {"kind": "a"}], [{"kind": "a"}], [{"kind": "a"}, {"kind": None}]]
    assert list(iter_pages(Vendor(cursors(pages)), by_cursor())) == pages


def test_pages_are_fetched_as_they_are_read() -> None:
    vendor = Vendor(cursors([rows(1), rows(2), rows(3)]))
    walk = iter_pages(vendor, by_cursor())
    assert vendor.asked == []
    next(walk)
    assert len(vendor.asked) == 1


def test_a_page_of_another_form_is_asked_for_again(requests_mock: Mocker) -> None:
    client = make_client()
    requests_mock.get(re.compile(ORIGIN), [{"json": {"maintenance": True}}, {"json": {"results": rows(1)}}])
    walk = iter_pages(lambda query, expect: client.request("GET", "/list", params=query, expect=expect), by_cursor())
    assert ids(walk) == [[1]]
    assert requests_mock.call_count == 2


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        pytest.param({1: [0]}, [*range(30)], id="one row of a page that was read"),
        pytest.param({1: [25]}, [i for i in range(30) if i != 25], id="one row of a page to come"),
        pytest.param({2: [0, 1, 2, 12, 13]}, [*range(30)], id="several rows"),
        pytest.param({1: [*range(10)]}, [*range(30)], id="a whole page"),
        pytest.param({1: [0], 2: [1], 3: [2], 4: [3]}, [*range(30)], id="one row each time"),
        pytest.param({3: [29]}, [*range(30)], id="at the end"),
    ],
)
def test_rows_that_move_up_when_others_are_deleted_are_kept(gone: dict[int, list[int]], expected: list[int]) -> None:
    rows, asked = [{"id": n} for n in range(30)], 0

    def fetch(position: dict[str, object], is_page: Any) -> Answer:
        nonlocal asked
        start, size = int(str(position["page"])) * 10, 10
        meta = {"total": len(rows), "limit": size, "hasNext": start + size < len(rows)}
        body = {"data": rows[start : start + size], "meta": meta}
        asked += 1
        for number in gone.get(asked, ()):
            rows.remove({"id": number})
        return Answer(200, {}, body)

    found = [row["id"] for page in iter_pages(fetch, by_total()) for row in page]
    assert sorted(found) == expected
    assert asked < 12
