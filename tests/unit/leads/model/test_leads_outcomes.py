from __future__ import annotations

import msgspec
import pytest

from airflow_providers_leads.leads.model.outcomes import (
    BatchResult,
    Failed,
    PlanRow,
    Succeeded,
    WriteResult,
    merge_batches,
)


def succeeded(index: int, new: bool | None = None) -> Succeeded:
    row = {"email": f"person{index}@example.org"}
    return Succeeded(index=index, input=row, id=f"person{index}@example.org", record=row, new=new)


def failed(index: int, category: str | None = None, reason: str = "") -> Failed:
    return Failed(index=index, input={"email": f"person{index}@example.org"}, category=category, reason=reason)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (BatchResult(), True),
        (BatchResult(succeeded=[succeeded(0)]), True),
        (BatchResult(failed=[failed(0)]), False),
        (BatchResult(succeeded=[succeeded(0)], failed=[failed(1)]), False),
    ],
)
def test_a_batch_is_true_when_nothing_failed(result: BatchResult, expected: bool) -> None:
    assert bool(result) is expected


def test_summary_counts_by_category_then_reason_and_holds_no_record() -> None:
    result = BatchResult(
        succeeded=[succeeded(0, new=True), succeeded(1, new=False), succeeded(2, new=None), succeeded(3, new=True)],
        failed=[
            failed(4, category="CONFLICT", reason="exists already"),
            failed(5, category="CONFLICT", reason="exists as well"),
            failed(6, reason="no answer"),
            failed(7),
        ],
    )
    assert result.summary == {
        "succeeded": 4,
        "failed": 4,
        "created": 2,
        "reasons": {"CONFLICT": 2, "no answer": 1, "unknown": 1},
    }
    assert b"@" not in msgspec.json.encode(result.summary)


def test_summary_of_an_empty_batch() -> None:
    assert BatchResult().summary == {"succeeded": 0, "failed": 0, "created": 0, "reasons": {}}


def test_merged_batches_hold_every_input_once_and_in_input_order() -> None:
    parts = [
        BatchResult(succeeded=[succeeded(5), succeeded(3)], failed=[failed(4)]),
        BatchResult(),
        BatchResult(succeeded=[succeeded(1)], failed=[failed(2), failed(0)]),
    ]
    whole = merge_batches(parts)
    assert [row.index for row in whole.succeeded] == [1, 3, 5]
    assert [row.index for row in whole.failed] == [0, 2, 4]
    assert merge_batches([]) == BatchResult()


def test_rows_do_not_share_their_defaults() -> None:
    one, other = PlanRow(email_key="a", action="create"), PlanRow(email_key="b", action="create")
    one.values["phone"] = "1"
    one.before["phone"] = None
    assert other.values == other.before == {}
    result = WriteResult(email_key="a", outcome="created")
    result.fields.append("phone")
    assert WriteResult(email_key="b", outcome="created").fields == []
    BatchResult().failed.append(failed(0))
    assert BatchResult().failed == []
