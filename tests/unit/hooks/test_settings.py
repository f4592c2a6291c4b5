from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_providers_leads.hooks.base import get_leads_hook
from airflow_providers_leads.hooks.settings import LeadsSettingsError, read_settings

DEFAULT = "https://api.vendor.example"


def connection(host: str | None = None, extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return Connection(
        conn_id="crm", conn_type="hubspot", host=host, password="s3cret-key", extra=json.dumps(extra or {}), **fields
    )


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ({}, DEFAULT),
        ({"host": ""}, DEFAULT),
        ({"host": "https://eu.vendor.example/"}, "https://eu.vendor.example"),
        ({"host": "eu.vendor.example"}, "https://eu.vendor.example"),
        ({"host": "127.0.0.1", "port": 8081, "schema": "http"}, "http://127.0.0.1:8081"),
        ({"host": "http://127.0.0.1:8081"}, "http://127.0.0.1:8081"),
        ({"host": "http://[::1]:8081"}, "http://[::1]:8081"),
        ({"host": "http://test.example", "extra": {"allow_http": True}}, "http://test.example"),
        ({"host": "http://test.example", "extra": {"allow_http": "true"}}, "http://test.example"),
        # What the form asks for where Airflow's Test button needs a port.
        ({"port": 443}, DEFAULT),
        ({"host": "http://127.0.0.1:8081", "port": 443}, "http://127.0.0.1:8081"),
    ],
)
def test_origin(fields: dict[str, Any], origin: str) -> None:
    given = connection(**fields)
    assert read_settings(given, default_host=DEFAULT).origin == origin
    # The Test button hands it on as a URI.
    handed_on = Connection(conn_id="crm", uri=given.get_uri())
    assert read_settings(handed_on, default_host=DEFAULT).origin == origin


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"host": "http://vendor.example"}, "allow_http"),
        ({"host": "ftp://vendor.example"}, "host"),
        ({"host": "https://vendor.example/v1"}, "without path"),
        ({"host": "https://user:pw@vendor.example"}, "without path, query or user"),
        ({"extra": {"timeout": "soon"}}, "'timeout'"),
        ({"extra": {"timeout": 0}}, "'timeout'"),
        ({"extra": {"max_retries": -1}}, "'max_retries'"),
        ({"extra": {"rate_limit": 0}}, "'rate_limit'"),
        ({"extra": {"rate_limit_period": "x"}}, "'rate_limit_period'"),
        ({"extra": {"timeout": float("nan")}}, "'timeout'"),
        ({"extra": {"timeout": float("inf")}}, "'timeout'"),
        ({"extra": {"rate_limit": float("inf")}}, "'rate_limit' must be a whole number"),
        ({"extra": {"rate_limit": 1.5}}, "'rate_limit' must be a whole number"),
        ({"extra": {"timeout": True}}, "'timeout'"),
        ({"extra": {"timeout": [1]}}, "'timeout'"),
        ({"extra": {"timeout": {"read": 1}}}, "'timeout'"),
        ({"extra": {"allow_http": "perhaps"}}, "'allow_http' must be true or false"),
        ({"extra": {"allow_http": [True]}}, "'allow_http'"),
    ],
)
def test_unusable_settings_name_connection_and_setting(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(LeadsSettingsError) as error:
        read_settings(connection(**fields), default_host=DEFAULT)
    assert "Connection 'crm'" in str(error.value)
    assert named in str(error.value)
    assert "s3cret" not in str(error.value)


def test_numbers_may_come_as_text_from_the_form_and_empty_means_default() -> None:
    extra = {"timeout": "7.5", "max_retries": "2", "rate_limit": "50", "rate_limit_period": "", "allow_http": None}
    settings = read_settings(connection(extra=extra), default_host=DEFAULT)
    assert (settings.timeout, settings.max_retries) == (7.5, 2)
    assert (settings.rate_limit, settings.rate_limit_period) == (50, None)


def test_the_key_is_in_no_representation() -> None:
    settings = read_settings(connection(extra={"client_secret": "hidden-too"}), default_host=DEFAULT)
    assert settings.key == "s3cret-key"
    assert "s3cret" not in repr(settings)
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("extra", "kind"),
    [
        ('["a"]', "a list"), ("[]", "a list"), ("5", "a number"), ("1.5", "a number"), ("true", "a boolean"),
        ('"timeout"', "text"), ("timeout=5", "text"), ('{"timeout": 5', "text"),
    ],
)  # fmt: skip
def test_row_39_an_extra_that_is_no_object_is_refused(extra: str, kind: str) -> None:
    conn = Connection(conn_id="crm", conn_type="hubspot", password="s3cret-key", extra=extra)
    with pytest.raises(LeadsSettingsError, match=rf"Connection 'crm': extra must be a JSON object .* not {kind}\."):
        read_settings(conn, default_host=DEFAULT)


@pytest.mark.parametrize("extra", [None, "", "null", "{}"])
def test_row_39_no_extra_is_none(extra: str | None) -> None:
    conn = Connection(conn_id="crm", conn_type="hubspot", password="k", extra=extra)
    assert read_settings(conn, default_host=DEFAULT).extra == {}


def test_row_39_texts_in_the_extra() -> None:
    settings = read_settings(connection(extra={"a": " x ", "n": 5, "none": None}), default_host=DEFAULT)
    assert [settings.text(name) for name in ("a", "n", "none", "absent")] == ["x", "5", "", ""]
    for wrong in (["x"], {"x": 1}, True, 1.5):
        settings = read_settings(connection(extra={"client_id": wrong}), default_host=DEFAULT)
        with pytest.raises(LeadsSettingsError, match=r"Connection 'crm': extra 'client_id' must be text\."):
            settings.text("client_id")


@pytest.mark.parametrize(
    "text", ['{"conn_type": "hubspot"', '{"conn_type": "hubspot", "pasword": "planted"}', "hubspot://:planted@host:abc"]
)
def test_row_39_a_variable_that_airflow_passes_over_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM", text)
    with pytest.raises(LeadsSettingsError, match=r"Connection 'crm': Airflow can't read .*AIRFLOW_CONN_CRM") as caught:
        get_leads_hook("crm")
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("funnels", [[], "[]", ["f", ""], {"f": 1}, '{"f": 1}', [["f"]], [True], 5, True])
def test_row_41_an_empty_or_odd_list_of_funnels_never_means_all(funnels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    conn = {"conn_type": "perspective", "password": "k", "extra": {"funnel_ids": funnels}}
    monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(conn))
    hook = get_leads_hook("crm")
    for read in (lambda: list(hook.iter_leads()), hook.scopes_to_read, lambda: list(hook.erase(["a@people.example"]))):
        with pytest.raises(LeadsSettingsError, match="Connection 'crm': extra 'funnel_ids' must be a list of the ids"):
            read()
    works, told = hook.test_connection()
    assert not works
    assert "funnel_ids" in told
