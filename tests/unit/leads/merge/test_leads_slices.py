"""A merge in slices gives what a merge in one piece gives."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from leads_rows import JANUARY, JUNE, lead, merged, table

from airflow_providers_leads.leads.files.staging import open_parquet, write_rows
from airflow_providers_leads.leads.merge import slices
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.lineage import explain
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.schema import Lead

POLICIES = {
    "priority": MergePolicy(priority=("hubspot",)),
    "rules of every kind": MergePolicy(
        priority=("persistiq",),
        fields={"phone": "newest", "company": "longest", "title": "most_common"},
        groups={"place": ("postal_code", "city")},
        allow={"persistiq": ("first_name", "phone", "title")},
    ),
    "phones": MergePolicy(identity=IdentityRules(match_on=("email", "phone"), phone_region="DE")),
}


@pytest.mark.parametrize("rows_per_slice", [3, 60], ids=["slices on disk", "slices read from the leads"])
@pytest.mark.parametrize(
    "policy",
    [name if name == "rules of every kind" else pytest.param(name, marks=pytest.mark.slow) for name in POLICIES],
)
def test_slices_change_nothing_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_slice: int, policy: str
) -> None:
    rng = random.Random(5)
    # Some with a record of their own, some with many.
    rows = [
        lead(
            str(number),
            rng.choice([f"p{rng.randrange(60)}@example.org", f"only{number}@example.org", None, "n/a"]),
            source=rng.choice(["hubspot", "persistiq"]),
            phone=rng.choice([f"0228 {100 + rng.randrange(90)}0000", None]),
            company=rng.choice(["Ant", "Beetle", "Cicada & Co", None]),
            title=rng.choice(["CEO", "CTO", None]),
            postal_code=rng.choice(["53111", None]),
            city=rng.choice(["Bonn", "Köln", None]),
            updated_at=rng.choice([JANUARY, JUNE, None]),
            opted_out=rng.choice([True, False, None]),
            properties=rng.choice(
                ['{"a":1}', '{"b":2}', f'{{"email_aliases":["p{rng.randrange(60)}@example.org"]}}', None]
            ),
        )
        for number in range(300)
    ]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    whole, counts = merged(tmp_path / "whole", rows, policy=POLICIES[policy], lineage=True)
    monkeypatch.setattr(slices, "ROWS_PER_SLICE", rows_per_slice)
    sliced, counts_sliced = merged(tmp_path / "sliced", rows, policy=POLICIES[policy], lineage=True)
    assert counts_sliced == counts
    for name, found in whole.items():
        assert sorted(map(str, sliced[name])) == sorted(map(str, found)), name
    assert not list(tmp_path.glob("leads-spill-*"))


@pytest.mark.parametrize("uri", ["{folder}/", "memory://slices/"])
def test_the_results_of_slices_are_read_as_one_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setattr(slices, "ROWS_PER_SLICE", 10)
    target = uri.format(folder=tmp_path)
    rows = [lead(str(n), f"p{n % 50}@example.org", city="Köln") for n in range(100)]
    write_rows(f"{tmp_path}/in.parquet", Lead, rows)
    outputs = {name: f"{target}{name}.parquet" for name in OUTPUTS}
    assert merge_files([f"{tmp_path}/in.parquet"], outputs)["golden"] == 50
    assert sorted(row["email_key"] for row in table(outputs["golden"])) == sorted(
        f"p{n}@example.org" for n in range(50)
    )
    with open_parquet(outputs["golden"]) as file:
        assert len(file.parts) > 1
    assert explain(outputs["golden"], outputs["members"], "p7@example.org")[0].value == "Köln"


def test_slices_of_leads_that_are_all_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "ROWS_PER_SLICE", 2)
    found, counts = merged(tmp_path, [lead(str(number), None) for number in range(5)], lineage=True)
    assert counts == {"inputs": 5, "golden": 0, "members": 0, "conflicts": 0, "rejects": 5}
    assert found["golden"] == found["members"] == found["conflicts"] == []


def test_a_failed_slice_leaves_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(slices, "ROWS_PER_SLICE", 2)
    monkeypatch.setattr(slices, "publish", fail)
    with pytest.raises(OSError, match="disk full"):
        merged(tmp_path, [lead(str(number), f"p{number}@example.org") for number in range(5)])
    assert [path.name for path in tmp_path.iterdir()] == ["input0.parquet"]
