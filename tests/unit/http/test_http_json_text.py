"""Row 12: text that is no text costs its own place, in whatever is read and sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from http_fakes import ORIGIN, make_client
from hypothesis import given
from hypothesis import strategies as st
from requests_mock import Mocker

from airflow_providers_leads.http.json_text import decode, encode, mend, readable

LONE = st.characters(categories=("Cs",))
ANY_TEXT = st.text(st.characters(exclude_characters="\0") | LONE | st.sampled_from('\\"u/dD8'))


def whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(rb'"Bo \ud83d"', "Bo \ufffd", id="row 12: the first half"),
        pytest.param(rb'"\ude00 Bo"', "\ufffd Bo", id="row 12: the second half"),
        pytest.param(rb'"\uD83D\uDE00"', "😀", id="row 12: a whole pair"),
        pytest.param(rb'"\ud83d\ud83d\ude00"', "\ufffd😀", id="row 12: half a pair before a whole one"),
        pytest.param(rb'"\ude00\ud83d"', "\ufffd\ufffd", id="row 12: the wrong way round"),
        pytest.param(rb'"\ud83d\n"', "\ufffd\n", id="row 12: another escape behind it"),
        pytest.param(rb'"\ud83d\u0041"', "\ufffdA", id="row 12: another character behind it"),
        pytest.param(rb'"\\ud83d \ud83d"', "\\ud83d \ufffd", id="row 12: an escaped backslash is none"),
        pytest.param(rb'"\\\ud83d"', "\\\ufffd", id="row 12: behind an escaped backslash"),
        pytest.param(b'"\xff"', "\ufffd", id="row 12: no UTF-8"),
        pytest.param(b'"J\xfcrgen \xf0\x9f\x98\x80"', "J\ufffdrgen 😀", id="row 12: one character of another encoding"),
    ],
)
def test_what_is_no_text_costs_its_own_place(raw: bytes, expected: str) -> None:
    assert decode(raw) == expected
    # Others are left as they are, names too.
    assert decode(b'[{"a":"b \\u00fc"},{"c":' + raw + b"}]") == [{"a": "b ü"}, {"c": expected}]
    assert decode(b"{" + raw + b":1}") == {expected: 1}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb'"A\u0000nn"', "Ann"),
        (rb'"\u0000"', ""),
        (rb'"C:\\u0000 \u0000"', "C:\\u0000 "),
        (rb'"\\\u0000"', "\\"),
        (rb'"\u0000\ud83d"', "\ufffd"),
    ],
)
def test_nul_is_left_out_of_what_is_read_and_sent(raw: bytes, expected: str) -> None:
    assert decode(b'{"a":' + raw + b"}") == {"a": expected}
    assert msgspec.json.decode(encode({"a": json.loads(raw)})) == {"a": expected}


@given(value=st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=9))
def test_any_text_is_read_and_sent_as_far_as_it_is_one(value: Any) -> None:
    read = decode(json.dumps(value).encode())
    assert read == decode(encode(value)) == readable(value)
    encode(read)


@given(text=ANY_TEXT)
def test_halves_that_meet_are_one_character(text: str) -> None:
    assert readable(text) == whole(text)


@given(text=st.text())
def test_a_good_text_is_not_touched(text: str) -> None:
    for raw in (json.dumps(text).encode(), msgspec.json.encode(text)):
        assert mend(raw) == raw


@pytest.mark.parametrize("raw", [b'{"a": ', b"<html>", rb'{"a": \ud83d}', b"\xff", rb'"\ud8zz"', rb'"\u12'])
def test_what_is_no_json_stays_none(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(raw)


@pytest.mark.parametrize("status", [200, 404])
def test_one_record_of_a_page_costs_no_other(requests_mock: Mocker, status: int) -> None:
    """Row 12."""
    raw = rb'{"results": [{"id": "1", "name": "Ann"}, {"id": "2", "name": "Bo \ud83d"}], "error": "no \ud83d such"}'
    requests_mock.get(f"{ORIGIN}/v1/leads", content=raw, status_code=status)
    client = make_client()
    if status == 200:
        rows = client.request("GET", "/v1/leads").body["results"]
        assert [row["name"] for row in rows] == ["Ann", "Bo \ufffd"]
        return
    with pytest.raises(Exception, match="404") as caught:
        client.request("GET", "/v1/leads")
    assert getattr(caught.value, "words", "") == "no \ufffd such"


def test_what_is_sent_can_be_sent(requests_mock: Mocker) -> None:
    """Row 12."""
    requests_mock.post(f"{ORIGIN}/v1/l/%EF%BF%BD", json={})
    client = make_client()
    client.request(
        "POST",
        "/v1/l/{name}",
        path_params={"name": "\ud83d"},
        params={"q": ["a\ud83d", "ü"]},
        json={"n": "\ud83d", "e": 1},
    )
    client.request("POST", "/v1/l/{name}", path_params={"name": "\ud83d"}, form={"q": "\ud83d"})
    posted, form = requests_mock.request_history
    assert posted.json() == {"n": "\ufffd", "e": 1}
    assert posted.query == "q=a%ef%bf%bd&q=%c3%bc"
    assert form.body == b"q=%EF%BF%BD"
