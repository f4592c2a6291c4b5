"""An argument that takes a list is never a text's letters (row 4)."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_providers_leads.hooks.arguments import items
from airflow_providers_leads.operators.hubspot import HubSpotArchiveContactsOperator

MEANT = [
    ("9353", ["9353"]),
    ("['9353', '9357']", ["9353", "9357"]),
    ('["9353", "9357"]', ["9353", "9357"]),
    ("9353, 9357", ["9353", "9357"]),
    (["9353", 9357], ["9353", 9357]),
]


@pytest.mark.parametrize(("given", "meant"), MEANT)
def test_row_4_an_operator_hands_the_ids_meant_to_the_hook(given: Any, meant: list[Any]) -> None:
    operator = HubSpotArchiveContactsOperator(task_id="archive", ids=given)
    assert operator.call_arguments()["ids"] == meant


@pytest.mark.parametrize(("given", "meant"), MEANT)
def test_row_4_a_text_is_one_entry_or_a_list_as_text(given: Any, meant: list[Any]) -> None:
    assert items("ids", given, split=True) == meant


@pytest.mark.parametrize("given", [{"9353": 1}, b"9353", True, None])
def test_row_4_what_is_no_list_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ValueError, match="ids must be a list"):
        items("ids", given, split=True)
