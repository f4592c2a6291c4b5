from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from leads_rows import JANUARY, JUNE, lead, merged, table
from upath import UPath

from airflow_providers_leads.leads.files.staging import StagingError, read_rows, write_rows
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import RULES, MergePolicy
from airflow_providers_leads.leads.model.identity import reject_reason
from airflow_providers_leads.leads.model.schema import LEAD_COLUMNS, PROFILE_FIELDS, SCHEMA_VERSION, STICKY_FIELDS, Lead

POLICIES = {
    "default": MergePolicy(),
    "ranked": MergePolicy(
        priority=("hubspot", "perspective"),
        fields={"title": "newest", "company": "longest", "city": "priority"},
        allow={"persistiq": ("phone", "status")},
    ),
}

Case = tuple[str, str, list[dict[str, Any]], dict[str, Any]]

# One person per case, so that each policy needs one merge. A record's id is its place in the list.
CASES: list[Case] = [
    ("newest-wins", "default",
     [{"city": "Bonn", "updated_at": JANUARY}, {"city": "Köln", "updated_at": JUNE}], {"city": "Köln"}),
    ("absent-never-wins", "default",
     [{"city": "Bonn", "updated_at": JANUARY}, {"city": None, "updated_at": JUNE}], {"city": "Bonn"}),
    ("unknown-time-is-last", "default", [{"city": "Bonn"}, {"city": "Köln", "updated_at": JANUARY}], {"city": "Köln"}),
    ("all-times-unknown-source-decides", "default",
     [{"city": "Bonn", "source": "persistiq"}, {"city": "Köln", "source": "hubspot"}], {"city": "Köln"}),
    ("same-time-source-decides", "default",
     [{"city": "Bonn", "source": "persistiq", "updated_at": JUNE},
      {"city": "Köln", "source": "hubspot", "updated_at": JUNE}], {"city": "Köln"}),
    ("same-source-scope-decides", "default",
     [{"city": "Bonn", "source_scope": "b"}, {"city": "Köln", "source_scope": "a"}], {"city": "Köln"}),
    ("same-scope-id-decides", "default", [{"city": "Bonn"}, {"city": "Köln"}], {"city": "Bonn"}),
    ("each-field-on-its-own", "default",
     [{"city": "Bonn", "phone": "1", "updated_at": JANUARY}, {"city": "Köln", "updated_at": JUNE}],
     {"city": "Köln", "phone": "1"}),
    ("nobody-knows", "default", [{}, {}], dict.fromkeys([*PROFILE_FIELDS, *STICKY_FIELDS, "created_at", "properties"])),
    ("opted-out-in-an-old-record", "default",
     [{"opted_out": True, "updated_at": JANUARY}, {"opted_out": False, "updated_at": JUNE}], {"opted_out": True}),
    ("bounced-in-a-record-without-time", "default",
     [{"bounced": True}, {"bounced": None, "updated_at": JUNE}], {"bounced": True, "opted_out": None}),
    ("nobody-opted-out", "default", [{"opted_out": False}, {}], {"opted_out": False}),
    ("times-span-the-records", "default",
     [{"created_at": JUNE, "updated_at": JUNE}, {"created_at": JANUARY}, {}],
     {"created_at": JANUARY, "updated_at": JUNE, "member_count": 3}),
    ("properties-of-the-first-that-has-some", "default",
     [{"properties": '{"a":1}', "updated_at": JANUARY}, {"properties": '{"a":2}'}, {"updated_at": JUNE}],
     {"properties": '{"a":1}'}),
    ("properties-key-by-key", "default",
     [{"properties": '{"a":1,"b":1}', "updated_at": JANUARY}, {"properties": '{"b":2,"c":2}', "updated_at": JUNE}],
     {"properties": '{"a":1,"b":2,"c":2}'}),
    ("address-as-the-best-record-has-it", "default",
     [{"email": "WRITTEN@example.org", "updated_at": JUNE}, {"email": "written@example.org"}],
     {"email": "WRITTEN@example.org"}),
    ("alone", "default", [{"city": "Bonn"}],
     {"source": "golden", "source_scope": "", "source_id": "alone@example.org", "member_count": 1}),
    ("priority-beats-time", "ranked",
     [{"phone": "1", "source": "hubspot", "updated_at": JANUARY},
      {"phone": "2", "source": "perspective", "updated_at": JUNE}], {"phone": "1"}),
    ("listed-beats-unlisted", "ranked",
     [{"phone": "1", "source": "crm", "updated_at": JUNE}, {"phone": "2", "source": "perspective"}], {"phone": "2"}),
    ("unlisted-are-on-a-par", "ranked",
     [{"phone": "1", "source": "crm", "updated_at": JANUARY},
      {"phone": "2", "source": "persistiq", "updated_at": JUNE}], {"phone": "2"}),
    ("preferred-source-has-nothing", "ranked",
     [{"source": "hubspot", "updated_at": JUNE}, {"phone": "2", "source": "crm"}], {"phone": "2"}),
    ("newest-field-ignores-priority", "ranked",
     [{"title": "CEO", "source": "hubspot", "updated_at": JANUARY},
      {"title": "CTO", "source": "crm", "updated_at": JUNE}], {"title": "CTO"}),
    ("newest-field-same-time", "ranked",
     [{"title": "CEO", "source": "crm", "updated_at": JUNE}, {"title": "CTO", "source": "hubspot", "updated_at": JUNE}],
     {"title": "CTO"}),
    ("longest-field-ignores-priority", "ranked",
     [{"company": "Acme", "source": "hubspot", "updated_at": JUNE}, {"company": "Acme GmbH", "source": "crm"}],
     {"company": "Acme GmbH"}),
    ("longest-field-same-length", "ranked",
     [{"company": "Acme", "source": "crm", "updated_at": JUNE}, {"company": "Ajax", "source": "hubspot"}],
     {"company": "Ajax"}),
    # Eight letters in sixteen bytes are no longer than nine letters.
    ("longest-counts-letters", "ranked", [{"company": "ÄÄÄÄÄÄÄÄ"}, {"company": "Acme GmbH"}], {"company": "Acme GmbH"}),
    ("barred-source-sets-nothing", "ranked",
     [{"city": "Bonn", "phone": "1", "source": "persistiq"}], {"city": None, "phone": "1"}),
    ("barred-source-still-opts-out", "ranked",
     [{"city": "Bonn", "opted_out": True, "source": "persistiq"}, {"city": "Köln", "source": "crm"}],
     {"city": "Köln", "opted_out": True, "member_count": 2}),
]  # fmt: skip


def records(case: Case) -> list[Lead]:
    name, _, fields, _ = case
    address = f"{name}@example.org"
    return [lead(str(place), **{"email": address, "email_key": address, **row}) for place, row in enumerate(fields)]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The golden row of every case."""
    rows: dict[str, dict[str, Any]] = {}
    for name, policy in POLICIES.items():
        leads = [row for case in CASES if case[1] == name for row in records(case)]
        outputs, _ = merged(tmp_path_factory.mktemp(name), leads, policy=policy)
        rows |= {row["email_key"]: row for row in outputs["golden"]}
    return rows


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_golden_values(case: Case, golden: dict[str, dict[str, Any]]) -> None:
    name, _, _, expected = case
    row = golden[f"{name}@example.org"]
    assert {field: row[field] for field in expected} == expected


def test_conflicts_name_winner_rule_and_every_candidate(tmp_path: Path) -> None:
    policy = MergePolicy(priority=("hubspot",), fields={"phone": "longest"}, allow={"persistiq": ("phone",)})
    leads = [
        lead("1", city="Bonn", phone="12", country="DE", source_scope="eu", updated_at=JANUARY),
        lead("2", city="Köln", phone="123", country="DE", source="perspective", source_scope="funnel"),
        lead("3", city="Ulm", phone=None, state="BW", source="persistiq", updated_at=JUNE),
        lead("4", city="Bonn", source="perspective", source_scope="funnel", updated_at=JUNE),
        lead("5", "bob@example.org", city="Bonn"),
    ]
    outputs, counts = merged(tmp_path, leads, policy=policy)

    def candidate(row: Lead, field: str) -> dict[str, Any]:
        names = ("source", "source_scope", "source_id", "updated_at")
        return {**{name: getattr(row, name) for name in names}, "value": getattr(row, field)}

    # The country is the same wherever it is known, one source may not set the city, and Bob is one record only.
    assert sorted(outputs["conflicts"], key=lambda row: row["field"]) == [
        {
            "email_key": "ann@example.org",
            "field": "city",
            "winner": "Bonn",
            "winner_source": "hubspot",
            "winner_scope": "eu",
            "winner_id": "1",
            "rule": "priority",
            "candidates": [candidate(leads[0], "city"), candidate(leads[3], "city"), candidate(leads[1], "city")],
        },
        {
            "email_key": "ann@example.org",
            "field": "phone",
            "winner": "123",
            "winner_source": "perspective",
            "winner_scope": "funnel",
            "winner_id": "2",
            "rule": "longest",
            "candidates": [candidate(leads[1], "phone"), candidate(leads[0], "phone")],
        },
    ]
    assert counts["conflicts"] == 2


def test_rejects_hold_what_could_not_be_placed_and_why(tmp_path: Path) -> None:
    leads = [
        lead("1"),
        lead("2", None, phone="+49 1"),
        lead("3", "n/a", source="persistiq"),
        lead("4", " "),
        lead("4", " "),
    ]
    outputs, counts = merged(tmp_path, leads)
    assert sorted((row["source_id"], row["reason"], row["phone"]) for row in outputs["rejects"]) == [
        ("2", "no_email", "+49 1"),
        ("3", "invalid_email", None),
        ("4", "no_email", None),
        ("4", "no_email", None),
    ]
    assert all(row["reason"] == reject_reason(row["email"]) for row in outputs["rejects"])
    assert counts == {"inputs": 5, "golden": 1, "members": 1, "conflicts": 0, "rejects": 4}


def test_a_record_read_twice_is_two_members_of_one_person(tmp_path: Path) -> None:
    row = lead(city="Bonn", updated_at=JUNE)
    outputs, counts = merged(tmp_path, [row, row], [row])
    assert counts == {"inputs": 3, "golden": 1, "members": 3, "conflicts": 0, "rejects": 0}
    assert [member["rank"] for member in outputs["members"]] == [0, 1, 2]
    assert outputs["golden"][0]["member_count"] == 3


@pytest.mark.parametrize("files", [[], [[]]], ids=["no file", "a file without rows"])
def test_nothing_in_gives_valid_files_without_rows(tmp_path: Path, files: list[list[Lead]]) -> None:
    outputs, counts = merged(tmp_path, *files)
    assert outputs == {name: [] for name in OUTPUTS}
    assert counts == dict.fromkeys(("inputs", *OUTPUTS), 0)
    assert list(read_rows(str(tmp_path / "golden.parquet"), Lead)) == []


def test_files_elsewhere_are_merged_like_local_ones(tmp_path: Path) -> None:
    leads = [
        lead("1", city="Bonn", updated_at=JANUARY, opted_out=True),
        lead("2", city="Köln", updated_at=JUNE),
        lead("3", None),
    ]
    here, counts = merged(tmp_path, leads[:1], leads[1:])
    elsewhere, counts_elsewhere = merged("memory://merge", leads[:1], leads[1:])
    assert (elsewhere, counts_elsewhere) == (here, counts)
    for name in OUTPUTS:
        schemas = []
        for uri in (f"{tmp_path}/{name}.parquet", f"memory://merge/{name}.parquet"):
            with UPath(uri).open("rb") as file:
                schemas.append(pq.read_schema(file))
        told = [{**(schema.metadata or {}), b"leads.members": b""} for schema in schemas]
        assert schemas[0].equals(schemas[1])
        assert told[0] == told[1]
        assert schemas[0].metadata[b"leads.schema_version"] == SCHEMA_VERSION.encode()


def _missing(path: Path) -> None:
    path.unlink()


def _broken(path: Path) -> None:
    path.write_bytes(b"no Parquet")


def _narrow(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["email_key"]), path)


def _of_another_version(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata({"leads.schema_version": "0"}), path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_missing, "does not exist"),
        (_broken, "not a readable Parquet file"),
        (_narrow, "no column 'email_key'"),
        (_of_another_version, "schema version 0"),
    ],
)
def test_an_input_that_cannot_be_used_is_named_and_earlier_results_stay(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    for path in (good, bad):
        write_rows(str(path), Lead, [lead()])
    outputs = {name: tmp_path / "out" / f"{name}.parquet" for name in OUTPUTS}
    (tmp_path / "out").mkdir()
    for path in outputs.values():
        path.write_bytes(b"earlier")
    spoil(bad)
    with pytest.raises(StagingError, match=words) as caught:
        merge_files([str(good), str(bad)], outputs)
    assert str(bad) in str(caught.value)
    assert {path.read_bytes() for path in (tmp_path / "out").iterdir()} == {b"earlier"}


def test_an_engine_that_is_not_supported_is_refused_before_a_file_is_read() -> None:
    with pytest.raises(ValueError, match="engine"):
        merge_files(["/nowhere/leads.parquet"], {}, engine="postgres://localhost/leads")


def test_column_order_and_extra_columns_do_not_matter(tmp_path: Path) -> None:
    write_rows(str(tmp_path / "rows.parquet"), Lead, [lead(city="Bonn")])
    rows = pq.read_table(tmp_path / "rows.parquet")
    pq.write_table(
        rows.select(rows.schema.names[::-1]).append_column("score", pa.array([1])), tmp_path / "other.parquet"
    )
    outputs = {name: tmp_path / f"{name}.parquet" for name in OUTPUTS}
    merge_files([tmp_path / "rows.parquet", tmp_path / "other.parquet"], outputs, lineage=False)
    (row,) = table(str(outputs["golden"]))
    assert (row["city"], row["email"], row["member_count"]) == ("Bonn", "ann@example.org", 2)
    assert [name for name in row if name not in LEAD_COLUMNS] == ["member_count"]


def test_merging_golden_records_again_changes_nothing(tmp_path: Path) -> None:
    merged(tmp_path / "first", [row for case in CASES for row in records(case)])
    once = list(read_rows(str(tmp_path / "first" / "golden.parquet"), Lead))
    outputs, counts = merged(tmp_path / "second", once)
    again = list(read_rows(str(tmp_path / "second" / "golden.parquet"), Lead))
    assert sorted(again, key=lambda row: row.source_id) == sorted(once, key=lambda row: row.source_id)
    assert len(once) == len(CASES) == counts["members"]
    assert (outputs["conflicts"], outputs["rejects"]) == ([], [])


def plainly_merged(leads: list[Lead], policy: MergePolicy) -> dict[str, list[dict[str, Any]]]:
    """Merge as the documentation says it, row by row: what the relational expression must come to as well."""

    def place(row: Lead) -> int:
        return policy.priority.index(row.source) if row.source in policy.priority else len(policy.priority)

    def age(row: Lead) -> tuple[bool, float]:
        return row.updated_at is None, -row.updated_at.timestamp() if row.updated_at else 0.0

    def content(row: Lead) -> list[tuple[bool, str]]:
        names = ("source", "source_scope", "source_id", "email", *PROFILE_FIELDS, "properties")
        return [(getattr(row, name) is None, getattr(row, name) or "") for name in names]

    people: dict[str, list[Lead]] = defaultdict(list)
    for row in leads:
        if row.email_key is not None:
            people[row.email_key].append(row)

    def best_first(rows: list[Lead], field: str) -> list[Lead]:
        rows = sorted(rows, key=lambda row: (place(row), age(row), content(row)))
        if policy.by_field()[field].rule == "newest":
            return sorted(rows, key=lambda row: (age(row), place(row), content(row)))
        said = Counter(getattr(row, field) for row in people[rows[0].email_key or ""]) if rows else Counter()
        weight = {"longest": len, "most_common": lambda value: said[value]}.get(
            policy.by_field()[field].rule, lambda value: 0
        )
        return sorted(rows, key=lambda row: -weight(getattr(row, field)))

    def deciding(candidates: list[Lead], field: str) -> str:
        best = candidates[0]
        rival = next(row for row in candidates if getattr(row, field) != getattr(best, field))
        if policy.by_field()[field].rule != "priority" or place(best) != place(rival):
            return policy.by_field()[field].rule
        return "newest" if age(best) < age(rival) else "source"

    found: dict[str, list[dict[str, Any]]] = {name: [] for name in OUTPUTS}
    for key, rows in people.items():
        ranked = sorted(rows, key=lambda row: (place(row), age(row), content(row)))
        values = {}
        for field in PROFILE_FIELDS:
            present = [row for row in rows if getattr(row, field) is not None]
            candidates = best_first(
                [row for row in present if field in policy.allow.get(row.source, PROFILE_FIELDS)], field
            )
            values[field] = getattr(candidates[0], field) if candidates else None
            if len({getattr(row, field) for row in candidates}) > 1:
                found["conflicts"].append(
                    {"email_key": key, "field": field, "winner": values[field], "rule": deciding(candidates, field)}
                    | {
                        "winner_source": candidates[0].source,
                        "winner_scope": candidates[0].source_scope,
                        "winner_id": candidates[0].source_id,
                    }
                    | {
                        "candidates": [
                            {name: getattr(row, name) for name in ("source", "source_scope", "source_id", "updated_at")}
                            | {"value": getattr(row, field)}
                            for row in candidates
                        ]
                    }
                )
        sticky = {
            name: [getattr(row, name) for row in rows if getattr(row, name) is not None] for name in STICKY_FIELDS
        }
        found["golden"].append(
            {"source": "golden", "source_scope": "", "source_id": key, "email": ranked[0].email, "email_key": key}
            | values
            | {name: any(known) if known else None for name, known in sticky.items()}
            | {
                "created_at": min((row.created_at for row in rows if row.created_at), default=None),
                "updated_at": max((row.updated_at for row in rows if row.updated_at), default=None),
                "properties": next((row.properties for row in ranked if row.properties is not None), None),
                "member_count": len(rows),
            }
        )
        found["members"] += [
            {"email_key": key, "address": key, "rank": rank}
            | {name: getattr(row, name) for name in ("source", "source_scope", "source_id", "updated_at")}
            | {"duplicate": any((r.source, r.source_scope) == (row.source, row.source_scope) for r in ranked[:rank])}
            for rank, row in enumerate(ranked)
        ]
    found["rejects"] = [
        {name: getattr(row, name) for name in ("source", "source_scope", "source_id", "email", "phone")}
        | {"reason": reject_reason(row.email)}
        for row in leads
        if row.email_key is None
    ]
    return found


def in_order(outputs: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    keys = ("email_key", "field", "rank", "source", "source_scope", "source_id", "email", "phone")
    return {name: sorted(rows, key=lambda row: [str(row.get(key)) for key in keys]) for name, rows in outputs.items()}


few_words = st.sampled_from([None, "A", "a", "bb", "ÄÖ", "ccc"])
times = st.sampled_from([None, JANUARY, JANUARY + timedelta(microseconds=1), JUNE])
sources = st.sampled_from(["hubspot", "perspective", "persistiq"])
any_lead = st.builds(
    lead,
    st.sampled_from(["1", "2", "10"]),
    st.sampled_from(["ann@example.org", "ANN@example.org", "bob@example.org", "bob@example.org", None, "n/a"]),
    source=sources,
    source_scope=st.sampled_from(["", "b"]),
    **dict.fromkeys(("first_name", "phone", "company", "status"), few_words),
    **dict.fromkeys(("created_at", "updated_at"), times),
    **dict.fromkeys(("opted_out", "bounced"), st.sampled_from([None, None, False, True])),
    properties=st.sampled_from([None, '{"a":1}', '{"a":2}']),
)
any_policy = st.builds(
    MergePolicy,
    priority=st.lists(sources, unique=True).map(tuple),
    fields=st.dictionaries(st.sampled_from(["first_name", "phone", "company"]), st.sampled_from(RULES)),
    allow=st.dictionaries(
        sources, st.lists(st.sampled_from(["first_name", "phone"]), unique=True).map(tuple), max_size=1
    ),
)


# No shrinking: at two merges a try it would take minutes.
@settings(max_examples=3, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(st.lists(any_lead, min_size=12, max_size=30), any_policy, st.randoms(use_true_random=False))
def test_any_order_and_any_partition_into_files_give_what_the_rules_say(
    tmp_path_factory: pytest.TempPathFactory, leads: list[Lead], policy: MergePolicy, random: Any
) -> None:
    whole, counts = merged(tmp_path_factory.mktemp("whole"), leads, policy=policy)
    assert in_order(whole) == in_order(plainly_merged(leads, policy))

    files: list[list[Lead]] = [[] for _ in range(random.randint(1, 4))]
    for row in random.sample(leads, len(leads)):
        random.choice(files).append(row)
    parted, counts_parted = merged(tmp_path_factory.mktemp("parted"), *files, policy=policy)
    assert (in_order(parted), counts_parted) == (in_order(whole), counts)

    assert counts["members"] + counts["rejects"] == counts["inputs"] == len(leads)
    per_key = Counter(row.email_key for row in leads if row.email_key)
    assert {row["email_key"]: row["member_count"] for row in whole["golden"]} == per_key
    assert counts == {"inputs": len(leads)} | {name: len(rows) for name, rows in whole.items()}
