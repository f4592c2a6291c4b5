"""Erasure reports and the lists that name whom to erase."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.files.address_lists import read_addresses
from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.erasure import (
    Erasure,
    checked_people,
    counts_of,
    digest,
    summary_uri,
    verify,
    write_report,
)
from airflow_providers_leads.leads.model.identity import person_hash, spellings
from airflow_providers_leads.leads.model.public_domains import is_public

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)


def step(name: str = "gdpr_delete", status: Any = "done", **more: Any) -> Erasure:
    base: dict[str, Any] = {"crm": "hubspot", "conn_id": "h", "person": person_hash("ann@x.de"), "at": AT}
    return Erasure(step=name, status=status, **(base | more))


def report(tmp_path: Path) -> str:
    uri = str(tmp_path / "deep" / "erasure.parquet")
    rows = [step(), step("block address"), step("opt out", "failed", crm="persistiq", reason="run again")]
    write_report(uri, rows, {"run_id": "r"}, summary=summary_uri(uri))
    return uri


def test_a_report_is_signed_and_verified(tmp_path: Path) -> None:
    uri = report(tmp_path)
    about = json.loads(Path(summary_uri(uri)).read_text())
    assert about["counts"] == {
        "hubspot": {"gdpr_delete": {"done": 1}, "block address": {"done": 1}},
        "persistiq": {"opt out": {"failed": 1}},
    }
    assert about["rows"] == 3
    assert about["run_id"] == "r"
    assert verify(uri) == about["sha256"]


def _drop(table: pa.Table) -> pa.Table:
    return table.slice(1)


def _swap(table: pa.Table) -> pa.Table:
    return table.take([1, 0, 2])


def _whiten(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("status")
    return table.set_column(place, "status", pa.array(["done"] * table.num_rows))


@pytest.mark.parametrize("alter", [_drop, _swap, _whiten])
def test_an_altered_report_is_no_longer_the_signed_one(tmp_path: Path, alter: Any) -> None:
    uri = report(tmp_path)
    table = pq.read_table(uri)
    pq.write_table(alter(table).replace_schema_metadata(table.schema.metadata), uri)
    with pytest.raises(StagingError, match="not the report that was signed off"):
        verify(uri)


@pytest.mark.parametrize("damage", ["missing", "text"])
def test_a_report_without_a_summary_is_not_verified(tmp_path: Path, damage: str) -> None:
    uri = report(tmp_path)
    summary = Path(summary_uri(uri))
    summary.unlink() if damage == "missing" else summary.write_text("no json")
    with pytest.raises(StagingError, match=r"erasure\.json"):
        verify(uri)


def test_the_digest_is_that_of_the_described_text() -> None:
    import hashlib

    plain = b"".join(msgspec.json.encode(row, order="sorted") + b"\n" for row in (step(), step("x")))
    assert digest([step(), step("x")]) == hashlib.sha256(plain).hexdigest()
    berlin = timezone(timedelta(hours=1))
    assert digest([step(at=AT.astimezone(berlin))]) == digest([step()])


def test_counts_of_nothing() -> None:
    assert counts_of([]) == {}


def test_everybody_once_in_any_spelling() -> None:
    people = checked_people("email_keys", [" Ann@X.de ", "ann@x.de", "müller@bücher.de"])
    assert people == {"ann@x.de": " Ann@X.de ", "müller@xn--bcher-kva.de": "müller@bücher.de"}
    assert spellings("müller@xn--bcher-kva.de", "müller@bücher.de") == ["müller@bücher.de", "müller@xn--bcher-kva.de"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "names nobody"),
        (["ann@x.de", "no address"], "entry 2 is no e-mail address"),
        ([None], "entry 1 is no"),
        ([7], "entry 1 is no"),
        ("ann@x.de", "not one text"),
    ],
)
def test_what_names_nobody_is_told_by_its_position(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        checked_people("email_keys", given)
    assert "ann@x.de" not in str(caught.value)
    assert "no address" not in str(caught.value).replace("no e-mail address", "")


@pytest.mark.parametrize(
    ("domain", "public"),
    [
        ("gmail.com", True),
        ("yahoo.co.uk", True),
        ("gmx.de", True),
        ("web.de", True),
        ("t-online.de", True),
        ("solar-mueller.de", False),
        ("xn--bcher-kva.example", False),
        ("gmail-fans.de", False),
    ],
)
def test_mail_providers_are_known(domain: str, public: bool) -> None:
    assert is_public(domain) == public


# Lists of addresses ---------------------------------------------------------------------------------------------------

TWO = ["ann@x.de", "bob@y.de"]
FILES: dict[str, tuple[str, str]] = {
    "lines": ("a.txt", "ann@x.de\n\n  bob@y.de \r\n"),
    "csv": ("a.csv", "id,Email\n1,ann@x.de\n2,bob@y.de\n"),
    "semicolons, mark": ("a.csv", "\ufeffid;email_key;status\n1;ann@x.de;new\n2;bob@y.de;\n"),
    "no header": ("a.csv", "ann@x.de\nbob@y.de\n"),
    "upper-case ending": ("a.CSV", "email\nann@x.de\nbob@y.de"),
    "quoted": ("a.csv", 'email,name\n"ann@x.de","A, B"\nbob@y.de,B\n'),
    "objects": ("a.jsonl", '{"email": "ann@x.de"}\n\n{"n": 1, "email": "bob@y.de"}\n'),
    "texts": ("a.jsonl", '"ann@x.de"\n"bob@y.de"\n'),
}


@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)
def test_files(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_addresses("email_keys", str(tmp_path / name)) == TWO


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2], "Email": TWO}), tmp_path / "a.parquet")
    assert read_addresses("email_keys", str(tmp_path / "a.parquet")) == TWO


@pytest.mark.parametrize(
    "value", [TWO, tuple(TWO), '["ann@x.de", "bob@y.de"]', "['ann@x.de', 'bob@y.de']", (a for a in TWO)]
)
def test_lists_and_the_text_that_templates_make_of_them(value: Any) -> None:
    assert read_addresses("email_keys", value) == TWO


def test_an_address_that_ends_like_a_file_is_an_address() -> None:
    assert read_addresses("email_keys", "ann@shop.csv") == ["ann@shop.csv"]


@pytest.mark.parametrize("value", [None, 7, {"a": 1}, "", "nobody", "secret@", "[secret@", "['a', *x]", b"ann@x.de"])
def test_what_is_no_list(value: Any) -> None:
    with pytest.raises(ValueError, match="email_keys") as caught:
        read_addresses("email_keys", value)
    assert "secret" not in str(caught.value)


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "missing": ("none.txt", b"", "does not exist"),
    "a domain": ("a.txt", b"ann@x.de\n@secret.de\n", "line 2: a whole domain"),
    "a wildcard": ("a.txt", b"ann@x.de\n*@secret.de\n", "line 2: a whole domain"),
    "whose address": ("a.csv", b"ann@x.de,secret@y.de\n", "line 1: several addresses"),
    "a short row": ("a.csv", b"id,email\n1,ann@x.de\n2\n", "line 3"),
    "parquet": ("a.parquet", b"secret@x.de", "not a readable Parquet file"),
}


@pytest.mark.parametrize(("name", "content", "said"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_can_not_be_used_is_named_and_not_quoted(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StagingError, match=said) as caught:
        read_addresses("email_keys", str(tmp_path / name))
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)


def test_row_22_wrapped_addresses_in_place() -> None:
    wrapped = ["'ann@x.de", "=ann@x.de", "mailto:ann@x.de", "Ann Lee <ann@x.de>"]
    assert read_addresses("email_keys", wrapped) == ["ann@x.de"] * 4
    with pytest.raises(ValueError, match="entry 2 is no e-mail address"):
        checked_people("email_keys", read_addresses("email_keys", ["ann@x.de", "*@x.de"]))
