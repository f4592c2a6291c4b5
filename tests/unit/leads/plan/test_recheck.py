from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.plan.planning import Held
from airflow_providers_leads.leads.plan.recheck import iter_recheck, recheck_row

ANN = "ann@example.com"
ANEW = "stale: planned anew"
CHANGED = "stale: the record was changed"


def lead(source_id: str = "1", **values: Any) -> Lead:
    told = {"source": "hubspot", "source_scope": "h", "source_id": source_id, "email": ANN, "email_key": ANN}
    return Lead(**{**told, **values})


def create(**values: str) -> PlanRow:
    return PlanRow(email_key=ANN, action="create", values=values, requests=0.01)


def update(before: str | None = "Ulm", **values: str) -> PlanRow:
    return PlanRow(
        email_key=ANN, action="update", target_id="1", values=values or {"city": "Bonn"}, before={"city": before}
    )


# plan row, what is held now, mode, refuse → action, values, reason
CASES: dict[str, tuple[PlanRow, Lead | None, str, bool, str, dict[str, str], str | None]] = {
    "still new": (create(city="Bonn"), None, "update", False, "create", {"city": "Bonn"}, None),
    "new, but there by now": (
        create(city="Bonn", phone="1"), lead(city="Bonn"), "update", False, "update", {"phone": "1"}, ANEW,
    ),
    "there by now and the same": (
        create(city="Bonn"), lead(city="Bonn"), "update", False, "unchanged", {}, ANEW,
    ),
    "there by now, only to be created": (
        create(city="Bonn"), lead(), "create_only", False, "unchanged", {}, ANEW,
    ),
    "there by now with a value, fill": (
        create(city="Bonn", phone="1"), lead(city="Ulm"), "fill", False, "update", {"phone": "1"}, ANEW,
    ),
    "there by now with another value, refused": (
        create(city="Bonn"), lead(city="Ulm"), "update", True, "suppress", {}, CHANGED,
    ),
    "there by now and opted out": (
        create(city="Bonn"), lead(opted_out=True), "update", False, "suppress", {}, "opted_out",
    ),
    "there by now and bounced": (create(city="Bonn"), lead(bounced=True), "update", True, "suppress", {}, "bounced"),
    "update as planned": (update(), lead(city="Ulm"), "update", True, "update", {"city": "Bonn"}, None),
    "update done already": (update(), lead(city="Bonn"), "update", True, "unchanged", {}, None),
    "update of what somebody changed": (
        update(), lead(city="Köln"), "update", False, "update", {"city": "Bonn"}, ANEW,
    ),
    "the same, refused": (
        update(), lead(city="Köln"), "update", True, "suppress", {}, CHANGED,
    ),
    "fill of what somebody filled": (
        update(before=None), lead(city="Köln"), "fill", False, "unchanged", {}, ANEW,
    ),
    "update of who opted out": (
        update(), lead(city="Ulm", opted_out=True), "update", False, "suppress", {}, "opted_out",
    ),
    "update of who is gone": (update(), None, "update", False, "suppress", {}, "stale: the record is gone"),
    "an opt-out to be told": (
        update(None, opted_out="true"), lead(), "update", False, "update", {"opted_out": "true"}, None,
    ),
    "an opt-out told already": (
        update(None, opted_out="true"), lead(opted_out=True), "update", False, "unchanged", {}, None,
    ),
    "what was never to be written": (
        PlanRow(email_key=ANN, action="suppress", reason="bounced"), lead(), "update", False, "suppress", {}, "bounced",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_row_means_what_it_says_by_now(case: Any) -> None:
    row, record, mode, refuse, action, values, reason = case
    held = Held(record, 1) if record else Held()
    fresh = recheck_row(row, held, mode=mode, refuse=refuse)
    assert (fresh.action, fresh.values, fresh.reason) == (action, values, reason)
    if record and action == "update":
        assert fresh.target_id == "1"
        assert fresh.before.keys() == fresh.values.keys()


def test_what_was_only_looked_up_may_be_there_under_another_address() -> None:
    row = update()
    assert recheck_row(row, Held(), mode="update", whole=False) == row


def test_an_address_that_became_a_secondary_one_is_not_created() -> None:
    fresh = recheck_row(create(city="Bonn"), Held(), mode="update", alias_of="7")
    assert (fresh.action, fresh.reason, fresh.target_id) == ("unchanged", "secondary_address", "7")


def test_custom_properties_are_held_against_their_own_values() -> None:
    row = PlanRow(email_key=ANN, action="create", properties={"utm": "x", "plan": "pro"})
    fresh = recheck_row(row, Held(lead(properties='{"utm":"x","plan":"free"}'), 1), mode="update")
    assert (fresh.properties, fresh.properties_before) == ({"plan": "pro"}, {"plan": "free"})


def test_a_file_is_rechecked_in_its_order_by_id_and_by_address(tmp_path: Path) -> None:
    plan = [
        PlanRow(email_key="a@example.com", action="create", values={"city": "Bonn"}),
        PlanRow(
            email_key="b@example.com", action="update", target_id="2", values={"city": "Bonn"}, before={"city": None}
        ),
        PlanRow(email_key="c@example.com", action="create", values={"city": "Bonn"}),
        PlanRow(email_key="d@example.com", action="unchanged", target_id="4"),
        PlanRow(email_key="e@example.com", action="create", values={"city": "Bonn"}),
        PlanRow(
            email_key="f@example.com", action="update", target_id="9", values={"city": "Bonn"}, before={"city": None}
        ),
    ]
    now = [
        # Two of one address: that one of them has opted out counts.
        lead("1", email_key="a@example.com", city="Bonn"),
        lead("11", email_key="a@example.com", opted_out=True),
        # Found by its id, whatever address it has by now.
        lead("2", email_key="other@example.com", city="Bonn"),
        lead("3", email_key="x@example.com", properties=f'{{"{ALIASES_PROPERTY}":["c@example.com"]}}'),
    ]
    write_rows(tmp_path / "plan.parquet", PlanRow, plan)
    write_rows(tmp_path / "now.parquet", Lead, now)
    fresh = list(
        iter_recheck(
            str(tmp_path / "plan.parquet"), str(tmp_path / "now.parquet"),
            mode="update", scope=None, refuse=False, whole=True,
        )
    )  # fmt: skip
    assert [(row.email_key[0], row.action) for row in fresh] == [
        ("a", "suppress"), ("b", "unchanged"), ("c", "unchanged"),
        ("d", "unchanged"), ("e", "create"), ("f", "suppress"),
    ]  # fmt: skip


@pytest.mark.parametrize("named", [ANN, "ann@home.example"], ids=["by the address", "by a further one"])
def test_whom_a_record_names_in_an_odd_form_by_now_is_not_made_beside_it(tmp_path: Path, named: str) -> None:
    row = create(city="Bonn")
    row.addresses = ["ann@home.example"]
    write_rows(tmp_path / "plan.parquet", PlanRow, [row])
    write_rows(tmp_path / "now.parquet", Lead, [lead("7", email=f"lee@example.com, {named}", email_key=None)])
    (fresh,) = iter_recheck(
        str(tmp_path / "plan.parquet"), str(tmp_path / "now.parquet"),
        mode="update", scope=None, refuse=False, whole=True,
    )  # fmt: skip
    assert (fresh.action, fresh.reason, fresh.target_id, fresh.values) == ("suppress", "odd_address", "7", {})
