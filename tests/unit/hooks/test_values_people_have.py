"""What comes out of spreadsheets, data frames, databases and JSON, against every public method of every hook."""

from __future__ import annotations

import enum
import inspect
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pandas as pd
import pendulum
import pyarrow as pa
import pytest
import requests_mock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vendor_requests import judged
from vendor_tables import TABLE

from airflow_providers_leads.hooks.arguments.signatures import BY_ANNOTATION
from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.persistiq import PersistIQHook
from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.http.errors import LeadsApiError

HOOKS = (HubSpotHook, PersistIQHook, PerspectiveHook)
HALF = "Bo \ud83d"


class Colour(enum.Enum):
    RED = "red"


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Any:
    for hook in HOOKS:
        extra = '"max_retries": 0, "rate_limit": 100000, "rate_limit_period": 1'
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{hook.default_conn_name.upper()}",
            f'{{"conn_type": "{hook.conn_type}", "password": "secret-key-0123", "extra": {{{extra}}}}}',
        )
    with requests_mock.Mocker() as mock:
        mock.register_uri(requests_mock.ANY, requests_mock.ANY, json=_answer)
        yield mock


_LISTS: dict[str, Any] = {
    name: []
    for name in ("leads", "campaigns", "users", "events", "lead_statuses", "campaign_leads", "replies", "dnc_domains")
}


def _answer(request: Any, context: Any) -> Any:
    """Answer as each CRM does when there is nothing."""
    if "perspective" in request.hostname:
        return {"data": [] if request.method == "GET" and "contacts/" not in request.path else {"id": "c"}}
    if "persistiq" in request.hostname:
        return {"status": "success", "errors": None, **({"lead": {"id": "l"}} if request.method == "PATCH" else _LISTS)}
    context.status_code = 200
    sent = request.json() if request.body else {}
    inputs = sent.get("inputs", []) if isinstance(sent, dict) else []
    results = [{"id": str(n + 1), "properties": i.get("properties", {})} for n, i in enumerate(inputs)]
    return {"id": "1", "name": "n", "properties": {}, "total": 0, "results": results}


def body(mock: Any) -> Any:
    return msgspec.json.decode(next(r.body for r in reversed(mock.request_history) if r.body))


FRAME = pd.DataFrame(
    {
        "email": ["ann@example.org", "bob@example.org"],
        "phone": [np.nan, "123"],
        "seen": [pd.NaT, pd.Timestamp("2025-01-15T08:00:00Z")],
        "visits": pd.array([3, None], dtype="Int64"),
        "score": [1.0, 2.5],
    }
)


@pytest.mark.parametrize("records", [lambda frame: frame.to_dict("records"), lambda frame: frame, pa.Table.from_pandas])
def test_a_data_frame_with_gaps_is_written_without_them(records: Any, crm: Any) -> None:
    """Rows 1 and 3."""
    HubSpotHook().batch_upsert_contacts(records(FRAME))
    ann, bob = [sent["properties"] for sent in body(crm)["inputs"]]
    assert ann == {"email": "ann@example.org", "visits": "3", "score": "1"}
    assert bob == {"email": "bob@example.org", "phone": "123", "seen": "1736928000000", "score": "2.5"}


@pytest.mark.parametrize(
    "missing",
    [
        None, math.nan, np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.ma.masked, Decimal("NaN"),
        pa.scalar(None), pa.scalar(None, pa.string()), np.longdouble("nan"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_missing_value_is_absent_everywhere(missing: Any, crm: Any) -> None:
    """Row 1."""
    HubSpotHook().create_contact({"email": "a@b.de", "phone": missing, "interest": [missing, "x"]})
    assert body(crm) == {"properties": {"email": "a@b.de", "interest": "x"}}
    PersistIQHook().create_leads([{"email": "a@b.de", "phone": missing, "deep": {"a": missing}}])
    assert body(crm)["leads"] == [{"email": "a@b.de", "deep": {}}]
    PersistIQHook().update_lead("l", data={"a": missing, "b": 1})
    assert body(crm) == {"data": {"b": 1}}
    PerspectiveHook().create_contact("f", email="a@b.de", phone=missing, address={"city": missing})
    assert body(crm) == {"email": "a@b.de", "skipAutomationTrigger": True}
    sent = crm.call_count
    for call in (
        lambda: HubSpotHook().update_contact(missing, {"a": "b"}),
        lambda: HubSpotHook().batch_upsert_contacts([{"key": missing, "a": "b"}], "key"),
        lambda: HubSpotHook().batch_update_contacts([{"id": missing, "a": "b"}]),
        lambda: HubSpotHook().batch_archive_contacts(["1", missing]),
        lambda: PersistIQHook().update_lead(missing, data={"a": 1}),
        lambda: PersistIQHook().add_leads_to_campaign("c", ["l", missing]),
        lambda: PerspectiveHook().update_contact_value("f", missing, "city", "Bonn"),
        lambda: PerspectiveHook().update_contact_value("f", "c", "city", missing),
    ):
        with pytest.raises(ValueError, match=r"id|key|value|city"):
            call()
    assert crm.call_count == sent


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "NaT", "<NA>", "null"])
def test_words_for_nothing_are_no_keys(word: str, crm: Any) -> None:
    """Row 2."""
    people = [{"external_key": word, "firstname": name} for name in ("Ann", "Bob", "Cid")]
    with pytest.raises(ValueError, match=r"inputs\[0\]\['external_key'\]"):
        HubSpotHook().batch_upsert_contacts(people, "external_key")
    with pytest.raises(ValueError, match="contact_id"):
        HubSpotHook().archive_contact(word)
    with pytest.raises(ValueError, match="lead_id"):
        PersistIQHook().get_lead(word)
    assert crm.call_count == 0


@pytest.mark.parametrize("hook", [HubSpotHook, PersistIQHook])
@pytest.mark.parametrize("one", [None, math.nan, "", " \t", "None"])
def test_of_several_ids_the_empty_one_is_named_before_a_request(hook: type[LeadsHook], one: Any, crm: Any) -> None:
    with pytest.raises(ValueError, match=r"ids\[1\]"):
        hook().leads_by_id(["5", one])
    assert crm.call_count == 0


def test_keys_are_whole_numbers_or_refused(crm: Any) -> None:
    """Row 2."""
    rows = [{"external_key": key, "a": "b"} for key in (1001.0, np.float64(1002.0), Decimal("1003.00"), np.int64(1004))]
    HubSpotHook().batch_upsert_contacts(rows, "external_key")
    sent = body(crm)["inputs"]
    assert [one["id"] for one in sent] == ["1001", "1002", "1003", "1004"]
    assert [one["properties"]["external_key"] for one in sent] == ["1001", "1002", "1003", "1004"]
    HubSpotHook().archive_contact("9353.0")
    assert crm.request_history[-1].path.endswith("/9353")
    for key in (1.5, 2.0**60, True, [1], {"a": 1}, b"1"):
        with pytest.raises(ValueError, match="external_key"):
            HubSpotHook().batch_upsert_contacts([{"external_key": key, "a": "b"}], "external_key")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.int64(7), "7"), (np.float64(2.0), "2"), (np.str_("x"), "x"), (np.bool_(True), "true"),
        (pd.Timestamp("2025-01-15T08:00:00Z"), "1736928000000"), (pd.Timestamp("2025-01-15"), "2025-01-15"),
        (np.datetime64("2025-01-15T00:00:00.000000000"), "2025-01-15"), (np.datetime64("2025-01-15"), "2025-01-15"),
        (pendulum.datetime(2025, 1, 15, 9, tz="Europe/Berlin"), "1736928000000"), (np.float32(0.1), "0.1"),
        (date(2025, 1, 15), "2025-01-15"), (Decimal("1.50"), "1.5"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"), (Colour.RED, "red"), (np.array(["a", "b"]), "a;b"),
        pytest.param({"b", "a"}, "a;b", id="set"),
        (10**30, "1" + "0" * 30), (1e22, "1" + "0" * 22), (HALF, "Bo \ufffd"),
        (pa.scalar(5), "5"), (pd.Series(["a", None]), "a"), ("\ud83d\ude00", "😀"), ("", ""),
    ],
    ids=repr,
)  # fmt: skip
def test_values_are_what_they_are_in_python(value: Any, written: str, crm: Any) -> None:
    """Rows 3, 12 and 13."""
    HubSpotHook().create_contact({"email": "a@b.de", "x": value})
    assert body(crm)["properties"]["x"] == written


@pytest.mark.parametrize(
    "value",
    [
        datetime(2025, 1, 15), datetime(2025, 1, 15, 8), pd.Timestamp("2025-01-15T08:00:00"), b"x", timedelta(1),
        np.datetime64("2025-01-15T08:00:00.000000000"), np.timedelta64(5, "ns"), {"a": 1}, math.inf, 1j, slice(1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_no_property_can_hold_is_refused_by_name(value: Any, crm: Any) -> None:
    """Row 3."""
    with pytest.raises(ValueError, match=r"properties\['x'\]"):
        HubSpotHook().create_contact({"email": "a@b.de", "x": value})
    assert crm.call_count == 0


def test_results_show_the_inputs_that_were_given(crm: Any) -> None:
    """Row 1: what is absent for the CRM is no reason to change what the caller sees again."""
    inputs = [{"email": "a@b.de", "phone": None, "city": "Bonn"}]
    for result in (HubSpotHook().batch_create_contacts(inputs), PersistIQHook().create_leads(inputs)):
        assert [done.input for done in (*result.succeeded, *result.failed)] == inputs


@pytest.mark.parametrize(
    ("ids", "meant"),
    [
        ("9353", ["9353"]), ("['9353', '9357']", ["9353", "9357"]), ("[9353, 9357]", ["9353", "9357"]),
        ('["9353"]', ["9353"]), ("9353, 9357", ["9353", "9357"]), (9353, ["9353"]), (np.array([9353]), ["9353"]),
        (pd.Series([9353.0, 9357.0]), ["9353", "9357"]), (("9353",), ["9353"]),
        pytest.param(iter([9353]), ["9353"], id="iterator"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_list_is_never_the_characters_of_a_text(ids: Any, meant: list[str], crm: Any) -> None:
    """Row 4."""
    HubSpotHook().batch_archive_contacts(ids)
    assert [one["id"] for one in body(crm)["inputs"]] == meant


def test_other_lists_as_text_are_read_or_refused(crm: Any) -> None:
    """Rows 4 and 5."""
    HubSpotHook().batch_read_contacts("1", properties="['email', 'city']")
    assert body(crm)["properties"] == ["email", "city"]
    HubSpotHook().associate_contact("1", "companies", "2", types="279")
    assert [one["associationTypeId"] for one in body(crm)] == [279]
    PersistIQHook().add_leads_to_campaign("c", "['l_1', 'l_2']")
    assert body(crm)["leads"] == [{"id": "l_1"}, {"id": "l_2"}]
    PersistIQHook().create_leads("[{'email': 'a@b.de', 'phone': None}]")
    assert body(crm)["leads"] == [{"email": "a@b.de"}]
    sent = crm.call_count
    for call in (
        lambda: list(HubSpotHook().find_leads("ann@example.org")),
        lambda: HubSpotHook().batch_create_contacts("email"),
        lambda: PersistIQHook().update_lead("l_1", data={"": "x"}),
        lambda: PersistIQHook().create_leads([{"email": "a@b.de", " ": "x"}]),
        lambda: HubSpotHook().batch_create_contacts({"email": "a@b.de"}),
        lambda: HubSpotHook().batch_archive_contacts("['9353', f()]"),
        # A template that nobody rendered, which Python reads as a set of sets.
        lambda: HubSpotHook().batch_archive_contacts("{{ 9353 }}"),
        lambda: HubSpotHook().create_property("x", label="X", type="string", field_type="text", options="ab"),
        lambda: HubSpotHook().search_contacts(filter_groups="ab"),
        lambda: HubSpotHook().batch_archive_contacts({"9353": 1}),
    ):
        with pytest.raises(ValueError, match=r"emails|inputs|ids|options|filter_groups|data|leads"):
            call()
    assert crm.call_count == sent


def test_addresses_are_trimmed_wherever_they_are_written(crm: Any) -> None:
    """Row 15."""
    HubSpotHook().batch_create_contacts([{"email": " TW@example.org\t"}])
    assert body(crm)["inputs"][0]["properties"]["email"] == "TW@example.org"
    HubSpotHook().create_contact({"email": "\u00a0a@b.de "})
    assert body(crm)["properties"]["email"] == "a@b.de"
    HubSpotHook().update_contact("1", {"email": "a@b.de "})
    assert body(crm)["properties"]["email"] == "a@b.de"
    PersistIQHook().create_leads([{"email": " a@b.de "}])
    assert body(crm)["leads"][0]["email"] == "a@b.de"
    PersistIQHook().update_lead("l", data={"email": " a@b.de "})
    assert body(crm)["data"] == {"email": "a@b.de"}
    PerspectiveHook().update_contact_value("f", "c", "email", " a@b.de ")
    assert body(crm)["value"] == "a@b.de"
    PerspectiveHook().create_contact("f", email=" a@b.de ")
    assert body(crm)["email"] == "a@b.de"


# Every method ---------------------------------------------------------------------------------------------------------

# Arguments that only the package itself gives.
INSIDE = {
    "rows", "row", "batches", "options", "trail", "people", "position", "pages", "path_params", "params", "query",
    "expect", "decode", "auth", "client", "names", "account", "mark",
}  # fmt: skip
PLUMBING = {
    "apply_plan", "batched", "write_batches", "create_rows", "update_rows", "erase_steps", "request", "rows", "pages",
    "path", "one", "delete", "build_client", "typed_pages", "contact_pages", "value_writer", "found_pages",
    "prepare_writes", "write_cost", "patch_lead", "test_connection", "probe", "check_properties", "is_account",
    "get_hook",
    "settle", "scope_of", "changed_pages", "narrowed_pages", "current", "upsert", "found_secondary", "with_all_links",
    "cleared_stages",
}  # fmt: skip
PUBLIC = [
    pytest.param(hook, name, id=f"{hook.__name__}.{name}")
    for hook in HOOKS
    for name, method in inspect.getmembers(hook, inspect.isfunction)
    if not name.startswith("_")
    and method.__module__.startswith("airflow_providers_leads")
    and name not in PLUMBING
    and len(inspect.signature(method).parameters) > 1
]

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers() | st.integers(2**53, 2**70) | st.just(10**400),
    st.floats(),
    st.decimals(),
    st.text(st.characters(exclude_categories=()), max_size=8),
    st.sampled_from(
        [
            pd.NA, pd.NaT, np.nan, np.int64(5), np.float32(2.0), np.str_("x"), np.bool_(True), np.ma.masked, HALF,
            np.datetime64("NaT"), np.datetime64("2025-01-15T08:00:00"), np.timedelta64(5, "s"),
            pd.Timestamp("2025-01-15"),
            pd.Timestamp("2025-01-15T08:00Z"), timedelta(1), datetime.min, datetime.max,
            datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), date(2025, 1, 15), Colour.RED,
            "", " ", "nan", "None", "['a', 'b']", "[]", "[1,", "{}", "{'a': None}", "a,b", "a\u202ab@example.org",
            "a@b.de", b"bytes", 1j, UUID(int=5), object(), "2025-01-15T08:00:00Z", "0001-01-01T00:00:00+14:00",
            "²", "１", "\x00", "../..", "1e5", "Europe/Berlin", "9" * 500, pa.scalar(None), np.array(5),
            np.array(["a"]),
            pd.Series([1.0, np.nan]), pd.DataFrame({"email": ["a@b.de"]}), range(2), {1, "a"}, frozenset(),
        ]
    ),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(
            st.sampled_from(["email", "id", "properties", "to", "types", "filters", "propertyName", "operator"])
            | st.text(max_size=3) | st.integers() | st.none(),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)  # fmt: skip
RIGHT = {
    "email": "a@b.de", "funnel_id": "f", "contact_id": "5", "lead_id": "l", "campaign_id": "c", "owner_id": "o",
    "name": "name", "label": "Label", "type": "string", "field_type": "text", "subtype": "kpi_sessions",
    "start": "2025-01-01T00:00:00Z", "end": "2025-01-02T00:00:00Z", "properties": {"a": "b"}, "ids": ["1"],
    "inputs": [{"id": "1", "properties": {"email": "a@b.de"}}], "to_object_type": "companies", "to_object_id": "7",
    "leads": [{"email": "a@b.de"}], "lead_ids": ["l"], "field": "city", "value": "Bonn", "body": "<p>",
    "inbox_message_id": "m", "primary_id": "1", "merged_id": "2", "activity_id": "3", "emails": ["a@b.de"],
    "email_keys": ["a@b.de"], "filters": [], "values": {"city": "Bonn"}, "insight_id": "i",
    "contact_ids": ["1"], "list_id": "7",
}  # fmt: skip


OF_METHOD: dict[tuple[Any, str], dict[str, Any]] = {
    (PerspectiveHook, "get_kpi"): {"subtype": "kpi_new_contacts"},
    (PerspectiveHook, "get_chart"): {"subtype": "chart_visitor_devices"},
    (PerspectiveHook, "create_contact"): {"email": "a@b.de"},
    (PersistIQHook, "update_lead"): {"status": "active"},
    (HubSpotHook, "get_owner"): {"owner_id": "5"},
}
# What a message may name instead: the field of which it is the value, or what it is together with.
ALSO_NAMED = {
    "value": ("city",),
    "values": ("field",), "email": ("phone",), "contact_id": ("email",), "data": ("status",), "lead_ids": ("lead_id",),
    "filters": ("filter_groups",), "emails": ("addresses",), "email_keys": ("address",),
    "name": ("a domain",), "id_property": ("owner_id",),
}  # fmt: skip


@pytest.mark.invented_requests
@pytest.mark.parametrize(("hook", "name"), PUBLIC)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_is_passed_is_sent_right_or_refused_by_name(
    hook: type[LeadsHook], name: str, data: st.DataObject, crm: Any
) -> None:
    """Rows 1 to 6, 12, 13 and 15."""
    # A draw that failed leaves its requests to those after it.
    crm.reset_mock()
    parameters = list(inspect.signature(getattr(hook, name)).parameters.values())[1:]
    usable = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in INSIDE]
    arguments = {p.name: RIGHT[p.name] for p in parameters if p.default is p.empty and p.name in RIGHT}
    if not usable:
        return
    arguments |= OF_METHOD.get((hook, name), {})
    odd = data.draw(st.sampled_from(usable)).name
    arguments[odd] = data.draw(VALUES)
    try:
        result = getattr(hook(), name)(**arguments)
        if inspect.isgenerator(result) or hasattr(result, "__next__"):
            list(result)
    except LeadsApiError:
        pass
    except ValueError as error:
        assert not isinstance(error, UnicodeError), error
        assert any(word in str(error) for word in {odd, *odd.split("_"), *ALSO_NAMED.get(odd, ())}), error
    for request in crm.request_history:
        request.url.encode("ascii")
        sent = (request.body or b"").decode()
        wrong = judged(TABLE, request.method, request.url, request.body, request.headers.get("Content-Type", ""))
        # An id that no record has costs an answer that says so.
        assert wrong is None or "no such endpoint" in wrong or "no text like" in wrong, wrong
        if missing(arguments[odd]):
            assert not any(word in sent + request.url for word in ("nan", "NaT", "<NA>", "None", "masked")), sent


def missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def test_every_annotation_of_a_public_argument_says_what_is_made_of_it() -> None:
    unknown = set()
    for case in PUBLIC:
        hook, name = case.values[:2]
        for p in list(inspect.signature(getattr(hook, name)).parameters.values())[1:]:
            if p.kind is not p.VAR_KEYWORD and p.name not in INSIDE and str(p.annotation) not in BY_ANNOTATION:
                unknown.add(f"{name}.{p.name}: {p.annotation}")
    assert unknown == set()


# Names ----------------------------------------------------------------------------------------------------------------


def _account(crm: Any) -> None:
    record = {"id": "1", "properties": {"email": None}}
    crm.get("https://api.hubapi.com/crm/objects/2026-03/contacts", json={"results": [record]})
    crm.get("https://api.hubapi.com/crm/objects/2026-03/contacts/1", json=record)
    crm.post("https://api.hubapi.com/crm/objects/2026-03/contacts/batch/read", json={"results": [record]})
    found = {"total": 1, "results": [record]}
    crm.post("https://api.hubapi.com/crm/objects/2026-03/contacts/search", json=found)


READS = {
    "list": lambda hook, names: list(hook.list_contacts(properties=names)),
    "one": lambda hook, names: hook.get_contact("1", properties=names),
    "history": lambda hook, names: hook.get_contact("1", properties_with_history=names),
    "batch": lambda hook, names: hook.batch_read_contacts(["1"], properties=names),
    "search": lambda hook, names: next(hook.search_contacts(properties=names)),
}


@pytest.mark.parametrize("read", READS)
def test_a_property_that_does_not_exist_is_told(read: str, crm: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 5."""
    _account(crm)
    READS[read](HubSpotHook(), ["email", "ctiy"])
    assert "no contact property 'ctiy'" in "".join(capsys.readouterr())
    READS[read](HubSpotHook(), ["email"])
    assert "'email'" not in "".join(capsys.readouterr())
