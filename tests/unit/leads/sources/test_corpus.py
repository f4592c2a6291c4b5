"""Files as people export them give the leads that are right."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from airflow_providers_leads.leads.files.staging import StagingError
from airflow_providers_leads.leads.model.schema import Lead
from airflow_providers_leads.leads.sources.batches import Made
from airflow_providers_leads.leads.sources.reading import ENDINGS, FileOptions, read_file

CORPUS = Path(__file__).parents[3] / "corpus"
RIGHT = sorted(CORPUS.glob("*.right.json"))
FIELDS = [name for name in Lead.__struct_fields__ if name not in ("source", "source_scope")]


def read(path: Path, options: dict[str, Any]) -> list[Made]:
    if path.suffix in (".xlsx", ".xls"):
        pytest.importorskip("python_calamine")
    with ExitStack() as stack:
        return list(read_file(UPath(path), FileOptions(**options), "corpus", "corpus", stack).made)


def as_right(lead: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Return a lead as the files beside the corpus write one: without what is absent."""
    values = {name: lead[name] for name in FIELDS if lead[name] is not None}
    if "properties" in values:
        values["properties"] = json.loads(values["properties"])
    # An id that nobody gave is a hash, and a key that is the address itself need not be written.
    if "source_id" not in right:
        assert len(values.pop("source_id")) == 32
    if "email_key" not in right:
        assert values.pop("email_key") == values["email"]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.name.removesuffix(".right.json"))
def test_a_file_gives_the_right_leads(file: Path) -> None:
    right = json.loads(file.read_text())
    path, options = CORPUS / file.name.removesuffix(".right.json"), right.get("options", {})
    if "error" in right:
        with pytest.raises(StagingError) as raised:
            read(path, options)
        for part in (path.name, *right["error"]):
            assert part in str(raised.value)
        assert "@" not in str(raised.value)
        return
    made = read(path, options)
    leads = [lead for some in made for lead in some.leads.to_pylist()]
    assert len(leads) == len(right["leads"])
    expected = [{name: value for name, value in lead.items() if value is not None} for lead in right["leads"]]
    assert [as_right(lead, one) for lead, one in zip(leads, right["leads"], strict=True)] == expected
    assert [[one.line, one.reason] for some in made for one in some.rejects] == right["rejects"]
    assert {name: n for some in made for name, n in some.lost.items()} == right["lost"]


def test_every_file_has_its_right_leads_and_every_format_a_file() -> None:
    files = {path.name for path in CORPUS.iterdir() if path.name not in ("README.md",)}
    assert files == {name for right in RIGHT for name in (right.name, right.name.removesuffix(".right.json"))}
    assert len(RIGHT) >= 40
    met = {ENDINGS.get(file.name.removesuffix(".right.json").removesuffix(".gz").rpartition(".")[2]) for file in RIGHT}
    assert met == {"csv", "excel", "jsonl", "parquet"}
