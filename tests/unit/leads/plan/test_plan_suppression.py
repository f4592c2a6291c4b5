from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leads_rows import lead

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.model.identity import email_key
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, Lead
from airflow_providers_leads.leads.plan.planning import PlanRules, iter_plan
from airflow_providers_leads.leads.plan.suppression import (
    DO_NOT_CONTACT,
    LISTED,
    Suppressions,
    read_suppressions,
)

COVERED = ("ann@x.de", "müller@xn--bcher-kva.de", "anybody@blocked.org")
FREE = ("bob@x.de", "müller@x.de", "a@sub.blocked.org", "a@notblocked.org", "a@org")

FILES = {
    "lines.txt": "Ann@X.de\n\n  Müller@Bücher.de \n@blocked.org\n",
    "lines.TXT": "ann@x.de\r\nmüller@xn--bcher-kva.de\r\nBlocked.ORG\r\n",
    "marked.txt": "\ufeffann@x.de\nmüller@bücher.de\nblocked.org",
    "bare.csv": "ann@x.de\nmüller@bücher.de\nblocked.org\n",
    "marked.csv": "\ufeffann@x.de\nmüller@bücher.de\nblocked.org\n",
    "header.csv": "Id,EMAIL,Domain\n1,ann@x.de,\n2,müller@bücher.de,\n,,\n3,,blocked.org\n",
    "quoted.csv": '"name";"Email"\n"Lee; Ann";"Ann Lee <ann@x.de>"\n"M";"müller@bücher.de"\n"B";"@blocked.org"\n',
    "both.csv": "email\temail_key\nANN@x.de\tann@x.de\nMüller@Bücher.de\t\n\t@blocked.org\n",
    "texts.jsonl": '"ann@x.de"\n"müller@bücher.de"\n"blocked.org"\n',
    "objects.jsonl": '{"Email":"ann@x.de","n":1}\n{"email_key":"müller@bücher.de"}\n\n'
    '{"domain":"blocked.org","email":null}\n',
}


def suppressions(*entries: str) -> Suppressions:
    found = Suppressions()
    for entry in entries:
        assert found.add(entry)
    return found


def parquet(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def check(path: Path, entries: int = 3) -> None:
    found = Suppressions()
    assert read_suppressions(str(path), found) == entries
    assert {key: found.reason([key]) for key in COVERED} == dict.fromkeys(COVERED, LISTED)
    assert {key: found.reason([key]) for key in FREE} == dict.fromkeys(FREE)


@pytest.mark.parametrize("name", FILES)
def test_lists_in_every_form(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8", newline="")
    check(path, 4 if name == "both.csv" else 3)


def test_a_parquet_list(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "Email": ["ANN@x.de", None, None],
        "email_key": [None, "müller@xn--bcher-kva.de", None],
        "DOMAIN": [None, None, "blocked.org"],
        "age": [1, 2, 3],
    }
    check(parquet(tmp_path / "list.parquet", **columns))


@pytest.mark.parametrize("name", ["empty.txt", "empty.csv", "empty.jsonl", "header.csv"])
def test_an_empty_list_covers_nobody(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("email\n" if name == "header.csv" else "\n\n")
    found = Suppressions()
    assert read_suppressions(str(tmp_path / name), found) == 0
    assert not found


@pytest.mark.parametrize("domain", ["", "@", "nodot", "a b.de", "ann@x.de", "x..de", "@@x.de"])
def test_no_domain(domain: str) -> None:
    assert not Suppressions().add_domain(domain, DO_NOT_CONTACT)


@pytest.mark.parametrize("domain", ["x.de", "@x.de", "*@X.de", "https://www.x.de/about", " x.de. "])
def test_domains_as_crms_list_them(domain: str) -> None:
    found = Suppressions()
    assert found.add_domain(domain, DO_NOT_CONTACT)
    assert found.reason(["ann@x.de"]) == DO_NOT_CONTACT


def test_the_persons_own_entry_is_named_before_a_domain() -> None:
    found = suppressions("ann@x.de")
    assert found.add_domain("Bücher.de", DO_NOT_CONTACT)
    assert found.reason(["a@xn--bcher-kva.de"]) == DO_NOT_CONTACT
    assert found.reason(["a@xn--bcher-kva.de", "ann@x.de"]) == LISTED
    assert found.reason([]) is None
    found.add("late@x.de")
    assert found.reason(["late@x.de"]) == LISTED


letters = st.text(st.sampled_from("abcxyzüéß0189"), min_size=1, max_size=8)
domains = st.sampled_from(["x.de", "bücher.example", "straße.example", "mail.x.co.uk", "日本.example"])
spelling = st.sampled_from(
    [str.upper, str.title, str.swapcase, lambda a: f" \t{a}\u200b", lambda a: f"Ann <{a}>", lambda a: f"{a} ",
     lambda a: unicodedata.normalize("NFD", a), lambda a: a.replace("@", "＠"), lambda a: f"<{a}>"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(letters, domains, spelling, spelling)
def test_every_spelling_of_an_address_is_covered(local: str, domain: str, one: Any, other: Any) -> None:
    written, listed = one(f"{local}@{domain}"), other(f"{local}@{domain}")
    key = email_key(written)
    # ß in capitals is SS, which is another person's address.
    if key is None or email_key(listed) != key:
        return
    assert suppressions(listed).reason([key]) == LISTED
    assert suppressions(listed).reason([f"x{key}"]) is None


@settings(max_examples=50, deadline=None)
@given(letters, domains, st.sampled_from([str, str.upper, str.title, lambda d: f" @{d}\t", lambda d: f"{d}."]))
def test_every_spelling_of_a_domain_covers_its_addresses(local: str, domain: str, spelled: Any) -> None:
    key = email_key(f"{local}@{domain}")
    if key is not None and email_key(f"{local}@{spelled(domain).strip(' @')}") == key:
        assert suppressions(spelled(domain)).reason([key]) == LISTED


# In the plan ----------------------------------------------------------------------------------------------------------

MEMBER = ("source", "source_scope", "source_id", "email_key", "address")


def planned(
    tmp_path: Path,
    golden: list[Lead],
    found: Suppressions,
    *,
    existing: list[Lead] | None = None,
    members: list[tuple[str, ...]] | None = None,
) -> dict[str, PlanRow]:
    write_rows(str(tmp_path / "golden.parquet"), Lead, golden)
    write_rows(str(tmp_path / "existing.parquet"), Lead, existing or [])
    uri = None
    if members is not None:
        rows = [dict(zip(MEMBER, member, strict=True)) for member in members]
        uri = str(tmp_path / "members.parquet")
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in MEMBER])), uri)
    rules = PlanRules(mode="update", writable=frozenset({"city"}), suppressions=found)
    rows_of_plan = list(
        iter_plan(str(tmp_path / "golden.parquet"), str(tmp_path / "existing.parquet"), rules, members_uri=uri)
    )
    assert [row.email_key for row in rows_of_plan] == sorted(str(lead.email_key) for lead in golden)
    return {row.email_key: row for row in rows_of_plan}


def golden(*keys: str, **fields: Any) -> list[Lead]:
    return [lead(key, key, source="golden", city="Bonn", **fields) for key in keys]


@pytest.mark.parametrize("entry", ["second@x.de", "@third.org", "ANN@x.de"])
def test_an_objection_under_any_address_of_a_person_counts(entry: str, tmp_path: Path) -> None:
    members = [
        ("hubspot", "h", "1", "ann@x.de", "ann@x.de"),
        ("persistiq", "p", "2", "ann@x.de", "second@x.de"),
        ("perspective", "f", "3", "ann@x.de", "a@third.org"),
        ("perspective", "f", "4", "bob@x.de", "bob@x.de"),
        ("perspective", "f", "5", "nobody@x.de", "second@x.de"),
    ]
    found = planned(tmp_path, golden("ann@x.de", "bob@x.de"), suppressions(entry), members=members)
    assert {key: (row.action, row.reason) for key, row in found.items()} == {
        "ann@x.de": ("suppress", LISTED),
        "bob@x.de": ("create", None),
    }
    assert not found["ann@x.de"].values


@pytest.mark.parametrize("holder", ["golden", "existing"])
def test_an_objection_under_a_secondary_address_counts(holder: str, tmp_path: Path) -> None:
    told = json.dumps({ALIASES_PROPERTY: ["old@x.de"]})
    people = golden("ann@x.de", properties=told if holder == "golden" else None)
    existing = [lead("7", "ann@x.de", properties=told if holder == "existing" else None)]
    row = planned(tmp_path, people, suppressions("old@x.de"), existing=existing)["ann@x.de"]
    assert (row.action, row.reason, row.target_id) == ("suppress", LISTED, "7")


@pytest.mark.parametrize("flag", ["opted_out", "bounced"])
def test_who_objected_in_one_of_several_records_has_objected(flag: str, tmp_path: Path) -> None:
    fields: dict[str, Any] = {flag: True}
    existing = [lead("1", "ann@x.de"), lead("2", "ann@x.de", **fields), lead("3", "bob@x.de"), lead("4", "bob@x.de")]
    found = planned(tmp_path, golden("ann@x.de", "bob@x.de"), Suppressions(), existing=existing)
    assert (found["ann@x.de"].action, found["ann@x.de"].reason) == ("suppress", flag)
    assert found["bob@x.de"].action == "update"


def test_people_without_members_are_planned_too(tmp_path: Path) -> None:
    found = planned(tmp_path, golden("ann@x.de"), suppressions("bob@x.de"), members=[])
    assert found["ann@x.de"].action == "create"
