"""Every operator over real HTTP, and `docs/endpoints.md` held to what that showed."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from typing import Any

import pytest
from endpoint_tables import Row, left_out, named_tests, older_forms, rows, same, source_of
from operator_runs import CASES, EXTRA, Ledger, World, connection, routes_taken

from airflow_providers_leads.hooks.base import LeadsHook, get_leads_hook
from airflow_providers_leads.hooks.hubspot.connection import api_path, token_path
from airflow_providers_leads.http.errors import (
    LeadsAuthError,
    LeadsConflictError,
    LeadsNotFoundError,
    LeadsValidationError,
)
from airflow_providers_leads.operators import hubspot, persistiq, perspective
from airflow_providers_leads.operators.endpoint import BatchOperator, EndpointOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.tasks.returns import LeadsWriteError

CRMS = {"hubspot": hubspot, "perspective": perspective, "persistiq": persistiq}
for name in CRMS:
    pytest.register_assert_rewrite(f"{name}_runs")
    importlib.import_module(f"{name}_runs")
OPERATORS: dict[str, type[EndpointOperator]] = {
    cls.__name__: cls
    for module in CRMS.values()
    for _, cls in inspect.getmembers(module, inspect.isclass)
    if cls.__module__ == module.__name__ and issubclass(cls, EndpointOperator) and cls.method
}
HOOKS = {crm: resolve_name(next(o.hook for o in OPERATORS.values() if f".{crm}." in o.hook)) for crm in CRMS}
# Public because the hooks' parts share them, and no endpoint of their own.
HELPERS = {
    "account_details", "path", "one", "delete", "contact_pages", "count_contacts", "found_pages", "found_secondary",
    "known_properties", "patch_lead", "typed_pages", "changed_pages", "narrowed_pages", "filter_groups", "current",
    "campaign_id", "lead_of_place", "list_ids", "upsert", "value_writer", "with_all_links", "cleared_stages", "is_gone",
}  # fmt: skip
ROWS = list(rows())


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=60, seed=7, limits=False) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def connections(sandbox: Sandbox) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for api in sandbox.apis:
            patch.setenv(f"AIRFLOW_CONN_{api.name.upper()}_DEFAULT", connection(api))
            patch.setenv(f"AIRFLOW_CONN_{api.name.upper()}_WRONG", connection(api, password=WRONG_KEY))
        config = sandbox.config
        app = {
            "client_id": config.oauth_client_id,
            "client_secret": config.oauth_client_secret,
            "refresh_token": config.oauth_refresh_token,
        }
        signed_in = connection(sandbox.hubspot, password=None, extra={**EXTRA, **app})
        patch.setenv("AIRFLOW_CONN_HUBSPOT_OAUTH", signed_in)
        yield


@pytest.fixture(scope="module")
def ledger(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(World(sandbox, tmp_path_factory.mktemp("outputs")))


# Operators ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_over_http(ledger: Ledger, operator: type[EndpointOperator]) -> None:
    assert operator in CASES, "this operator is never run: enter a case for it"
    routes = ledger.routes(operator)
    assert routes
    assert "unknown" not in routes
    if issubclass(operator, BatchOperator):
        assert max(routes.values()) > 1, "give it more than one request takes"


def test_connections_are_tested_and_signed_in(sandbox: Sandbox) -> None:
    """Holds the rows that no operator is for, and the first of each table."""
    for crm in CRMS:
        told = [row for row in ROWS if row.crm == crm]
        conn_ids = {f"{crm}_default"} | ({"hubspot_oauth"} if crm == "hubspot" else set())
        taken: Counter[str] = Counter()
        for conn_id in conn_ids:
            with routes_taken(sandbox, taken):
                good, message = get_leads_hook(conn_id).test_connection()
            assert good, message
        here = "test_every_operator.py::test_connections_are_tested_and_signed_in"
        expected = {same(row.endpoint) for row in told if row is told[0] or here in row.http_tests}
        # What the key may do besides is found out by requests of other rows.
        assert expected <= {same(route) for route in taken}


WRONG_KEY = "a-wrong-key-of-somebody"
NOBODY, NO_ADDRESS = "nobody.at.all@gone.example", "nobody.at.all@gone.example@"
Given = Callable[[World], dict[str, Any]]
REFUSED: list[tuple[type[EndpointOperator], Given, type[Exception]]] = [
    (
        hubspot.HubSpotGetContactOperator,
        lambda at: {"contact_id": NOBODY, "id_property": "email"},
        LeadsNotFoundError,
    ),
    (hubspot.HubSpotCreateContactOperator, lambda at: {"properties": {"email": NO_ADDRESS}}, LeadsValidationError),
    (
        hubspot.HubSpotCreateContactOperator,
        lambda at: {"properties": {"email": at.contacts(1)[0].properties["email"]}},
        LeadsConflictError,
    ),
    (hubspot.HubSpotReadContactsOperator, lambda at: {"ids": [NOBODY], "id_property": "email"}, LeadsWriteError),
    (hubspot.HubSpotUpsertContactsOperator, lambda at: {"inputs": [{"id": NO_ADDRESS}]}, LeadsWriteError),
    (hubspot.HubSpotListOwnersOperator, lambda at: {"hubspot_conn_id": "hubspot_wrong"}, LeadsAuthError),
    (
        perspective.PerspectiveGetContactOperator,
        lambda at: {"funnel_id": at.funnel.id, "contact_id": NOBODY},
        LeadsNotFoundError,
    ),
    (
        perspective.PerspectiveCreateContactOperator,
        lambda at: {"funnel_id": at.funnel.id, "email": NO_ADDRESS},
        LeadsValidationError,
    ),
    (
        perspective.PerspectiveUpdateContactOperator,
        lambda at: {"funnel_id": at.funnel.id, "contact_id": "nope", "values": {"email": NOBODY}},
        LeadsWriteError,
    ),
    (
        perspective.PerspectiveListWorkspacesOperator,
        lambda at: {"perspective_conn_id": "perspective_wrong"},
        LeadsAuthError,
    ),
    (persistiq.PersistIQGetLeadOperator, lambda at: {"lead_id": NOBODY}, LeadsNotFoundError),
    (
        persistiq.PersistIQUpdateLeadOperator,
        lambda at: {"lead_id": at.leads(1)[0].id, "status": NOBODY},
        LeadsValidationError,
    ),
    (persistiq.PersistIQCreateLeadsOperator, lambda at: {"leads": [{"email": NO_ADDRESS}]}, LeadsWriteError),
    (persistiq.PersistIQListTagsOperator, lambda at: {"persistiq_conn_id": "persistiq_wrong"}, LeadsAuthError),
]


@pytest.mark.parametrize(
    ("operator", "arguments", "kind"), REFUSED, ids=[f"{o.__name__}-{k.__name__}" for o, _, k in REFUSED]
)
def test_an_error_shows_neither_address_nor_key(
    ledger: Ledger,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    operator: type[EndpointOperator],
    arguments: Given,
    kind: type[Exception],
) -> None:
    given = arguments(ledger.world)
    with pytest.raises(kind) as caught:
        operator(task_id="t", **given).execute({})
    error = caught.value
    assert str(error)
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error)) + caplog.text
    for secret in ("gone.example", "runs.example", WRONG_KEY, *(api.key for api in sandbox.apis)):
        assert secret not in shown


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crm", CRMS)
def test_the_page_names_every_operator_and_every_hook_method(crm: str) -> None:
    told = [row for row in ROWS if row.crm == crm]
    assert {name for row in told for name in row.operators} == {n for n, o in OPERATORS.items() if f".{crm}." in o.hook}
    public = {
        name
        for name, _ in inspect.getmembers(HOOKS[crm], inspect.isfunction)
        if not name.startswith("_") and not hasattr(LeadsHook, name)
    }
    assert {name for row in told for name in row.methods} - {"test_connection"} == public - HELPERS


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_of_the_page_is_true(ledger: Ledger, row: Row) -> None:
    assert [OPERATORS[name].method for name in row.operators] == row.methods or not row.operators
    for name in row.operators:
        assert same(row.endpoint) in {same(route) for route in ledger.routes(OPERATORS[name])}, name
    assert row.request_tests and row.http_tests
    for method in row.methods:
        assert any(method in (source_of(name) or "") for name in row.request_tests), f"{method} isn't in the tests"


def test_every_test_that_the_page_names_exists() -> None:
    told = set(named_tests())
    assert {name for name in told if source_of(name) is None} == set()


def test_the_page_has_each_endpoint_once() -> None:
    told = Counter(same(endpoint) for endpoint in (*(row.endpoint for row in ROWS), *left_out()))
    assert [endpoint for endpoint, times in told.items() if times > 1] == []


@pytest.mark.parametrize("crm", CRMS)
def test_the_page_leaves_no_route_of_the_stand_in_out(sandbox: Sandbox, crm: str) -> None:
    told = {same(row.endpoint) for row in ROWS if row.crm == crm} | {same(endpoint) for endpoint in left_out()}
    served = {same(f"{o.method} {o.path}") for o in getattr(sandbox, crm).app.vendor.operations}
    assert served - told == set()
    assert {same(row.endpoint) for row in ROWS if row.crm == crm} <= served


def test_nothing_takes_a_route_that_the_page_calls_not_covered(ledger: Ledger) -> None:
    taken = {same(route) for operator in OPERATORS.values() for route in ledger.routes(operator)}
    assert taken & {same(endpoint) for endpoint in left_out()} == set()
    assert taken <= {same(row.endpoint) for row in ROWS}


def test_the_page_knows_hubspots_older_paths() -> None:
    areas = ("objects", "records", "associations", "properties", "owners", "lists", "account")
    roots = [tuple(api_path(version, area) for version in ("2026-03", "v3")) for area in areas]
    sent = [*roots, tuple(token_path(version) for version in ("2026-03", "v3"))]
    told = list(older_forms())
    assert len(told) == len(sent)
    for pair, expected in zip(told, sent, strict=True):
        assert all(path.startswith(root) for path, root in zip(pair, expected, strict=True))
        assert len({same(f"GET {path}") for path in pair}) == 1
