"""The command that prints a plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_providers_leads.leads.files.plan_facts import PlanFacts
from airflow_providers_leads.leads.files.staging import RowWriter
from airflow_providers_leads.leads.model.outcomes import PlanRow
from airflow_providers_leads.plan import main
from airflow_providers_leads.report.masking import mask_address

FACTS = PlanFacts(
    conn_id="crm", conn_type="perspective", mode="update", scope="f1",
    planned_at=datetime(2026, 1, 2, tzinfo=UTC), requests_per_second=0.5, quota=1,
)  # fmt: skip
ROWS = [
    PlanRow(email_key="ann.lee@rare-company.de", action="create", values={"city": "Bonn"}, requests=1),
    PlanRow(
        email_key="bob@other.org", action="update", target_id="7", requests=60,
        values={"phone": "0170 1"}, before={"phone": None},
        properties={"utm": "\x1b[31mads"}, properties_before={"utm": "mail"},
    ),
    PlanRow(email_key="zoe@third.com", action="suppress", reason="suppression_list"),
]  # fmt: skip
PERSONAL = ("ann.lee", "rare-company", "bob", "other", "third", "Bonn", "0170", "ads", "mail")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def uri(tmp_path: Path) -> str:
    with RowWriter(str(tmp_path / "x.plan.parquet"), PlanRow, metadata=FACTS.metadata()) as writer:
        writer.write_all(ROWS)
    return str(tmp_path / "x.plan.parquet")


def test_nobody_is_known_by_what_is_shown(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", uri]) == 0
    said = capsys.readouterr().out
    assert not [word for word in PERSONAL if word in said]
    for told in ("a…@….de", "z…@….com", "city: (empty) → ***", "phone: (empty) → ***", "properties.utm: *** → ***"):
        assert told in said
    assert "suppression_list" in said


def test_the_totals_are_those_of_the_whole_plan(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", uri, "--limit", "0"]) == 0
    said = capsys.readouterr().out
    assert "… and 3 more rows" in said
    for told in (
        "Plan for crm (perspective, scope f1), mode update, planned at 2026-01-02T00:00:00+00:00",
        "create 1, update 1, unchanged 0, suppress 1",
        "61 requests, 2 minutes at least at 0.5 requests per second",
        "Fields: city 1, phone 1, properties.utm 1",
        "Reasons: suppression_list 1",
    ):
        assert told in said.splitlines()


def test_addresses_and_values_are_shown_on_demand_and_can_not_colour_the_terminal(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", uri, "--show-addresses"]) == 0
    said = capsys.readouterr().out
    for told in ("ann.lee@rare-company.de", "city: (empty) → Bonn", "phone: (empty) → 0170 1", "mail → \ufffd[31mads"):
        assert told in said
    assert "\x1b[31m" not in said


def test_rows_of_one_action(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", uri, "--action", "create"]) == 0
    said = capsys.readouterr().out
    assert "a…@….de" in said
    assert "b…@" not in said
    assert "update 1" in said


@pytest.mark.parametrize("address", ["ann@x.de", "ä@xn--bcher-kva.co.uk", "a@b.museum"])
def test_a_mask_keeps_one_letter_and_the_last_label(address: str) -> None:
    assert mask_address(address) == f"{address[0]}…@….{address.rpartition('.')[2]}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{}/nowhere.parquet", "does not exist"),
        ("{}/text.parquet", "not a readable Parquet file"),
        ("{}/old.parquet", "no plan file"),
        ("nosuch://bucket/plan.parquet", "can't be read"),
        ("nosuch://conn@bucket/plan.parquet", "leave its id before the @ out"),
    ],
)
def test_what_is_no_plan_ends_in_one_line(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.parquet").write_text("ann@x.de")
    with RowWriter(str(tmp_path / "old.parquet"), PlanRow):
        pass
    assert main(["show", given.format(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1
    assert "ann@" not in told.err


@pytest.mark.parametrize("wrong", [[], ["show"], ["show", "x", "--action", "delete"], ["show", "x", "--limit", "-1"]])
def test_wrong_arguments_end_with_code_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_it_runs_as_a_module_and_without_airflow(uri: str) -> None:
    code = (
        "import sys; from airflow_providers_leads.plan import main; code = main(['show', sys.argv[1]]); "
        "assert not [name for name in sys.modules if name.split('.')[0] == 'airflow']; sys.exit(code)"
    )
    env = {**os.environ, "NO_COLOR": "1"}
    run = subprocess.run([sys.executable, "-c", code, uri], capture_output=True, text=True, check=False, env=env)
    assert run.returncode == 0, run.stderr
    assert "create 1" in run.stdout
    module = [sys.executable, "-m", "airflow_providers_leads.plan", "show", f"file://{uri}.missing"]
    run = subprocess.run(module, capture_output=True, text=True, check=False, env=env)
    assert run.returncode == 2
    assert "does not exist" in run.stderr


def test_several_plans_are_shown_one_after_the_other(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 52: a pattern that a shell expands to the plans of two runs."""
    second = str(Path(uri).with_name("y.plan.parquet"))
    Path(second).write_bytes(Path(uri).read_bytes())
    assert main(["show", uri, second]) == 0
    said = capsys.readouterr().out
    assert said.index(uri) < said.index(second)
    assert said.count("create 1, update 1, unchanged 0, suppress 1") == 2
    assert main(["show", uri, second, "--output", "json"]) == 2
    assert main(["show", uri, f"{second}.absent"]) == 2


@pytest.mark.parametrize("form", ["json", "csv", "yaml"])
def test_a_plan_is_data_for_programs(form: str, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 51."""
    assert main(["show", uri, "-o", form]) == 0
    said = capsys.readouterr()
    assert not [word for word in PERSONAL if word in said.out]
    assert "create 1, update 1" in said.err
    assert main(["show", uri, "-o", form, "--show-addresses", "--action", "update"]) == 0
    shown = capsys.readouterr().out
    assert "bob@other.org" in shown
    if form == "json":
        (row,) = json.loads(shown)
        assert row["changes"]["phone"] == {"before": None, "after": "0170 1"}
        assert row["target_id"] == "7"
