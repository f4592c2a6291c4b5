"""Leads from files: what the operator gives is what an extract gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.files.staging import StagingError, read_rows
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.sources.batches import Reject
from airflow_providers_leads.leads.sources.names import assign
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsFromFileOperator

CSV = "E-Mail;Vorname;Firma;Abgemeldet\nann@example.com;Ann;Acme;\nbob@example.com;Bob;;ja\nSumme;;2;\n"


def run(tmp_path: Path, **arguments: Any) -> dict[str, Any]:
    operator = LeadsFromFileOperator(task_id="file", output=str(tmp_path / "out"), **arguments)
    return operator.execute({})


def test_leads_and_rejects(tmp_path: Path) -> None:
    file = tmp_path / "fair.csv"
    file.write_text(CSV)
    result = run(tmp_path, input=str(file), source="trade_fair")
    leads = list(read_rows(result["uri"], Lead))
    assert [(lead.source, lead.source_scope, lead.email_key, lead.opted_out) for lead in leads] == [
        ("trade_fair", "trade_fair", "ann@example.com", None),
        ("trade_fair", "trade_fair", "bob@example.com", True),
    ]
    (reject,) = read_rows(result["rejects_uri"], Reject)
    assert (reject.file, reject.line, reject.reason, reject.email) == (str(file), 4, "invalid_email", "Summe")
    assert reject.row == '{"E-Mail":"Summe","Firma":"2"}'
    expected = {
        "rows": 2, "rejects": 1, "source": "trade_fair", "complete": False, "parts": {"trade_fair": 2}, "lost": {},
        "files": [str(file)], "number_of_files": 1,
        "columns": {
            "email": ["E-Mail"], "first_name": ["Vorname"], "company": ["Firma"], "opted_out": ["Abgemeldet"],
        },
    }  # fmt: skip
    assert {name: result[name] for name in expected} == expected


def test_the_same_file_gives_the_same_ids_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("email,first_name,note\nann@example.com,Ann,x\n")
    (tmp_path / "other.csv").write_text("note;E-Mail;Vorname\nx;ann@example.com;Ann\n")
    ids = [
        next(read_rows(run(tmp_path / name, input=str(tmp_path / f"{name}.csv"))["uri"], Lead)).source_id
        for name in ("one", "other")
    ]
    assert ids[0] == ids[1]


def test_it_is_merged_with_what_an_extract_gives(tmp_path: Path) -> None:
    file = tmp_path / "fair.csv"
    file.write_text(CSV)
    result = run(tmp_path, input=str(file), source="trade_fair")
    merged = LeadsDeduplicateOperator(
        task_id="merge",
        inputs=[result],
        output=str(tmp_path / "merged"),
        policy={"allow": {"trade_fair": ["first_name"]}},
    ).execute({})
    golden = {row["email_key"]: row for row in pq.read_table(merged["golden"]).to_pylist()}
    assert (golden["bob@example.com"]["opted_out"], golden["ann@example.com"]["company"]) == (True, None)


def test_a_pattern_is_one_only_where_it_is_meant_so(tmp_path: Path) -> None:
    for name in ("a[1].csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text(f"email\n{name[0]}@example.com\n")
    keys = lambda result: [lead.email_key for lead in read_rows(result["uri"], Lead)]  # noqa: E731
    assert keys(run(tmp_path, input=str(tmp_path / "a[1].csv"))) == ["a@example.com"]
    result = run(tmp_path, input=f"{tmp_path}/*.csv", glob=True)
    assert keys(result) == ["a@example.com", "b@example.com"]
    assert result["number_of_files"] == 2
    with pytest.raises(StagingError, match=r"\*\.csv does not exist.*glob=True"):
        run(tmp_path, input=f"{tmp_path}/*.csv")
    with pytest.raises(StagingError, match="no file has a name of this pattern"):
        run(tmp_path, input=f"{tmp_path}/*.jsonl", glob=True)


def test_a_pattern_takes_no_hidden_files(tmp_path: Path) -> None:
    (folder := tmp_path / "fair").mkdir()
    for name in ("a.csv", "._a.csv", ".a.csv.1.part", "~$b.csv", ".old/c.csv", "sub/d.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("email\nann@example.com\n")
    files = {pattern: run(tmp_path, input=f"{folder}/{pattern}", glob=True)["files"] for pattern in ("*", "**/*.csv")}
    assert [[one.removeprefix(f"{folder}/") for one in listed] for listed in files.values()] == [
        ["a.csv"], ["a.csv", "sub/d.csv"],
    ]  # fmt: skip
    assert run(tmp_path, input=f"{folder}/.old/*.csv", glob=True)["number_of_files"] == 1
    assert run(tmp_path, input=f"{folder}/.a*", glob=True, format="csv")["number_of_files"] == 1


def test_a_folder_of_parquet_parts_is_one_input(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "extract.parquet"
    (folder / "year=2026").mkdir(parents=True)
    for place, name in enumerate(("a", "b", "c")):
        table = pa.table({"email": [f"{name}@example.com", "none"], "Vorname": [name, None]})
        pq.write_table(table, folder / ("year=2026" if place == 2 else "") / f"part-{place}.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".hidden.parquet").write_bytes(b"x")
    result = run(tmp_path, input=str(folder))
    assert [lead.first_name for lead in read_rows(result["uri"], Lead)] == ["a", "b", "c"]
    assert (result["rows"], result["rejects"], result["number_of_files"]) == (3, 3, 3)
    rejects = pq.read_table(result["rejects_uri"]).to_pylist()
    assert [(row["file"].rpartition("/")[2], row["line"]) for row in rejects] == [
        (f"part-{place}.parquet", 2) for place in range(3)
    ]
    assert run(tmp_path, input=f"{tmp_path}/in/*.parquet", glob=True)["rows"] == 3
    folder.rename(tmp_path / "plain")
    assert run(tmp_path, input=str(tmp_path / "plain"), format="parquet")["rows"] == 3
    (tmp_path / "empty.parquet").mkdir()
    with pytest.raises(StagingError, match=r"is a folder without \.parquet files"):
        run(tmp_path, input=str(tmp_path / "empty.parquet"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(StagingError, match=r"is a folder. For the files in it give glob=True and a pattern"):
        run(tmp_path, input=str(tmp_path / "folder.csv"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("email\nmailto:ann@example.com?subject=Hi%20there\n", "ann@example.com"),
        ("email\nMAILTO:%61nn@example.com\n", "ann@example.com"),
        ("email,Email,EMAIL\nann@example.com,b@example.com,c@example.com\n", "ann@example.com"),
        ("EMAIL,Email,email\n,ann@example.com,c@example.com\n", "ann@example.com"),
        ("email\n\u200b ann@example.com\u00a0\u200b\n", "ann@example.com"),
    ],
)
def test_the_address_that_was_meant(tmp_path: Path, text: str, address: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    (lead,) = read_rows(run(tmp_path, input=str(tmp_path / "a.csv"))["uri"], Lead)
    assert (lead.email, lead.email_key) == (address, address)


@pytest.mark.parametrize("begin", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"])
def test_a_file_that_is_no_text_says_what_it_is(tmp_path: Path, begin: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(begin + bytes(100))
    with pytest.raises(StagingError, match=r"a\.csv is no text but (gzip|a workbook|an old workbook|Parquet)"):
        run(tmp_path, input=str(tmp_path / "a.csv"))


def test_a_column_of_ids_names_records_and_must_tell_people_apart(tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("Nr,email\n1,ann@example.com\n2,bob@example.com\n1,ANN@example.com\n")
    result = run(tmp_path, input=str(file), columns={"source_id": "Nr"})
    assert [lead.source_id for lead in read_rows(result["uri"], Lead)] == ["1", "2", "1"]
    file.write_text("Nr,email\n1,ann@example.com\n2,bob@example.com\n1,cid@example.com\n")
    with pytest.raises(StagingError, match="Lines 2 and 4 have the same record id"):
        run(tmp_path / "again", input=str(file), columns={"source_id": "Nr"})
    assert not list((tmp_path / "again").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "hubspot"}, "'hubspot' is a CRM"),
        ({"source": "a b"}, "source must be a word"),
        ({"columns": {"mail": "x"}}, "no field 'mail'; did you mean 'email'"),
        ({"columns": {"email": "E-Post"}}, "has no column 'E-Post' for email"),
        ({"columns": {"phone": "Fon"}}, "has no column 'Fon' for phone"),
        ({"columns": ["email"]}, "columns must be a mapping"),
        ({"header_row": -1}, "header_row"),
        ({"delimiter": ";;"}, "delimiter must be one character"),
        ({"encoding": "utf-9"}, "none named 'utf-9'"),
        ({"format": "csw"}, "format must be one of csv"),
        ({"date_order": "{{ 'myd' }}"}, "date_order must be one of"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    file = tmp_path / "fair.csv"
    file.write_text(CSV)
    with pytest.raises(ValueError, match=message):
        operator = LeadsFromFileOperator(task_id="file", input=str(file), output=str(tmp_path / "out"), **arguments)
        if operator.date_order:
            operator.date_order = "myd"
        operator.execute({})
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "does not exist"),
        ("empty.csv", b"", "is empty"),
        ("image.png", b"\x89PNG", "what its format is can't be told by its name"),
        ("book.parquet", b"PK", "is not a readable Parquet file"),
        ("none.jsonl", b"[]\n", "holds no object"),
    ],
)
def test_files_that_cant_be_read(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StagingError, match=message) as raised:
        run(tmp_path, input=str(file))
    assert str(file) in str(raised.value)


def test_a_table_that_is_written_while_it_breaks_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    # Beyond the first piece that is read.
    file.write_bytes(b"email,city\n" + "ann@example.com,Köln\n".encode() * 300_000 + b"bob@example.com,K\xf6ln\n")
    with pytest.raises(StagingError, match="line 300002"):
        run(tmp_path, input=str(file))
    assert not list(tmp_path.rglob("*.parquet"))


def test_sheets_that_are_not_read_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("python_calamine")
    book = Path(__file__).parents[2] / "corpus" / "workbook_hidden_sheets.xlsx"
    assert run(tmp_path, input=str(book))["rows"] == 1
    assert "the sheets 'Rest' have a column of addresses too" in capfd.readouterr().out
    assert run(tmp_path, input=str(book), sheet="2019")["rows"] == 1
    assert "address" not in capfd.readouterr().out
    with pytest.raises(StagingError, match=r"'2019' \(hidden\), 'Vorlage' \(hidden\), 'Hinweise'"):
        run(tmp_path, input=str(book), sheet="2027")


OUTLOOK = (
    "First Name,E-mail Address,E-mail 2 Address,E-mail 2 Type\n"
    "Ann,ann@firm.example,Ann.P@Home.example,SMTP\n"
    'Bob,bob@firm.example,"bob@firm.example; b@x.example, bob2@y.example",SMTP\n'
    "Cid,,cid@home.example,SMTP\n"
    "Dan,dan@firm.example,,\n"
)


def test_further_addresses_of_a_person_are_told_and_taken_where_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "outlook.csv").write_text(OUTLOOK)
    run(tmp_path, input=str(file))
    told = "".join(capsys.readouterr())
    assert "columns={'email_aliases': ['E-mail 2 Address']}" in told
    result = run(tmp_path, input=str(file), columns={"email_aliases": "E-mail 2 Address"})
    assert "further addresses" not in "".join(capsys.readouterr())
    leads = [(lead.email_key, json.loads(lead.properties or "{}")) for lead in read_rows(result["uri"], Lead)]
    assert leads == [
        ("ann@firm.example", {"E-mail 2 Type": "SMTP", "email_aliases": ["ann.p@home.example"]}),
        ("bob@firm.example", {"E-mail 2 Type": "SMTP", "email_aliases": ["b@x.example", "bob2@y.example"]}),
        ("cid@home.example", {"E-mail 2 Type": "SMTP"}),
        ("dan@firm.example", {}),
    ]


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("E-mail 2 - Value", True), ("Additional email addresses", True), ("Secondary Email", True), ("Email2", True),
        ("Weitere E-Mail-Adressen", True), ("E-Mail privat", True), ("Email (2)", True), ("E-mail 2 Type", False),
        ("E-mail 2 Display Name", False), ("Manager email", False), ("Email verified 2", False), ("City", False),
    ],
)  # fmt: skip
def test_which_columns_may_hold_further_addresses(name: str, further: bool) -> None:
    assert assign(["Email", name], {}).further_addresses == ([name] if further else [])
