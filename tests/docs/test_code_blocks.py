"""Every code block of README and docs runs, and every operator stands in one."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.models.baseoperator import BaseOperator
from airflow.triggers.base import BaseEventTrigger
from block_runs import environment, run_body, run_dag
from code_blocks import PAGES, ROOT, Block, blocks, links
from shell_lines import check, check_connection, lines

from airflow_providers_leads.http.errors import LeadsNotFoundError
from airflow_providers_leads.leads.merge.policy import policy_from
from airflow_providers_leads.operators.leads import LeadsDeduplicateOperator, LeadsExtractOperator, LeadsPlanOperator
from airflow_providers_leads.sandbox import Sandbox
from airflow_providers_leads.sandbox.faults import read_plan

BLOCKS = list(blocks())
# Whoever raises this says with it that a page can't be written so that it runs.
MOST_NOT_RUN = 0
CRMS = ("hubspot", "perspective", "persistiq")
MODULES = (
    *(f"operators.{crm}" for crm in CRMS), *(f"sensors.{crm}" for crm in CRMS), *(f"triggers.{crm}" for crm in CRMS),
    "operators.leads", "operators.metrics", "operators.engagement", "operators.report",
)  # fmt: skip


class Place:
    """Where the blocks of one page run: three CRMs of their own, and folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.sandbox = Sandbox(people=100, seed=7, limits=False).start()
        extra = {"rate_limit": 100_000, "rate_limit_period": 1, "max_retries": 1}
        given = {name: {**value, "extra": extra} for name, value in self.sandbox.connections().items()}
        given["warehouse"] = {"conn_type": "sqlite", "host": str(folder / "warehouse.db")}
        self.environment = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in given.items()}
        self.environment["AIRFLOW__LEADS__STAGING"] = f"file://{folder}/staging"
        (self.store / "erase.csv").write_text("email\nada@example.org\n", encoding="utf-8")
        (self.store / "fair.csv").write_text("E-Mail;Vorname;Abgemeldet\nada@example.org;Ada;\n", encoding="utf-8")
        (self.store / "customers.csv").write_text(
            "Kundennummer,Kontakt,E-Mail 2,Mobil,Telefon\n1,ada@example.org,ada@example.net,,+493023125000\n",
            encoding="utf-8",
        )
        (self.store / "do-not-contact.csv").write_text("ada@example.org\n@competitor.example\n", encoding="utf-8")

    def here(self, text: str) -> str:
        """Return a text whose buckets are folders of this place."""
        return re.sub(r"s3://[\w@-]+", f"file://{self.store}", text)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Give each page a place of its own; the blocks of a page share it, in their order."""
    open_one: dict[str, Place] = {}

    def place(page: str) -> Place:
        if page not in open_one:
            for other in open_one.values():
                other.sandbox.stop()
            open_one.clear()
            open_one[page] = Place(tmp_path_factory.mktemp("docs"))
        return open_one[page]

    yield place
    for other in open_one.values():
        other.sandbox.stop()


def of(*languages: str) -> pytest.MarkDecorator:
    """Return what gives a test each block of these languages that is to be run."""
    return pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in languages and not b.not_run], ids=str)


@of("python", "pycon")
def test_python(block: Block, places: Any) -> None:
    place: Place = places(block.page)
    text = place.here("\n" * block.line + block.text)
    with environment(place.environment):
        if text.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(text, {}, str(block), block.page, 0)
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0
        elif "@dag(" in text:
            run_dag(text, place.folder / "dags", f"block_{block.line}")
        else:
            run_body(text, str(block), {"__name__": "__main__"})


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A plan file, for what shows one."""
    folder = f"file://{tmp_path_factory.mktemp('plan')}"
    with Sandbox(people=10, seed=7, limits=False) as sandbox, environment(sandbox.connection_env()):
        read = LeadsExtractOperator(task_id="e", conn_id="hubspot_default", output=folder).execute({})
        golden = LeadsDeduplicateOperator(task_id="d", inputs=[read], output=folder).execute({})
        made = LeadsPlanOperator(task_id="p", conn_id="hubspot_default", golden=golden, output=folder).execute({})
    return str(made["plan"]).removeprefix("file://")


@of("sh")
def test_shell(block: Block, plan: str) -> None:
    commands = list(lines(block.text))
    assert commands
    for words in commands:
        check(words, plan)


@of("yaml")
def test_yaml(block: Block) -> None:
    if "rules:" in block.text:
        assert read_plan(block.text).rules
    else:
        assert policy_from(block.text)


@of("json")
def test_json(block: Block) -> None:
    told = json.loads(block.text)
    for conn_id, value in (told if "conn_type" not in told else {"example": told}).items():
        check_connection(conn_id, json.dumps(value))


BAD_COMMANDS = {
    "no such target": "make everything",
    "no such extra of the package": "pip install 'airflow-providers-leads[sandbocks]'",
    "another package": "pip install airflow-provider-leads",
    "no such option": "python -m airflow_providers_leads.sandbox --persons 5",
    "no such module": "python -m airflow_providers_leads.sandbocks",
    "no such command of Airflow": "airflow dag test my_leads",
    "no such option of Airflow": "airflow connections add a --conn-kind hubspot",
    "an unknown program": "brew install airflow",
    "no such setting": "export AIRFLOW__LEADS__STAGE=file:///tmp",
    "no such extra": """export AIRFLOW_CONN_A='{"conn_type": "hubspot", "password": "x", "extra": {"a": 1}}'""",
    "no key": """export AIRFLOW_CONN_A='{"conn_type": "persistiq"}'""",
}


@pytest.mark.parametrize("command", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_a_wrong_command_is_noticed(command: str, plan: str) -> None:
    with pytest.raises((AssertionError, SystemExit, ValueError)):
        for words in lines(command):
            check(words, plan)


BAD_BODIES: dict[str, tuple[str, str, type[Exception]]] = {
    "an operator that refuses its arguments": (
        "operators.leads.LeadsExtractOperator",
        "conn_id='hubspot_default', scope={'funnels': 1}",
        ValueError,
    ),
    "a record that is not there": ("operators.hubspot.HubSpotGetContactOperator", "contact_id='1'", LeadsNotFoundError),
    "a sensor that would wait": (
        "sensors.hubspot.HubSpotContactPropertySensor",
        "email='nobody@example.org', property_name='city'",
        AssertionError,
    ),
    "an argument that there is not": ("operators.hubspot.HubSpotListOwnersOperator", "name='Ann'", TypeError),
}


@pytest.mark.parametrize(("path", "arguments", "kind"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_wrong_example_is_noticed(path: str, arguments: str, kind: type[Exception], places: Any) -> None:
    module, _, name = path.rpartition(".")
    text = f"from airflow_providers_leads.{module} import {name}\n{name}(task_id='t', {arguments})"
    with environment(places("none").environment), pytest.raises(kind):
        run_body(text, "example", {})


def test_the_figures_of_the_readme_stand_among_the_benchmarks() -> None:
    told = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Figures")[2].partition("\n## ")[0]
    measured = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    figures = re.findall(r"[\d,]*\d(?:\.\d+)?", told)
    assert len(figures) > 4
    assert [figure for figure in figures if figure not in measured] == []


def test_no_block_is_of_a_language_that_nothing_runs() -> None:
    known = {"python", "pycon", "sh", "yaml", "json", "text"}
    assert [str(block) for block in BLOCKS if block.language not in known] == []


def test_no_block_is_left_out() -> None:
    assert len([block for block in BLOCKS if block.not_run]) <= MOST_NOT_RUN


def test_every_operator_sensor_and_trigger_stands_in_a_block_that_runs() -> None:
    made = {
        name
        for block in BLOCKS
        if block.language == "python" and not block.not_run and not block.text.startswith(">>>")
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.Name) and (name := node.id)
    }
    assert set(public_classes()) - made == set()


def public_classes() -> Iterator[str]:
    for name in MODULES:
        module = import_module(f"airflow_providers_leads.{name}")
        for found, cls in inspect.getmembers(module, inspect.isclass):
            ours = cls.__module__.startswith("airflow_providers_leads") and not found.startswith("_")
            if ours and issubclass(cls, BaseOperator | BaseEventTrigger) and found not in BASES:
                yield found


BASES = {
    "BatchOperator", "EmailOperator", "EndpointOperator", "HubSpotOperator", "LeadsEventTrigger", "LeadsOperator",
    "LeadsSensor", "PersistIQOperator", "PerspectiveOperator", "RowsOperator",
}  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [urlsplit(link) for link in links(page)]
    missing = [t.path for t in targets if not t.scheme and t.path and not (page.parent / t.path).exists()]
    assert missing == []
