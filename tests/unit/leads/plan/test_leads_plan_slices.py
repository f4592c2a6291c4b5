"""A plan that is made range by range of addresses is the plan that is made in one go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead, merged

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.plan import slices as slicing
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan
from airflow_providers_leads.leads.plan.suppression import Suppressions

ADDRESSES = [f"{name}@x.example" for name in ("ann", "bob", "bea", "cleo", "zoë", "müller", "42", "_", "a+b")]


def planned(golden: Path, existing: Path, rows: int, monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[PlanRow]:
    rules = more.pop("rules", None) or PlanRules(mode="update", writable=frozenset({"city", "phone"}))
    with monkeypatch.context() as patch:
        patch.setattr(slicing, "_SLICE_ROWS", rows)
        return list(iter_plan(str(golden), str(existing), rules, **more))


@settings(max_examples=8, deadline=None)
@given(
    st.sets(st.sampled_from(ADDRESSES)),
    st.lists(st.tuples(st.sampled_from([*ADDRESSES, None]), st.sampled_from(["Bonn", "Köln", None]), st.booleans())),
    st.integers(2, 5),
)
def test_slices_make_the_same_plan(
    tmp_path_factory: pytest.TempPathFactory,
    people: set[str],
    held: list[tuple[str | None, str | None, bool]],
    rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("slices")
    golden, existing = folder / "golden.parquet", folder / "existing.parquet"
    write_rows(str(golden), Lead, [lead(f"g{a}", a, source="golden", city="Köln", phone="1") for a in sorted(people)])
    alias = msgspec.json.encode({ALIASES_PROPERTY: ["cleo@x.example"]}).decode()
    write_rows(
        str(existing), Lead,
        [
            lead(str(n), address, city=city, opted_out=objects, updated_at=JUNE if n % 2 else JANUARY,
                 properties=alias if n % 5 == 4 else None)
            for n, (address, city, objects) in enumerate(held)
        ],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        whole = planned(golden, existing, 1_000, patch)
        assert planned(golden, existing, rows, patch) == whole
    assert len(whole) == len(people)


def test_a_record_that_belongs_to_a_person_of_another_slice_is_found_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_providers_leads.leads.merge.policy import MergePolicy
    from airflow_providers_leads.leads.model.identity import IdentityRules

    held = [
        lead("1", "zed@x.example", phone="+49 30 1234567", updated_at=JANUARY),
        lead("2", "mia@x.example", phone="+49 30 7654321", updated_at=JANUARY, opted_out=True),
    ]
    others = [
        lead("a", "amy@x.example", source="perspective", phone="+49301234567", city="Köln", updated_at=JUNE),
        lead("b", "ben@x.example", source="perspective", phone="+49307654321", city="Köln", updated_at=JUNE),
        lead("c", "cat@x.example", source="perspective", city="Köln", updated_at=JUNE),
    ]
    policy = MergePolicy(identity=IdentityRules(match_on=("email", "phone"), phone_region="DE"))
    merged(tmp_path, held, others, policy=policy)
    existing = tmp_path / "existing.parquet"
    write_rows(str(existing), Lead, held)
    suppressions = Suppressions()
    assert suppressions.add_domain("elsewhere.example", "do_not_contact_domain")
    rules = PlanRules(mode="update", writable=frozenset({"city"}), suppressions=suppressions)
    more = {"members_uri": str(tmp_path / "members.parquet"), "rules": rules}
    whole = planned(tmp_path / "golden.parquet", existing, 1_000, monkeypatch, **more)
    assert planned(tmp_path / "golden.parquet", existing, 1, monkeypatch, **more) == whole
    assert sorted((row.action, row.target_id) for row in whole) == [
        ("create", None), ("suppress", "2"), ("update", "1"),
    ]  # fmt: skip


def test_the_slices_of_many_people_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_providers_leads.leads.merge.engine import connect, read_parquet

    golden = tmp_path / "golden.parquet"
    write_rows(str(golden), Lead, [lead(str(n), f"p{n:03}@x.example") for n in range(200)])
    monkeypatch.setattr(slicing, "_SLICE_ROWS", 3)
    with connect() as connection:
        slices = slicing._slices(connection, read_parquet(connection, str(golden), ("email_key",)))
    assert len(slices) <= slicing._MOST_SLICES
    assert [low for low, _ in slices[1:]] == [high for _, high in slices[:-1]]
    assert (slices[0][0], slices[-1][1]) == (None, None)


def test_a_slice_may_begin_at_any_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden, existing = tmp_path / "golden.parquet", tmp_path / "existing.parquet"
    addresses = ["a'b@x.example", "a''b@x.example", "o'hara@x.example", "a?b@x.example", "müller@x.example"]
    people = [lead(str(n), email, city="Köln") for n, email in enumerate(addresses)]
    write_rows(str(golden), Lead, people)
    write_rows(str(existing), Lead, people[:3])
    rules = PlanRules(mode="update", writable=frozenset({"city"}))
    rows = planned(golden, existing, 1, monkeypatch, rules=rules)
    assert {row.email_key: row.action for row in rows} == {
        email: "unchanged" if n < 3 else "create" for n, email in enumerate(addresses)
    }


def test_of_the_members_a_plan_keeps_those_of_the_destination(tmp_path: Path) -> None:
    from airflow_providers_leads.leads.merge.engine import connect, read_parquet
    from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS
    from airflow_providers_leads.leads.plan import planning, query

    held, others = [lead("1", "a@x.example")], [lead("2", "a@x.example", source="perspective")]
    merged(tmp_path, held, others)
    existing = tmp_path / "existing.parquet"
    write_rows(str(existing), Lead, held)
    with connect() as connection:
        golden, records = (
            read_parquet(connection, str(path), LEAD_COLUMNS) for path in (tmp_path / "golden.parquet", existing)
        )
        members = read_parquet(connection, str(tmp_path / "members.parquet"), planning._MEMBER_COLUMNS)
        rules = PlanRules(mode="update", writable=frozenset({"city"}))
        query.people_beside(connection, golden, records, members, None, None, rules)
        kept = connection.con.sql(f"SELECT source, source_id FROM {query._BELONGS}").fetchall()
    assert kept == [("hubspot", "1")]


def test_a_plan_does_not_load_pandas(tmp_path: Path) -> None:
    golden = tmp_path / "golden.parquet"
    write_rows(str(golden), Lead, [lead("1"), lead("2", "mia@x.example")])
    program = (
        "import sys; from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan\n"
        "from airflow_providers_leads.leads.plan import slices; slices._SLICE_ROWS = 1\n"
        f"rows = list(iter_plan({str(golden)!r}, {str(golden)!r}, PlanRules(mode='update', writable=frozenset())))\n"
        "from airflow_providers_leads.leads.plan.lookup import addresses_to_look_up, unfound\n"
        f"addresses_to_look_up({str(golden)!r})\n"
        f"unfound({str(golden)!r}, {str(golden)!r}, {str(golden)!r}, 'hubspot', '')\n"
        "assert len(rows) == 2 and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
