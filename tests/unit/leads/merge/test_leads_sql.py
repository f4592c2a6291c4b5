"""The merge in the SQL of each engine, beside golden files: what an engine is given never changes unseen.

``LEADS_WRITE_SQL=1 pytest tests/unit/leads/merge/test_leads_sql.py`` writes the files anew, for a diff to be read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import ibis
import pytest
import sqlglot

from airflow_providers_leads.leads.merge.golden import members
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.merge.survivorship import conflicts, disputed, golden, ranked
from airflow_providers_leads.leads.model.schema import arrow_schema

FILES = Path(__file__).parent / "sql"
DIALECTS = {"duckdb": "duckdb", "pyspark": "spark"}
# Names that Ibis makes up whenever it compiles.
NEW_EACH_TIME = re.compile(r"[0-9a-f]{32}|(?<=PROPERTIES_)[0-9A-F]+")
# The other one is merged by a function of ours as well.
POLICY = MergePolicy(
    priority=("hubspot", "persistiq"),
    fields={"phone": "newest", "company": "longest", "industry": "most_common"},
    groups={"place": ("postal_code", "city", "address")},
    allow={"perspective": ("first_name", "last_name", "phone")},
    properties="winner",
)


def statements(dialect: str) -> dict[str, ibis.Table]:
    """Return each step of the merge, which reads the step before as a table."""
    leads = ibis.table(ibis.Schema.from_pyarrow(arrow_schema()), name="leads")
    known = leads.filter(leads.email_key.notnull()).mutate(person=leads.email_key)
    steps = {"ranked": ranked(known, POLICY, by_address=True, repeated=True)}
    placed = ibis.table(steps["ranked"].schema(), name="ranked")
    steps["members"] = members(placed)
    steps["golden"] = golden(placed, POLICY, lineage=True, duckdb=dialect == "duckdb")
    steps["disputed"] = disputed(placed, POLICY, duckdb=dialect == "duckdb")
    steps["conflicts"] = conflicts(ibis.table(steps["disputed"].schema(), name="disputed"), POLICY)
    return steps


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_sql_of_an_engine_is_the_one_on_file(dialect: str) -> None:
    texts = [f"-- {name}\n{ibis.to_sql(step, dialect=dialect)};\n" for name, step in statements(dialect).items()]
    file, text = FILES / f"{dialect}.sql", NEW_EACH_TIME.sub("made_up", "\n".join(texts))
    if os.environ.get("LEADS_WRITE_SQL"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    parsed = sqlglot.parse(text, dialect=DIALECTS[dialect], error_level=sqlglot.ErrorLevel.RAISE)
    assert [type(statement).__name__ for statement in parsed if statement] == ["Select"] * len(texts)


def test_there_is_no_file_without_an_engine() -> None:
    assert sorted(path.name for path in FILES.iterdir()) == sorted(f"{dialect}.sql" for dialect in DIALECTS)
