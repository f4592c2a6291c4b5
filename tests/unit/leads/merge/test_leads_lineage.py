"""Every golden value is the value of the record that lineage names, whatever the rule; conflicts say the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from leads_rows import JANUARY, JUNE, lead, merged

from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.merge.lineage import Origin, explain
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import IdentityRules
from airflow_providers_leads.leads.model.schema import PROFILE_FIELDS, Lead

PLACE = ("address", "postal_code", "city")
POLICIES = {
    "default": MergePolicy(),
    "rules": MergePolicy(
        priority=("persistiq",), fields={"phone": "newest", "company": "longest", "title": "most_common"}
    ),
    "allow": MergePolicy(allow={"hubspot": ("phone", "company"), "perspective": ()}),
    "group": MergePolicy(groups={"place": PLACE, "name": ("last_name", "first_name")}),
    "newest group": MergePolicy(
        priority=("persistiq",), groups={"place": PLACE}, fields=dict.fromkeys(PLACE, "newest"),
        allow={"perspective": ("phone",)},
    ),
    "phones": MergePolicy(
        priority=("hubspot",), groups={"place": PLACE}, fields={"company": "most_common"},
        identity=IdentityRules(match_on=("email", "phone"), plus_tags=True, max_emails_per_phone=2),
    ),
}  # fmt: skip


def some_leads(seed: int) -> list[Lead]:
    """Return records of a few people, each with an id of its own and many gaps."""
    rng = random.Random(seed)

    def word() -> str | None:
        return rng.choice((None, None, "A", "a", "Bb", "bb", "Ccc"))

    return [
        lead(
            str(number),
            rng.choice(("ann@x.de", "ann+a@x.de", "bob@x.de", "cy@x.de", "d@x.de", None)),
            source=rng.choice(("hubspot", "persistiq", "perspective")),
            updated_at=rng.choice((None, JANUARY, JUNE, JUNE + timedelta(microseconds=1))),
            **{name: word() for name in PROFILE_FIELDS} | {"phone": rng.choice((None, f"+4930231250{number % 20:02}"))},
        )
        for number in range(60)
    ]


def origins(outputs: dict[str, list[dict[str, Any]]], leads: Iterable[Lead]) -> dict[tuple[str, str], Lead | None]:
    """Return for each golden row and field the input record that lineage names."""
    rows = {(row.source, row.source_scope, row.source_id): row for row in leads}
    members = {
        (row["email_key"], row["rank"]): rows[row["source"], row["source_scope"], row["source_id"]]
        for row in outputs["members"]
    }
    return {
        (golden["email_key"], field): None if rank is None else members[golden["email_key"], rank]
        for golden in outputs["golden"]
        for field, rank in golden["lineage"].items()
    }


def deciding(candidates: list[dict[str, Any]], policy: MergePolicy) -> str:
    """Return what puts the first record before the first that says something else."""
    best = candidates[0]
    rival = next(one for one in candidates if one["value"] != best["value"])
    places = [policy.priority.index(r["source"]) if r["source"] in policy.priority else 99 for r in (best, rival)]
    if places[0] != places[1]:
        return "priority"
    times = [one["updated_at"] for one in (best, rival)]
    return "newest" if times[0] and (times[1] is None or times[0] > times[1]) else "source"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", POLICIES)
def test_every_golden_value_is_that_of_the_record_it_is_said_to_come_from(name: str, seed: int, tmp_path: Path) -> None:
    policy, leads = POLICIES[name], some_leads(seed)
    outputs, _ = merged(tmp_path, leads, policy=policy, lineage=True)
    found = origins(outputs, leads)
    golden = {row["email_key"]: row for row in outputs["golden"]}
    assert {field for _, field in found} == set(PROFILE_FIELDS)
    for (key, field), record in found.items():
        assert golden[key][field] == (None if record is None else getattr(record, field)), (key, field)
        assert record is None or field in policy.allow.get(record.source, PROFILE_FIELDS)
        # Nothing is absent that a record could have given, but within a group.
        if golden[key][field] is None and not policy.by_field()[field].group:
            said = [row for row in outputs["members"] if row["email_key"] == key]
            ids = {row["source_id"] for row in said}
            allowed = [row for row in leads if field in policy.allow.get(row.source, PROFILE_FIELDS)]
            assert {getattr(row, field) for row in allowed if row.source_id in ids} <= {None}
    for group in policy.groups.values():
        for key in golden:
            assert len({row.source_id for field in group if (row := found[key, field])}) <= 1

    assert outputs["conflicts"]
    for conflict in outputs["conflicts"]:
        key, field = conflict["email_key"], conflict["field"]
        assert conflict["winner"] == golden[key][field] == conflict["candidates"][0]["value"]
        record = found[key, field]
        if record is not None:
            winner = (conflict["winner_source"], conflict["winner_scope"], conflict["winner_id"])
            assert winner == (record.source, record.source_scope, record.source_id)
        own = (
            policy.by_field()[field].rule
            if policy.by_field()[field].rule != "priority"
            else deciding(conflict["candidates"], policy)
        )
        rule = "group" if policy.by_field()[field].group else own
        assert conflict["rule"] == rule
        assert len({candidate["value"] for candidate in conflict["candidates"]} - {None}) > 1


GROUP_CASES: dict[str, tuple[list[dict[str, Any]], tuple[str | None, ...]]] = {
    "all from the first that has the leading field": (
        [{"city": "Bonn", "updated_at": JUNE}, {"address": "A 1", "postal_code": "1", "updated_at": JANUARY}],
        ("A 1", "1", None),
    ),
    "without the leading field anywhere": (
        [{"city": "Bonn", "updated_at": JUNE}, {"postal_code": "1", "updated_at": JANUARY}], (None, None, "Bonn"),
    ),
    "a record without any of them is passed over": (
        [{"phone": "1", "updated_at": JUNE}, {"address": "A 1", "city": "Ulm"}], ("A 1", None, "Ulm"),
    ),
    "nobody has any": ([{"phone": "1"}, {}], (None, None, None)),
}  # fmt: skip


@pytest.mark.parametrize("rule", ["priority", "newest"])
def test_a_group_survives_from_one_record(rule: str, tmp_path: Path) -> None:
    # The priority decides nothing here, but gives "newest" an order of its own.
    policy = MergePolicy(priority=("other",), groups={"place": PLACE}, fields=dict.fromkeys(PLACE, rule))
    leads = [
        lead(str(place), f"p{number}@x.de", **row)
        for number, (rows, _) in enumerate(GROUP_CASES.values())
        for place, row in enumerate(rows)
    ]
    outputs, _ = merged(tmp_path, leads, policy=policy, lineage=True)
    golden = {row["email_key"]: tuple(row[field] for field in PLACE) for row in outputs["golden"]}
    assert golden == {f"p{number}@x.de": expected for number, (_, expected) in enumerate(GROUP_CASES.values())}


def test_a_conflict_within_a_group_names_the_absent_value_that_won(tmp_path: Path) -> None:
    policy = MergePolicy(groups={"place": PLACE})
    leads = [
        lead("1", address="A 1", updated_at=JUNE),
        lead("2", address="B 2", city="Ulm", updated_at=JANUARY),
        lead("3", city="Bonn", postal_code="1"),
        lead("4", postal_code="1"),
    ]
    outputs, _ = merged(tmp_path, leads, policy=policy)
    (golden,) = outputs["golden"]
    assert [golden[field] for field in PLACE] == ["A 1", None, None]
    found = {row["field"]: (row["winner"], row["winner_id"]) for row in outputs["conflicts"]}
    assert found == {"address": ("A 1", "1"), "city": (None, "1")}
    values = {row["field"]: [c["value"] for c in row["candidates"]] for row in outputs["conflicts"]}
    assert values == {"address": ["A 1", "B 2"], "city": [None, "Ulm", "Bonn"]}


@pytest.mark.parametrize(
    ("said", "winner"),
    [
        (["A", "B", "B"], "B"), (["A", "B"], "A"), (["A", "B", None, None], "A"), (["A", "B", "C", "C", "B"], "B"),
    ],
)  # fmt: skip
def test_the_most_common_value_wins_and_among_equals_the_usual_order(
    said: list[str | None], winner: str, tmp_path: Path
) -> None:
    leads = [lead(str(place), city=city) for place, city in enumerate(said)]
    outputs, _ = merged(tmp_path, leads, policy=MergePolicy(fields={"city": "most_common"}))
    assert outputs["golden"][0]["city"] == winner


@pytest.mark.parametrize(
    ("properties", "expected"), [("merge", {"a": 1, "b": [2], "c": 3, "d": "ü"}), ("winner", {"a": 1, "c": None})]
)
def test_custom_properties(properties: Any, expected: dict[str, Any], tmp_path: Path) -> None:
    leads = [
        lead("1", properties='{"a":1,"c":null}', updated_at=JUNE),
        lead("2", properties='{"a":2,"b":[2],"c":3}', updated_at=JANUARY),
        lead("3", properties='{"d":"ü"}'),
        lead("4", updated_at=JUNE, source="golf"),
    ]
    outputs, _ = merged(tmp_path, leads, policy=MergePolicy(properties=properties))
    assert msgspec.json.decode(outputs["golden"][0]["properties"]) == expected


@pytest.mark.parametrize("properties", ["merge", "winner"])
def test_all_addresses_of_a_person_survive_whichever_properties_do(properties: Any, tmp_path: Path) -> None:
    leads = [
        lead("1", properties='{"a":1}', updated_at=JUNE),
        lead("2", properties='{"a":2,"email_aliases":["ann2@y.de"]}', updated_at=JANUARY),
        lead("3", properties='{"a":3,"email_aliases":["ann3@y.de","ann2@y.de"]}'),
        lead("4", "bob@x.de", properties='{"a":"email_aliases"}', updated_at=JUNE),
        lead("5", "bob@x.de", properties='{"b":"\\"email_aliases\\""}'),
        lead("6", "cid@x.de"),
        lead("7", "cid@x.de", properties='{"email_aliases":["cid2@y.de"]}'),
    ]
    outputs, _ = merged(tmp_path, leads, policy=MergePolicy(properties=properties))
    told = {row["email_key"]: msgspec.json.decode(row["properties"]) for row in outputs["golden"]}
    assert told.pop("ann@example.org") == {"a": 1, "email_aliases": ["ann2@y.de", "ann3@y.de"]}
    assert told.pop("cid@x.de") == {"email_aliases": ["cid2@y.de"]}
    assert told == {"bob@x.de": {"a": "email_aliases"} | ({"b": '"email_aliases"'} if properties == "merge" else {})}


def test_explaining_a_golden_record(tmp_path: Path) -> None:
    leads = [
        lead("1", city="Bonn", phone="1", updated_at=JANUARY, source_scope="eu"),
        lead("2", city="Köln", source="persistiq"),
        lead("3", "bob@example.org", city="Ulm"),
    ]
    merged(tmp_path, leads, policy=MergePolicy(priority=("persistiq",)), lineage=True)
    files = (tmp_path / "golden.parquet", tmp_path / "members.parquet")
    assert explain(*files, "ann@example.org") == [
        Origin("phone", "1", "hubspot", "eu", "1", JANUARY),
        Origin("city", "Köln", "persistiq", "", "2", None),
    ]
    with pytest.raises(KeyError, match=r"nobody@example\.org"):
        explain(*files, "nobody@example.org")
    merged(tmp_path / "other", [leads[2]], lineage=True)
    with pytest.raises(StagingError, match="not of the same merge"):
        explain(files[0], tmp_path / "other" / "members.parquet", "ann@example.org")
    merged(tmp_path, leads, lineage=False)
    with pytest.raises(StagingError, match="no column 'lineage'"):
        explain(*files, "ann@example.org")
