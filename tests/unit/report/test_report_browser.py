"""The reports in a real browser: at three widths, light and dark, nothing sticks out, fails or is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Browser, chromium
from report_files import files_of, run_of, write_numbers, write_run
from test_report_pages import ATTACK, HISTORY

from airflow_providers_leads.report.metrics import metrics_page
from airflow_providers_leads.report.metrics_facts import read_metrics
from airflow_providers_leads.report.run import FailedTask
from airflow_providers_leads.report.sync import sync_page
from airflow_providers_leads.report.sync_facts import read_sync

pytestmark = pytest.mark.browser

LONG = "a_name_that_is_much_longer_than_anybody_would_wish_for_" * 3


def show(browser: Browser, file: Path, width: int, scheme: str) -> None:
    browser.size(width)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(file.as_uri())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    write_run(folder / "run")
    run = run_of(
        dag_id=LONG, run_id=LONG, failed=[FailedTask(task_id=LONG)], files=[("plans", f"s3://{LONG}/{ATTACK}")]
    )
    points = {"start": 900, LONG: 30, ATTACK: 12}
    numbers = {
        "kpi_total_sessions": {"": 1_234_567},
        "kpi_time_to_completion": {"": 5_400},
        "chart_page_to_page_conversion_rate": points,
        "chart_contacts_over_time": {f"2026-04-{day:02}": day for day in range(1, 31)},
        "chart_visitor_devices": points,
        "chart_activity_by_daytime": {f"day={d}; hour={h}": d * h for d in range(7) for h in range(24)},
    }
    write_numbers(str(folder / "f.parquet"), LONG, numbers)
    write_numbers(
        str(folder / "c.parquet"), LONG, {"total_prospects": {"": 9}, "prospects_contacted": {"": 3}}, campaign=True
    )
    made = {
        "sync": sync_page(read_sync(files_of(folder / "run")), run, HISTORY, show_addresses=True),
        "metrics": metrics_page(read_metrics([str(folder / "f.parquet"), str(folder / "c.parquet")]), run),
    }
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html)
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 768, 1280])
@pytest.mark.parametrize("name", ["sync", "metrics"])
def test_nothing_sticks_out_fails_or_is_fetched(
    name: str, width: int, scheme: str, browser: Browser, pages: dict[str, Path]
) -> None:
    show(browser, pages[name], width, scheme)
    assert browser.value("document.documentElement.scrollWidth") <= width
    asked = [event["request"]["url"] for event in browser.met("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [pages[name].as_uri()]
    assert browser.met("Log.entryAdded") == browser.met("Runtime.exceptionThrown") == []
    assert browser.met("Runtime.consoleAPICalled") == browser.met("Page.javascriptDialogOpening") == []
    # Text stands out from what is behind it, in both modes.
    dark = (
        sum(map(int, browser.value("getComputedStyle(document.body).backgroundColor").strip("rgb()").split(","))) < 384
    )
    assert dark is (scheme == "dark")
    # Of each chart exactly one width is shown.
    shown = "[...document.querySelectorAll('svg.flow')].filter(s => s.getBoundingClientRect().width > 0).length"
    assert browser.value(shown) == (1 if name == "sync" else 0)


def test_a_printed_page_is_white(browser: Browser, pages: dict[str, Path]) -> None:
    show(browser, pages["sync"], 1280, "dark")
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "light"}]
    )
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    browser.call("Emulation.setEmulatedMedia", media="")
