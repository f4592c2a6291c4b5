"""What templates make of operators' arguments: what was asked for and isn't there is an error (row 27)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_providers_leads.operators.erase import LeadsEraseOperator
from airflow_providers_leads.operators.leads import (
    LeadsApplyOperator,
    LeadsDeduplicateOperator,
    LeadsPlanOperator,
    LeadsUpsertOperator,
)

OUT: dict[str, Any] = {"task_id": "t", "output": "memory://arguments"}
PLAN: dict[str, Any] = {**OUT, "conn_id": "hubspot_default", "golden": "memory://golden.parquet"}
ASKED = {
    "suppressions": (LeadsPlanOperator, PLAN), "members": (LeadsUpsertOperator, PLAN),
    "properties": (LeadsUpsertOperator, PLAN), "write_options": (LeadsPlanOperator, PLAN),
    "policy": (LeadsDeduplicateOperator, {**OUT, "inputs": []}),
}  # fmt: skip


@pytest.mark.parametrize("rendered", [None, "None", "", " ", [None], ["memory://a.csv", "None"]])
@pytest.mark.parametrize("name", ASKED)
def test_row_27_what_was_asked_for_and_renders_to_nothing(name: str, rendered: Any) -> None:
    kind, arguments = ASKED[name]
    operator = kind(**arguments, **{name: "{{ ti.xcom_pull('fetch') }}"})
    setattr(operator, name, rendered)
    with pytest.raises(ValueError, match=f"{name} was asked for and renders to nothing"):
        operator.run({})


def test_row_27_write_options_of_a_plan_to_apply() -> None:
    operator = LeadsApplyOperator(**OUT, conn_id="hubspot_default", plan="p", write_options="{{ params.options }}")
    operator.write_options = None
    with pytest.raises(ValueError, match="write_options was asked for"):
        operator.run({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("rendered", [None, "None", ""])
def test_row_27_nobody_to_erase_is_an_error(rendered: Any) -> None:
    operator = LeadsEraseOperator(**OUT, email_keys=rendered, conn_ids="hubspot_default")
    with pytest.raises(ValueError, match="email_keys must be a list"):
        operator.run({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("value", [None, [], {}])
def test_what_was_not_asked_for_is_no_error(value: Any) -> None:
    operator = LeadsPlanOperator(**PLAN, suppressions=value)
    operator._requested.check(operator)
