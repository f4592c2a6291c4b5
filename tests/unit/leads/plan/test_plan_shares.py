"""The plans of all partitions together are the plan of all golden records, though each reads its share alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import ibis
import msgspec
import pytest
from leads_rows import JANUARY, JUNE, lead, table
from msgspec.structs import replace as changed

from airflow_providers_leads.leads.files.provenance import identity_of, members_of, other_partitions, share_of
from airflow_providers_leads.leads.files.staging import count_rows, write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.merge.shares import MEMBERS
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, MERGED_IDS_PROPERTY, Lead
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan

NAMES = ("ann", "bob", "bea", "cleo", "zoë", "müller", "42", "a+b", "info")
POLICIES = {
    "address": MergePolicy(),
    "phone": MergePolicy(identity=IdentityRules(match_on=("email", "phone"), phone_region="DE")),
}
RULES = PlanRules(mode="update", writable=frozenset({"city", "phone", "first_name"}))


def merge(folder: Path, inputs: Sequence[Path], policy: MergePolicy, parts: int) -> list[Path]:
    """Merge, and return the files of golden records."""
    folder.mkdir()
    outputs: dict[str, Any] = {name: folder / f"{name}.parquet" for name in OUTPUTS}
    if parts == 1:
        merge_files(inputs, outputs, policy=policy)
        return [outputs["golden"]]
    golden = [folder / f"golden.{number:04}.parquet" for number in range(parts)]
    del outputs["golden"]
    merge_files(inputs, outputs, policy=policy, partitions={"golden": golden})
    return golden


def plan(golden: Path, existing: Path) -> list[PlanRow]:
    """Plan one partition, as a task does."""
    whole, identity = members_of(golden), identity_of(golden)
    assert whole is not None
    members = whole.path
    share = share_of(golden, existing)
    rows = iter_plan(
        golden, share, RULES,
        members_uri=members if share is existing else share_of(golden, members, MEMBERS),
        identity=identity, other_golden=other_partitions(golden),
    )  # fmt: skip
    return list(rows)


def world(number: int, chance: Random) -> tuple[list[Lead], list[Lead]]:
    """Return what two CRMs hold of some people who have nothing to do with those of other worlds."""
    addresses = [f"{name}@x{number}.example" for name in NAMES]
    phones = [f"+49 30 1234{number:04}", f"+49 30 7654{number:04}"]
    names_others: list[Callable[[], dict[str, Any] | None]] = [
        lambda: None,
        lambda: {ALIASES_PROPERTY: [chance.choice(addresses)]},
        lambda: {MERGED_IDS_PROPERTY: [f"{number}-{chance.randrange(6)}"]},
    ]

    def read(source: str) -> Iterator[Lead]:
        for record in range(chance.randrange(6)):
            properties = chance.choice(names_others)()
            found = lead(
                f"{number}-{record}", chance.choice([*addresses, *addresses, "no address", None]),
                source=source, first_name=chance.choice(["Ann", "Bob", None]), city=chance.choice(["Bonn", "Köln"]),
                phone=chance.choice([*phones, None, None]), opted_out=chance.choice([None, None, False, True]),
                updated_at=chance.choice([JANUARY, None]),
                properties=msgspec.json.encode(properties).decode() if properties else None,
            )  # fmt: skip
            # Some are read twice, and may have changed meanwhile.
            yield from chance.choice(
                [[found], [found], [found] * 2, [found, changed(found, updated_at=JUNE, city="Ulm")]]
            )

    return list(read("hubspot")), list(read("persistiq"))


@pytest.mark.parametrize("policy", ["address", pytest.param("phone", marks=pytest.mark.slow)])
def test_partitions_make_the_same_plan(tmp_path: Path, policy: str) -> None:
    chance = Random(policy)
    # Together, because a merge of few people takes as long as one of many.
    worlds = [world(number, chance) for number in range(300)]
    inputs = [tmp_path / "h.parquet", tmp_path / "p.parquet"]
    for path, found in zip(inputs, zip(*worlds, strict=True), strict=True):
        write_rows(path, Lead, chain.from_iterable(found))
    (golden,) = merge(tmp_path / "whole", inputs, POLICIES[policy], 1)
    several = merge(tmp_path / "parts", inputs, POLICIES[policy], 3)
    existing = inputs[0]
    whole = plan(golden, existing)
    together = [row for part in several for row in plan(part, existing)]
    assert len(whole) > 500
    assert {row.action for row in whole} == {"create", "update", "unchanged", "suppress"}
    assert sorted(together, key=lambda row: row.email_key) == whole


@pytest.fixture
def split(tmp_path: Path) -> tuple[Path, list[Path]]:
    existing = tmp_path / "h.parquet"
    write_rows(existing, Lead, [lead(str(n), f"person{n}@x.example", city="Köln") for n in range(400)])
    return existing, merge(tmp_path / "parts", [existing], MergePolicy(), 4)


def test_a_partition_reads_about_its_share(split: tuple[Path, list[Path]]) -> None:
    existing, golden = split
    members = members_of(golden[0])
    assert members is not None
    for whole, name in ((existing, None), (members.path, MEMBERS)):
        shares = [share_of(part, whole, name) for part in golden]
        assert whole not in shares
        assert sum(map(count_rows, shares)) == count_rows(whole) == 400
        assert max(map(count_rows, shares)) < 200


def test_an_extract_that_was_read_anew_is_read_as_a_whole(split: tuple[Path, list[Path]]) -> None:
    existing, golden = split
    write_rows(existing, Lead, [lead("1", "person1@x.example", city="Bonn")])
    assert share_of(golden[0], existing) is existing


def test_another_merge_in_the_same_place_has_shares_of_its_own(split: tuple[Path, list[Path]]) -> None:
    existing, golden = split
    write_rows(existing, Lead, [lead("1", "person1@x.example", city="Bonn")])
    outputs = {"members": golden[0].parent / "members.parquet"}
    merge_files([existing], outputs, partitions={"golden": golden[:2]})
    assert [len(table(share_of(part, existing))) for part in golden[:2]] in ([0, 1], [1, 0])
    # What is left of the larger merge fits neither.
    assert share_of(golden[3], existing) is existing


def test_moved_together_shares_are_found(split: tuple[Path, list[Path]], tmp_path: Path) -> None:
    existing, golden = split
    golden[0].parent.rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere" / golden[0].name
    assert share_of(moved, existing) != existing
    assert [path.parent.name for path in other_partitions(moved)] == ["elsewhere"] * 3


def test_links_of_a_memory_lead_a_record_to_its_person(tmp_path: Path) -> None:
    from airflow_providers_leads.leads.files.provenance import share_path
    from airflow_providers_leads.leads.merge.engine import connect, read_parquet
    from airflow_providers_leads.leads.merge.shares import Shares
    from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS

    existing = tmp_path / "h.parquet"
    people = [f"person{number}@x.example" for number in range(40)]
    write_rows(existing, Lead, [lead("moved", "new@elsewhere.example"), lead("1", people[0])])
    golden = [tmp_path / f"golden.{number:04}.parquet" for number in range(4)]
    members = {"email_key": people[0], "address": people[0], "source": "hubspot", "source_scope": "", "source_id": "1"}
    links = [
        {"source": "hubspot", "source_scope": "", "source_id": record, "golden_key": key}
        # Of a record that the merge has placed a memory knows nothing better.
        for record, keys in (("moved", people), ("1", people))
        for key in keys
    ]
    with connect() as connection:
        shares = Shares(connection, golden, {})
        read = read_parquet(connection, existing, LEAD_COLUMNS)
        shares.sort_members(ibis.memtable([members]), [read])
        shares.write_leads([(existing, read)], ibis.memtable(links))
    ids = [sorted(row["source_id"] for row in table(share_path(part, existing))) for part in golden]
    assert sorted(ids) == [["1", "moved"], ["moved"], ["moved"], ["moved"]]
