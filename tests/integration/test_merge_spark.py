"""The merge on Spark against the merge on DuckDB: the same rows, whatever the policy."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_providers_leads.leads.files.staging import write_rows
from airflow_providers_leads.leads.merge.engine import DEFAULT_ENGINE
from airflow_providers_leads.leads.merge.golden import OUTPUTS, merge_files
from airflow_providers_leads.leads.merge.policy import MergePolicy
from airflow_providers_leads.leads.model.identity import IdentityRules, email_key
from airflow_providers_leads.leads.model.schema import ALIASES_PROPERTY, MERGED_IDS_PROPERTY, Lead

pytestmark = [
    pytest.mark.spark,
    # Nothing of ours: PySpark on pandas, through which results don't pass.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated:DeprecationWarning"),
]

NEED = "Java is missing: run .ci/install-java, or install your system's Java 17"
# Little data and many plans: most of the time would go into compiling what runs once.
SETTINGS = {
    "spark.default.parallelism": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}
ENGINE = "spark://local[2]?" + "&".join(f"{name}={value}" for name, value in SETTINGS.items())
START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = (None, None, "A", "a", "Ääh", "Anna 🦊", "Acme GmbH", "é", "z")
PHONES = (None, None, "+49 30 23125001", "030 23125001", "+493023125002", "030/23125003", "+49 89 1234567", "n/a")
POLICIES = {
    "every rule": MergePolicy(
        priority=("hubspot", "persistiq"),
        fields={"title": "newest", "company": "longest", "industry": "most_common"},
        groups={"place": ("city", "address", "postal_code")},
        allow={"perspective": ("first_name", "last_name", "phone")},
        identity=IdentityRules(
            plus_tags=True, gmail_dots=True, domain_aliases={"example.com": "example.org"},
            match_on=("email", "phone"), phone_region="DE", max_emails_per_phone=12,
        ),
    ),
    "the default identity": MergePolicy(properties="winner", groups={"name": ("last_name", "first_name")}),
}  # fmt: skip


def _leads(count: int) -> Iterator[Lead]:
    """Yield records of a few hundred people, who overlap in every way that joins records or keeps them apart."""
    rng = random.Random(4)
    domains = ("example.org", "example.com", "gmail.com", "bücher.example")
    for number in range(count):
        local = rng.choice(("", "a.", "A")) + f"p{rng.randrange(count // 6)}" + rng.choice(("", "", "", "+news"))
        email = rng.choice((f"{local}@{rng.choice(domains)}",) * 12 + ("info@example.org", None, "n/a", " \t", ""))
        told: dict[str, Any] = {"a": rng.randrange(3), rng.choice("bcd"): "ü"}
        if number % 9 == 0:
            told[ALIASES_PROPERTY] = [f"p{rng.randrange(count // 6)}@example.org", "office@example.org"]
        if number % 11 == 0:
            told[MERGED_IDS_PROPERTY] = [str(rng.randrange(count))]
        words = ("first_name", "last_name", "company", "title", "address", "city", "postal_code", "industry", "status")
        yield Lead(
            source=rng.choice(("hubspot", "perspective", "persistiq")),
            source_scope=rng.choice(("", "b")),
            source_id=str(rng.randrange(count)),
            email=email,
            email_key=email_key(email),
            phone=rng.choice((*PHONES, f"+49 30 2312{rng.randrange(5000, 5999)}")),
            opted_out=rng.choice((None, False, True)),
            bounced=rng.choice((None, None, True)),
            created_at=rng.choice((None, START)),
            updated_at=rng.choice((None, START, START + timedelta(microseconds=rng.randrange(5)))),
            properties=msgspec.json.encode(told).decode() if rng.random() < 0.7 else None,
            **{name: rng.choice(WORDS) for name in words},
        )


@pytest.fixture(scope="module")
def spark() -> Iterator[None]:
    """One session for all policies: starting one takes longer than a merge."""
    works = shutil.which("java") and subprocess.run(["java", "-version"], capture_output=True).returncode == 0
    if not works:
        # Where the suite is the gate, a test that was left out must not look like one that passed.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NEED)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield
    session.stop()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("inputs")
    leads = list(_leads(2000))
    for number in range(2):
        write_rows(str(folder / f"{number}.parquet"), Lead, leads[number::2])
    return [str(folder / f"{number}.parquet") for number in range(2)]


def _merged(engine: str, inputs: list[str], folder: Path, policy: MergePolicy) -> tuple[dict[str, pa.Table], Any]:
    outputs = {name: folder / f"{name}.parquet" for name in OUTPUTS}
    counts = merge_files(inputs, outputs, policy=policy, engine=engine)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in outputs.values())
    return {name: pq.read_table(path) for name, path in outputs.items()}, counts


def _plain(value: Any) -> Any:
    """Return a value of Arrow without the sizes of its integers, which each engine chooses for itself."""
    if pa.types.is_integer(value):
        return pa.int64()
    if pa.types.is_struct(value):
        return pa.struct([(field.name, _plain(field.type)) for field in value])
    return pa.list_(_plain(value.value_type)) if pa.types.is_list(value) else value


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=repr)


@pytest.mark.story
@pytest.mark.parametrize(
    "name", [name if name == "every rule" else pytest.param(name, marks=pytest.mark.slow) for name in POLICIES]
)
@pytest.mark.usefixtures("spark")
def test_spark_and_duckdb_agree_row_for_row(name: str, inputs: list[str], tmp_path: Path) -> None:
    results = {}
    for engine in (DEFAULT_ENGINE, ENGINE):
        folder = tmp_path / engine.partition(":")[0]
        folder.mkdir()
        results[engine] = _merged(engine, inputs, folder, POLICIES[name])
    (ours, our_counts), (theirs, their_counts) = results.values()
    assert their_counts == our_counts
    assert our_counts["members"] + our_counts["rejects"] == our_counts["inputs"] == 2000
    assert min(our_counts[output] for output in OUTPUTS) > 20
    for output in OUTPUTS:
        types = [[(field.name, _plain(field.type)) for field in tables[output].schema] for tables in (theirs, ours)]
        assert types[0] == types[1], output
        # Each names the members beside it.
        theirs_says, ours_says = (dict(each[output].schema.metadata) for each in (theirs, ours))
        assert theirs_says.pop(b"leads.members") != ours_says.pop(b"leads.members")
        assert theirs_says == ours_says
        assert _rows(theirs[output]) == _rows(ours[output]), output


@pytest.mark.story
@pytest.mark.usefixtures("spark")
def test_nothing_in_gives_valid_files_without_rows_on_spark_too(tmp_path: Path) -> None:
    tables, counts = _merged(ENGINE, [], tmp_path, POLICIES["every rule"])
    assert set(counts.values()) == {0}
    assert {name: table.num_rows for name, table in tables.items()} == dict.fromkeys(OUTPUTS, 0)
