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
    "hubspot": "accepts the key, and it may read contacts. It may write contacts",
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


def fill_in(browser: Browser, conn_id: str, conn_type: str, host: str, key: str) -> str:
    """Fill in the form of a type, one of the optional fields too, and return the text of all of it."""
    labels, hints = (FORMS[conn_type]["ui-field-behaviour"][kind] for kind in ("relabeling", "placeholders"))
    browser.press(with_text("button", "Add Connection"))
    browser.write(field("Connection ID"), conn_id)
    browser.write(f"{DIALOG}.querySelector('input[role=combobox]')", NAMES[conn_type], shown=False)
    browser.wait_for(f"!!{with_text('[role=option]', NAMES[conn_type])}")
    browser.key("Enter", 13)
    browser.wait_for(f"!!{field(labels['password'])}")
    assert {name: browser.value(f"{field(labels[name])}.placeholder") for name in labels} == hints
    assert browser.value(f"{field(labels['password'])}.type") == "password"
    standard = browser.value(f"{DIALOG}.innerText")
    browser.keep_picture(f"connection_form_{conn_type}_key")
    browser.write(field(labels["host"]), host)
    browser.write(field(labels["port"]), "443")
    browser.write(field(labels["password"]), key)
    # Of the two sections only one is open at a time.
    browser.press(with_text("button", "Extra Fields", DIALOG))
    browser.wait_for(f"{DIALOG}.innerText.includes('Rate limit')")
    browser.write(field("Timeout (s)"), "20")
    browser.keep_picture(f"connection_form_{conn_type}")
    return str(standard + browser.value(f"{DIALOG}.innerText"))


def save(browser: Browser) -> None:
    browser.press(with_text("button", "Save", DIALOG))
    browser.wait_for(f"!{DIALOG}")


def press_test(browser: Browser, conn_id: str, said: str) -> str:
    """Press Test in a connection's row and return the answer once it is in full view."""
    row = f"[...document.querySelectorAll('tr')].find(e => e.innerText.includes({json.dumps(conn_id)}))"
    browser.press(f"{row}?.querySelector('button[aria-label=\"Test Connection\"]')")
    shown = "[...document.querySelectorAll('[data-scope=toast][data-part=root]')]"
    wanted = f"e => e.innerText.includes({json.dumps(said)}) && getComputedStyle(e).opacity === '1'"
    return str(browser.wait_for(f"{shown}.find({wanted})?.innerText"))


@pytest.mark.story
@pytest.mark.parametrize("conn_type", FORMS)
def test_the_form_shows_our_fields_and_test_says_whether_the_key_is_good(
    conn_type: str, browser: Browser, airflow: AirflowCluster, sandbox: Sandbox
) -> None:
    given, form = sandbox.connections()[f"{conn_type}_default"], FORMS[conn_type]
    # The sign-in of a server where everybody is an admin ends where it began.
    browser.call("Page.navigate", url=f"{airflow.origin}/connections")

    asked = fill_in(browser, f"{conn_type}_wrong", conn_type, given["host"], WRONG)
    for wanted in form["conn-fields"].values():
        assert wanted["label"] in asked
        assert wanted["description"] in asked
    assert not {"Login", "Schema"} & set(asked.splitlines())
    save(browser)
    refused = press_test(browser, f"{conn_type}_wrong", BAD[conn_type])
    assert WRONG not in refused + browser.text()

    fill_in(browser, f"{conn_type}_right", conn_type, given["host"], given["password"])
    save(browser)
    press_test(browser, f"{conn_type}_right", GOOD[conn_type])
    browser.keep_picture(f"connection_test_{conn_type}")
    assert given["password"] not in browser.text()
    kept = json.loads(airflow.get(f"/connections/{conn_type}_right")["extra"])
    assert float(kept["timeout"]) == 20
    defaults = {name: wanted["schema"].get("default") for name, wanted in form["conn-fields"].items()}
    assert {name: value for name, value in kept.items() if value} == {
        **{name: value for name, value in defaults.items() if value}, "timeout": kept["timeout"],
    }  # fmt: skip
