"""What each Perspective operator is given, and what must have become of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from datetime import datetime
from typing import Any

from operator_runs import World, case

from airflow_providers_leads.operators import perspective as op
from airflow_providers_leads.sandbox.perspective.metrics import CHARTS, KPIS, Span, within

Run = Generator[dict[str, Any], Any, None]
# A quarter of the seeded year, asked for from Berlin.
START, END, OFFSET = "2026-03-01T00:00:00+01:00", "2026-06-01T00:00:00+02:00", 60
WINDOW = {"start": START, "end": END, "offset": "Europe/Berlin"}


def span() -> Span:
    low, high = (round(datetime.fromisoformat(text).timestamp() * 1000) for text in (START, END))
    return Span(low, high, OFFSET)


def converted(at: World) -> list[dict[str, Any]]:
    """The funnel's contacts that converted within the window, by its contact list alone."""
    low, high = (datetime.fromisoformat(text) for text in (START, END))
    times = [(c, c["meta"].get("ps_converted_at")) for c in at.funnel.contacts.values()]
    return [c for c, time in times if time and low <= datetime.fromisoformat(time) <= high]


@case(op.PerspectiveListWorkspacesOperator)
def workspaces_are_listed(at: World) -> Run:
    rows = yield {}
    assert {row["id"]: row["name"] for row in rows} == at.perspective.workspaces
    assert {f["id"] for row in rows for f in row["campaigns"]} == set(at.perspective.funnels)


@case(op.PerspectiveListContactsOperator)
def contacts_are_listed(at: World) -> Run:
    rows = yield {"funnel_id": at.funnel.id, "sort_field": "email", "sort_order": "asc", "page_size": "5"}
    assert [row["id"] for row in rows] == [key[-1] for key in at.funnel.orders["email"]]
    assert [row.get("email") for row in rows] == [at.funnel.contacts[row["id"]].get("email") for row in rows]


@case(op.PerspectiveGetContactOperator)
def a_contact_is_read(at: World) -> Run:
    contact = converted(at)[0]
    assert (yield {"funnel_id": at.funnel.id, "contact_id": contact["id"]}) == contact
    assert contact["properties"]


@case(op.PerspectiveCreateContactOperator)
def a_contact_is_created_without_starting_automations(at: World) -> Run:
    email, fired = at.email(), len(at.perspective.automations_fired)
    given = {"email": email, "phone": "030 1", "first_name": "Ann", "last_name": "Lee", "status": "qualified"}
    more = {"website": "https://runs.example", "birthday": "1990-12-31", "address": {"city": "Ulm"}}
    made = yield {"funnel_id": at.funnel.id, **given, **more}
    held = at.funnel.contacts[made["id"]]
    assert made == held
    assert {k: held[k] for k in ("email", "firstName", "lastName", "status", "birthday", "address")} == {
        "email": email, "firstName": "Ann", "lastName": "Lee", "status": "qualified", "birthday": "1990-12-31",
        "address": {"city": "Ulm"},
    }  # fmt: skip
    assert len(at.perspective.automations_fired) == fired


@case(op.PerspectiveUpdateContactValueOperator)
def one_field_is_changed_and_starts_automations_on_request(at: World) -> Run:
    contact, fired = at.visitor(), len(at.perspective.automations_fired)
    place = {"funnel_id": at.funnel.id, "contact_id": contact["id"]}
    stored = yield {**place, "field": "first_name", "value": "Bea"}
    assert (stored["fieldName"], contact["firstName"]) == ("firstName", "Bea")
    assert len(at.perspective.automations_fired) == fired
    yield {**place, "field": "status", "value": "customer", "skip_automation_trigger": False}
    assert contact["status"] == "customer"
    assert at.perspective.automations_fired[-1]["contactId"] == contact["id"]
    yield {**place, "field": "score", "value": 7, "allow_custom": True}
    assert contact["properties"] == {"score": "7"}


@case(op.PerspectiveUpdateContactOperator)
def several_fields_are_changed(at: World) -> Run:
    contact = at.visitor()
    values = {"status": "lead", "last_name": "Lee", "zip": 10115, "city": "Berlin"}
    rows = yield {"funnel_id": at.funnel.id, "contact_id": contact["id"], "values": values}
    assert [row["input"]["field"] for row in rows] == ["lastName", "postalCode", "city", "status"]
    assert (contact["status"], contact["lastName"]) == ("lead", "Lee")
    assert contact["address"] == {"postalCode": "10115", "city": "Berlin"}


@case(op.PerspectiveGetKpiOperator)
def every_kpi_is_what_the_visits_make_it(at: World) -> Run:
    visits = within(at.perspective, at.funnel, span())
    for subtype, compute in KPIS.items():
        found = yield {"funnel_id": at.funnel.id, "subtype": subtype, **WINDOW}
        value = compute(visits)
        assert (found["value"], found.get("count")) == (value if isinstance(value, tuple) else (value, None)), subtype
        if subtype == "kpi_new_contacts":
            assert found["value"] == len(converted(at)) > 0


@case(op.PerspectiveGetChartOperator)
def every_chart_is_what_the_visits_make_it(at: World) -> Run:
    visits = within(at.perspective, at.funnel, span())
    for subtype, compute in CHARTS.items():
        points = yield {"funnel_id": at.funnel.id, "subtype": subtype, **WINDOW}
        assert points == compute(visits, span()), subtype
        if subtype == "chart_contacts_over_time":
            assert sum(point["value"] for point in points) == len(converted(at)) > 0
    of_variant = {"subtype": "chart_page_to_page_conversion_rate", "ab_test": "variant", **WINDOW}
    points = yield {"funnel_id": at.funnel.id, **of_variant}
    assert points[0]["value"] == sum(visit.variant == "variant" for visit in visits)


@case(op.PerspectiveGetInsightOperator)
def answers_are_counted(at: World) -> Run:
    found = yield {"funnel_id": at.funnel.id, "insight_id": "question_2", **WINDOW}
    given = [contact["properties"]["question_2"] for contact in converted(at)]
    assert found["groupedAnswers"] == Counter(given)
    assert found["answers"] == Counter(answer for text in given for answer in text.split("; "))
