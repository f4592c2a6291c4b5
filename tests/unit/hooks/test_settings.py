from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

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
