"""The connection forms in a real browser, on a real API server: what they ask for, and what Test answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from airflow_cluster import AirflowCluster
from chromium import Browser, chromium

from airflow_providers_leads.get_provider_info import CRMS, get_provider_info
from airflow_providers_leads.sandbox import Sandbox

pytestmark = pytest.mark.browser

FORMS = {form["connection-type"]: form for form in get_provider_info()["connection-types"]}
NAMES = {crm["conn_type"]: crm["name"] for crm in CRMS}
WRONG = "planted-wrong-key-4711"
GOOD = {
    "hubspot": "accepts the key, and it may read contacts.",
    "perspective": "Perspective accepts the key: ",
    "persistiq": "PersistIQ accepts the key: ",
}
BAD = {
    "hubspot": "Put a valid private-app token or service key into the connection's password.",
    "perspective": "Put a valid API key into the connection's password.",
    "persistiq": "Put the company's API key into the connection's password;",
}
DIALOG = "document.querySelector('[role=dialog]')"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        running.size(1280, 1800)
        yield running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=20, seed=7, limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowCluster]:
    # Asks for the browser so that a machine without one starts no server in vain.
    environment = {"AIRFLOW__CORE__TEST_CONNECTION": "Enabled"}
    with AirflowCluster(tmp_path_factory.mktemp("airflow"), [], environment, components=()) as running:
        yield running


def with_text(selector: str, text: str, within: str = "document") -> str:
    """Return the expression of the first element that shows a text."""
    return f"[...{within}.querySelectorAll({selector!r})].find(e => e.textContent.trim() === {json.dumps(text)})"


def field(label: str) -> str:
    """Return the expression of the dialog's field with a label."""
    return (
        f"[...{DIALOG}.querySelectorAll('label')].filter(e => e.textContent.trim().startsWith({json.dumps(label)}))"
        f".map(e => document.getElementById(e.htmlFor)).find(e => e)"
    )


def add(browser: Browser, conn_id: str, conn_type: str, host: str, key: str) -> None:
    """Fill in the form of a type, up to the button that saves it."""
    browser.press(with_text("button", "Add Connection"))
    browser.wait_for(f"!!{DIALOG}")
    browser.write(field("Connection ID"), conn_id)
    browser.write(f"{DIALOG}.querySelector('input[role=combobox]')", NAMES[conn_type])
    browser.wait_for(with_text("[role=option]", NAMES[conn_type]) + " !== undefined")
    browser.key("Enter", 13)
    behaviour = FORMS[conn_type]["ui-field-behaviour"]
    browser.write(field(behaviour["relabeling"]["host"]), host)
    browser.write(field(behaviour["relabeling"]["password"]), key)


def test(browser: Browser, conn_id: str) -> None:
    """Press Test in a connection's row."""


@pytest.mark.parametrize("conn_type", FORMS)
def test_the_form_shows_our_fields_and_test_says_what_is_wrong(
    conn_type: str, browser: Browser, airflow: AirflowCluster, sandbox: Sandbox
) -> None:
    origin = sandbox.connections()[f"{conn_type}_default"]["host"]
    browser.call("Page.navigate", url=f"{airflow.origin}/connections")
    browser.wait_for(with_text("button", "Add Connection") + " !== undefined", 90)
    add(browser, f"{conn_type}_wrong", conn_type, origin, WRONG)
    browser.keep_picture(f"connection_{conn_type}_debug")
    print(browser.value(f"{DIALOG}.outerHTML"))
