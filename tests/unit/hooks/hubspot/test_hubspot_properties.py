"""Definitions of properties, however sensitive; owners, ids that are none, and stages that go back."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import requests_mock
from hubspot_hooks import CONTACTS, make_hook, quick, record, url

from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.http.errors import LeadsNotFoundError, LeadsServerError, LeadsValidationError

PROPERTIES = url("/crm/properties/2026-03/contacts")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> HubSpotHook:
    return quick(make_hook(monkeypatch))


def account(wire: requests_mock.Mocker, **refusal: Any) -> None:
    """Let HubSpot hold a property of each sensitivity, and tell each where it is asked for."""
    names = {"non_sensitive": "plain", "sensitive": "blood", "highly_sensitive": "iban"}
    for sensitivity, name in names.items():
        query = "" if sensitivity == "non_sensitive" else f"?dataSensitivity={sensitivity}"
        own = refusal if query and refusal else {"json": {"results": [{"name": name}]}}
        wire.get(PROPERTIES + query, **own)
    for name in (*names.values(), "nowhere"):
        wire.get(f"{PROPERTIES}/{name}", status_code=404, json={})
        for sensitivity, held in names.items():
            query = "" if sensitivity == "non_sensitive" else f"?dataSensitivity={sensitivity}"
            if held == name:
                wire.get(f"{PROPERTIES}/{name}{query}", json={"name": name, "dataSensitivity": sensitivity})


@pytest.mark.parametrize("name", ["plain", "blood", "iban"])
def test_sensitive_properties_are_found(hook: HubSpotHook, requests_mock: requests_mock.Mocker, name: str) -> None:
    account(requests_mock)
    hook.check_read(properties=[name])
    hook.check_properties([name])
    assert hook.get_property(name)["name"] == name


@pytest.mark.parametrize("refusal", [{}, {"status_code": 403}, {"status_code": 400, "json": {}}], ids=str)
def test_unknown_ones_are_refused_also_by_a_key_without_the_right(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, refusal: Any
) -> None:
    account(requests_mock, **refusal)
    with pytest.raises(ValueError, match="nowhere"):
        hook.check_read(properties=["plain", "nowhere"])
    with pytest.raises(ValueError, match="nowhere"):
        hook.check_properties(["nowhere"])
    with pytest.raises(LeadsNotFoundError):
        hook.get_property("nowhere")


def test_what_is_found_at_once_costs_one_request(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    account(requests_mock)
    hook.check_read(properties=["plain"])
    hook.get_property("plain")
    assert requests_mock.call_count == 2


def test_a_definition_is_read_as_asked(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.get(f"{PROPERTIES}/blood", json={"name": "blood"})
    hook.get_property("blood", archived=True, data_sensitivity="sensitive")
    assert requests_mock.last_request.qs == {"archived": ["true"], "datasensitivity": ["sensitive"]}
    with pytest.raises(ValueError, match="data_sensitivity"):
        hook.get_property("blood", data_sensitivity="secret")


def test_every_option_is_sent_whole(hook: HubSpotHook, requests_mock: requests_mock.Mocker) -> None:
    requests_mock.post(PROPERTIES, json={"name": "a"})
    options = [{"label": "A", "value": "a"}, {"label": "B", "value": "b", "hidden": True, "displayOrder": 7}]
    hook.create_property("a", label="A", type="enumeration", field_type="select", options=options)
    assert requests_mock.last_request.json()["options"] == [
        {"label": "A", "value": "a", "hidden": False, "displayOrder": 0},
        {"label": "B", "value": "b", "hidden": True, "displayOrder": 7},
    ]


@pytest.mark.parametrize("owner", ["abc", "1.5", "-3", "", " ", "a@x.de"])
def test_an_owner_is_asked_for_by_number(hook: HubSpotHook, requests_mock: requests_mock.Mocker, owner: str) -> None:
    with pytest.raises(ValueError, match="owner_id"):
        hook.get_owner(owner)
    assert not requests_mock.called


@pytest.mark.parametrize("bad", ["abc", "1a", "٣", "-1"])
@pytest.mark.parametrize("archived", [False, True])
def test_an_id_that_is_no_number_has_an_error_of_its_own(
    hook: HubSpotHook, requests_mock: requests_mock.Mocker, bad: str, archived: bool
) -> None:
    requests_mock.get(url(CONTACTS), json={"results": [record(5), record(bad)]})
    with pytest.raises(LeadsServerError, match="id is no number"):
        list(hook.iter_leads(archived=archived))


@pytest.mark.parametrize(
    ("by", "given", "written"),
    [("email", "ann@x.de", "ann@new.de"), ("key", "77", "78"), (None, 5, None)],
    ids=["address", "unique value", "merged id"],
)
def test_a_stage_is_set_where_it_was_cleared_when_what_found_the_contact_is_changed(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker, by: Any, given: Any, written: Any
) -> None:
    requests_mock.patch(url(f"{CONTACTS}/{quote(str(given), safe='')}"), json=record(6, lifecyclestage=""))
    last = requests_mock.patch(url(CONTACTS + "/6"), json=record(6, lifecyclestage="lead"))
    changed = {"lifecyclestage": "lead", **({by: written} if by else {})}
    quick(make_hook(monkeypatch)).update_contact(given, changed, id_property=by, clear_lifecyclestage_first=True)
    assert last.call_count == 1 and "idproperty" not in last.last_request.qs
    assert last.last_request.json() == {"properties": {"lifecyclestage": "lead"}}


def test_a_stage_that_is_refused_after_the_old_one_was_cleared_is_told(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    refused = {"status_code": 400, "json": {"status": "error", "category": "VALIDATION_ERROR"}}
    requests_mock.patch(url(CONTACTS + "/5"), [{"json": record(5)}, refused, refused])
    hook = quick(make_hook(monkeypatch))
    with pytest.raises(LeadsValidationError, match="stage was cleared before that, and may be empty now: set it"):
        hook.update_contact(5, {"lifecyclestage": "nonsense"}, clear_lifecyclestage_first=True)
    with pytest.raises(LeadsValidationError) as caught:
        hook.update_contact(5, {"lifecyclestage": "nonsense"}, clear_lifecyclestage_first=True)
    assert "cleared" not in str(caught.value)


def test_an_owner_is_found_by_an_address_with_white_space_around_it(
    monkeypatch: pytest.MonkeyPatch, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.get(url("/crm/owners/2026-03"), json={"results": []})
    assert list(quick(make_hook(monkeypatch)).list_owners(email=" ann@x.de\n")) == []
    assert requests_mock.last_request.qs["email"] == ["ann@x.de"]
