"""What the name of a status says of mail to the person."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from airflow_providers_leads.hooks.hubspot.leads import to_lead as of_hubspot
from airflow_providers_leads.hooks.persistiq.fields import to_lead as of_persistiq
from airflow_providers_leads.hooks.perspective.fields import to_lead as of_perspective
from airflow_providers_leads.leads.model.schema import text
from airflow_providers_leads.leads.model.statuses import SAYS_BOUNCED, SAYS_OPTED_OUT, bounced, opted_out

OUT = (
    "unsubscribed", "Unsubscribe", "Opted Out", "optedout", "OPT_OUT", "opt-out (2024)", "Do Not Contact",
    "DO_NOT_EMAIL", "donotmail", "DNC", "abgemeldet", "Nicht kontaktieren", "keine Werbung",
    "dado de baja", "Désabonnée", "afgemeld",
)  # fmt: skip
BOUNCED = ("bounced", "Bounce", "Hard bounced", "HARD_BOUNCE")
NEITHER = (
    None, "", "active", "Not interested", "do not contactless", "blocked", "withdrawn", "ATTEMPTED_TO_CONTACT",
    "bounced check", "subscribed", "opted in", "Bad timing",
)  # fmt: skip


@pytest.mark.parametrize("status", [*OUT, *BOUNCED, *NEITHER])
def test_a_status_says_it_in_every_crm(status: str | None) -> None:
    out, back = (True if status in OUT else None), (True if status in BOUNCED else None)
    leads = [
        # As the reference's samples have one: without its flags.
        of_persistiq({"id": "l_1", "status": status, "data": {"email": "ann@x.de"}}, "conn"),
        of_perspective({"id": "c", "status": status, "email": "ann@x.de"}, "f"),
        of_hubspot({"id": "1", "properties": {"email": "ann@x.de", "hs_lead_status": status}}, "conn", ()),
    ]
    assert [(lead.opted_out, lead.bounced) for lead in leads] == [(out, back)] * 3
    column = pa.array([status], pa.string())
    said = [pc.match_substring_regex(column, one).fill_null(False)[0].as_py() for one in (SAYS_OPTED_OUT, SAYS_BOUNCED)]
    assert said == [bool(out), bool(back)]


@pytest.mark.parametrize("flag", [True, False, None])
def test_a_flag_counts_where_the_status_says_nothing(flag: bool | None) -> None:
    assert opted_out(flag, "active") is bounced(flag, None) is flag
    assert opted_out(flag, "unsubscribed") is bounced(flag, "bounced") is True


@pytest.mark.parametrize(
    ("value", "means"),
    [(True, True), ("true", True), (1, True), ("2026-01-01T00:00:00Z", True), (2, True), ({"at": 1}, True),
     (False, False), ("false", False), ("no", False), (0, False), (None, None), ("", None), ({}, None), ([], None)],
)  # fmt: skip
def test_any_mark_but_a_no_counts(value: Any, means: bool | None) -> None:
    lead = of_persistiq({"id": "l_1", "optedout": value, "bounced": value, "data": {"email": "ann@x.de"}}, "conn")
    assert (lead.opted_out, lead.bounced) == (means, means)


@pytest.mark.parametrize(
    ("value", "written"),
    [(["a", "b", None], "a;b"), ([], None), ({"x": 1}, '{"x":1}'), ({}, None), (True, "true"), (4917.0, "4917"),
     (1.5, "1.5"), (0, "0"), (" a ", "a")],
)  # fmt: skip
def test_what_is_no_text_is_written_as_crms_write_it(value: Any, written: str | None) -> None:
    assert text(value) == written
    assert of_persistiq({"id": "l_1", "data": {"email": "ann@x.de", "city": value}}, "conn").city == written
