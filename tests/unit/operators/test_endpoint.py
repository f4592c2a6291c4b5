"""Every operator that is one hook call: declared completely, rendered completely, documented completely."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.hooks.base import LeadsHook
from airflow_providers_leads.hooks.hubspot import HubSpotHook
from airflow_providers_leads.hooks.perspective import PerspectiveHook
from airflow_providers_leads.leads.model.outcomes import BatchResult, Failed, Succeeded
from airflow_providers_leads.operators.endpoint import EndpointOperator
from airflow_providers_leads.operators.hubspot import (
    HubSpotGdprDeleteContactOperator,
    HubSpotGetContactOperator,
    HubSpotListContactsOperator,
    HubSpotUpsertContactsOperator,
)
from airflow_providers_leads.operators.perspective import (
    PerspectiveCreateContactOperator,
    PerspectiveGetKpiOperator,
    PerspectiveUpdateContactValueOperator,
)
from airflow_providers_leads.tasks.returns import XCOM_ROWS, LeadsWriteError

MODULES = [
    importlib.import_module(f"airflow_providers_leads.operators.{m}") for m in ("hubspot", "perspective", "persistiq")
]
OPERATORS = [
    cls
    for module in MODULES
    for _, cls in inspect.getmembers(module, inspect.isclass)
    if cls.__module__ == module.__name__ and cls.method
]
# Positions within a list: an operator reads the whole list.
NOT_OFFERED = {"list_contacts": {"after"}, "list_owners": {"page_size"}, "create_property": {"more"}}


def named(cls: type[EndpointOperator]) -> str:
    return cls.__name__


def build(cls: type[EndpointOperator], **given: Any) -> EndpointOperator:
    required = {n: "{{ 1 }}" for n, p in cls.arguments.items() if p.default is p.empty}
    return cls(task_id="t", **{**required, **given})


@pytest.mark.parametrize("cls", OPERATORS, ids=named)
def test_parameters_are_those_of_the_hook_method(cls: type[EndpointOperator]) -> None:
    method = inspect.signature(getattr(resolve_name(cls.hook), cls.method)).parameters
    own = {n: p for n, p in cls.arguments.items() if n != cls.conn_parameter and n not in cls.hands_over}
    if "settings" in method and method["settings"].kind is inspect.Parameter.VAR_KEYWORD:
        assert own.keys() == {"settings"}
        return
    assert own.keys() == method.keys() - {"self"} - NOT_OFFERED.get(cls.method, set())
    for name, parameter in own.items():
        assert parameter.default == method[name].default, name


@pytest.mark.parametrize("cls", OPERATORS, ids=named)
def test_every_template_field_is_an_attribute_and_renders(cls: type[EndpointOperator]) -> None:
    operator = build(cls, **dict.fromkeys(cls.arguments, "{{ said }}"))
    assert len(cls.template_fields) == len(cls.arguments)
    operator.render_template_fields({"said": "rendered"})
    for name in cls.template_fields:
        assert getattr(operator, name) == "rendered", name


@pytest.mark.parametrize("cls", OPERATORS, ids=named)
def test_docstring_says_all_a_user_needs(cls: type[EndpointOperator]) -> None:
    text = cls.__doc__ or ""
    for name in cls.arguments:
        assert f":param {name}: " in text
    for part in (":return", ":raises", "https://"):
        assert part in text


@pytest.mark.parametrize("cls", OPERATORS, ids=named)
def test_constructor_is_keyword_only_and_tells_what_is_missing(cls: type[EndpointOperator]) -> None:
    with pytest.raises(TypeError):
        cls("positional")  # type: ignore[call-arg]
    required = [n for n, p in cls.arguments.items() if p.default is p.empty]
    if required:
        with pytest.raises(TypeError, match=required[0]):
            cls(task_id="t", **dict.fromkeys(required[1:], "x"))


VERBS = (
    "add_", "archive_", "associate_", "batch_", "create_", "duplicate_", "gdpr_", "get_", "list_", "merge_", "pin_",
    "remove_", "search_", "send_", "update_",
)  # fmt: skip


# By which an extract is narrowed, and nothing else.
NARROWING = {"list_ids", "list_members"}


def test_every_hook_method_has_an_operator() -> None:
    served = {(cls.hook, cls.method) for cls in OPERATORS}
    for hook in {cls.hook for cls in OPERATORS}:
        for name, _ in inspect.getmembers(resolve_name(hook), inspect.isfunction):
            if name.startswith(VERBS) and name not in NARROWING and not hasattr(LeadsHook, name):
                assert (hook, name) in served


class Recorder:
    """Stands in for a hook's method and keeps what it was called with."""

    def __init__(self, returned: Any) -> None:
        self.returned, self.called = returned, {}

    def __call__(self, hook: Any, **arguments: Any) -> Any:
        self.called = arguments
        return self.returned


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AIRFLOW_CONN_HUBSPOT_DEFAULT", json.dumps({"conn_type": "hubspot", "password": "k"}))

    def make(method: str, returned: Any) -> Recorder:
        recorder = Recorder(returned)
        monkeypatch.setattr(HubSpotHook, method, lambda self, **arguments: recorder(self, **arguments))
        return recorder

    return make


def rows(count: int) -> Iterator[dict[str, Any]]:
    for i in range(count):
        yield {"id": str(i), "properties": {"email": f"p{i}@example.com"}, "archived": False}


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz"])
def test_a_list_goes_to_its_file_and_only_counts_to_xcom(stub: Any, tmp_path: Path, ending: str) -> None:
    stub("list_contacts", rows(12_345))
    uri = f"file://{tmp_path}/deep/contacts.{ending}"
    returned = HubSpotListContactsOperator(task_id="t", output=uri).execute({})
    assert returned == {"uri": uri, "rows": 12_345}
    if ending == "parquet":
        table = pq.read_table(tmp_path / "deep/contacts.parquet")
        assert table.num_rows == 12_345
        assert json.loads(table.column("properties")[7].as_py()) == {"email": "p7@example.com"}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [f"contacts.{ending}"]


def test_a_list_too_long_for_xcom_is_refused_with_the_way_out(stub: Any) -> None:
    stub("list_contacts", rows(XCOM_ROWS))
    assert len(HubSpotListContactsOperator(task_id="t").execute({})) == XCOM_ROWS
    stub("list_contacts", rows(XCOM_ROWS + 1))
    with pytest.raises(ValueError, match="Set output to a URI"):
        HubSpotListContactsOperator(task_id="t").execute({})


def test_an_unknown_kind_of_file_is_refused(stub: Any, tmp_path: Path) -> None:
    stub("list_contacts", rows(1))
    with pytest.raises(ValueError, match=r"\.parquet, \.jsonl or \.jsonl\.gz"):
        HubSpotListContactsOperator(task_id="t", output=f"file://{tmp_path}/x.csv").execute({})


def batch(failed: int, total: int = 10) -> BatchResult:
    return BatchResult(
        succeeded=[Succeeded(index=i, input={"id": "a@example.com"}, id=str(i)) for i in range(failed, total)],
        failed=[Failed(index=i, input={"id": "b@example.com"}, category="VALIDATION_ERROR") for i in range(failed)],
    )


@pytest.mark.parametrize(
    ("failed", "options", "fails"),
    [
        (0, {}, False),
        (1, {}, True),
        (1, {"max_failed": 1}, False),
        (2, {"max_failed": "1"}, True),
        (3, {"max_failed": 0.3}, False),
        (4, {"max_failed": "0.3"}, True),
        (10, {"on_failure": "report"}, False),
    ],
)
def test_a_batch_fails_the_task_after_all_is_written_down(
    stub: Any, tmp_path: Path, failed: int, options: dict[str, Any], fails: bool
) -> None:
    stub("batch_upsert_contacts", batch(failed))
    uri = f"file://{tmp_path}/results.jsonl"
    operator = HubSpotUpsertContactsOperator(task_id="t", inputs=[{"id": "x"}], output=uri, **options)
    if fails:
        with pytest.raises(LeadsWriteError, match=rf"{failed} of 10 failed: VALIDATION_ERROR \({failed}\)") as error:
            operator.execute({})
        assert "@" not in str(error.value)
    else:
        returned = operator.execute({})
        assert (returned["succeeded"], returned["failed"]) == (10 - failed, failed)
        assert "@" not in json.dumps(returned)
    written = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["index"] for row in written] == list(range(10))
    assert sum(not row["ok"] for row in written) == failed


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_a_metric_without_data_is_no_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ending: str) -> None:
    monkeypatch.setattr(PerspectiveHook, "get_kpi", lambda self, **arguments: {})
    uri = f"{tmp_path}/kpi.{ending}"
    kpi = {"funnel_id": "f", "subtype": "kpi_new_contacts", "start": "s", "end": "e", "empty_on_not_found": True}
    assert PerspectiveGetKpiOperator(task_id="t", output=uri, **kpi).execute({}) == {"uri": uri, "rows": 0}
    assert PerspectiveGetKpiOperator(task_id="t", **kpi).execute({}) == {}
    if ending == "parquet":
        assert pq.read_table(uri).shape == (0, 3)


@pytest.mark.parametrize("bad", [{"on_failure": "ignore"}, {"max_failed": "some"}, {"max_failed": -1}])
def test_a_bad_tolerance_names_the_argument(stub: Any, bad: dict[str, Any]) -> None:
    stub("batch_upsert_contacts", batch(1))
    with pytest.raises(ValueError, match=next(iter(bad))):
        HubSpotUpsertContactsOperator(task_id="t", inputs=[{"id": "x"}], **bad).execute({})


def test_rendered_templates_become_the_parameters_types(stub: Any) -> None:
    recorder = stub("list_contacts", iter([]))
    operator = HubSpotListContactsOperator(
        task_id="t", archived="True", page_size="50", properties="None", associations="", properties_with_history="a,b"
    )
    assert operator.execute({}) == []
    assert recorder.called == {"archived": True, "page_size": 50, "properties_with_history": "a,b"}


@pytest.mark.parametrize(("name", "value"), [("archived", "perhaps"), ("page_size", "many")])
def test_a_template_that_rendered_to_nonsense_names_the_argument(stub: Any, name: str, value: str) -> None:
    stub("list_contacts", iter([]))
    with pytest.raises(ValueError, match=name):
        HubSpotListContactsOperator(task_id="t", **{name: value}).execute({})


@pytest.mark.parametrize("empty", ["", "None", None])
def test_a_required_argument_that_rendered_to_nothing_is_refused(stub: Any, empty: Any) -> None:
    recorder = stub("get_contact", {})
    with pytest.raises(ValueError, match="contact_id"):
        HubSpotGetContactOperator(task_id="t", contact_id=empty).execute({})
    assert recorder.called == {}


def test_an_empty_text_clears_a_field() -> None:
    operator = PerspectiveUpdateContactValueOperator(task_id="t", funnel_id="f", contact_id="c", field="city", value="")
    assert operator.call_arguments()["value"] == ""


@pytest.mark.parametrize(
    "operator",
    [
        PerspectiveCreateContactOperator(task_id="p", funnel_id="f", email="lead@example.com"),
        HubSpotGdprDeleteContactOperator(task_id="h", email="lead@example.com"),
    ],
    ids=lambda operator: operator.task_id,
)
def test_a_leads_address_never_becomes_the_address_for_failure_mails(operator: EndpointOperator) -> None:
    # Airflow mails task failures to the attribute of this name.
    assert operator.email is None
    assert operator.call_arguments()["email"] == "lead@example.com"


def test_a_parameter_that_airflow_uses_otherwise_is_refused_when_declared() -> None:
    with pytest.raises(TypeError, match="retries"):

        class Clash(EndpointOperator):
            retries: int = 0


@pytest.mark.parametrize("cls", [c for c in OPERATORS if "id_property" in c.arguments], ids=named)
@pytest.mark.parametrize("rendered", [None, "", "None"])
def test_what_says_what_an_id_is_must_not_render_to_nothing(cls: type[EndpointOperator], rendered: Any) -> None:
    """Without it a customer's number would be the record id of somebody else."""
    operator = build(cls, id_property="{{ params.id_property }}")
    operator.id_property = rendered  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="id_property was asked for and renders to nothing"):
        operator.call_arguments()
    # Who leaves it out means record ids.
    plain = build(cls, id_property=None)
    plain._requested.check(plain)  # type: ignore[attr-defined]
