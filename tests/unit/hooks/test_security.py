"""Where keys go, over what, and what becomes of hostile values: through the hooks, for each CRM."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
import requests_mock
from airflow.providers.common.compat.sdk import redact

from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.settings import LeadsSettingsError
from airflow_providers_leads.http.errors import LeadsApiError, LeadsServerError

pytestmark = pytest.mark.invented_requests

KEYS = {
    "hubspot": "pat-eu1-11111111-2222-3333-4444-555555555555",
    "perspective": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "persistiq": "a3f5c0d9e8b7462f91d0c3b5a7e6f812",
}
CRMS = pytest.mark.parametrize("crm", KEYS)
ANY = requests_mock.ANY
HOST = "https://api.crm.example"
Connect = Callable[..., Any]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def make(crm: str, host: str = HOST, **extra: Any) -> LeadsHook:
        connection = {"conn_type": crm, "host": host, "password": KEYS[crm], "extra": {"max_retries": 0, **extra}}
        monkeypatch.setenv("AIRFLOW_CONN_CRM", json.dumps(connection))
        return get_leads_hook("crm")

    return make


def signed(request: Any) -> bool:
    return any(key in f"{request.headers} {request.url} {request.text}" for key in KEYS.values())


@CRMS
@pytest.mark.parametrize(
    "host",
    [
        "https://api.crm.example",
        "HTTPS://API.CRM.Example",
        "https://api.crm.example.",
        "https://api.crm.example:443",
        "https://api.crm.example/",
        "api.crm.example",
        "http://127.0.0.1:8081",
        "http://[::1]:8081",
        "http://LOCALHOST:8081",
    ],
)
def test_the_connections_host_in_any_spelling_gets_the_key(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str, host: str
) -> None:
    requests_mock.get(ANY, json={})
    assert connect(crm, host).request("GET", "/v1/things").status == 200
    assert signed(requests_mock.last_request)


@CRMS
@pytest.mark.parametrize(
    "path",
    [
        "https://thief.example/v1/leads",
        "//thief.example/v1/leads",
        "http://api.crm.example/v1/leads",
        "https://api.crm.example:8443/v1/leads",
        "https://api.crm.example.thief.example/v1/leads",
        "https://api.crm.example@thief.example/v1/leads",
        "https://thief.example\\@api.crm.example/v1/leads",
        "https://[::1]/v1/leads",
    ],
)
def test_an_absolute_url_elsewhere_gets_nothing(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str, path: str
) -> None:
    requests_mock.get(ANY, json={})
    with pytest.raises(LeadsApiError, match="key was not sent") as caught:
        connect(crm).request("GET", path)
    assert caught.value.category == "FOREIGN_ORIGIN"
    assert requests_mock.call_count == 0


@CRMS
@pytest.mark.parametrize(
    "location",
    [
        "https://thief.example/v1",
        "//thief.example/v1",
        "http://api.crm.example/v1",
        "https://api.crm.example:444/v1",
        "https://api.crm.example.:80/v1",
        "https://user:pass@thief.example/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://thief.example%2f@api.crm.example:1/v1",
        "https://[",
        "javascript:alert(1)",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_is_refused(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str, location: str, status: int
) -> None:
    requests_mock.get(ANY, status_code=status, headers={"Location": location})
    with pytest.raises(LeadsServerError, match="redirected elsewhere"):
        connect(crm).request("GET", "/v1/leads")
    assert [r.url for r in requests_mock.request_history] == [f"{HOST}/v1/leads"]


@CRMS
@pytest.mark.parametrize("host", ["http://api.crm.example", "http://127.0.0.1.thief.example", "http://2130706433"])
@pytest.mark.parametrize("allow", [None, "", "false", False, 0, "no", "maybe"])
def test_an_unencrypted_host_is_refused_before_any_request(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str, host: str, allow: Any
) -> None:
    requests_mock.get(ANY, json={})
    with pytest.raises(LeadsSettingsError, match=r"(?s)(would send the key unencrypted.*)?allow_http"):
        connect(crm, host, allow_http=allow).request("GET", "/v1/leads")
    assert requests_mock.call_count == 0


@CRMS
def test_an_unencrypted_host_that_was_allowed_still_redirects_nowhere_else(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str
) -> None:
    requests_mock.get("http://crm.test/v1", status_code=302, headers={"Location": "http://thief.example/v1"})
    with pytest.raises(LeadsServerError, match="redirected elsewhere"):
        connect(crm, "http://crm.test", allow_http=True).request("GET", "/v1")
    assert requests_mock.call_count == 1


@CRMS
@pytest.mark.parametrize(
    "extra",
    [
        {"verify": False},
        {"verify": "false"},
        {"verify_ssl": False},
        {"ssl_verify": 0},
        {"insecure": True},
        {"check_response": False, "cert": None},
    ],
)
def test_no_extra_switches_certificates_off(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str, extra: dict[str, Any]
) -> None:
    requests_mock.get(ANY, json={})
    connect(crm, **extra).request("GET", "/v1")
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.verify is True


@CRMS
@pytest.mark.parametrize("value", ["", "0", "False"])
def test_no_environment_variable_switches_certificates_off(
    connect: Connect, requests_mock: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, crm: str, value: str
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY", "VERIFY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, value)
    requests_mock.get(ANY, json={})
    connect(crm).request("GET", "/v1")
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.verify in (True, value)
    assert requests_mock.last_request.verify, "a path that doesn't exist fails, it doesn't trust everybody"


@CRMS
def test_a_certificate_bundle_of_the_house_is_used(
    connect: Connect, requests_mock: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, crm: str
) -> None:
    bundle = requests.certs.where()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    requests_mock.get(ANY, json={})
    connect(crm).request("GET", "/v1")
    assert requests_mock.last_request is not None
    assert requests_mock.last_request.verify == bundle


@CRMS
def test_a_netrc_file_adds_no_password(
    connect: Connect, requests_mock: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, crm: str
) -> None:
    (tmp_path / "netrc").write_text("machine api.crm.example login joe password hunter2\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests_mock.get(ANY, json={})
    connect(crm).request("GET", "/v1")
    assert signed(requests_mock.last_request)
    assert "Basic" not in str(requests_mock.last_request.headers)  # type: ignore[union-attr]


HOSTILE = ["../../owners", "a/b", "1?archived=true", "1#x", "1;x", "%2e%2e", "1\r\nX-Evil: 1", "ünï", "a@b.example"]
BY_ID: dict[str, tuple[Callable[[Any, str], Any], str]] = {
    "hubspot contact": (lambda hook, i: hook.get_contact(i), "/crm/objects/2026-03/contacts/"),
    "hubspot property": (lambda hook, i: hook.get_property(i), "/crm/properties/2026-03/contacts/"),
    "perspective funnel": (lambda hook, i: list(hook.list_contacts(i)), "/v1/funnels/"),
    "perspective contact": (lambda hook, i: hook.get_contact("f1", i), "/v1/funnels/f1/contacts/"),
    "persistiq lead": (lambda hook, i: hook.update_lead(i, status="x"), "/v1/leads/"),
    "persistiq campaign": (lambda hook, i: hook.add_leads_to_campaign(i, ["l"]), "/v1/campaigns/"),
}


@pytest.mark.parametrize("call", BY_ID)
@pytest.mark.parametrize("value", HOSTILE)
def test_an_id_stays_one_segment_of_its_path(
    connect: Connect, requests_mock: requests_mock.Mocker, call: str, value: str
) -> None:
    requests_mock.register_uri(ANY, ANY, status_code=404, json={})
    work, prefix = BY_ID[call]
    with contextlib.suppress(LeadsApiError, ValueError):
        work(connect(call.split()[0]), value)
    for request in requests_mock.request_history:
        path = requests.utils.urlparse(request.url).path
        assert path.startswith(prefix), path
        segment, _, rest = path.removeprefix(prefix).partition("/")
        assert requests.utils.unquote(segment) == value
        assert rest in ("", "contacts", "leads")
        assert "evil" not in str(request.headers).lower()


def test_derived_secrets_are_masked(connect: Connect, requests_mock: requests_mock.Mocker) -> None:
    token, secrets = "derived-access-token-0815", {"client_secret": "app-secret-4711", "refresh_token": "refresh-4712"}
    requests_mock.post(ANY, json={"access_token": token, "expires_in": 1800})
    requests_mock.get(ANY, json={"id": "5"})
    connect("hubspot")
    hook = connect("hubspot", client_id="id", **secrets)
    object.__setattr__(hook.settings, "key", "")
    hook.get_contact("5")
    assert requests_mock.last_request is not None
    assert token in requests_mock.last_request.headers["Authorization"]
    for secret in (token, *secrets.values(), KEYS["hubspot"]):
        assert secret not in str(redact(f"they said {secret}, or so"))


@CRMS
def test_nothing_that_is_shown_of_a_hook_holds_its_key(
    connect: Connect, requests_mock: requests_mock.Mocker, crm: str
) -> None:
    hook = connect(crm)
    requests_mock.get(ANY, json={})
    hook.request("GET", "/v1")
    for shown in (hook, hook.client, hook.client.auth, hook.settings, hook.client.policy):
        assert KEYS[crm] not in repr(shown)
        assert KEYS[crm] not in str(shown)
